//! Compares the copy with the source while both are still: the last moment at which a difference can only be a fault.

use super::copy::{close, let_go, still_stopped};
use crate::error::{Error, Result};
use crate::model::container::Origin;
use crate::model::settings::Verify;
use crate::pipeline::migration::Migration;
use crate::pipeline::step::{Interrupted, Step, Undo};
use crate::transfer::{Cause, Check, Verified};
use serde_json::{Value, json};

/// The step's id.
pub const VERIFY: &str = "verify";

/// How many differences an error names.
const NAMED: usize = 10;

pub(super) struct VerifyCopy;

impl Step<Migration<'_>> for VerifyCopy {
    fn id(&self) -> &'static str {
        VERIFY
    }

    fn title(&self, m: &Migration<'_>) -> String {
        let what = if m.plan.verify == Verify::Content { "attributes and content" } else { "every attribute" };
        format!("compare the copy with {}: {what}", m.tools.source.label())
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        let archive = m.plan.container.origin == Origin::Archive;
        let why = (m.plan.verify == Verify::None).then_some("--verify none");
        why.or(archive.then_some("an archive is read once, and there is no tree to compare with")).map(str::to_owned)
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        let (tree, source) = (m.plan.container.tree.display(), m.tools.source.label());
        let mut lines =
            vec![format!("the index of {tree} on {source} against a walk of {}", m.plan.mount_point.display())];
        lines.push(format!("on {source}: getfattr, and stat for device nodes, by name"));
        if m.plan.verify == Verify::Content {
            lines.push(format!("on {source} and here: checksums of every file"));
        }
        lines
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        still_stopped(m)?;
        let check = Check { how: m.plan.verify, ids: None, cause: &|_| Cause::Copy };
        m.open_source()?;
        let verified = m.verify(self.id(), &check)?;
        match verified.count(Cause::Copy) {
            0 => {
                let_go(m);
                Ok(json!({ "verified": verified }))
            }
            _ => Err(differs(&verified)),
        }
    }

    /// It changed nothing.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        close(m)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}

/// Says how many entries differ and names the first.
pub fn differs(verified: &Verified) -> Error {
    let count = verified.count(Cause::Copy);
    let (entry, differ) = if count == 1 { ("entry", "differs") } else { ("entries", "differ") };
    let first = Error::new(verified.unexplained(NAMED));
    Error::new(format!("{count} of {} {entry} {differ} from the source", verified.entries))
        .because(first)
        .hint("something else writes to the source or to the copy, or a disk or the memory is faulty: look at both, then begin again")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::Difference;

    #[test]
    fn an_error_counts_all_and_names_the_first() {
        let one = |n: u32| Difference { path: format!("f{n}"), what: "is missing".into(), cause: Cause::Copy };
        let verified: Verified = serde_json::from_value(json!({
            "how": "metadata", "entries": 500, "content_files": 0, "content_bytes": 0,
            "differences": { "copy": 200 }, "listed": (0..100).map(one).collect::<Vec<_>>(), "seconds": 0.1,
        }))
        .unwrap();
        let chain = differs(&verified).chain();
        assert_eq!(chain[0], "200 of 500 entries differ from the source");
        assert!(chain[1].starts_with("f0: is missing; f1: ") && chain[1].ends_with("f9: is missing"), "{chain:?}");
    }
}
