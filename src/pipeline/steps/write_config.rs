//! Writes the LXC configuration, autostart off, and the script that it calls on the host.

use super::super::migration::Migration;
use crate::error::{Doing, Error, Result};
use crate::model::settings::IdRange;
use crate::pipeline::autostart;
use crate::pipeline::files::{self, NewFile, write_all};
use crate::pipeline::plan::Plan;
use crate::pipeline::step::{OnFailure, Step, Undo};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

pub(super) struct WriteConfig;

/// What is written.
fn files(plan: &Plan) -> Vec<NewFile<'_>> {
    files::files(&plan.config_path, &plan.config_text, plan.hook.as_deref())
}

/// Where the step keeps the mode that the container's directory had.
const MODE_BEFORE: &str = "directory_mode";

/// The root of an unprivileged container is nobody special on the way to its volume. Returns the mode that the directory
/// had, when it was another.
fn let_through(dir: &Path) -> Result<Option<u32>> {
    let doing = || format!("letting the container's ids through {}", dir.display());
    let before = std::fs::metadata(dir).doing(doing)?.permissions().mode() & 0o7777;
    let after = before | 0o011;
    if after == before {
        return Ok(None);
    }
    std::fs::set_permissions(dir, Permissions::from_mode(after)).doing(doing).map(|()| Some(before))
}

