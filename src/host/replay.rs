//! A strict transcript instead of a host, for tests.

use super::command::{Command, Effect, Output, Stdin};
use super::{Host, Process, RemoteShell};
use crate::error::{Error, Result};
use std::collections::{BTreeMap, VecDeque};
use std::ffi::OsString;
use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One expected command and its answer.
#[derive(Debug, Clone)]
pub struct Exchange {
    argv: Vec<OsString>,
    stdin: Option<Vec<u8>>,
    effect: Option<Effect>,
    answer: std::result::Result<Output, String>,
}

impl Exchange {
    /// Expects exactly this argument vector; answers with status 0 and nothing said.
    pub fn of<I>(argv: I) -> Exchange
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        let argv = argv.into_iter().map(Into::into).collect();
        Exchange { argv, stdin: None, effect: None, answer: Ok(Output::default()) }
    }

    /// Expects these bytes on standard input too. Without this, input is not looked at.
    #[must_use]
    pub fn given(mut self, stdin: impl Into<Vec<u8>>) -> Exchange {
        self.stdin = Some(stdin.into());
        self
    }

    /// Expects the command to be declared as reading or writing. Without this, that is not looked at.
    #[must_use]
    pub fn effect(mut self, effect: Effect) -> Exchange {
        self.effect = Some(effect);
        self
    }

    /// Answers with this standard output.
    #[must_use]
    pub fn says(mut self, stdout: impl Into<Vec<u8>>) -> Exchange {
        if let Ok(output) = &mut self.answer {
            output.stdout = stdout.into();
        }
        self
    }

    /// Answers with this exit status and standard error.
    #[must_use]
    pub fn fails(mut self, status: i32, stderr: impl Into<Vec<u8>>) -> Exchange {
        if let Ok(output) = &mut self.answer {
            (output.status, output.stderr) = (status, stderr.into());
        }
        self
    }

    /// Answers as a host that cannot run it: not installed, timed out, connection lost.
    #[must_use]
    pub fn breaks(mut self, message: impl Into<String>) -> Exchange {
        self.answer = Err(message.into());
        self
    }
}

#[derive(Default)]
struct Script {
    expected: VecDeque<Exchange>,
    any_order: bool,
    files: BTreeMap<PathBuf, Vec<u8>>,
    ran: Vec<Command>,
    wrong: Vec<String>,
}

/// A host that answers from a transcript. An unexpected command is an error, and dropping the last handle while a command
/// is unused, or after an unexpected one, panics: the test fails even when the code under test swallowed the error.
#[derive(Clone)]
pub struct Replay {
    label: String,
    remote_shell: Option<RemoteShell>,
    script: Arc<Mutex<Script>>,
}

impl Replay {
    /// Makes a host with this label that expects nothing.
    pub fn new(label: impl Into<String>) -> Replay {
        Replay { label: label.into(), remote_shell: None, script: Arc::default() }
    }

