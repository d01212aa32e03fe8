//! Gives the tree to the ids of an unprivileged container, after everything else was written into it.

use super::super::migration::Migration;
use crate::error::{Doing, Result};
use crate::lxc::IdMap;
use crate::pipeline::step::{Interrupted, Step, Undo};
use crate::rootfs::shift::{self, Before};
use serde_json::{Value, json};
use std::io::ErrorKind;
use std::path::Path;

/// Beside the journal while a walk has begun: ids of the range are no strangers in the tree then.
const BEGUN: &str = "ids-shifted";

pub(super) struct ShiftIds;

/// Returns the ids that the tree has to be given to, when it has to.
pub(super) fn needed(m: &Migration<'_>) -> Option<IdMap> {
    m.plan.idmap.filter(|map| !map.mounted)
}

fn begin(marker: &Path) -> Result<Before> {
    let doing = || format!("writing {}", marker.display());
    match std::fs::File::options().write(true).create_new(true).open(marker) {
        Ok(file) => file.sync_all().doing(doing).map(|()| Before::Untouched),
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(Before::Begun),
        Err(e) => Err(e).doing(doing),
    }
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
        let done = shift::shift(tree, map.range, begin(&marker)?, &cancel)?;
        m.close_tree()?;
        Ok(json!({ "base": map.range.base, "entries": done.entries, "changed": done.changed }))
    }

    /// The ids go with the volume.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.close_tree()?;
        let marker = m.state_file(BEGUN);
        match std::fs::remove_file(&marker) {
            Err(e) if e.kind() != ErrorKind::NotFound => Err(e).doing(|| format!("removing {}", marker.display())),
            _ => Ok(Undo::Done),
        }
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_walk_knows_that_there_was_a_first() {
        let dir = tempfile::tempdir().unwrap();
        let marker = dir.path().join(BEGUN);
        assert_eq!(begin(&marker).unwrap(), Before::Untouched);
        assert_eq!(begin(&marker).unwrap(), Before::Begun);
        assert!(begin(&dir.path().join("absent/marker")).is_err());
    }
}
