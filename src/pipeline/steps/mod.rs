//! The steps of a migration, in order; one file each.

mod apply_fixups;
mod check_health;
mod copy;
mod create_volume;
mod fence_source;
mod hand_over;
mod register_resource;
mod shift_ids;
mod start_target;
mod stop_source;
pub mod verify;
mod write_config;

use super::migration::Migration;
use super::step::Step;

/// The step after which `sync` pauses.
pub const COPY_LIVE: &str = "copy-live";

/// Returns the steps in order. `check-health` is the point of no return (docs/adr/0003-point-of-no-return.md).
pub fn steps<'a>() -> Vec<Box<dyn Step<Migration<'a>>>> {
    vec![
        Box::new(create_volume::CreateVolume),
        Box::new(copy::CopyLive),
        // Neither needs the source to be down, and a cluster takes its time.
        Box::new(write_config::WriteConfig),
        Box::new(register_resource::RegisterResource),
        Box::new(stop_source::StopSource),
        Box::new(copy::CopyFinal),
        Box::new(verify::VerifyCopy),
        Box::new(apply_fixups::ApplyFixups),
        Box::new(shift_ids::ShiftIds),
        Box::new(start_target::StartTarget),
        Box::new(check_health::CheckHealth),
        Box::new(fence_source::FenceSource),
        Box::new(hand_over::HandOver),
    ]
}

/// Returns the ids of all steps in order.
pub fn ids() -> Vec<&'static str> {
    steps().iter().map(|s| s.id()).collect()
}

/// Why a container that did not run on the source is not started on the target.
const NOT_RUNNING: &str = "the container did not run on the source";

/// Why nothing is stopped and nothing is fenced.
const NO_NODE: &str = "the source is no running node: make sure that the old one stays off";