    /// Expects a command after those expected so far: argument vector, exit status, standard output, standard error.
    #[must_use]
    pub fn expect<I>(self, argv: I, status: i32, stdout: impl Into<Vec<u8>>, stderr: impl Into<Vec<u8>>) -> Replay
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.then(Exchange::of(argv).says(stdout).fails(status, stderr))
    }

    /// Expects an exchange after those expected so far.
    #[must_use]
    pub fn then(self, exchange: Exchange) -> Replay {
        self.lock().expected.push_back(exchange);
        self
    }

    /// Takes the expected commands in any order, each once.
    #[must_use]
    pub fn any_order(self) -> Replay {
        self.lock().any_order = true;
        self
    }

    /// Has a file. A file that is not there does not exist.
    #[must_use]
    pub fn file(self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Replay {
        self.lock().files.insert(path.into(), content.into());
        self
    }

    /// Is reached by rsync like this.
    #[must_use]
    pub fn reached_by(mut self, shell: RemoteShell) -> Replay {
        self.remote_shell = Some(shell);
        self
    }

    /// Returns the commands that were run so far.
    pub fn ran(&self) -> Vec<Command> {
        self.lock().ran.clone()
    }

    /// Returns what is wrong so far: unexpected commands, and those not yet used.
    pub fn complaints(&self) -> Vec<String> {
        let script = self.lock();
        let unused = script.expected.iter().map(|e| format!("not run: {}", shown(&e.argv)));
        script.wrong.iter().cloned().chain(unused).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, command: &Command) -> Result<Exchange> {
        let mut script = self.lock();
        script.ran.push(command.clone());
        let fits = |e: &Exchange| {
            e.argv == command.argv()
                && e.effect.is_none_or(|effect| effect == command.effect())
                && (command.input() == &Stdin::Pipe
                    || e.stdin.as_ref().is_none_or(|want| given(command) == want.as_slice()))
        };
        let reach = if script.any_order { script.expected.len() } else { 1 };
        let found = script.expected.iter().take(reach).position(fits);
        if let Some(exchange) = found.and_then(|at| script.expected.remove(at)) {
            return Ok(exchange);
        }
        let next = script.expected.front().map_or_else(|| "nothing more".to_owned(), |e| format!("{e:?}"));
        let wrong = format!("unexpected on {}: {command} ({:?}); expected {next}", self.label, command.effect());
        script.wrong.push(wrong.clone());
        Err(Error::new(wrong))
    }

    fn broken(&self, command: &Command, why: String) -> Error {
        Error::new(format!("running on {}: {command}", self.label)).because(Error::new(why))
    }
}

fn given(command: &Command) -> &[u8] {
    if let Stdin::Bytes(bytes) = command.input() { bytes } else { b"" }
}

fn shown(argv: &[OsString]) -> String {
    argv.iter().map(|a| a.to_string_lossy().escape_debug().to_string()).collect::<Vec<_>>().join(" ")
}

impl Host for Replay {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, command: &Command) -> Result<Output> {
        self.answer(command)?.answer.map_err(|why| self.broken(command, why))
    }

    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        let exchange = self.answer(command)?;
        let mut output = exchange.answer.map_err(|why| self.broken(command, why))?;
        let stdout = Some(std::mem::take(&mut output.stdout));
        let written = Arc::default();
        let stdin = (command.input() == &Stdin::Pipe).then(|| Written(Arc::clone(&written)));
        let want = exchange.stdin.filter(|_| command.input() == &Stdin::Pipe);
        Ok(Box::new(Playing { host: self.clone(), output, stdout, stdin, written, want, shown: command.to_string() }))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        match self.lock().files.get(path) {
            Some(bytes) if bytes.len() as u64 > limit => Err(Error::new(format!("reading {}", path.display()))
                .because(Error::new(format!("larger than {limit} bytes")))),
            found => Ok(found.cloned()),
        }
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        self.remote_shell.clone()
    }

    fn another(&self) -> Result<Box<dyn Host>> {
        Ok(Box::new(self.clone()))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        if Arc::strong_count(&self.script) == 1 && !std::thread::panicking() {
            let complaints = self.complaints();
            assert!(complaints.is_empty(), "transcript of {}: {}", self.label, complaints.join("; "));
        }
    }
}

struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Playing {
    host: Replay,
    output: Output,
    stdout: Option<Vec<u8>>,
    stdin: Option<Written>,
    written: Arc<Mutex<Vec<u8>>>,
    want: Option<Vec<u8>>,
    shown: String,
}

