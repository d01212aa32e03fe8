//! Sources that fail, change underneath, or cannot do what is needed, and targets that are full.

use crate::desk::{Desk, instead_of, next_second, put, rsync, stream};
use crate::shell_host::{ShellHost, write_program};
use crate::support::skip;
use crate::torture::{self, pattern};
use ovz2lxc::error::{Error, Kind};
use ovz2lxc::host::{Command, Host};
use ovz2lxc::model::settings::EngineChoice;
use ovz2lxc::transfer::{Engine, Pass, StreamEngine, choose};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A tree with a few files, in a directory whose name a script can spell.
fn small_tree(test: &str) -> Option<Desk> {
    let mut desk = Desk::new(test)?;
    std::fs::rename(&desk.source, desk.temp.path().join("tree")).unwrap();
    desk.source = desk.temp.path().join("tree");
    for number in 0..20 {
        put(&desk.source, &format!("d/file-{number:02}"), pattern(20_000));
    }
    put(&desk.source, "victim", "victim");
    Some(desk)
}

fn all(error: &Error) -> String {
    error.chain().join(": ")
}

#[test]
fn what_vanishes_is_left_out_live_and_an_error_at_the_end() {
    let Some(mut desk) = small_tree("what_vanishes_is_left_out_live_and_an_error_at_the_end") else { return };
    instead_of(&mut desk, "tar", "rm -f tree/victim\nexec $real \"$@\"");
    let engine = stream();
    desk.copy(&engine, Pass::Live).unwrap();
    put(&desk.source, "victim", "again");
    let error = desk.copy(&engine, Pass::Final).unwrap_err();
    assert!(all(&error).contains("the top directory changed while it was copied"), "{error:?}");
    desk.host = ShellHost::default();
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after the failure", &[]);
}

#[test]
fn what_tar_cannot_find_is_fine_live_only() {
    let Some(mut desk) = small_tree("what_tar_cannot_find_is_fine_live_only") else { return };
    instead_of(&mut desk, "tar", "(cat; printf './ghost\\0') | $real \"$@\"");
    desk.copy(&stream(), Pass::Live).unwrap();
    let error = desk.copy(&stream(), Pass::Final).unwrap_err();
    assert!(all(&error).contains("ghost: Cannot stat: No such file"), "{error:?}");
}

#[test]
fn what_changes_while_it_is_sent_is_left_to_the_next_pass() {
    let Some(mut desk) = small_tree("what_changes_while_it_is_sent_is_left_to_the_next_pass") else { return };
    instead_of(&mut desk, "tar", "echo more >>tree/victim\nexec $real \"$@\"");
    let engine = stream();
    desk.copy(&engine, Pass::Live).unwrap();
    let error = desk.copy(&engine, Pass::Final).unwrap_err();
    assert!(all(&error).contains("victim changed while it was copied"), "{error:?}");
    assert!(error.first_hint().unwrap().contains("is it stopped?"));
    desk.host = ShellHost::default();
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after the change", &[]);
}

#[test]
fn tar_says_that_a_file_changed() {
    let Some(mut desk) = small_tree("tar_says_that_a_file_changed") else { return };
    instead_of(&mut desk, "tar", "$real \"$@\"\necho 'tar: ./victim: file changed as we read it' >&2\nexit 1");
    desk.copy(&stream(), Pass::Live).unwrap();
    let error = desk.copy(&stream(), Pass::Final).unwrap_err();
    assert!(all(&error).contains("file changed as we read it"), "{error:?}");
}

#[test]
fn a_member_without_its_change_time_is_not_taken_while_the_container_runs() {
    let test = "a_member_without_its_change_time_is_not_taken_while_the_container_runs";
    let Some(mut desk) = small_tree(test) else { return };
    instead_of(&mut desk, "tar", "exec $real \"$@\" --pax-option=delete=atime,delete=ctime");
    let engine = stream();
    desk.copy(&engine, Pass::Live).unwrap();
    assert!(!desk.target.join("victim").exists());
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after the stop", &[]);
}

/// What GNU tar does on a disk that fails: it says so, sends zeros for the rest, and ends with 2.
const READ_ERROR: &str = "$real \"$@\"
echo 'tar: ./victim: Read error at byte 0, while reading 6 bytes: Input/output error' >&2
echo 'tar: Exiting with failure status due to previous errors' >&2; exit 2";

