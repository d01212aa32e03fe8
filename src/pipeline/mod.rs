//! The way of one container: facts, plan, steps, the point of no return.

pub mod clock;
pub mod dry_run;
pub mod engine;
#[cfg(test)]
mod engine_tests;
pub mod migration;
pub mod peek;
pub mod plan;
pub mod planner;
pub mod report;
pub mod step;
pub mod steps;
