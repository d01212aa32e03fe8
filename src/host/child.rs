//! A child process of ours: its group, its pipes, its time limit.

use super::Process;
use super::command::{Command, Output, Stdin};
use super::watchdog::{Kill, Watchdog};
use super::wrapped::Ear;
use crate::error::{Doing, Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// As much as an ordinary user may have: a writer and a reader in turns change places less often.
const PIPE_SIZE: usize = 1 << 20;

/// What a group gets between TERM and KILL.
const GRACE: Duration = Duration::from_secs(2);

/// How long a pipe may stay open and silent after its process ended: a daemon that it left behind may hold it for ever.
const SILENCE_AFTER_END: Duration = Duration::from_secs(2);

/// A child with its process group. The group is signalled only while the child is not reaped: until then the kernel
/// cannot give its number to somebody else.
pub(super) struct Group {
    pid: Pid,
    child: Mutex<Option<Child>>,
}

impl Group {
    /// Tells whether the child has ended.
    pub(super) fn has_exited(&self) -> bool {
        let slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_none() || !matches!(waitid(WaitId::Pid(self.pid), waiting(WaitIdOptions::NOHANG)), Ok(None))
    }

    fn signal(&self, signal: Signal) {
        let slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_some() {
            let _ = kill_process_group(self.pid, signal);
        }
    }

    /// Ends the whole group: TERM, some time, KILL.
    fn kill(&self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + GRACE;
        let mut step = Duration::from_millis(1);
        while !self.has_exited() && Instant::now() < deadline {
            thread::sleep(step);
            step = (step * 2).min(Duration::from_millis(50));
        }
        self.signal(Signal::KILL);
    }

    /// Waits for the end of the child and reaps it; `None` when that was done before.
    fn reap(&self) -> io::Result<Option<ExitStatus>> {
        // Not under the lock, so that a time limit can still kill it meanwhile.
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(self.pid), waiting(WaitIdOptions::empty())) {}
        let mut slot = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take().map(|mut child| child.wait()).transpose()
    }
}

fn waiting(more: WaitIdOptions) -> WaitIdOptions {
    WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | more
}

/// Reads a pipe of a child to its end, or until the child has ended and nothing came for a while.
struct Pipe<R> {
    inner: R,
    group: Arc<Group>,
}

impl<R: Read + AsFd> Read for Pipe<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut ended: Option<Instant> = None;
        loop {
            let mut fds = [PollFd::new(&self.inner, PollFlags::IN)];
            let step = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            match poll(&mut fds, Some(&step)) {
                Ok(0) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
                Ok(_) => return self.inner.read(buf),
            }
            if self.group.has_exited() {
                let since = *ended.get_or_insert_with(Instant::now);
                if since.elapsed() >= SILENCE_AFTER_END {
                    return Ok(0);
                }
            }
        }
    }
}

/// Ends what a client started elsewhere, given the client.
pub(super) type KillFirst = Box<dyn Fn(&Group) + Send + Sync>;

/// Ends a child; a remote one is ended over there first, because the end of the client does not reach it.
pub(super) struct Killer {
    group: Arc<Group>,
    first: Option<KillFirst>,
    done: AtomicBool,
}

impl Kill for Killer {
    fn kill(&self) {
        if !self.done.swap(true, Ordering::SeqCst) {
            if let Some(first) = &self.first {
                first(&self.group);
            }
            self.group.kill();
        }
    }
}

/// A running child. Dropping it kills it.
pub(super) struct Running {
    command: Command,
    host: String,
    killer: Arc<Killer>,
    watchdog: Option<Watchdog>,
    stdout: Option<Box<dyn Read + Send>>,
    stdin: Option<Box<dyn Write + Send>>,
    ear: Arc<Mutex<Ear>>,
    drain: Option<JoinHandle<()>>,
    finished: bool,
}