/// Gives the container's directory back the mode that it had. It may be gone, with its volume.
fn close_again(dir: &Path, mode: u32) -> Result<()> {
    match std::fs::set_permissions(dir, Permissions::from_mode(mode)) {
        Err(e) if e.kind() != ErrorKind::NotFound => {
            Err(e).doing(|| format!("giving {} back its mode {mode:04o}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Makes the container's directory and writes what belongs in it, or nothing. Returns what the step keeps.
fn write(plan: &Plan) -> Result<Value> {
    let mut before = None;
    let dir = plan.config_path.parent();
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir).doing(|| format!("making {}", dir.display()))?;
        if plan.idmap.is_some() {
            before = let_through(dir)?;
        }
    }
    if let Err(error) = write_all(&files(plan)) {
        if let Some((dir, mode)) = dir.zip(before) {
            close_again(dir, mode)?;
        }
        return Err(error);
    }
    Ok(json!({ "path": plan.config_path, MODE_BEFORE: before }))
}

/// Removes what was written, and the directory when nothing else is in it.
fn take_back(plan: &Plan, done: Option<&Value>) -> Result<()> {
    for NewFile { path, .. } in files(plan).iter().rev() {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(e).doing(|| format!("removing {}", path.display()));
            }
            _ => {}
        }
    }
    let Some(dir) = plan.config_path.parent() else { return Ok(()) };
    for log in ["console.log", "console.log.1"] {
        let _ = std::fs::remove_file(dir.join(log)); // what LXC wrote because this configuration told it to
    }
    let before = done.and_then(|data| data.get(MODE_BEFORE)?.as_u64()).and_then(|mode| u32::try_from(mode).ok());
    if let Some(mode) = before {
        close_again(dir, mode)?;
    }
    let _ = std::fs::remove_dir(dir); // only when nothing else is in it
    Ok(())
}

/// Another migration may have planned with the same ids meanwhile.
fn still_free(range: &IdRange, taken: &[IdRange]) -> Result<()> {
    if !taken.iter().any(|t| t.overlaps(range)) {
        return Ok(());
    }
    Err(Error::new(format!("ids from {} were given to another container meanwhile", range.base))
        .hint("begin again: other ids are chosen then, unless --id-range names these"))
}

impl Step<Migration<'_>> for WriteConfig {
    fn id(&self) -> &'static str {
        "write-config"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        format!("configuration {}", m.plan.config_path.display())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        let line = |f: &NewFile<'_>| format!("write {} (mode {:04o})", f.path.display(), f.mode);
        files(m.plan).iter().map(line).collect()
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        if let Some(map) = &m.plan.idmap {
            still_free(&map.range, &m.tools.lxc.id_ranges()?)?;
        }
        write(m.plan)
    }

    fn undo(&self, m: &mut Migration<'_>, done: Option<&Value>) -> Result<Undo> {
        if m.keep_target {
            // Whoever switched it on: what is kept must not come up beside the old one.
            autostart::set(&m.plan.config_path, false)?;
            return Ok(Undo::Kept);
        }
        take_back(m.plan, done).map(|()| Undo::Done)
    }

    fn still_done(&self, m: &Migration<'_>, _: &Value) -> Result<bool> {
        Ok(files(m.plan).iter().all(|file| file.path.exists()))
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Clean
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lxc::IdMap;
    use crate::pipeline::planner::tests::planned;

    fn plan(dir: &Path, hook: Option<&str>) -> Plan {
        let mut plan = planned(&crate::model::facts::tests::good());
        plan.config_path = dir.join("config");
        plan.hook = hook.map(str::to_owned);
        plan
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_hook_is_written_beside_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(dir.path(), Some("#!/bin/sh\n"));
        write_all(&files(&plan)).unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("start-host")).unwrap(), "#!/bin/sh\n");
        assert_eq!((mode(&dir.path().join("start-host")), mode(&plan.config_path)), (0o755, 0o640));
        assert_eq!(std::fs::read_to_string(&plan.config_path).unwrap(), plan.config_text);
    }

    #[test]
    fn what_is_there_is_refused_and_stays() {
        for name in ["start-host", "config"] {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join(name), "mine").unwrap();
            let error = write_all(&files(&plan(dir.path(), Some("#!/bin/sh\n")))).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
            assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), "mine");
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
        }
        let dir = tempfile::tempdir().unwrap();
        write_all(&files(&plan(dir.path(), None))).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no hook, no script");
    }

    #[test]
    fn ids_that_were_given_away_meanwhile_are_not_given_twice() {
        let range = |base, count| IdRange { base, count };
        let wanted = range(100_000, 65_536);
        assert!(still_free(&wanted, &[range(165_536, 10), range(99_000, 1000)]).is_ok());
        let error = still_free(&wanted, &[range(165_535, 1)]).unwrap_err();
        assert!(error.to_string().contains("100000") && error.first_hint().is_some());
    }

    #[test]
    fn the_ids_of_a_container_get_through_its_directory() {
        let dir = tempfile::tempdir().unwrap();
        for (before, after, kept) in [(0o700, 0o711, Some(0o700)), (0o755, 0o755, None)] {
            std::fs::set_permissions(dir.path(), Permissions::from_mode(before)).unwrap();
            assert_eq!(let_through(dir.path()).unwrap(), kept);
            assert_eq!(mode(dir.path()), after);
        }
    }

    #[test]
    fn a_directory_that_was_there_has_its_mode_again() {
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("lxc-101");
        let range = IdRange { base: 100_000, count: 65_536 };
        let mut plan = plan(&dir, None);
        plan.idmap = Some(IdMap { range, mounted: false });
        for closed in [0o700, 0o2750] {
            std::fs::create_dir(&dir).unwrap();
            std::fs::set_permissions(&dir, Permissions::from_mode(closed)).unwrap();
            std::fs::write(dir.join("config"), "mine").unwrap();
            assert!(write(&plan).is_err());
            assert_eq!(mode(&dir), closed, "nothing was written, nothing is open");
            std::fs::rename(dir.join("config"), dir.join("mine")).unwrap();
            let done = write(&plan).unwrap();
            assert_eq!(mode(&dir), closed | 0o011);
            take_back(&plan, Some(&done)).unwrap();
            assert_eq!(mode(&dir), closed);
            std::fs::remove_file(dir.join("mine")).unwrap();
            let done = write(&plan).unwrap();
            take_back(&plan, Some(&done)).unwrap();
            assert!(!dir.exists(), "and it goes when nothing else is in it");
            take_back(&plan, Some(&done)).unwrap();
        }
        // One that an older version wrote, and one that did not come to its end.
        let done = write(&plan).unwrap();
        assert_eq!(done["directory_mode"], Value::Null);
        take_back(&plan, Some(&json!({ "path": "x" }))).unwrap();
        take_back(&plan, None).unwrap();
    }
}
