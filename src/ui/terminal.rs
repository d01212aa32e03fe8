//! Standard output, standard error and the person in front of them.

use super::errors::error_text;
use super::output;
use super::paint::{ColorChoice, Paint};
use super::text::plain;
use crate::error::{Error, Result};
use std::io::{BufRead, IsTerminal, Write};

/// How text is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// Columns.
    pub width: u16,
    /// Color, or none.
    pub paint: Paint,
}

/// Standard output and standard error.
#[derive(Debug, Clone)]
pub struct Screen {
    out: Style,
    err: Style,
    given: String,
}

impl Screen {
    /// Looks at the terminal.
    ///
    /// `given` are the options that every command shown must repeat to work as printed: `--state-dir /srv/state`.
    pub fn new(color: ColorChoice, given: &[String]) -> Screen {
        let no_color = std::env::var_os("NO_COLOR");
        let style =
            |terminal| Style { width: terminal_width(), paint: Paint::choose(color, terminal, no_color.as_deref()) };
        Screen {
            out: style(std::io::stdout().is_terminal()),
            err: style(std::io::stderr().is_terminal()),
            given: given.join(" "),
        }
    }

    /// Returns the layout of standard output.
    pub fn style(&self) -> Style {
        self.out
    }

    /// Tells whether somebody can be asked.
    pub fn is_interactive(&self) -> bool {
        std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
    }

    /// Writes a result to standard output. A reader that went away is not an error.
    pub fn print(&self, text: &str) -> Result<()> {
        output::result(text)
    }

    /// Writes a result that names commands of this program to standard output.
    pub fn advise(&self, text: &str) -> Result<()> {
        self.print(&repeated(text, &self.given))
    }

    /// Writes an error with its causes and its hint to standard error. One without a message was said already.
    pub fn error(&self, error: &Error) {
        if !error.to_string().is_empty() {
            output::note(repeated(error_text(error, self.err.paint).trim_end(), &self.given).as_str());
        }
    }

    /// Asks a yes-or-no question on the terminal; anything but `y` or `yes` is a no.
    pub fn ask(&self, question: &str) -> bool {
        let mut err = std::io::stderr().lock();
        if write!(err, "{} [y/N] ", plain(question)).and_then(|()| err.flush()).is_err() {
            return false;
        }
        let mut answer = String::new();
        let read = std::io::stdin().lock().read_line(&mut answer);
        read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
    }
}

/// The commands that work with what lies in the state directory, or with settings.
const COMMANDS: &[&str] =
    &["migrate", "batch", "check", "sync", "cutover", "resume", "rollback", "status", "finish", "inventory", "…"];

/// Repeats options in every command of this program that a text names: options of every command may stand before it.
fn repeated(text: &str, given: &str) -> String {
    const PROGRAM: &str = "ovz2lxc ";
    if given.is_empty() {
        return text.to_owned();
    }
    let mut parts = text.split(PROGRAM);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(PROGRAM);
        let word = part.split(|c: char| c.is_whitespace() || ",;:`)".contains(c)).next().unwrap_or_default();
        if COMMANDS.contains(&word) {
            out.push_str(given);
            out.push(' ');
        }
        out.push_str(part);
    }
    out
}

fn terminal_width() -> u16 {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok().filter(|s| s.ws_col > 0);
    size.map_or(80, |s| s.ws_col.clamp(40, 120))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_with_the_options_that_they_need() {
        let text = "hint: forward: ovz2lxc resume 101\n  back: ovz2lxc rollback 101, or ask ovz2lxc itself\n";
        assert_eq!(repeated(text, ""), text);
        assert_eq!(
            repeated(text, "--state-dir /s"),
            "hint: forward: ovz2lxc --state-dir /s resume 101\n  back: ovz2lxc --state-dir /s rollback 101, or ask ovz2lxc itself\n"
        );
    }
}
