//! Questions on the terminal during a login. Secrets come from there only: never from arguments or the environment.

use crate::error::{Doing, Error, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};

/// Tells whether somebody can be asked: this process has a terminal.
pub(super) fn is_there() -> bool {
    File::options().read(true).write(true).open("/dev/tty").is_ok()
}

/// Asks for a secret, without echo.
pub(super) fn ask_secret(prompt: &str) -> Result<String> {
    rpassword::prompt_password(prompt).doing(|| "asking on the terminal")
}

/// Asks a question that takes `yes`; everything else is no.
pub(super) fn confirm(question: &str) -> Result<bool> {
    let doing = || "asking on the terminal";
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").doing(doing)?;
    terminal.write_all(question.as_bytes()).doing(doing)?;
    let mut answer = String::new();
    if BufReader::new(terminal).read_line(&mut answer).doing(doing)? == 0 {
        return Err(Error::new("the terminal was closed"));
    }
    Ok(answer.trim().eq_ignore_ascii_case("yes"))
}
