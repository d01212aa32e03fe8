//! The one error of this program: what was being done, to what, why it failed, what to do now.

use std::fmt;

/// Why a run ended, as far as the exit code is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Failed; nothing was left behind (exit code 1).
    #[default]
    Failed,
    /// The command line, a configuration file or a manifest is wrong (exit code 2).
    Usage,
    /// The check found blockers; nothing was touched (exit code 3).
    Blocked,
    /// A part of a batch failed (exit code 4).
    Partial,
    /// Failed, and the way back is incomplete: the operator is told what to do (exit code 5).
    Incomplete,
    /// Another run holds the lock (exit code 6).
    Locked,
    /// Interrupted by the operator, after a clean stop (exit code 130).
    Interrupted,
}

impl Kind {
    /// Returns the documented exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed => 1,
            Kind::Usage => 2,
            Kind::Blocked => 3,
            Kind::Partial => 4,
            Kind::Incomplete => 5,
            Kind::Locked => 6,
            Kind::Interrupted => 130,
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error with its chain of causes and, when there is one, a hint with the next thing to do.
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
    source: Option<Source>,
}

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Makes an error of kind [`Kind::Failed`]. The message is lower case, without a final full stop, and names the
    /// object ("creating logical volume shared_vg/lxc-101").
    pub fn new(message: impl Into<String>) -> Error {
        Error { kind: Kind::Failed, message: message.into(), hint: None, source: None }
    }

    /// Makes an error of the given kind.
    pub fn of(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, ..Error::new(message) }
    }

    /// Makes a usage error: the command line, a configuration file or a manifest is wrong.
    pub fn usage(message: impl Into<String>) -> Error {
        Error::of(Kind::Usage, message)
    }

    /// Adds the cause below this error.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Source>) -> Error {
        self.source = Some(cause.into());
        self
    }

    /// Adds what the operator can do now.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Changes the kind, keeping message, causes and hint.
    #[must_use]
    pub fn with_kind(mut self, kind: Kind) -> Error {
        self.kind = kind;
        self
    }

    /// Returns the kind, which decides the exit code.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Returns the first hint on the way down the chain.
    pub fn first_hint(&self) -> Option<&str> {
        if let Some(hint) = &self.hint {
            return Some(hint);
        }
        self.source.as_deref().and_then(|s| s.downcast_ref::<Error>()).and_then(Error::first_hint)
    }

    /// Returns the message and every cause below it, outermost first.
    pub fn chain(&self) -> Vec<String> {
        let mut lines = vec![self.message.clone()];
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            let text = cause.to_string();
            if lines.last() != Some(&text) {
                lines.push(text);
            }
            next = cause.source();
        }
        lines
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.kind, self.chain().join(": "))
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|s| s as &(dyn std::error::Error + 'static))
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Error {
        Error::new(e.to_string())
    }
}

impl From<rustix::io::Errno> for Error {
    fn from(e: rustix::io::Errno) -> Error {
        Error::new(std::io::Error::from(e).to_string())
    }
}

/// Says what was being done when something failed.
pub trait Doing<T> {
    /// Wraps the error: `doing()` becomes the message, the error its cause. The kind is kept.
    fn doing<M: Into<String>>(self, doing: impl FnOnce() -> M) -> Result<T>;
}

impl<T, E: Into<Error>> Doing<T> for std::result::Result<T, E> {
    fn doing<M: Into<String>>(self, doing: impl FnOnce() -> M) -> Result<T> {
        self.map_err(|e| {
            let cause: Error = e.into();
            Error::of(cause.kind, doing()).because(cause)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_keeps_kind_and_finds_the_hint_below() {
        let below: Result<()> = Err(Error::of(Kind::Locked, "lock is held").hint("wait"));
        let error = below.doing(|| "locking container 101").unwrap_err();
        assert_eq!(error.kind(), Kind::Locked);
        assert_eq!(error.first_hint(), Some("wait"));
        assert_eq!(error.chain(), ["locking container 101", "lock is held"]);
    }

    #[test]
    fn exit_codes_are_the_documented_ones() {
        use Kind::*;
        let codes: Vec<u8> =
            [Failed, Usage, Blocked, Partial, Incomplete, Locked, Interrupted].map(Kind::exit_code).to_vec();
        assert_eq!(codes, [1, 2, 3, 4, 5, 6, 130]);
    }
}
