//! Containers of BusyBox on image files, really started by the installed LXC in a network namespace of their own.

use ovz2lxc::error::Result;
use ovz2lxc::host::{Command, Host, Local, Output, Process, RemoteShell};
use ovz2lxc::model::target::{CgroupMode, Target};
use ovz2lxc::runtime::Lxc;
use std::cell::RefCell;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Enters the network namespace, with /sys in `$1`, the sandbox in `$2`, temporary directories in `$3`. LXC looks for
/// bridges in /sys/class/net, so /sys is mounted anew for the namespace, and the control groups and AppArmor's files are bound
/// back into it. What other tests have mounted is let go, for as long as LXC's monitor holds it their file systems are not unmounted.
const ENTER: &str = r#"while read -r _ point _; do
    case $point in "$2"/*) ;; "$3"/*) umount -l "$point" ;; esac
done </proc/self/mounts
mount -t sysfs sysfs "$1" && mount --rbind /sys/fs/cgroup "$1/fs/cgroup" || exit 1
[ ! -d /sys/kernel/security ] || mount --rbind /sys/kernel/security "$1/kernel/security"
mount --move "$1" /sys || exit 1
shift 3
exec "$@""#;

/// What the script of [`Sandbox::inside`] may call.
const APPLETS: &[&str] = &[
    "cat", "chown", "dd", "getty", "grep", "halt", "head", "hostname", "id", "ip", "login", "ls", "mkdir", "mknod",
    "mount", "ping", "rm", "sed", "sh", "sleep", "stat", "touch", "umount",
];

/// This host, every command inside a network namespace.
#[derive(Clone)]
pub struct Inside {
    /// The host itself.
    pub local: Local,
    /// The network namespace.
    pub namespace: String,
    sys: PathBuf,
}

impl Inside {
    fn wrapped(&self, command: &Command) -> Command {
        let net = format!("--net=/run/netns/{}", self.namespace);
        let enter = ["unshare", "-m", "--propagation", "private", "sh", "-c", ENTER, "sh"];
        let outer = Command::write("nsenter").arg(net).args(enter).arg(&self.sys);
        let outer = outer.arg(self.sys.parent().unwrap()).arg(std::env::temp_dir()).args(command.argv());
        outer.timeout(command.time_limit().unwrap_or(Duration::from_secs(60)))
    }
}

impl Host for Inside {
    fn label(&self) -> &str {
        "namespace"
    }
    fn run(&self, command: &Command) -> Result<Output> {
        self.local.run(&self.wrapped(command))
    }
    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        self.local.spawn(&self.wrapped(command))
    }
    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        self.local.read_file(path, limit)
    }
    fn remote_shell(&self) -> Option<RemoteShell> {
        None
    }
    fn another(&self) -> Result<Box<dyn Host>> {
        Ok(Box::new(self.clone()))
    }
}

/// A network namespace, an LXC path, and the end of both.
pub struct Sandbox {
    /// The host inside the namespace.
    pub host: Arc<Inside>,
    /// LXC there.
    pub lxc: Lxc,
    /// Everything of this sandbox lies below it; others than root may pass through it.
    pub dir: tempfile::TempDir,
    made: RefCell<Vec<String>>,
    mounted: RefCell<Vec<PathBuf>>,
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for name in self.made.borrow().iter() {
            let _ = self.lxc.kill(name);
        }
        for point in self.mounted.borrow().iter() {
            let _ = self.host.local.run(&Command::write("umount").arg(point));
        }
        let _ = self.host.local.run(&Command::write("ip").args(["netns", "del", &self.host.namespace]));
    }
}

/// Runs a shell script that must succeed, and returns what it prints.
pub fn sh(host: &dyn Host, script: &str) -> String {
    host.run_ok(&Command::write("sh").args(["-ec", script])).unwrap().text()
}

/// Why a container cannot be started on this machine.
pub fn obstacle(programs: &[&str]) -> Option<String> {
    if !super::is_root() {
        return Some("not root".into());
    }
    let local = Local::new();
    for program in ["lxc-start", "lxc-attach", "mkfs.ext4", "ip", "nsenter", "unshare"].iter().chain(programs) {
        let asked = Command::read("sh").args(["-c", "command -v \"$1\"", "sh", program]);
        if local.run(&asked).map_or(true, |o| o.status != 0) {
            return Some(format!("{program} is not installed"));
        }
    }
    let busybox = std::fs::read("/bin/busybox").unwrap_or_default();
    let loader = b"/ld-linux";
    if busybox.is_empty() || busybox[..busybox.len().min(4096)].windows(loader.len()).any(|w| w == loader) {
        return Some("there is no static /bin/busybox".into());
    }
    (!Path::new("/dev/loop-control").exists()).then(|| "there are no loop devices".into())
}

/// Makes the sandbox of a test; `None`, with the reason recorded, where no container can be started. `short` is a word of
/// the test's own.
pub fn sandbox(test: &str, short: &str, programs: &[&str]) -> Option<Sandbox> {
    if let Some(why) = obstacle(programs) {
        super::skip(test, &why);
        return None;
    }
    Some(Sandbox::new(short))
}

impl Sandbox {
    fn new(short: &str) -> Sandbox {
        let dir = tempfile::Builder::new().prefix(&format!("ovz2lxc-{short}-")).tempdir().unwrap();
        // An unprivileged container reaches its root through every directory on the way.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        let namespace = format!("ovz2lxc-{short}-{}", std::process::id());
        let sys = dir.path().join("sys");
        std::fs::create_dir(&sys).unwrap();
        let host = Arc::new(Inside { local: Local::new(), namespace, sys });
        let path = dir.path().join("lxc");
        std::fs::create_dir(&path).unwrap();
        let lxc = Lxc::new(host.clone(), &path, &dir.path().join("log")).unwrap();
        sh(&host.local, &format!("ip netns add {}", host.namespace));
        // From here on the namespace is taken away again, whatever happens.
        let sandbox = Sandbox { host, lxc, dir, made: RefCell::default(), mounted: RefCell::default() };
        sandbox.sh("ip link set lo up");
        sandbox
    }

    /// Runs a shell script in the namespace.
    pub fn sh(&self, script: &str) -> String {
        sh(&*self.host, script)
    }

    /// Makes a bridge with an address.
    pub fn bridge(&self, name: &str, address: &str) {
        self.sh(&format!(
            "ip link add {name} type bridge forward_delay 0; ip addr add {address} dev {name}; ip link set {name} up"
        ));
    }

    /// Looks at the host as a migration does.
    pub fn target(&self) -> Target {
        self.lxc.inspect().unwrap()
    }

    /// Makes a container's directory below the LXC path. It is stopped at the end.
    pub fn directory(&self, ct: &str) {
        self.made.borrow_mut().push(ct.to_owned());
        std::fs::create_dir_all(self.lxc.path().join(ct)).unwrap();
    }

    /// Makes a container's directory and a tree for it with BusyBox alone, to be added to.
    pub fn tree(&self, ct: &str) -> PathBuf {
        self.directory(ct);
        let at = self.dir.path().join(format!("tree-{ct}"));
        for dir in ["bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root", "mnt"] {
            std::fs::create_dir_all(at.join(dir)).unwrap();
        }
        std::fs::copy("/bin/busybox", at.join("bin/busybox")).unwrap();
        for applet in APPLETS {
            symlink("busybox", at.join("bin").join(applet)).unwrap();
        }
        symlink("../bin/busybox", at.join("sbin/init")).unwrap();
        std::fs::write(at.join("etc/passwd"), "root::0:0:root:/root:/bin/sh\n").unwrap();
        let inittab = "console::respawn:/bin/getty 38400 console\ntty1::respawn:/bin/getty 38400 tty1\n";
        std::fs::write(at.join("etc/inittab"), inittab).unwrap();
        at
    }

    /// Makes an ext4 image of a tree; the root directory keeps its owner.
    pub fn image(&self, tree: &Path, image: &Path, mib: u32) {
        std::fs::create_dir_all(image.parent().unwrap()).unwrap();
        let (tree, image) = (tree.display(), image.display());
        sh(
            &self.host.local,
            &format!(
                "truncate -s {mib}M {image}; mkfs.ext4 -q -F -E root_owner=$(stat -c %u:%g {tree}) -d {tree} {image}"
            ),
        );
    }

    /// Mounts an image on a directory until the end of the sandbox.
    pub fn mount(&self, image: &Path, point: &Path) {
        std::fs::create_dir_all(point).unwrap();
        self.host.local.run_ok(&Command::write("mount").args(["-o", "loop"]).arg(image).arg(point)).unwrap();
        self.mounted.borrow_mut().push(point.to_owned());
    }

    /// Makes a container on an image: its tree with BusyBox alone. Returns the image.
    pub fn container(&self, ct: &str) -> PathBuf {
        let image = self.lxc.path().join(ct).join("rootfs.img");
        self.image(&self.tree(ct), &image, 16);
        image
    }

    /// Writes the configuration, and the hook that it calls, and starts the container.
    pub fn start(&self, ct: &str, config: &str, hook: Option<&str>) {
        let path = self.lxc.config_path(ct);
        std::fs::write(&path, config).unwrap();
        if let Some(text) = hook {
            let file = path.with_file_name("start-host");
            super::program::write_program(&file, text);
        }
        if let Err(error) = self.lxc.start(ct, &path) {
            panic!("{}\n{config}", error.chain().join(": "));
        }
    }

    /// Runs a shell script in the container; its standard error is in what is returned.
    pub fn inside(&self, ct: &str, script: &str) -> String {
        self.attached(ct, &[], script)
    }

    /// Does so without AppArmor's confinement, which keeps a container from mounting what it could look into.
    pub fn inside_unconfined(&self, ct: &str, script: &str) -> String {
        self.attached(ct, &["--elevated-privileges=LSM"], script)
    }

    fn attached(&self, ct: &str, options: &[&str], script: &str) -> String {
        let attach = Command::write("lxc-attach").arg("-P").arg(self.lxc.path()).args(["-n", ct, "--clear-env"]);
        let script = format!("exec 2>&1\nexport PATH=/bin:/sbin:/usr/bin\n{script}");
        let command = attach.args(options).args(["--", "/bin/sh", "-c"]).arg(script);
        self.host.run(&command).unwrap().text()
    }

    /// Returns the file of the container's control group as the host sees it. `controller` is the name in version 1.
    pub fn control_file(&self, ct: &str, controller: &str, file: &str) -> PathBuf {
        let pid = self.lxc.init_pid(ct).unwrap().unwrap();
        let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        let wanted = if self.target().cgroup == CgroupMode::V2 { "" } else { controller };
        let group = groups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let named = parts.next()?.split(',').any(|c| c == wanted);
            parts.next().filter(|_| named)
        });
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let mount = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>()).find(|f| match wanted {
            "" => f[2] == "cgroup2",
            _ => f[2] == "cgroup" && f[3].split(',').any(|o| o == wanted),
        });
        // Once its init has moved itself further down, the limits are still where LXC put them.
        let group = group.unwrap().trim_end_matches("/init.scope").trim_start_matches('/');
        Path::new(mount.unwrap()[1]).join(group).join(file)
    }
}
