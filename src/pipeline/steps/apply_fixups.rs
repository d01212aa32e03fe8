//! Undoes what OpenVZ left inside and gives the guest what LXC needs.

use super::super::migration::Migration;
use crate::error::{Doing, Error, Result};
use crate::fixup::{self, ApplyOptions};
use crate::guest;
use crate::model::finding::Finding;
use crate::model::guest::Init;
use crate::pipeline::step::{Interrupted, Step, Undo};
use crate::rootfs::preimage::PreImage;
use serde_json::{Value, json};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// What every changed file was before, beside the journal.
const BEFORE: &str = "fixups-before.json";

fn keep(path: &Path, before: &[PreImage]) -> Result<()> {
    let doing = || format!("writing {}", path.display());
    if path.exists() {
        return Ok(()); // a resumed run has applied them before: what was there at first is what counts
    }
    let text = serde_json::to_vec(before).map_err(|e| Error::new(e.to_string())).doing(doing)?;
    let mut file =
        std::fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path).doing(doing)?;
    file.write_all(&text).and_then(|()| file.sync_all()).doing(doing)
}

/// Forgets what an earlier run kept: it is about a tree that is gone.
pub(super) fn forget(m: &Migration<'_>) -> Result<()> {
    m.remove_state_file(BEFORE)
}

pub(super) struct ApplyFixups;

impl Step<Migration<'_>> for ApplyFixups {
    fn id(&self) -> &'static str {
        "apply-fixups"
    }

    fn title(&self, _: &Migration<'_>) -> String {
        "undo what OpenVZ left inside, give what LXC needs".to_owned()
    }

    fn commands(&self, _: &Migration<'_>) -> Vec<String> {
        Vec::new() // a dry run shows the diff
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let (plan, tools) = (m.plan, m.tools);
        m.touch_tree()?; // a run that is resumed may have to copy into it again
        let tree = m.tree()?;
        let guest = guest::detect(tree).doing(|| "looking at the guest")?;
        let options = ApplyOptions { dry_run: false, skip: &plan.skip_fixups };
        let report = fixup::apply(&tools.catalogue, tree, &guest, &plan.guest_plan, &options)?;
        keep(&m.state_file(BEFORE), &report.preimages)?;
        if plan.guest.init != Init::Unknown && (plan.guest.init, &plan.guest.arch) != (guest.init, &guest.arch) {
            m.report(
                Finding::warning("guest-differs", "the guest is not what it seemed to be before the copy").detail(
                    format!("{:?} {} before, {:?} {} now", plan.guest.init, plan.guest.arch, guest.init, guest.arch),
                ),
            );
        }
        for finding in report.findings {
            m.report(finding);
        }
        if super::shift_ids::needed(m).is_none() {
            m.close_tree()?; // otherwise the next step has use for it
        }
        Ok(json!({ "guest": guest, "changes": report.changes }))
    }

    /// The changes go with the volume, or are made again.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.close_tree()?;
        if !m.keep_target {
            forget(m)?;
        }
        Ok(Undo::Done)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}