#[test]
fn what_could_not_be_read_is_named_and_comes_with_the_next_pass() {
    let Some(mut desk) = small_tree("what_could_not_be_read_is_named_and_comes_with_the_next_pass") else { return };
    let engine = stream();
    next_second();
    instead_of(&mut desk, "tar", READ_ERROR);
    let stats = desk.copy(&engine, Pass::Live).unwrap();
    let finding = stats.findings.iter().find(|f| f.id == "copy-unreadable").unwrap();
    assert!(finding.subject == "victim" && finding.title.contains("Input/output error"), "{finding:?}");
    let error = desk.copy(&engine, Pass::Final).unwrap_err();
    assert!(all(&error).contains("./victim: Read error"), "{error:?}");
    // As tar would have left it: same size, same times, wrong content.
    let (target, mtime) = (desk.target.join("victim"), desk.target.join("victim").metadata().unwrap().modified());
    std::fs::write(&target, "\0\0\0\0\0\0").unwrap();
    std::fs::File::options().write(true).open(&target).unwrap().set_modified(mtime.unwrap()).unwrap();
    desk.host = ShellHost::default();
    let stats = desk.copy(&engine, Pass::Final).unwrap();
    // The file and its directory.
    assert_eq!(stats.files, 2);
    desk.assert_equal("after the disk was mended", &[]);
}

#[test]
fn what_tar_says_shrank_comes_with_the_next_pass() {
    let Some(mut desk) = small_tree("what_tar_says_shrank_comes_with_the_next_pass") else { return };
    // A block that cannot be read, in the middle of one of tar's reads, is all zeros from there, and told like this.
    put(&desk.source, "victim", "unread".repeat(3000));
    let said = "tar: ./victim: File shrank by 13904 bytes; padding with zeros";
    let zeros = r"s/unread/\x00\x00\x00\x00\x00\x00/g";
    next_second();
    // So much is said that nobody knows about what, or once.
    for times in [1000, 1] {
        let say = format!("yes '{said}' | head -{times} >&2");
        instead_of(&mut desk, "tar", &format!("$real \"$@\" | LC_ALL=C sed '{zeros}'\n{say}; exit 1"));
        let engine = stream();
        std::fs::write(desk.target.join("victim"), "").unwrap();
        let stats = desk.copy(&engine, Pass::Live).unwrap();
        // An operator who copies once hears of it.
        assert_eq!(
            stats.findings.iter().filter(|f| f.id == "copy-shrank").count(),
            usize::from(times == 1),
            "{stats:?}"
        );
        assert_eq!(std::fs::read(desk.target.join("victim")).unwrap(), [0; 18000]);
        let error = desk.copy(&stream(), Pass::Final).unwrap_err();
        assert!(all(&error).contains("File shrank by 13904 bytes"), "{error:?}");
        assert!(error.first_hint().unwrap().contains("look at the source's disk"), "{error:?}");
        desk.host = ShellHost::default();
        desk.copy(&engine, Pass::Final).unwrap();
        desk.assert_equal("after the disk was mended", &[]);
    }
}

/// An image mounted over a directory, as long as this lives.
struct Disk<'a> {
    image: &'a Path,
    at: &'a Path,
}

impl<'a> Disk<'a> {
    fn mount(image: &'a Path, at: &'a Path, options: &str) -> Option<Disk<'a>> {
        let mount = Command::write("mount").args(["-o", options]).arg(image).arg(at);
        ShellHost::default().run_ok(&mount).ok().map(|_| Disk { image, at })
    }

    /// Takes away what lies behind so many bytes: reading it is an error.
    fn fail_from(&self, length: u64) {
        std::fs::File::options().write(true).open(self.image).unwrap().set_len(length).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = ShellHost::default().run(&Command::write("umount").arg(self.at));
    }
}

