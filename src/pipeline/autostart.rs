//! `lxc.start.auto` of a configuration that stands: one line is changed, whatever else somebody wrote meanwhile stays.

use crate::error::{Doing, Error, Result};
use crate::host::{Host, Local};
use std::io::Write;
use std::path::Path;

const KEY: &str = "lxc.start.auto";
/// A configuration that is larger is not one.
const LIMIT: u64 = 1 << 20;

/// Makes the container of this configuration start with the host, or not. Returns whether that was a change; a
/// configuration that is gone starts nothing, which is an error only for `on`.
pub fn set(config: &Path, on: bool) -> Result<bool> {
    let doing = || format!("setting {KEY} in {}", config.display());
    let Some(old) = read(config).doing(doing)? else {
        if on {
            return Err(Error::new("it is not there any more")).doing(doing);
        }
        return Ok(false);
    };
    let new = changed(&old, on);
    if new == old {
        return Ok(false);
    }
    // A link leads to where the file is; it stays a link.
    let place = config.canonicalize().doing(doing)?;
    let dir = place.parent().unwrap_or(Path::new("/"));
    let permissions = place.metadata().doing(doing)?.permissions();
    let mut file = tempfile::NamedTempFile::new_in(dir).doing(doing)?;
    file.write_all(new.as_bytes()).doing(doing)?;
    file.as_file().set_permissions(permissions).doing(doing)?;
    file.as_file().sync_all().doing(doing)?;
    file.persist(&place).map_err(|e| e.error).doing(doing)?;
    std::fs::File::open(dir).and_then(|d| d.sync_all()).doing(doing)?;
    Ok(true)
}

fn read(config: &Path) -> Result<Option<String>> {
    let Some(bytes) = Local::new().read_file(config, LIMIT)? else { return Ok(None) };
    String::from_utf8(bytes).map(Some).map_err(|_| Error::new("it is not UTF-8"))
}

/// The value of a line that sets the key.
fn value(line: &str) -> Option<&str> {
    let (key, value) = line.split_once('=')?;
    (key.trim() == KEY).then_some(value)
}

fn changed(text: &str, on: bool) -> String {
    let wanted = if on { "1" } else { "0" };
    let mut found = false;
    let mut new: String = text
        .split_inclusive('\n')
        .map(|line| {
            let Some(old) = value(line) else { return line.to_owned() };
            found = true;
            if old.trim() == wanted {
                return line.to_owned();
            }
            format!("{KEY} = {wanted}{}", if line.ends_with('\n') { "\n" } else { "" })
        })
        .collect();
    if on && !found {
        let glue = if new.is_empty() || new.ends_with('\n') { "" } else { "\n" };
        new.push_str(&format!("{glue}{KEY} = {wanted}\n"));
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn one_line_changes_and_everything_else_stays() {
        let text = "# mine\nlxc.start.auto = 0\nlxc.start.order = 5\n# lxc.start.auto = 0\nlxc.start.auto=0";
        let on = "# mine\nlxc.start.auto = 1\nlxc.start.order = 5\n# lxc.start.auto = 0\nlxc.start.auto = 1";
        assert_eq!(changed(text, true), on);
        assert_eq!(changed(on, true), on);
        assert_eq!(changed(on, false), on.replace("auto = 1", "auto = 0"));
        assert_eq!(changed("a = b", true), "a = b\nlxc.start.auto = 1\n");
        assert_eq!(changed("a = b", false), "a = b", "nothing starts it");
        assert_eq!(changed("lxc.start.auto = \n", true), "lxc.start.auto = 1\n");
    }

    #[test]
    fn a_file_is_replaced_with_its_mode_and_a_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("file"), dir.path().join("config"));
        std::fs::write(&file, "lxc.start.auto = 0\nlxc.tty.max = 9\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("file", &link).unwrap();
        assert!(set(&link, true).unwrap());
        assert!(!set(&link, true).unwrap());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "lxc.start.auto = 1\nlxc.tty.max = 9\n");
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_configuration_that_is_gone_starts_nothing() {
        let gone = Path::new("/nonexistent/config");
        assert!(!set(gone, false).unwrap());
        assert!(set(gone, true).unwrap_err().to_string().contains("lxc.start.auto"));
    }
}
