//! A command at work: its output is read by one thread, its input fed by another, and a request to stop kills it.

use super::archive::TRUNCATED;
use crate::cancel::Cancel;
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// How often a request to stop is looked at.
const GLANCE: Duration = Duration::from_millis(100);

/// What becomes of a command's output, and how the command ended.
pub(super) struct Ended<T> {
    /// What the reader made of the output.
    pub(super) result: Result<T>,
    /// Status and the end of standard error.
    pub(super) output: Output,
}

/// Joins what a reader made of a command's output with how the command ended. Where both failed, the command says why.
pub(super) fn joined<T>(result: Result<T>, status: Result<()>) -> Result<T> {
    match (result, status) {
        (Err(e), Err(reason)) => Err(Error::new(e.chain().join(": ")).because(reason)),
        (result, status) => result.and_then(|value| status.map(|()| value)),
    }
}

/// Runs `command` on `host` while `read` reads its output and `feed`, when given, writes its input. When `read` fails or
/// a stop is asked for, the command is killed; the result is an error of that kind then.
pub(super) fn watch<T: Send>(
    host: &dyn Host,
    command: &Command,
    cancel: &Cancel,
    feed: Option<&[u8]>,
    read: impl FnOnce(Box<dyn Read + Send>) -> Result<T> + Send,
) -> Result<Ended<T>> {
    watch_until(&AtomicBool::new(false), &mut Vec::new(), host, command, cancel, feed, read)
}

/// Like [`watch`]; `stop` ends the command as well, as if `read` had failed. The end of what it said on standard error is
/// left in `said` also where a request to stop is the result.
pub(super) fn watch_until<T: Send>(
    stop: &AtomicBool,
    said: &mut Vec<u8>,
    host: &dyn Host,
    command: &Command,
    cancel: &Cancel,
    feed: Option<&[u8]>,
    read: impl FnOnce(Box<dyn Read + Send>) -> Result<T> + Send,
) -> Result<Ended<T>> {
    cancel.check()?;
    let mut process = host.spawn(command)?;
    let lost = || Error::new(format!("{}: {command} was started without its pipes", host.label()));
    let stdout = process.take_stdout().ok_or_else(lost)?;
    let stdin = match feed {
        Some(bytes) => Some((process.take_stdin().ok_or_else(lost)?, bytes)),
        None => None,
    };
    thread::scope(|scope| {
        let (done, ended) = mpsc::channel();
        let reader = scope.spawn(move || {
            let result = read(stdout);
            // Nobody listens any more only when the other side has gone already.
            let _ = done.send(());
            result
        });
        let feeder = stdin.map(|(pipe, bytes)| scope.spawn(move || write_all(pipe, bytes)));
        while ended.recv_timeout(GLANCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            if cancel.is_set() || stop.load(Ordering::Relaxed) {
                process.kill();
                break;
            }
        }
        let result = reader.join().unwrap_or_else(|_| Err(Error::new("the reader of a command's output broke down")));
        // A stream that is cut has its end behind it: how the command ended says why, and a kill would hide that.
        let at_end = |e: &Error| e.chain().iter().any(|line| line == TRUNCATED);
        if result.as_ref().is_err_and(|e| !at_end(e)) {
            process.kill();
        }
        // A command that ended early leaves the feeder with a broken pipe; its status says more than that.
        let _ = feeder.map(thread::ScopedJoinHandle::join);
        let output = process.wait();
        said.extend(output.iter().flat_map(|output| &output.stderr));
        cancel.check()?;
        let output = output.doing(|| format!("waiting for {command} on {}", host.label()))?;
        Ok(Ended { result, output })
    })
}

fn write_all(mut pipe: Box<dyn Write + Send>, bytes: &[u8]) -> std::io::Result<()> {
    pipe.write_all(bytes)?;
    pipe.flush()
}