#[test]
fn what_a_failing_disk_did_not_give_comes_when_it_does() {
    let test = "what_a_failing_disk_did_not_give_comes_when_it_does";
    let Some(desk) = Desk::new(test) else { return };
    let host = ShellHost::default();
    let (image, sound) = (desk.temp.path().join("disk"), desk.temp.path().join("sound"));
    std::fs::File::create(&image).unwrap().set_len(16 << 20).unwrap();
    host.run_ok(&Command::write("mkfs.ext4").args(["-q", "-b", "1024", "-O", "^has_journal"]).arg(&image)).unwrap();
    let Some(disk) = Disk::mount(&image, &desk.source, "loop") else {
        skip(test, "cannot make and mount a loop device");
        return;
    };
    put(&desk.source, "sound", pattern(100_000));
    put(&desk.source, "victim", pattern(300_000));
    drop(disk);
    next_second();
    std::fs::copy(&image, &sound).unwrap();
    let blocks = host.run_ok(&Command::read("debugfs").args(["-R", "blocks /victim"]).arg(&image)).unwrap().text();
    let blocks: Vec<u64> = blocks.split_whitespace().map(|block| block.parse().unwrap()).collect();
    assert!(blocks.windows(2).all(|pair| pair[0] < pair[1]), "{blocks:?}");

    let engine = stream();
    let disk = Disk::mount(&image, &desk.source, "loop,ro").unwrap();
    disk.fail_from(blocks[20] * 1024);
    if std::fs::read(desk.source.join("victim")).is_ok() {
        drop(disk);
        skip(test, "a loop device of this kernel gives zeros for what its file does not have");
        return;
    }
    let last = desk.copy(&stream(), Pass::Final).unwrap_err();
    let live = desk.copy(&engine, Pass::Live);
    drop(disk);
    assert!(all(&last).contains("./victim: "), "{last:?}");
    live.unwrap();
    // Whatever tar called it, the file has its length and its times, and not its content.
    assert!(std::fs::read(desk.target.join("victim")).unwrap().ends_with(&[0; 100_000]));
    std::fs::rename(&sound, &image).unwrap();
    let disk = Disk::mount(&image, &desk.source, "loop,ro").unwrap();
    let stats = desk.copy(&engine, Pass::Final);
    let equal = torture::differences(&desk.source, &desk.target, &[]);
    drop(disk);
    assert!(stats.is_ok() && equal.is_empty(), "{stats:?} {equal:?}");
}

#[test]
fn what_tar_could_not_read_is_an_error_when_nobody_knows_it() {
    let Some(mut desk) = small_tree("what_tar_could_not_read_is_an_error_when_nobody_knows_it") else { return };
    instead_of(&mut desk, "tar", "$real \"$@\"\necho 'tar: ./x: Read error at byte 0: Input/output error' >&2\nexit 2");
    let error = desk.copy(&stream(), Pass::Live).unwrap_err();
    assert!(all(&error).contains("could not read ./x: Read error at byte 0: Input/output error"), "{error:?}");
}

#[test]
fn what_find_could_not_read_is_an_error() {
    let Some(mut desk) = small_tree("what_find_could_not_read_is_an_error") else { return };
    instead_of(&mut desk, "find", "$real \"$@\"\necho 'find: ./x: Input/output error' >&2\nexit 1");
    let error = desk.copy(&stream(), Pass::Live).unwrap_err();
    assert!(all(&error).contains("Input/output error"), "{error:?}");
    instead_of(&mut desk, "find", "$real \"$@\"\necho \"find: './x': No such file or directory\" >&2\nexit 1");
    desk.copy(&stream(), Pass::Live).unwrap();
    assert!(desk.copy(&stream(), Pass::Final).is_err());
}

#[test]
fn a_stream_that_stops_is_never_a_copy() {
    let Some(mut desk) = small_tree("a_stream_that_stops_is_never_a_copy") else { return };
    for pass in [Pass::Live, Pass::Final] {
        for (what, script) in [
            ("cut in a file", "$real \"$@\" | head -c 100000"),
            ("without its end", "$real \"$@\" --blocking-factor=1 >whole; head -c -1024 whole"),
            ("killed", "($real \"$@\" | head -c 150000); kill -9 $$"),
            ("empty", "exit 0"),
        ] {
            instead_of(&mut desk, "tar", script);
            let engine = stream();
            let error = desk.copy(&engine, pass).unwrap_err();
            assert!(all(&error).contains("the archive ends in the middle"), "{what}: {error:?}");
            // Nothing of the failed pass is trusted.
            desk.host = ShellHost::default();
            desk.copy(&engine, Pass::Final).unwrap();
            desk.assert_equal(what, &[]);
        }
    }
}

