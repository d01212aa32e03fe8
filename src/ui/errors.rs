//! The error at the end of a run.

use super::paint::Paint;
use super::text::plain;
use crate::error::Error;
use std::fmt::Write;

/// Returns the error as people read it: what was being done, why it failed, what to do now. Each cause has a line of its
/// own; nothing is wrapped, so that it can be searched for.
pub fn error_text(error: &Error, paint: Paint) -> String {
    let mut chain = error.chain().into_iter();
    let first = chain.next().unwrap_or_default();
    let mut text = format!("{} {}\n", paint.red("error:"), plain(&first));
    for cause in chain {
        let _ = writeln!(text, "  because: {}", plain(&cause));
    }
    if let Some(hint) = error.first_hint() {
        let lines: Vec<String> = hint.lines().map(plain).collect();
        let _ = writeln!(text, "{} {}", paint.yellow("hint:"), lines.join("\n      "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doing_causes_and_hint() {
        let cause = Error::new("a\u{1b}[2J\nerror: forged").hint("try again");
        let error = Error::new("copying /vz/private/101").because(cause);
        let want = "error: copying /vz/private/101\n  because: a\\u{1b}[2J\\nerror: forged\nhint: try again\n";
        assert_eq!(error_text(&error, Paint::off()), want);
        assert_eq!(error_text(&Error::new("x"), Paint::off()), "error: x\n");
    }
}