/// What [`Running::over`] needs beside the child.
pub(super) struct Setting {
    /// The command, for messages, and for its input and time limit.
    pub(super) command: Command,
    /// The host's label.
    pub(super) host: String,
    /// Listens to standard error.
    pub(super) ear: Arc<Mutex<Ear>>,
    /// Ends what runs elsewhere, before the child itself is killed.
    pub(super) kill_first: Option<KillFirst>,
}

impl Running {
    /// Takes over a child that was started with piped output and error, in a process group of its own.
    pub(super) fn over(mut child: Child, setting: Setting) -> Result<Running> {
        let Setting { command, host, ear, kill_first } = setting;
        let (stdout, stderr, mut stdin) = (child.stdout.take(), child.stderr.take(), child.stdin.take());
        // Where it is refused the pipe stays as it is.
        let _ = stdout.as_ref().map(|pipe| rustix::pipe::fcntl_setpipe_size(pipe, PIPE_SIZE));
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| Error::new(format!("{command}: no process id")))?;
        let group = Arc::new(Group { pid, child: Mutex::new(Some(child)) });
        let killer = Arc::new(Killer { group: Arc::clone(&group), first: kill_first, done: AtomicBool::new(false) });
        let drain = stderr.map(|pipe| drain(Pipe { inner: pipe, group: Arc::clone(&group) }, Arc::clone(&ear)));
        if let (Stdin::Bytes(bytes), Some(mut pipe)) =
            (command.input(), stdin.take_if(|_| command.input() != &Stdin::Pipe))
        {
            let bytes = bytes.clone();
            // A command may end without reading its input: not an error here, its status tells.
            thread::spawn(move || pipe.write_all(&bytes));
        }
        let watchdog = command.time_limit().map(|limit| Watchdog::start(limit, Arc::clone(&killer) as Arc<dyn Kill>));
        Ok(Running {
            command,
            host,
            killer,
            watchdog,
            stdout: stdout.map(|inner| Box::new(Pipe { inner, group }) as Box<dyn Read + Send>),
            stdin: stdin.map(|pipe| Box::new(pipe) as Box<dyn Write + Send>),
            ear,
            drain,
            finished: false,
        })
    }

    /// Waits for the end. `status` of the result is that of the child itself.
    pub(super) fn finish(&mut self) -> Result<Output> {
        drop(self.stdin.take());
        if let Some(mut unread) = self.stdout.take() {
            let _ = io::copy(&mut unread, &mut io::sink());
        }
        if let Some(drain) = self.drain.take() {
            let _ = drain.join();
        }
        let status = self.killer.group.reap().doing(|| format!("waiting for {} on {}", self.command, self.host))?;
        self.finished = true;
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.end(&self.command, &self.host)?;
        }
        let status = status.and_then(|s| s.code().or_else(|| s.signal().map(|n| 128 + n))).unwrap_or(-1);
        let stderr = self.ear.lock().unwrap_or_else(PoisonError::into_inner).finish();
        Ok(Output { status, stdout: Vec::new(), stderr })
    }

    /// Tells whether somebody killed it.
    pub(super) fn was_killed(&self) -> bool {
        self.killer.done.load(Ordering::SeqCst)
    }
}

fn drain(mut pipe: impl Read + Send + 'static, ear: Arc<Mutex<Ear>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buf = vec![0; 32 * 1024];
        loop {
            match pipe.read(&mut buf) {
                Ok(0) => return,
                Ok(n) => ear.lock().unwrap_or_else(PoisonError::into_inner).push(&buf[..n]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })
}

impl Process for Running {
    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        self.stdout.take()
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        self.stdin.take()
    }

    fn wait(mut self: Box<Self>) -> Result<Output> {
        self.finish()
    }

    fn kill(&mut self) {
        self.killer.kill();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.finished {
            // Before the pipes are closed: a client that ends over that no longer tells whom to kill over there.
            self.killer.kill();
            let _ = self.killer.group.reap();
        }
    }
}
