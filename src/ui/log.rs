//! What `-v` shows.

use tracing_subscriber::filter::LevelFilter;

/// Sends the log to standard error: warnings, with `-v` what is done, with `-vv` each command that runs.
pub fn log(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).with_target(false);
    // A second call (in a test) finds the first one's still there, which is fine.
    let _ = log.try_init();
}
