//! Writing, with closed pipes in mind.

use crate::error::{Doing, Result};
use std::io::{ErrorKind, Write};

/// Writes a result to standard output.
pub(super) fn result(text: &str) -> Result<()> {
    write_all(&mut std::io::stdout().lock(), text).doing(|| "writing to standard output")
}

/// Writes a line for people to standard error. There is nobody to tell when that fails.
pub(super) fn note(text: &str) {
    let _ = write_all(&mut std::io::stderr().lock(), &format!("{text}\n"));
}

/// Writes and flushes. A reader that went away (`| head`) is not an error: it has seen what it wanted.
pub(super) fn write_all(out: &mut dyn Write, text: &str) -> std::io::Result<()> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Error;

    struct Closed(ErrorKind);

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(Error::from(self.0))
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_pipe_is_quiet_and_a_full_disk_is_not() {
        assert!(write_all(&mut Closed(ErrorKind::BrokenPipe), "x").is_ok());
        assert!(write_all(&mut Closed(ErrorKind::StorageFull), "x").is_err());
    }
}