#[test]
fn a_failure_in_between_does_not_spoil_the_index() {
    let Some(mut desk) = small_tree("a_failure_in_between_does_not_spoil_the_index") else { return };
    let engine = stream();
    next_second();
    desk.copy(&engine, Pass::Live).unwrap();
    for number in 0..20 {
        put(&desk.source, &format!("d/file-{number:02}"), pattern(20_001));
    }
    instead_of(&mut desk, "tar", "$real \"$@\" | head -c 100000");
    desk.copy(&engine, Pass::Final).unwrap_err();
    desk.host = ShellHost::default();
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after the failure", &[]);
}

#[test]
fn a_lost_entry_is_an_error_at_the_end() {
    let Some(mut desk) = small_tree("a_lost_entry_is_an_error_at_the_end") else { return };
    // A tar that leaves something out and says nothing.
    instead_of(&mut desk, "tar", "tr '\\0' '\\n' | grep -v victim | tr '\\n' '\\0' | $real \"$@\"");
    desk.copy(&stream(), Pass::Live).unwrap();
    let error = desk.copy(&stream(), Pass::Final).unwrap_err();
    assert!(all(&error).contains("1 entries did not arrive, the first of them victim"), "{error:?}");
}

#[test]
fn a_container_cannot_make_the_nodes_files_arrive() {
    let Some(mut desk) = small_tree("a_container_cannot_make_the_nodes_files_arrive") else { return };
    put(&desk.source, "d/shadow", "0123456789");
    // A change time has the grain of a clock tick; the node's file is not of this very moment.
    next_second();
    put(desk.temp.path(), "node/shadow", "NODESECRET");
    // Between the index and the stream, a directory becomes a link to the node's.
    instead_of(&mut desk, "tar", "mv tree/d tree/moved\nln -s ../node tree/d\nexec $real \"$@\"");
    desk.copy(&stream(), Pass::Live).unwrap();
    let secret = |path: &Path| std::fs::read(path).is_ok_and(|c| c == b"NODESECRET");
    assert!(!secret(&desk.target.join("d/shadow")));
    desk.host = ShellHost::default();
    desk.copy(&stream(), Pass::Final).unwrap();
    desk.assert_equal("after the swap", &[]);
}

