#!/usr/bin/env python3
"""Compares `ovz2lxc copy` with `rsync -aHAXS --numeric-ids` and `tar | ssh | tar`, over ssh on loopback.

The ways take turns, so that a busy machine slows all of them; a copy ends when it is on the target's disk (sync -f). Each round
gives one ratio to rsync and one to tar, and their medians are printed, with the medians of wall time, of the CPU time of all
processes on both sides, and the largest process here. All use one cipher. Targets are fresh ext4 images in memory, so no disk decides; --disk puts them below DIR instead.

  full     three trees: a distribution's root four times, 50,000 small files, few large files with holes
  delta    50,000 files copied before, then nothing or 1 % of them changed
  million  the same with 1,000,000 entries on tmpfs (needs about 8 GiB of memory)
  walk     how long 1, 2 and 4 finds at once take for 50,000 files, as they share the last walk of a stopped container
"""
import argparse, ctypes, os, random, resource, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
CIPHER = "aes128-gcm@openssh.com"
SUBREAPER = 36  # prctl(2): what outlives its parent is ours to wait for, so that its CPU time counts


def say(text):
    print(text, file=sys.stderr, flush=True)


class Desk:
    """A directory in memory, an sshd, and everything that has to be taken away again."""

    def __init__(self, disk):
        self.top = tempfile.mkdtemp(prefix="ovz2lxc-bench-", dir=disk)
        self.mounts = []
        self.sshd = None
        if disk is None:
            self.mount(self.top, ["-t", "tmpfs", "-o", "mode=0700,size=90%", "none"])

    def path(self, name):
        return os.path.join(self.top, name)

    def mount(self, at, arguments):
        subprocess.run(["mount", *arguments, at], check=True)
        self.mounts.append(at)

    def unmount(self, at):
        subprocess.run(["umount", at], check=True)
        self.mounts.remove(at)

    def start_sshd(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        for key in "host", "user":
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.path(key)], check=True)
        words = open(self.path("host.pub")).read().split()
        with open(self.path("known"), "w") as known:
            known.write(f"[127.0.0.1]:{self.port} {words[0]} {words[1]}\n")
        with open(self.path("sshd_config"), "w") as config:
            config.write(
                f"ListenAddress 127.0.0.1:{self.port}\nHostKey {self.path('host')}\nStrictModes no\nUsePAM no\n"
                f"AuthorizedKeysFile {self.path('user.pub')}\nPermitRootLogin prohibit-password\nPidFile none\nMaxStartups 50\n"
            )
        os.makedirs("/run/sshd", exist_ok=True)  # sshd's own empty directory; only its service makes it
        # What this machine's administrator does in the shell's start-up files is not part of the comparison.
        hide = 'for f in ~/.bashrc ~/.profile ~/.bash_profile; do [ -e "$f" ] && mount --bind /dev/null "$f"; done; exec "$@"'
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        self.sshd = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", hide, "sh", sshd, "-D", "-f", self.path("sshd_config")],
            stderr=subprocess.DEVNULL,
        )
        self.ssh = [
            "ssh", "-i", self.path("user"), "-p", str(self.port), "-o", f"UserKnownHostsFile={self.path('known')}",
            "-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-F", "none", "-c", CIPHER,
        ]  # fmt: skip
        for _ in range(50):
            if subprocess.run([*self.ssh, "root@127.0.0.1", "true"], stderr=subprocess.DEVNULL).returncode == 0:
                return
            time.sleep(0.1)
        raise SystemExit("benches/transfer.py: sshd does not answer")

    def cpu_there(self):
        """CPU seconds of all sessions of the sshd that have ended."""
        fields = open(f"/proc/{self.sshd.pid}/stat").read().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    def close(self):
        if self.sshd:
            self.sshd.terminate()
            self.sshd.wait()
        for at in reversed(self.mounts):
            subprocess.run(["umount", "--lazy", at], check=False)
        shutil.rmtree(self.top, ignore_errors=True)


def small_files(top, count):
    dice = random.Random(1)
    for number in range(count):
        directory = f"{top}/{number % 40}/{number % 1600}"
        os.makedirs(directory, exist_ok=True)
        with open(f"{directory}/{number}", "wb") as file:
            file.write(dice.randbytes(int(dice.paretovariate(0.9) * 500) % 40000))


def large_files(top):
    dice = random.Random(2)
    os.makedirs(top)
    piece = dice.randbytes(1 << 20)
    for number in range(6):
        with open(f"{top}/{number}", "wb") as file:
            for megabyte in range(256):
                if megabyte % 4 == number % 4:
                    file.seek(megabyte << 20)
                    file.write(piece)
            file.truncate(256 << 20)


def distribution(top):
    for copy in range(4):
        os.makedirs(f"{top}/{copy}")
        script = os.path.join(HERE, "../tests/node/trees.sh")
        subprocess.run([script, "extract", "systemd", f"{top}/{copy}"], check=True, stdout=subprocess.DEVNULL)


