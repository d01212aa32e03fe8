//! Makes the target volume.

use super::{apply_fixups, shift_ids};
use crate::error::Result;
use crate::model::volume::StorageKind;
use crate::pipeline::migration::Migration;
use crate::pipeline::step::{OnFailure, Step, Undo};
use serde_json::{Value, json};

pub(super) struct CreateVolume;

impl Step<Migration<'_>> for CreateVolume {
    fn id(&self) -> &'static str {
        "create-volume"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        let volume = &m.plan.volume;
        match volume.kind {
            StorageKind::Dir => format!("directory {}", volume.path.display()),
            _ => format!("volume {} ({}, {})", volume.path.display(), volume.size, volume.fs.name()),
        }
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        m.tools.storage.create_commands(&m.plan.volume).iter().map(ToString::to_string).collect()
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        m.tools.storage.create(&m.plan.volume)?;
        // Whatever an earlier run kept beside the journal was about a tree on another volume.
        if let Err(error) = apply_fixups::forget(m).and_then(|()| shift_ids::forget(m)) {
            m.tools.storage.destroy(&m.plan.volume)?; // nobody else takes it back
            return Err(error);
        }
        Ok(json!({ "path": m.plan.volume.path }))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.close_tree()?;
        if m.keep_target {
            return Ok(Undo::Kept);
        }
        m.tools.storage.destroy(&m.plan.volume).map(|()| Undo::Done)
    }

    fn still_done(&self, m: &Migration<'_>, _: &Value) -> Result<bool> {
        Ok(m.tools.storage.inspect(&m.plan.volume)?.exists)
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Clean
    }
}
