//! The one thread that touches a session. libssh2 lets one caller at a time in, and a packet that was sent in part must be
//! finished before the next begins; so reads, writes, keepalives and kills of all channels are done here, in turns, and
//! nobody who waits for one command holds up another.

use super::stream::{STDOUT_ROOM, Stream};
use crate::error::{Error, Result};
use crate::host::LOST;
use crate::host::wrapped::kill_line;
use ::ssh2::{BlockDirections, Channel, ErrorCode, Session};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io::{self, Cursor, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// As long as a server may take to open a channel, start a command, or take a packet.
const STEP_LIMIT: Duration = Duration::from_secs(60);
const STEP_LIMIT_MS: u32 = 60_000;
const KEEPALIVE_SECONDS: u32 = 15;
/// After a kill, for the end to be told; then the channel is closed over it.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// How often, and after what pause, a session is asked for again while no command runs.
const BEHIND_TRIES: u32 = 40;
const BEHIND: Duration = Duration::from_millis(50);
const READ_SIZE: usize = 256 * 1024;
const STDERR_READ_SIZE: usize = 64 * 1024;

/// Wakes the pump.
pub(super) struct Wake(OwnedFd);

impl Wake {
    /// Wakes it; as good once as many times.
    pub(super) fn up(&self) {
        let _ = rustix::io::write(&self.0, &1u64.to_ne_bytes());
    }

    fn clear(&self) {
        let _ = rustix::io::read(&self.0, &mut [0u8; 8]);
    }
}

struct Start {
    line: String,
    stream: Arc<Stream>,
    started: Sender<std::result::Result<(), Refusal>>,
}

/// Why a command did not start.
enum Refusal {
    /// The server does not want another one now.
    Session(String),
    /// The connection is gone.
    Lost(String),
}

/// The handle of the pump. Dropping the last one kills what runs, logs out and ends the thread.
pub(super) struct Pump {
    requests: Option<Sender<Start>>,
    wake: Arc<Wake>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Pump {
    /// Takes a session that is logged in.
    pub(super) fn start(session: Session, socket: TcpStream) -> Result<Pump> {
        session.set_timeout(STEP_LIMIT_MS);
        session.set_keepalive(false, KEEPALIVE_SECONDS);
        session.set_blocking(false);
        let wake = Arc::new(Wake(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?));
        let (requests, inbox) = channel();
        let work = Work {
            session,
            socket,
            inbox,
            wake: Arc::clone(&wake),
            running: Vec::new(),
            next_keepalive: Instant::now(),
        };
        let thread = std::thread::Builder::new().name("ssh2".to_owned()).spawn(move || work.run())?;
        Ok(Pump { requests: Some(requests), wake, thread: Mutex::new(Some(thread)) })
    }

    /// Returns the bell.
    pub(super) fn wake(&self) -> Arc<Wake> {
        Arc::clone(&self.wake)
    }

    /// Starts a command.
    pub(super) fn exec(&self, line: String, stream: Arc<Stream>) -> Result<()> {
        let lost = || Error::new(LOST);
        let (started, answer) = channel();
        let requests = self.requests.as_ref().ok_or_else(lost)?;
        requests.send(Start { line, stream, started }).map_err(|_| lost())?;
        self.wake.up();
        answer.recv().map_err(|_| lost())?.map_err(|refusal| match refusal {
            Refusal::Session(why) => Error::new("the server allows no other session").because(Error::new(why)),
            Refusal::Lost(why) => lost().because(Error::new(why)),
        })
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        drop(self.requests.take());
        self.wake.up();
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
    }
}

struct Running {
    channel: Channel,
    stream: Arc<Stream>,
    /// The chunk that is being written: libssh2 wants the same bytes again after it could not send all.
    writing: Option<(Vec<u8>, usize)>,
    eof_sent: bool,
    /// Since when somebody wants it dead.
    doomed: Option<Instant>,
    kill_sent: bool,
}

struct Work {
    session: Session,
    socket: TcpStream,
    inbox: Receiver<Start>,
    wake: Arc<Wake>,
    running: Vec<Running>,
    next_keepalive: Instant,
}

/// The connection is gone; nothing can be done over it any more.
struct Lost(String);

impl Work {
    fn run(mut self) {
        let why = self.turn_until_over().err().map(|Lost(why)| why);
        for r in self.running.drain(..) {
            let mut state = r.stream.lock();
            state.end = Some(Err(why.clone().unwrap_or_else(|| "the connection was closed".to_owned())));
            drop(state);
            r.stream.ring();
        }
        if why.is_none() {
            self.session.set_blocking(true);
            self.session.set_timeout(2_000);
            let _ = self.session.disconnect(None, "done", None);
        }
        // Whatever libssh2 still has to free, it must not wait for this peer.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn turn_until_over(&mut self) -> std::result::Result<(), Lost> {
        let mut buf = vec![0; READ_SIZE];
        loop {
            self.wake.clear();
            let over = self.take_requests()?;
            let mut busy = false;
            let mut at = 0;
            while at < self.running.len() {
                let (moved, ended) = self.serve(at, &mut buf)?;
                busy |= moved;
                if ended { drop(self.running.swap_remove(at)) } else { at += 1 }
            }
            if over && self.running.is_empty() {
                return Ok(());
            }
            self.keep_alive()?;
            if !busy {
                self.sleep()?;
            }
        }
    }

    /// Starts what was asked for. Returns true when nobody can ask any more.
    fn take_requests(&mut self) -> std::result::Result<bool, Lost> {
        loop {
            match self.inbox.try_recv() {
                Ok(Start { line, stream, started }) => match self.start(&line) {
                    Ok(channel) => {
                        self.running.push(Running {
                            channel,
                            stream,
                            writing: None,
                            eof_sent: false,
                            doomed: None,
                            kill_sent: false,
                        });
                        let _ = started.send(Ok(()));
                    }
                    // The connection is sound then.
                    Err(e) if matches!(e.code(), ErrorCode::Session(CHANNEL_FAILURE | CHANNEL_REQUEST_DENIED)) => {
                        let _ = started.send(Err(Refusal::Session(e.to_string())));
                    }
                    Err(e) => {
                        let _ = started.send(Err(Refusal::Lost(e.to_string())));
                        return Err(Lost(e.to_string()));
                    }
                },
                Err(TryRecvError::Empty) => return Ok(false),
                Err(TryRecvError::Disconnected) => return Ok(true),
            }
        }
    }

    /// Starts one command. A server that allows one session only may not have noticed yet that the one before ended.
    fn start(&self, line: &str) -> std::result::Result<Channel, ::ssh2::Error> {
        for _ in 0..BEHIND_TRIES {
            match self.blocking(|s| open(s, line)) {
                Err(e) if e.code() == ErrorCode::Session(CHANNEL_FAILURE) && self.running.is_empty() => {
                    std::thread::sleep(BEHIND);
                }
                other => return other,
            }
        }
        self.blocking(|s| open(s, line))
    }

    /// One turn for one command: returns whether bytes moved, and whether it ended.
    fn serve(&mut self, at: usize, buf: &mut [u8]) -> std::result::Result<(bool, bool), Lost> {
        let mut busy = self.read_stderr(at, buf)?;
        busy |= self.read_stdout(at, buf)?;
        busy |= self.write_stdin(at)?;
        self.kill_if_asked(at)?;
        let r = &mut self.running[at];
        if !r.channel.eof() {
            return Ok((busy, self.give_up(at)));
        }
        let stream = Arc::clone(&r.stream);
        {
            let mut state = stream.lock();
            state.stdout_over = true;
            state.stdin_broken = true;
        }
        stream.ring();
        // Status and signal are told by the shell itself (see `wrapped`): libssh2 would say 0 where nothing came.
        match r.channel.wait_close() {
            Ok(()) => {}
            Err(e) if e.code() == ErrorCode::Session(EAGAIN) => return Ok((busy, self.give_up(at))),
            Err(e) => return Err(Lost(e.to_string())),
        }
        let mut channel = self.running[at].channel.clone();
        let _ = self.blocking(|_| channel.close());
        stream.lock().end = Some(Ok(()));
        stream.ring();
        Ok((true, true))
    }

    /// Ends a command that was killed and whose end nobody told in time.
    fn give_up(&mut self, at: usize) -> bool {
        let r = &self.running[at];
        if r.doomed.is_none_or(|since| since.elapsed() < KILL_LIMIT) {
            return false;
        }
        let stream = Arc::clone(&r.stream);
        let mut channel = r.channel.clone();
        self.session.set_timeout(1_000);
        let _ = self.blocking(|_| channel.close());
        self.session.set_timeout(STEP_LIMIT_MS);
        stream.lock().end = Some(Ok(()));
        stream.ring();
        true
    }

    fn read_stderr(&mut self, at: usize, buf: &mut [u8]) -> std::result::Result<bool, Lost> {
        let mut stderr = self.running[at].channel.stderr();
        let n = self.settle(|| stderr.read(&mut buf[..STDERR_READ_SIZE]))?.unwrap_or(0);
        if n > 0 {
            self.running[at].stream.lock().ear.push(&buf[..n]);
        }
        Ok(n > 0)
    }

    fn read_stdout(&mut self, at: usize, buf: &mut [u8]) -> std::result::Result<bool, Lost> {
        if self.running[at].stream.lock().stdout_held >= STDOUT_ROOM {
            return Ok(false);
        }
        let mut stdout = self.running[at].channel.stream(0);
        let n = self.settle(|| stdout.read(buf))?.unwrap_or(0);
        if n > 0 {
            let stream = &self.running[at].stream;
            let mut state = stream.lock();
            if !state.stdout_unwanted {
                state.stdout.push_back(Cursor::new(buf[..n].to_vec()));
                state.stdout_held += n;
            }
            drop(state);
            stream.ring();
        }
        Ok(n > 0)
    }

    fn write_stdin(&mut self, at: usize) -> std::result::Result<bool, Lost> {
        let stream = Arc::clone(&self.running[at].stream);
        if self.running[at].writing.is_none() {
            self.running[at].writing = stream.lock().stdin.pop_front().map(|chunk| (chunk, 0));
        }
        let Some((chunk, from)) = self.running[at].writing.take() else { return self.send_eof(at) };
        let mut input = self.running[at].channel.stream(0);
        if stream.lock().stdin_broken {
            return Ok(false);
        }
        let written = match self.settle(|| input.write(&chunk[from..])) {
            Ok(written) => written.unwrap_or(0),
            // -26 CHANNEL_CLOSED, -27 CHANNEL_EOF_SENT: the command reads no more; that is its business.
            Err(_) if matches!(last_code(&self.session), Some(-26 | -27)) => {
                stream.lock().stdin_broken = true;
                stream.ring();
                return Ok(false);
            }
            Err(lost) => return Err(lost),
        };
        if from + written < chunk.len() {
            self.running[at].writing = Some((chunk, from + written));
        }
        if written > 0 {
            stream.lock().stdin_held -= written;
            stream.ring();
        }
        Ok(written > 0)
    }

    fn send_eof(&mut self, at: usize) -> std::result::Result<bool, Lost> {
        let r = &mut self.running[at];
        if r.eof_sent || !r.stream.lock().stdin_over {
            return Ok(false);
        }
        r.eof_sent = true;
        let mut channel = r.channel.clone();
        match self.blocking(|_| channel.send_eof()) {
            Ok(()) => Ok(true),
            Err(e) if matches!(e.code(), ErrorCode::Session(-26 | -27)) => Ok(false),
            Err(e) => Err(Lost(e.to_string())),
        }
    }

    /// Kills the process group over there, as soon as its number is known.
    fn kill_if_asked(&mut self, at: usize) -> std::result::Result<(), Lost> {
        let r = &mut self.running[at];
        let (kill, pid) = {
            let state = r.stream.lock();
            (state.kill, state.ear.pid())
        };
        if !kill {
            return Ok(());
        }
        r.doomed.get_or_insert_with(Instant::now);
        let Some(pid) = pid.filter(|_| !r.kill_sent) else { return Ok(()) };
        r.kill_sent = true;
        let line = kill_line(pid);
        let mut channel = match self.blocking(|s| open(s, &line)) {
            Ok(channel) => channel,
            Err(e) if matches!(e.code(), ErrorCode::Session(-21 | -22)) => return Ok(()),
            Err(e) => return Err(Lost(e.to_string())),
        };
        let _ = self.blocking(|_| channel.close());
        Ok(())
    }

    /// Tries once, and again while a packet is under way to the socket. `None` when there is nothing to do yet.
    fn settle<T>(&self, mut attempt: impl FnMut() -> io::Result<T>) -> std::result::Result<Option<T>, Lost> {
        let deadline = Instant::now() + STEP_LIMIT;
        loop {
            match attempt() {
                Ok(done) => return Ok(Some(done)),
                Err(e) if e.kind() != ErrorKind::WouldBlock => return Err(Lost(e.to_string())),
                Err(_) => {}
            }
            if !matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both) {
                return Ok(None);
            }
            if Instant::now() > deadline {
                return Err(Lost("the host takes no data".to_owned()));
            }
            let step = Timespec { tv_sec: 1, tv_nsec: 0 };
            let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT | PollFlags::IN)], Some(&step));
        }
    }

    /// Does something that waits for the server; the others wait meanwhile, for a round trip.
    fn blocking<T>(
        &self,
        attempt: impl FnOnce(&Session) -> std::result::Result<T, ::ssh2::Error>,
    ) -> std::result::Result<T, ::ssh2::Error> {
        self.session.set_blocking(true);
        let done = attempt(&self.session);
        self.session.set_blocking(false);
        done
    }

    fn keep_alive(&mut self) -> std::result::Result<(), Lost> {
        if Instant::now() < self.next_keepalive {
            return Ok(());
        }
        let next = self.blocking(Session::keepalive_send).map_err(|e| Lost(e.to_string()))?;
        self.next_keepalive = Instant::now() + Duration::from_secs(next.max(1).into());
        Ok(())
    }

    fn sleep(&self) -> std::result::Result<(), Lost> {
        let mut wait = self.next_keepalive.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        if self.running.iter().any(|r| r.doomed.is_some()) {
            wait = wait.min(Duration::from_millis(500));
        }
        let wait = Timespec::try_from(wait).unwrap_or(Timespec { tv_sec: 1, tv_nsec: 0 });
        let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.wake.0, PollFlags::IN)];
        match poll(&mut fds, Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(Lost(io::Error::from(e).to_string())),
        }
        let came = fds[0].revents();
        if self.running.is_empty() && !came.is_empty() { self.hear_the_server() } else { Ok(()) }
    }

    /// Takes what the server says while no command runs: its own keepalives, which want an answer, or its farewell.
    /// libssh2 reads only on behalf of some channel, so one is opened for that.
    fn hear_the_server(&self) -> std::result::Result<(), Lost> {
        match self.blocking(Session::channel_session) {
            Ok(mut channel) => {
                let _ = self.blocking(|_| channel.close());
                Ok(())
            }
            Err(e) if matches!(e.code(), ErrorCode::Session(CHANNEL_FAILURE | CHANNEL_REQUEST_DENIED)) => Ok(()),
            Err(e) => Err(Lost(e.to_string())),
        }
    }
}

/// libssh2.h: LIBSSH2_ERROR_CHANNEL_FAILURE.
const CHANNEL_FAILURE: i32 = -21;

/// libssh2.h: LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED.
const CHANNEL_REQUEST_DENIED: i32 = -22;

/// libssh2.h: LIBSSH2_ERROR_EAGAIN.
const EAGAIN: i32 = -37;

fn last_code(session: &Session) -> Option<i32> {
    match ::ssh2::Error::last_session_error(session)?.code() {
        ErrorCode::Session(code) => Some(code),
        ErrorCode::SFTP(_) => None,
    }
}

fn open(session: &Session, line: &str) -> std::result::Result<Channel, ::ssh2::Error> {
    let mut channel = session.channel_session()?;
    match channel.exec(line) {
        Ok(()) => Ok(channel),
        Err(e) => {
            let _ = channel.close();
            Err(e)
        }
    }
}