def many_entries(top, count):
    for number in range(count):
        if number % 500 == 0:
            directory = f"{top}/{number // 50000}/{number // 500}"
            os.makedirs(directory)
        with open(f"{directory}/file-{number}", "wb") as file:
            if number % 20 == 0:
                file.write(b"x" * (number % 3000))


def change(top, each):
    """Changes one file in `each`: content, mode, name, or it is gone."""
    dice = random.Random(3)
    files = sorted(os.path.join(d, f) for d, _, names in os.walk(top) for f in names)
    for turn, path in enumerate(files[:: each]):
        kind = turn % 4
        if kind == 0:
            open(path, "ab").write(dice.randbytes(700))
        elif kind == 1:
            os.chmod(path, 0o640)
        elif kind == 2:
            os.rename(path, path + ".new")
        else:
            os.unlink(path)


class Bench:
    def __init__(self, desk, program, image):
        self.desk, self.program, self.image = desk, program, image

    def fresh(self, name):
        """Makes an empty target."""
        at = self.desk.path(name)
        if at in self.desk.mounts:
            self.desk.unmount(at)
        os.makedirs(at, exist_ok=True)
        if not self.image:
            self.desk.mount(at, ["-t", "tmpfs", "-o", "size=90%,nr_inodes=0", "none"])
            return at
        image = self.desk.path(name + ".img")
        with open(image, "wb") as file:
            file.truncate(12 << 30)
        subprocess.run(["mkfs.ext4", "-q", "-E", "lazy_itable_init=1,nodiscard", "-i", "8192", image], check=True)
        self.desk.mount(at, ["-o", "loop", image])
        return at

    def command(self, way, tree, target, delta):
        desk = self.desk
        remote = f"root@127.0.0.1:{tree}"
        if way == "rsync":
            words = ["rsync", "-aHAXS", "--numeric-ids", "-e", " ".join(desk.ssh), remote + "/", target + "/"]
            return words + (["--delete"] if delta else [])
        if way == "tar":
            send = f"tar -C '{tree}' --xattrs --acls --numeric-owner -Scf - ."
            take = f"tar -C '{target}' --xattrs --xattrs-include='*' --acls --numeric-owner -Sxpf -"
            return ["bash", "-o", "pipefail", "-c", f"{' '.join(desk.ssh)} root@127.0.0.1 \"{send}\" | {take}"]
        engine, _, options = way.partition(" ")
        return [
            self.program, "copy", "--from", remote, "--to", target, "--engine", engine, *options.split(), "--port", str(desk.port),
            "--identity", desk.path("user"), "--known-hosts", desk.path("known"), "--state-dir", desk.path("state"),
            "--progress", "none", *(["--delta"] if delta else []),
        ]  # fmt: skip

    def run(self, way, tree, target, delta=False):
        """Runs one way; returns wall seconds, CPU seconds of all processes, KiB of the largest process here."""
        there, here = self.desk.cpu_there(), resource.getrusage(resource.RUSAGE_CHILDREN)
        begun = time.monotonic()
        child = subprocess.Popen(self.command(way, tree, target, delta), stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = 0
        # The stream engine has everything on the disk when it ends; the others are given the time that takes them.
        subprocess.run(["sync", "-f", target], check=True)
        wall = time.monotonic() - begun
        if status != 0:
            raise SystemExit(f"benches/transfer.py: {way}: status {status}")
        self.reap()
        now = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = now.ru_utime + now.ru_stime - here.ru_utime - here.ru_stime + self.desk.cpu_there() - there
        return wall, cpu, usage.ru_maxrss

    def reap(self):
        """Waits for what the run left behind it: connections that end by themselves, sessions of the sshd."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            kin = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True).stdout.split()
            others = {int(pid) for pid in kin if os.path.exists(f"/proc/{pid}")} - {self.desk.sshd.pid}
            sessions = subprocess.run(["pgrep", "-P", str(self.desk.sshd.pid)], capture_output=True).stdout
            for pid in others:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass
            if not others and not sessions:
                return
            time.sleep(0.02)
        raise SystemExit("benches/transfer.py: something of the last run does not end")

    def rounds(self, title, ways, rounds, tree, prepare):
        """Runs all ways in turns, after one round that warms the caches, and prints the table."""
        figures = {way: [] for way in ways}
        for number in range(rounds + 1):
            for way in ways if number % 2 else ways[::-1]:
                target, delta = prepare(way, number)
                figure = self.run(way, tree, target, delta)
                if number:
                    figures[way].append(figure)
                say(f"  {title} {number}/{rounds} {way}: {figure[0]:.2f} s, {figure[1]:.2f} s of CPU")
        print(f"\n{title}: {rounds} rounds")
        print(f"{'way':<24} {'wall s':>8} {'CPU s':>8} {'MiB here':>9} {'to rsync':>9} {'to tar':>8}")
        for way in ways:
            wall, cpu, size = (statistics.median(column) for column in zip(*figures[way]))
            row = f"{way:<24} {wall:8.2f} {cpu:8.2f} {size / 1024:9.1f}"
            for base in "rsync", "tar":
                pairs = zip(figures[way], figures.get(base, []))
                ratios = [own[0] / other[0] for own, other in pairs]
                row += f" {statistics.median(ratios):{9 if base == 'rsync' else 8}.2f}" if ratios else f" {'-':>8}"
            print(row, flush=True)


def same(one, other):
    result = subprocess.run(["diff", "-rq", "--no-dereference", one, other], capture_output=True, text=True)
    lines = [line for line in result.stdout.splitlines() if not line.endswith(": lost+found")]
    if lines or result.returncode > 1:
        raise SystemExit(f"benches/transfer.py: the copy differs: {lines[:3]} {result.stderr[:300]}")


def full(bench, options):
    makers = {"root": distribution, "small": lambda top: small_files(top, 50000), "large": large_files}
    for name in options.trees.split(","):
        tree = bench.desk.path("tree-" + name)
        makers[name](tree)
        entries = sum(len(d) + len(f) for _, d, f in os.walk(tree))
        size = int(subprocess.run(["du", "-sm", tree], capture_output=True, text=True).stdout.split()[0])
        ways = options.ways.split(",")
        for way in ways:
            target = bench.fresh("target")
            bench.run(way, tree, target)
            if name != "root":
                same(tree, target)
        bench.rounds(f"full copy of {name}, {entries} entries, {size} MiB", ways, options.rounds, tree,
                     lambda way, number: (bench.fresh("target"), False))  # fmt: skip
        shutil.rmtree(tree)


def delta(bench, options, count, make):
    tree = bench.desk.path("tree-delta")
    make(tree, count)
    ways = ["rsync", "stream", "stream --verify=none"]
    targets = {way: bench.fresh(f"target-{turn}") for turn, way in enumerate(ways)}
    for way in ways:
        bench.run(way, tree, targets[way])
    time.sleep(61)  # what changed within the last minute is not trusted to be what was copied
    for way in ways:
        bench.run(way, tree, targets[way], True)
    bench.rounds(f"nothing changed, {count} entries", ways, options.rounds, tree, lambda way, _: (targets[way], True))
    changed = []

    def prepare(way, number):
        if number not in changed:
            changed.append(number)
            change(tree, 100)
            time.sleep(61)  # or every later round would send it again
        return targets[way], True

    bench.rounds(f"1 % changed, {count} entries", ways, options.rounds, tree, prepare)
    for way in ways:
        if count <= 50000:
            same(tree, targets[way])
        bench.desk.unmount(targets[way])
    shutil.rmtree(tree)


def walk(bench, options):
    tree = bench.fresh("walk")
    small_files(tree, 50000)
    inodes = sorted(os.lstat(os.path.join(d, name)).st_ino for d, dirs, files in os.walk(tree) for name in dirs + files)
    facts = "-printf '%y %m %U %G %s %b %T@ %C@ %n %i\\0' -printf '%P\\0' -printf '%l\\0'"
    figures = {1: [], 2: [], 4: []}
    for number in range(options.rounds + 1):
        for count in figures:
            bounds = [inodes[len(inodes) * part // count] for part in range(1, count)]
            shares = zip([None, *bounds], [*bounds, None])
            finds = []
            for low, high in shares:
                share = (f"! -inum -{low} " if low else "") + (f"-inum -{high}" if high else "")
                share = f"\\( -type d -o {share} \\)" if share else ""
                finds.append(f"find {tree}/. -xdev {share} {facts} | cat >/dev/null")
            begun = time.monotonic()
            subprocess.run(["sh", "-c", " & ".join(finds) + "; wait"], check=True)
            if number:
                figures[count].append(time.monotonic() - begun)
    print(f"\nwalk of {len(inodes)} entries: {options.rounds} rounds")
    for count, walls in figures.items():
        ratio = statistics.median(own / one for own, one in zip(walls, figures[1]))
        print(f"{count} finds {statistics.median(walls):8.3f} s {ratio:8.2f} of one", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", choices=["full", "delta", "million", "walk"], default=["full", "delta"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--trees", default="root,small,large")
    parser.add_argument("--ways", default="rsync,tar,stream")
    parser.add_argument("--disk", metavar="DIR", help="trees and targets below DIR, not in memory")
    parser.add_argument("--tmpfs", action="store_true", help="targets on tmpfs, not in ext4 images")
    parser.add_argument("--program", default=os.path.join(HERE, "../target/release/ovz2lxc"))
    options = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("benches/transfer.py: needs root")
    if not os.access(options.program, os.X_OK):
        raise SystemExit(f"benches/transfer.py: no program at {options.program}: cargo build --release first")
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    desk = Desk(options.disk)
    try:
        desk.start_sshd()
        for what in options.what:
            image = not options.tmpfs and what != "million"
            bench = Bench(desk, options.program, image)
            if what == "full":
                full(bench, options)
            elif what == "walk":
                walk(bench, options)
            elif what == "delta":
                delta(bench, options, 50000, small_files)
            else:
                delta(bench, options, 1000000, many_entries)
    finally:
        desk.close()


main()