#[test]
fn a_stop_ends_a_copy_that_hangs_and_what_it_started() {
    for name in ["tar", "find", "rsync"] {
        let Some(mut desk) = small_tree("a_stop_ends_a_copy_that_hangs_and_what_it_started") else { return };
        instead_of(&mut desk, name, "echo $$ >pid\nexec sleep 1000");
        let engine: Box<dyn Engine> = match name {
            "rsync" => {
                let local: Arc<dyn Host> = Arc::new(desk.host.clone());
                Box::new(ovz2lxc::transfer::RsyncEngine::new(local))
            }
            _ => Box::new(stream()),
        };
        let pid = desk.temp.path().join("pid");
        let cancel = desk.cancel.clone();
        let seen = pid.clone();
        let stopper = std::thread::spawn(move || {
            let begun = Instant::now();
            while !seen.exists() && begun.elapsed() < Duration::from_secs(60) {
                std::thread::sleep(Duration::from_millis(20));
            }
            cancel.set();
        });
        let error = desk.copy(engine.as_ref(), Pass::Live).unwrap_err();
        stopper.join().unwrap();
        assert_eq!(error.kind(), Kind::Interrupted, "{name}: {error:?}");
        let pid = std::fs::read_to_string(pid).unwrap();
        let begun = Instant::now();
        while PathBuf::from(format!("/proc/{}/fd", pid.trim())).read_dir().is_ok_and(|mut d| d.next().is_some()) {
            assert!(begun.elapsed() < Duration::from_secs(30), "{name} {pid} still runs");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A small file system in a file, mounted as long as this lives.
struct SmallVolume {
    host: ShellHost,
    mount: PathBuf,
}

impl SmallVolume {
    fn new(dir: &Path) -> Option<SmallVolume> {
        let host = ShellHost::default();
        let (image, mount) = (dir.join("small.img"), dir.join("small"));
        std::fs::File::create(&image).unwrap().set_len(8 << 20).unwrap();
        std::fs::create_dir(&mount).unwrap();
        host.run_ok(&Command::write("mkfs.ext4").arg("-q").arg(&image)).ok()?;
        host.run_ok(&Command::write("mount").args(["-o", "loop"]).arg(&image).arg(&mount)).ok()?;
        Some(SmallVolume { host, mount })
    }
}

impl Drop for SmallVolume {
    fn drop(&mut self) {
        let _ = self.host.run(&Command::write("umount").arg(&self.mount));
    }
}

#[test]
fn a_full_target_is_named_with_the_entry() {
    for engine in [&stream() as &dyn Engine, &rsync()] {
        let test = "a_full_target_is_named_with_the_entry";
        let Some(mut desk) = small_tree(test) else { return };
        put(&desk.source, "much/too-large", pattern(12 << 20));
        let Some(volume) = SmallVolume::new(desk.temp.path()) else {
            skip(test, "cannot make and mount a loop device");
            return;
        };
        desk.target.clone_from(&volume.mount);
        let error = desk.copy(engine, Pass::Live).unwrap_err();
        assert!(all(&error).contains("too-large") && all(&error).contains("No space left"), "{error:?}");
        assert!(error.first_hint().unwrap().contains("--size"), "{error:?}");
        desk.target = desk.temp.path().join("target");
    }
}

#[test]
fn a_target_that_three_streams_fill_is_not_complete() {
    let test = "a_target_that_three_streams_fill_is_not_complete";
    let Some(mut desk) = small_tree(test) else { return };
    let Some(volume) = SmallVolume::new(desk.temp.path()) else {
        skip(test, "cannot make and mount a loop device");
        return;
    };
    desk.target.clone_from(&volume.mount);
    std::fs::remove_dir(desk.target.join("lost+found")).unwrap();
    desk.excludes = vec!["reserve".into()];
    desk.tuning.streams = Some(3.try_into().unwrap());
    let file = desk.temp.path().join("index");
    let engine = || StreamEngine::with_index_file(&file).unsure_for(Duration::ZERO);
    next_second();
    desk.copy(&engine(), Pass::Final).unwrap();
    // A pass that ended well is believed: what is missing since then is not seen.
    std::fs::write(desk.target.join("victim"), "VICTIM").unwrap();
    desk.copy(&engine(), Pass::Final).unwrap();
    assert_eq!(std::fs::read(desk.target.join("victim")).unwrap(), b"VICTIM");

    for pass in [Pass::Live, Pass::Final] {
        put(&volume.mount, "reserve", pattern(1 << 20));
        for number in 0..9 {
            put(&desk.source, &format!("d/file-{number:02}"), pattern(1_500_000));
        }
        // Whoever fails first ends the others: not before they are all at work.
        let all_at_work = "i=0; until [ $(wc -l <pids) -ge 3 ] || [ $i -ge 300 ]; do sleep 0.1; i=$((i + 1)); done";
        instead_of(&mut desk, "tar", &format!("echo $$ >>pids\n{all_at_work}\nexec $real \"$@\""));
        let begun = Instant::now();
        let error = desk.copy(&engine(), pass).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
        let text = all(&error);
        let target = desk.target.display().to_string();
        assert!(text.contains(&target) && text.contains("d/file-0") && text.contains("No space left"), "{text}");
        assert!(error.first_hint().unwrap().contains("--size"), "{error:?}");
        let pids = std::fs::read_to_string(desk.temp.path().join("pids")).unwrap();
        assert!(pids.lines().count() >= 3, "{pids}");
        for pid in pids.lines() {
            let open = PathBuf::from(format!("/proc/{pid}/fd")).read_dir();
            assert!(!open.is_ok_and(|mut fds| fds.next().is_some()), "tar {pid} still runs");
        }
        std::fs::remove_file(desk.temp.path().join("pids")).unwrap();
        // Someone makes room: what the failed pass left is anything from a few blocks to some whole files.
        std::fs::remove_file(volume.mount.join("reserve")).unwrap();
        volume.host.run_ok(&Command::write("sync").arg("-f").arg(&volume.mount)).unwrap();
        // The pass is known to have been interrupted, so the next one looks at the target and mends it.
        std::fs::write(desk.target.join("victim"), "VICTIM").unwrap();
        (0..9).for_each(|number| put(&desk.source, &format!("d/file-{number:02}"), pattern(20_000)));
        desk.host = ShellHost::default();
        desk.copy(&engine(), Pass::Final).unwrap();
        desk.assert_equal("after the volume was full", &[]);
    }
}

/// An image on a file system that is smaller than the image says: what does not fit is an error only when it is written.
struct PromisingVolume {
    host: ShellHost,
    below: PathBuf,
    mount: PathBuf,
    device: String,
}

impl PromisingVolume {
    fn new(dir: &Path) -> Option<PromisingVolume> {
        let host = ShellHost::default();
        let (below, mount) = (dir.join("below"), dir.join("promising"));
        std::fs::create_dir(&below).unwrap();
        std::fs::create_dir(&mount).unwrap();
        let run = |words: &[&str], paths: &[&Path]| {
            host.run_ok(&Command::write(words[0]).args(&words[1..]).args(paths)).map(|output| output.text())
        };
        run(&["mount", "-t", "tmpfs", "-o", "size=40m", "none"], &[&below]).ok()?;
        let mut volume = PromisingVolume { host: ShellHost::default(), below, mount, device: String::new() };
        let image = volume.below.join("image");
        std::fs::File::create(&image).unwrap().set_len(400 << 20).unwrap();
        // Without a journal: with one, ext4 takes nothing more after the first error, and nothing is left to be forgotten.
        run(&["mkfs.ext4", "-q", "-O", "^has_journal", "-E", "nodiscard"], &[&image]).ok()?;
        volume.device = run(&["losetup", "--find", "--show"], &[&image]).ok()?.trim().to_owned();
        run(&["mount"], &[Path::new(&volume.device), &volume.mount]).ok()?;
        Some(volume)
    }
}

impl Drop for PromisingVolume {
    fn drop(&mut self) {
        let _ = self.host.run(&Command::write("umount").arg(&self.mount));
        let _ = self.host.run(&Command::write("losetup").arg("--detach").arg(&self.device));
        let _ = self.host.run(&Command::write("umount").arg(&self.below));
    }
}

#[test]
fn what_the_disk_did_not_take_on_the_way_is_not_forgotten_at_the_end() {
    let test = "what_the_disk_did_not_take_on_the_way_is_not_forgotten_at_the_end";
    let Some(mut desk) = small_tree(test) else { return };
    let Some(volume) = PromisingVolume::new(desk.temp.path()) else {
        skip(test, "cannot make and mount a loop device");
        return;
    };
    desk.target.clone_from(&volume.mount);
    put(&desk.source, "large", pattern(90 << 20));
    // Waits until what came first was written, and the error is over; what comes then fits.
    let name = Path::new(&volume.device).file_name().unwrap().to_str().unwrap();
    instead_of(
        &mut desk,
        "tar",
        &format!(
            "written() {{ awk '{{ print $7 }}' /sys/block/{name}/stat; }}\nbefore=$(written)\n\
             $real \"$@\" | {{ head -c 75000000; i=0\n\
             while [ $(($(written) - before)) -lt 60000 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done\n\
             i=0; while [ $(df --output=avail '{0}' | tail -1) -gt 0 ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i + 1)); done\n\
             sleep 1; mount -o remount,size=400m '{0}'; cat; }}",
            volume.below.display()
        ),
    );
    let error = desk.copy(&stream(), Pass::Final).unwrap_err();
    assert!(all(&error).contains("to its disk: Input/output error"), "{error:?}");
    desk.target = desk.temp.path().join("target");
}

#[test]
fn rsync_vanishing_is_fine_live_only_and_trouble_never() {
    let Some(mut desk) = small_tree("rsync_vanishing_is_fine_live_only_and_trouble_never") else { return };
    for (status, live, last) in [(24, true, false), (23, false, false), (12, false, false)] {
        instead_of(&mut desk, "rsync", &format!("$real \"$@\"\nexit {status}"));
        let local: Arc<dyn Host> = Arc::new(desk.host.clone());
        let engine = ovz2lxc::transfer::RsyncEngine::new(local);
        assert_eq!(desk.copy(&engine, Pass::Live).is_ok(), live, "{status}");
        assert_eq!(desk.copy(&engine, Pass::Final).is_ok(), last, "{status}");
    }
}

#[test]
fn an_engine_is_chosen_by_what_the_source_can_do() {
    let Some(desk) = small_tree("an_engine_is_chosen_by_what_the_source_can_do") else { return };
    let local: Arc<dyn Host> = Arc::new(ShellHost::default());
    let dir = desk.temp.path().join("old-node");
    std::fs::create_dir(&dir).unwrap();
    let old = ShellHost { path: Some(dir.clone().into()), ..ShellHost::default() };
    let chosen = |choice, host: &ShellHost| choose(choice, host, &local, None).map(|c| (c.engine.name(), c.why));

    let (name, why) = chosen(EngineChoice::Auto, &ShellHost::default()).unwrap();
    assert_eq!((name, why.as_str()), ("stream", "tar and find of shell can do what it needs"));

    write_program(&dir.join("find"), "echo 'find (GNU findutils) 4.2.27'");
    write_program(&dir.join("rsync"), "echo 'rsync  version 3.0.6  protocol version 30'");
    for (tar, lacks) in [
        ("echo 'BusyBox v1.19 (2012)'", "its tar is not GNU tar"),
        ("case $1 in --version) echo 'tar (GNU tar) 1.15.1';; *) echo ' --null --format --sparse';; esac", "--xattrs"),
    ] {
        write_program(&dir.join("tar"), tar);
        let (name, why) = chosen(EngineChoice::Auto, &old).unwrap();
        assert_eq!(name, "rsync");
        assert!(why.contains(lacks), "{why}");
        let error = chosen(EngineChoice::Stream, &old).unwrap_err();
        assert!(all(&error).contains(lacks), "{error:?}");
        assert_eq!(error.first_hint(), Some("copy with --engine rsync"));
    }
    assert_eq!(chosen(EngineChoice::Rsync, &old).unwrap().0, "rsync");

    std::fs::remove_file(dir.join("rsync")).unwrap();
    for choice in [EngineChoice::Rsync, EngineChoice::Auto] {
        let error = chosen(choice, &old).unwrap_err();
        assert!(all(&error).contains("the rsync engine needs rsync on shell"), "{error:?}");
    }
    let hint = chosen(EngineChoice::Rsync, &old).unwrap_err();
    assert!(hint.first_hint().unwrap().starts_with("install rsync on shell"));
}

#[test]
fn an_attribute_nobody_needs_is_reported_and_not_lost_in_silence() {
    let Some(mut desk) = small_tree("an_attribute_nobody_needs_is_reported_and_not_lost_in_silence") else { return };
    // As a Btrfs source would send it: ext4 knows no such attribute.
    put(desk.temp.path(), "tool.py", FAKE_ATTRIBUTE);
    if desk.host.run(&Command::read("python3").arg("--version")).is_ok_and(|o| o.status != 0) {
        skip("an_attribute_nobody_needs_is_reported_and_not_lost_in_silence", "needs python3");
        return;
    }
    instead_of(&mut desk, "tar", "$real \"$@\" | python3 tool.py");
    let stats = desk.copy(&stream(), Pass::Live).unwrap();
    let finding = stats.findings.iter().find(|f| f.id == "copy-attribute-refused").unwrap();
    assert_eq!(finding.subject, "btrfs.compression");
    assert!(finding.detail.contains("victim"), "{finding:?}");
    assert!(torture::differences(&desk.source, &desk.target, &[]).is_empty());
}

/// Adds `btrfs.compression=zlib` to the records of `./victim`, which is the last member.
const FAKE_ATTRIBUTE: &str = r#"
import sys, tarfile, io
data = sys.stdin.buffer.read()
source = tarfile.open(fileobj=io.BytesIO(data))
out = tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT)
for member in source:
    content = source.extractfile(member) if member.isreg() else None
    if member.name == "./victim":
        member.pax_headers["SCHILY.xattr.btrfs.compression"] = "zlib"
    out.addfile(member, content)
out.close()
"#;