impl Process for Playing {
    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        self.stdout.take().map(|bytes| Box::new(Cursor::new(bytes)) as Box<dyn Read + Send>)
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        self.stdin.take().map(|w| Box::new(w) as Box<dyn Write + Send>)
    }

    fn wait(self: Box<Self>) -> Result<Output> {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if self.want.as_ref().is_some_and(|want| *want != *written) {
            self.host.lock().wrong.push(format!("unexpected input of {}: {}", self.shown, written.escape_ascii()));
        }
        Ok(self.output.clone())
    }

    fn kill(&mut self) {
        self.output.status = 128 + 15;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes the complaints, so that the drop does not panic.
    fn complaints(replay: Replay) -> Vec<String> {
        let complaints = replay.complaints();
        std::mem::forget(replay);
        complaints
    }

    #[test]
    fn answers_in_order_and_is_content_when_all_was_used() {
        let host =
            Replay::new("vz1").expect(["vzlist", "-H"], 0, "101\n", "").expect(["vzctl", "stop", "101"], 9, "", "no");
        assert_eq!(host.run(&Command::read("vzlist").arg("-H")).unwrap().stdout, b"101\n");
        assert!(host.run_ok(&Command::write("vzctl").args(["stop", "101"])).unwrap_err().chain()[1] == "no");
        assert_eq!(host.ran().len(), 2);
        assert!(complaints(host).is_empty());
    }

    #[test]
    fn an_unexpected_command_is_an_error_and_a_complaint() {
        let host = Replay::new("vz1").expect(["true"], 0, "", "");
        assert!(host.run(&Command::read("true").arg("x")).is_err());
        assert_eq!(complaints(host).len(), 2);
    }

    #[test]
    #[should_panic(expected = "not run: true")]
    fn an_unused_command_fails_the_test() {
        drop(Replay::new("vz1").expect(["true"], 0, "", ""));
    }

    #[test]
    fn order_counts_unless_it_does_not() {
        let two = || Replay::new("h").expect(["a"], 0, "", "").expect(["b"], 0, "", "");
        let strict = two();
        assert!(strict.run(&Command::read("b")).is_err());
        assert_eq!(complaints(strict).len(), 3);
        let loose = two().any_order();
        assert!(loose.run(&Command::read("b")).is_ok() && loose.run(&Command::read("a")).is_ok());
        assert!(loose.run(&Command::read("a")).is_err());
        assert_eq!(complaints(loose).len(), 1);
    }

    #[test]
    fn input_and_effect_are_compared_when_asked_for() {
        let host = || Replay::new("h").then(Exchange::of(["tee"]).given("x").effect(Effect::Write));
        assert!(complaints_after(host(), &Command::write("tee").stdin("x")).is_empty());
        assert_eq!(complaints_after(host(), &Command::write("tee").stdin("y")).len(), 2);
        assert_eq!(complaints_after(host(), &Command::read("tee").stdin("x")).len(), 2);
    }

    fn complaints_after(host: Replay, command: &Command) -> Vec<String> {
        let _ = host.run(command);
        complaints(host)
    }

    #[test]
    fn a_spawned_command_streams_and_its_written_input_is_compared() {
        let host = Replay::new("h").then(Exchange::of(["tar"]).given("in").says("out"));
        let mut p = host.spawn(&Command::read("tar").pipe_stdin()).unwrap();
        p.take_stdin().unwrap().write_all(b"other").unwrap();
        let mut out = String::new();
        p.take_stdout().unwrap().read_to_string(&mut out).unwrap();
        assert_eq!((out.as_str(), p.wait().unwrap().status), ("out", 0));
        assert_eq!(complaints(host), ["unexpected input of tar: other"]);
    }

    #[test]
    fn files_and_breaks_and_copies_share_the_script() {
        let host = Replay::new("h").file("/f", "123").then(Exchange::of(["pcs"]).breaks("pcs is not installed"));
        assert_eq!(host.read_file(Path::new("/f"), 3).unwrap().unwrap(), b"123");
        assert!(host.read_file(Path::new("/f"), 2).is_err());
        assert!(host.read_file(Path::new("/g"), 2).unwrap().is_none());
        assert!(host.another().unwrap().run(&Command::read("pcs")).is_err());
        assert!(complaints(host).is_empty());
    }
}
