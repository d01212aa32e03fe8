//! An OpenVZ node on this machine for a test: tests/node/node.sh with a guard around it.

use super::{repository, skip};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

/// The exit code of the scripts for "this machine cannot do it".
const CANNOT: i32 = 77;

/// A running node. Dropping it ends its processes, unmounts its file systems and removes its directory.
#[derive(Debug)]
pub struct TestNode {
    /// Where its sshd listens: on 127.0.0.1, in the private network namespace if there is one.
    pub port: u16,
    /// The client's private key, for root.
    pub key: PathBuf,
    /// The node's host key.
    pub known_hosts: PathBuf,
    /// The private areas as seen from here: `dir/101` is the tree of container 101.
    pub dir: PathBuf,
    /// Where the CTID.conf files are, as seen from here.
    pub conf: PathBuf,
    /// The notes of the stand-in: `state/101/running`, `state/101/stop-seconds`.
    pub state: PathBuf,
    /// /vz as seen from here: `vz/lock`, `vz/dump`.
    pub vz: PathBuf,
    /// A directory for the test's own use, gone with the node: the LXC path, the state directory.
    pub work: PathBuf,
    in_netns: bool,
    home: TempDir,
}

impl TestNode {
    /// Starts a node in the machine's own network namespace. `None`, with the reason recorded, where that cannot be.
    pub fn up(test: &str) -> Option<TestNode> {
        Self::start(test, false)
    }

    /// Starts a node in a private network namespace with the bridge br-ovz, 10.77.0.1/24. What talks to it has to run
    /// through [`TestNode::inside`].
    pub fn up_in_netns(test: &str) -> Option<TestNode> {
        Self::start(test, true)
    }

    fn start(test: &str, in_netns: bool) -> Option<TestNode> {
        let home = tempfile::Builder::new().prefix("ovz2lxc-node-").tempdir().unwrap();
        let mut node = TestNode {
            port: 0,
            key: PathBuf::new(),
            known_hosts: PathBuf::new(),
            dir: PathBuf::new(),
            conf: PathBuf::new(),
            state: PathBuf::new(),
            vz: PathBuf::new(),
            work: home.path().join("work"),
            in_netns,
            home,
        };
        std::fs::create_dir(&node.work).unwrap();
        let mut words = vec!["up".into(), node.node_dir().into_os_string()];
        if in_netns {
            let net = script("netns.sh").arg("up").arg(node.net_dir()).output().unwrap();
            if !started(test, &net) {
                return None;
            }
            let name = script("netns.sh").arg("name").arg(node.net_dir()).output().unwrap();
            words.extend(["--netns".into(), String::from_utf8(name.stdout).unwrap().trim().into()]);
        }
        if !started(test, &script("node.sh").args(words).output().unwrap()) {
            return None;
        }
        let text = std::fs::read_to_string(node.node_dir().join("node.env")).unwrap();
        let value = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
            PathBuf::from(line.unwrap_or_else(|| panic!("{key} is not in node.env")))
        };
        node.port = value("NODE_PORT").to_str().unwrap().parse().unwrap();
        node.key = value("NODE_KEY");
        node.known_hosts = value("NODE_KNOWN_HOSTS");
        node.dir = value("NODE_DIR");
        node.conf = value("NODE_CONF");
        node.state = value("NODE_STATE");
        node.vz = value("NODE_VZ");
        Some(node)
    }

    /// Puts a container on the node; `args` are those of `node.sh add-container` after the CTID.
    pub fn add_container(&self, ctid: &str, args: &[&str]) {
        let output = script("node.sh").arg("add-container").arg(self.node_dir()).arg(ctid).args(args).output().unwrap();
        assert!(output.status.success(), "adding container {ctid}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Runs a shell command on the node with the plain ssh client.
    pub fn ssh(&self, command: &str) -> Output {
        script("node.sh").arg("ssh").arg(self.node_dir()).arg(command).output().unwrap()
    }

    /// Returns what `vzctl status` prints, without the newline.
    pub fn status(&self, ctid: &str) -> String {
        let output = self.ssh(&format!("vzctl status {ctid}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Makes the next `vzctl ACTION CTID` end with this exit code.
    pub fn fail(&self, ctid: &str, action: &str, code: u8) {
        let output =
            script("node.sh").arg("fail").arg(self.node_dir()).args([ctid, action]).arg(code.to_string()).output();
        assert!(output.unwrap().status.success());
    }

    /// Returns a command that runs where the node can be reached: inside its network namespace, if it has one. LXC
    /// works there too.
    pub fn inside(&self, program: impl AsRef<OsStr>) -> Command {
        if !self.in_netns {
            return process(program);
        }
        let mut command = script("netns.sh");
        command.arg("exec").arg(self.net_dir()).arg("--").arg(program);
        command
    }

    fn node_dir(&self) -> PathBuf {
        self.home.path().join("node")
    }

    fn net_dir(&self) -> PathBuf {
        self.home.path().join("net")
    }
}

impl Drop for TestNode {
    fn drop(&mut self) {
        let _ = script("node.sh").arg("down").arg(self.node_dir()).status();
        if self.in_netns {
            let _ = script("netns.sh").arg("down").arg(self.net_dir()).status();
        }
        // Never remove what is still mounted: the tree below could be more than this test's own.
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        if mounts.contains(&*self.home.path().to_string_lossy()) {
            eprintln!("{} is still mounted and stays", self.home.path().display());
            self.home.disable_cleanup(true);
        }
    }
}

/// Returns the tar file of a distribution tree, built when it is not there yet; `None`, with the reason recorded, where
/// it cannot be built.
pub fn tree(test: &str, name: &str) -> Option<PathBuf> {
    let output = script("trees.sh").args(["build", name]).output().unwrap();
    if !output.status.success() {
        skip(test, &format!("the {name} tree cannot be built: {}", last_line(&output)));
        return None;
    }
    Some(PathBuf::from(String::from_utf8(output.stdout).unwrap().trim_end()))
}

/// Returns a script of tests/node.
pub fn script(name: &str) -> Command {
    process(repository().join("tests/node").join(name))
}

#[expect(clippy::disallowed_methods, reason = "the tests look at the tool from outside, with processes of their own")]
fn process(program: impl AsRef<OsStr>) -> Command {
    Command::new(program)
}

fn started(test: &str, output: &Output) -> bool {
    if output.status.code() == Some(CANNOT) {
        skip(test, &last_line(output));
        return false;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

fn last_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).lines().last().unwrap_or("no reason given").to_owned()
}

/// Reads a file of the test, with the path in the message when that fails.
pub fn read(path: impl AsRef<Path>) -> String {
    let path = path.as_ref();
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("reading {}: {error}", path.display()))
}
