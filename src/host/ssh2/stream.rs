//! What a command's channel and its user share: bytes in both directions, and its end.

use super::pump::Wake;
use crate::host::wrapped::Ear;
use std::collections::VecDeque;
use std::io::{self, Cursor, Read, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// How much output may wait for its reader before the pump stops taking more; the server is then held up by its window.
pub(super) const STDOUT_ROOM: usize = 8 << 20;
/// How much input may wait for the server.
const STDIN_ROOM: usize = 2 << 20;

/// What is between the pump and the user of one command.
pub(super) struct State {
    pub(super) stdout: VecDeque<Cursor<Vec<u8>>>,
    pub(super) stdout_held: usize,
    pub(super) stdout_over: bool,
    pub(super) stdout_unwanted: bool,
    pub(super) stdin: VecDeque<Vec<u8>>,
    pub(super) stdin_held: usize,
    /// The user has written everything.
    pub(super) stdin_over: bool,
    /// The command reads no more.
    pub(super) stdin_broken: bool,
    pub(super) ear: Ear,
    /// Somebody wants it dead.
    pub(super) kill: bool,
    /// It is over; the text says what went wrong with the connection.
    pub(super) end: Option<Result<(), String>>,
}

/// The shared state with its bells.
pub(super) struct Stream {
    state: Mutex<State>,
    changed: Condvar,
    wake: Arc<Wake>,
}

impl Stream {
    /// Makes the state of a command that has not begun.
    pub(super) fn new(ear: Ear, stdin: Option<Vec<u8>>, stdin_over: bool, wake: Arc<Wake>) -> Stream {
        let stdin_held = stdin.as_ref().map_or(0, Vec::len);
        let state = State {
            stdout: VecDeque::new(),
            stdout_held: 0,
            stdout_over: false,
            stdout_unwanted: false,
            stdin: stdin.into_iter().filter(|bytes| !bytes.is_empty()).collect(),
            stdin_held,
            stdin_over,
            stdin_broken: false,
            ear,
            kill: false,
            end: None,
        };
        Stream { state: Mutex::new(state), changed: Condvar::new(), wake }
    }

    /// Locks the state.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells the user that something changed.
    pub(super) fn ring(&self) {
        self.changed.notify_all();
    }

    /// Waits for the end.
    pub(super) fn wait_end(&self) -> Result<(), String> {
        let mut state = self.lock();
        loop {
            if let Some(end) = &state.end {
                return end.clone();
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Asks the pump to kill the command.
    pub(super) fn kill(&self) {
        self.lock().kill = true;
        self.wake.up();
    }
}

/// Standard output, as it comes.
pub(super) struct Reader(pub(super) Arc<Stream>);

impl Read for Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        loop {
            if let Some(chunk) = state.stdout.front_mut() {
                let n = chunk.read(buf)?;
                if chunk.position() == chunk.get_ref().len() as u64 {
                    drop(state.stdout.pop_front());
                }
                let was_full = state.stdout_held >= STDOUT_ROOM / 2;
                state.stdout_held -= n;
                if was_full && state.stdout_held < STDOUT_ROOM / 2 {
                    self.0.wake.up();
                }
                return Ok(n);
            }
            match &state.end {
                Some(Err(why)) => return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why.clone())),
                _ if state.stdout_over || state.end.is_some() => return Ok(0),
                _ => state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stdout_unwanted = true;
        state.stdout.clear();
        state.stdout_held = 0;
        drop(state);
        self.0.wake.up();
    }
}

/// Standard input.
pub(super) struct Writer(pub(super) Arc<Stream>);

impl Write for Writer {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let mut state = self.0.lock();
        loop {
            if state.stdin_broken || state.end.is_some() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            let room = STDIN_ROOM.saturating_sub(state.stdin_held);
            if room > 0 || buf.is_empty() {
                let n = room.min(buf.len());
                if n > 0 {
                    state.stdin.push_back(buf[..n].to_vec());
                    state.stdin_held += n;
                    drop(state);
                    self.0.wake.up();
                }
                return Ok(n);
            }
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns at once: the pump sends everything as fast as the server takes it.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().stdin_over = true;
        self.0.wake.up();
    }
}
