//! Gives the tree to the ids of an unprivileged container, after everything else was written into it.

use super::super::migration::Migration;
use crate::error::Result;
use crate::lxc::IdMap;
use crate::pipeline::step::{Interrupted, Step, Undo};
use crate::rootfs::shift::{self, Notes};
use serde_json::{Value, json};

/// Beside the journal while a walk has begun: ids of the range are no strangers in the tree then, and flags may be off.
const BEGUN: &str = "ids-shifted";

pub(super) struct ShiftIds;

/// Returns the ids that the tree has to be given to, when it has to.
pub(super) fn needed(m: &Migration<'_>) -> Option<IdMap> {
    m.plan.idmap.filter(|map| !map.mounted)
}

/// Forgets what an earlier walk left beside the journal: it is about a tree that is gone.
pub(super) fn forget(m: &Migration<'_>) -> Result<()> {
    m.remove_state_file(BEGUN)
}

impl Step<Migration<'_>> for ShiftIds {
    fn id(&self) -> &'static str {
        "shift-ids"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        match m.plan.idmap {
            Some(map) => format!("give the files to the ids from {}", map.range.base),
            None => "give the files to the container's ids".to_owned(),
        }
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        match m.plan.idmap {
            None => Some("the container is privileged".to_owned()),
            Some(map) => map.mounted.then(|| "the directory is mounted with its ids mapped".to_owned()),
        }
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        let one = |map: IdMap| {
            let (base, last) = (map.range.base, map.range.base.saturating_add(map.range.count - 1));
            format!(
                "owners, ACLs and file capabilities in {}: 0 becomes {base}, …, {last}",
                m.plan.mount_point.display()
            )
        };
        needed(m).map(one).into_iter().collect()
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let Some(map) = needed(m) else { return Ok(json!({})) };
        let (marker, cancel) = (m.state_file(BEGUN), m.tools.cancel.clone());
        let tree = m.tree()?;
        let (mut notes, before) = Notes::open(&marker)?;
        let done = shift::shift(tree, map.range, before, &mut notes, &cancel)?;
        m.close_tree()?;
        Ok(json!({ "base": map.range.base, "entries": done.entries, "changed": done.changed }))
    }

    /// The ids go with the volume.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.close_tree()?;
        forget(m).map(|()| Undo::Done)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}
