//! An sshd of our own on loopback: own configuration, own keys, in a private mount namespace, ended with the test.

use ovz2lxc::error::Result;
use ovz2lxc::host::{Command, Destination, Host, Local, Process, SshOverrides, connect};
use ovz2lxc::model::settings::TransportChoice;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What OpenSSH 5.3 of CentOS 6 offers, as far as the sshd of today still has it.
pub const CENTOS_6: &str = "HostKeyAlgorithms ssh-rsa\nKexAlgorithms diffie-hellman-group14-sha1\nCiphers aes128-ctr,aes256-ctr\n\
    MACs hmac-sha1\nPubkeyAcceptedAlgorithms ssh-rsa\n";

/// The password of root inside the server's own view of /etc/shadow.
pub const PASSWORD: &str = "correct horse";

/// A running sshd.
pub struct Server {
    pub dir: tempfile::TempDir,
    pub port: u16,
    sshd: Mutex<Option<Box<dyn Process>>>,
}

impl Server {
    /// Starts one with these lines added at the head of its configuration.
    pub fn start(extra: &str) -> Server {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        for (name, kind) in
            [("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("user_rsa", "rsa"), ("user_ed25519", "ed25519")]
        {
            make_key(&at(name), kind, "");
        }
        let keys = ["user_rsa.pub", "user_ed25519.pub"].map(|name| std::fs::read_to_string(at(name)).unwrap());
        std::fs::write(at("authorized_keys"), keys.concat()).unwrap();
        std::fs::write(at("empty_config"), "").unwrap();
        let hash = Local::new().run_ok(&Command::read("openssl").args(["passwd", "-6", PASSWORD])).unwrap().text();
        std::fs::write(at("shadow"), format!("root:{}:19000:0:99999:7:::\nsshd:!:19000::::::\n", hash.trim())).unwrap();
        for _ in 0..10 {
            let port = free_port();
            let config = format!(
                "{extra}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {}\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
                 UsePAM no\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
                 MaxStartups 100\nUseDNS no\n",
                at("host_ed25519").display(),
                at("host_rsa").display(),
                at("authorized_keys").display()
            );
            std::fs::write(at("sshd_config"), config).unwrap();
            if let Some(sshd) = listen(dir.path(), port) {
                let server = Server { port, sshd: Mutex::new(Some(sshd)), dir };
                server.write_known_hosts("known_hosts", "host_ed25519", "host_rsa");
                return server;
            }
        }
        panic!("sshd does not start");
    }

    /// Takes no new connections any more; those that are there stay.
    pub fn pause(&self) {
        drop(self.sshd.lock().unwrap().take());
    }

    /// Takes new connections again.
    pub fn go_on(&self) {
        *self.sshd.lock().unwrap() = Some(listen(self.dir.path(), self.port).unwrap());
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a known_hosts file with two of the keys in the directory.
    pub fn write_known_hosts(&self, name: &str, one: &str, two: &str) {
        let line = |key: &str| {
            let public = std::fs::read_to_string(self.path(key).with_extension("pub")).unwrap();
            format!("[127.0.0.1]:{} {public}", self.port)
        };
        std::fs::write(self.path(name), format!("{}{}", line(one), line(two))).unwrap();
    }

    /// What a careful operator gives: key, known hosts, and no configuration of this machine.
    pub fn overrides(&self) -> SshOverrides {
        SshOverrides {
            port: None,
            identity: Some(self.path("user_rsa")),
            known_hosts: Some(self.path("known_hosts")),
            legacy_algorithms: false,
            config_file: Some(self.path("empty_config")),
        }
    }

    pub fn destination(&self) -> Destination {
        Destination::parse(&format!("root@127.0.0.1:{}", self.port)).unwrap()
    }

    pub fn connect(&self, transport: TransportChoice) -> Arc<dyn Host> {
        self.try_connect(&self.overrides(), transport).unwrap()
    }

    pub fn try_connect(&self, overrides: &SshOverrides, transport: TransportChoice) -> Result<Arc<dyn Host>> {
        connect(&self.destination(), overrides, transport, false)
    }
}

fn listen(dir: &Path, port: u16) -> Option<Box<dyn Process>> {
    let script = "mount -t tmpfs run /run && mkdir /run/sshd && mount --bind \"$1\" /etc/shadow && exec /usr/sbin/sshd -D -e -f \"$2\"";
    let sshd = Command::read("unshare").args(["--mount", "sh", "-c", script, "sh"]);
    let sshd = Local::new().spawn(&sshd.arg(dir.join("shadow")).arg(dir.join("sshd_config"))).unwrap();
    let up = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(30));
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    up.then_some(sshd)
}

pub fn make_key(path: &Path, kind: &str, phrase: &str) {
    let c = Command::write("ssh-keygen").args(["-q", "-t", kind, "-N", phrase, "-C", "test", "-f"]).arg(path);
    Local::new().run_ok(&if kind == "rsa" { c.args(["-b", "2048"]) } else { c }).unwrap();
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
