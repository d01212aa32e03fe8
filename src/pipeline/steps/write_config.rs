//! Writes the LXC configuration, autostart off.

use super::super::migration::Migration;
use crate::error::{Doing, Result};
use crate::pipeline::step::{OnFailure, Step, Undo};
use serde_json::{Value, json};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;

pub(super) struct WriteConfig;

impl Step<Migration<'_>> for WriteConfig {
    fn id(&self) -> &'static str {
        "write-config"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        format!("configuration {}", m.plan.config_path.display())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        vec![format!("write {}", m.plan.config_path.display())]
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let path = &m.plan.config_path;
        let doing = || format!("writing {}", path.display());
        if let Some(dir) = path.parent() {
            std::fs::create_dir_all(dir).doing(doing)?;
        }
        // Refuses what is there already: it is not ours.
        let mut file = std::fs::File::options().write(true).create_new(true).mode(0o640).open(path).doing(doing)?;
        let written = file.write_all(m.plan.config_text.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written {
            let _ = std::fs::remove_file(path); // ours: it was made a line above
            return Err(error).doing(doing);
        }
        Ok(json!({ "path": path }))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        if m.keep_target {
            return Ok(Undo::Kept);
        }
        let path = &m.plan.config_path;
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Err(e).doing(|| format!("removing {}", path.display()));
            }
            _ => {}
        }
        if let Some(dir) = path.parent() {
            for log in ["console.log", "console.log.1"] {
                let _ = std::fs::remove_file(dir.join(log)); // what LXC wrote because this configuration told it to
            }
            let _ = std::fs::remove_dir(dir); // only when nothing else is in it
        }
        Ok(Undo::Done)
    }

    fn still_done(&self, m: &Migration<'_>, _: &Value) -> Result<bool> {
        Ok(m.plan.config_path.exists())
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Clean
    }
}
