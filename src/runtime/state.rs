//! States of a container.

/// What LXC says about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// No configuration of that name under the LXC path.
    Absent,
    /// Does not run.
    Stopped,
    /// Is being set up.
    Starting,
    /// Runs.
    Running,
    /// Is shutting down.
    Stopping,
    /// A start failed and is being cleaned up.
    Aborting,
    /// Is being frozen.
    Freezing,
    /// All its processes are frozen.
    Frozen,
    /// Was thawed.
    Thawed,
    /// Something that this program does not know.
    Other(String),
}

impl State {
    /// Parses what `lxc-info -s` prints, with and without the label that 1.0 prints in spite of `-H`.
    pub fn parse(text: &str) -> State {
        match text.split_whitespace().last().unwrap_or("") {
            "STOPPED" => State::Stopped,
            "STARTING" => State::Starting,
            "RUNNING" => State::Running,
            "STOPPING" => State::Stopping,
            "ABORTING" => State::Aborting,
            "FREEZING" => State::Freezing,
            "FROZEN" => State::Frozen,
            "THAWED" => State::Thawed,
            other => State::Other(other.escape_debug().to_string()),
        }
    }
}

impl std::fmt::Display for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            State::Other(text) => write!(f, "\"{text}\""),
            known => f.write_str(&format!("{known:?}").to_lowercase()),
        }
    }
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopKind {
    /// It shut down by itself when it was asked to, or did not run.
    Clean,
    /// It did not shut down in time and was killed.
    Killed,
}
