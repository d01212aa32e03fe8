//! The way of one container: facts, plan, steps, the point of no return.

pub mod answers;
pub mod autostart;
pub mod clock;
pub mod configure;
pub mod dry_run;
pub mod engine;
#[cfg(test)]
mod engine_tests;
pub mod files;
pub mod migration;
pub mod network;
pub mod opening;
pub mod peek;
pub mod plan;
pub mod planner;
pub mod report;
pub mod step;
pub mod steps;
