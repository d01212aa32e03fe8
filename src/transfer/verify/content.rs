//! Compares what is in the files: checksums that both sides compute at the same time.

use super::Tally;
use super::walk::note;
use crate::error::{Doing, Error, Result};
use crate::host::Command;
use crate::rootfs::attributes::shown;
use crate::rootfs::write::Parents;
use crate::transfer::Job;
use crate::transfer::by_name::{LONGEST_PATH, list, script};
use crate::transfer::index::Index;
use crate::transfer::meter::Meter;
use crate::transfer::running::watch;
use rustix::fs::{Mode, OFlags};
use sha1::Digest;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

/// More threads than this read more than a disk gives.
const MOST: usize = 8;

/// A checksum, cut to what tells two files apart.
type Sum = [u8; 20];

/// The programs in the order of their speed, where the source has them; then how many processors it has.
const PROBE: &str = "for p in sha1sum sha256sum; do command -v $p >/dev/null 2>&1 && { echo $p; break; }; done
getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1";

/// `$2` is the program, `$3` whether the source's other work goes first.
const SUMS: &str = r#"nice=
[ "$3" = full ] || { nice="nice -n 19"; command -v ionice >/dev/null 2>&1 && nice="$nice ionice -c3"; }
cd "$1" && exec $nice xargs -0 "$2""#;

/// For names with a line end or a backslash, which every version writes in its own way: a line a file, in their order.
const ODD_SUMS: &str = r#"cd "$1" && exec xargs -0 -n 1 sh -c '"$0" < "$1" || echo unreadable' "$2""#;

/// What stands for the checksum of a file that cannot be read.
const UNREADABLE: Sum = [0; 20];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha1,
    Sha256,
}

impl Algorithm {
    fn program(self) -> &'static str {
        match self {
            Algorithm::Sha1 => "sha1sum",
            Algorithm::Sha256 => "sha256sum",
        }
    }
}

/// Compares the content of these entries, files that have the same size on both sides.
pub(super) fn compare(
    job: &Job<'_>,
    index: &Index,
    positions: &[usize],
    tally: &mut Tally<'_>,
    meter: &mut Meter<'_>,
) -> Result<()> {
    let mut files: Vec<usize> = positions.iter().copied().filter(|i| index.path(*i).len() <= LONGEST_PATH).collect();
    files.sort_unstable_by_key(|i| index.entry(*i).inode); // the order of the disk
    let (algorithm, cores) = probe(job)?;
    let total: u64 = files.iter().map(|i| index.entry(*i).size).sum();
    (meter.bytes, meter.total) = (0, Some((meter.files, total)));
    let ours = Ours { job, index, files: &files, algorithm, next: AtomicUsize::new(0), read: AtomicU64::new(0) };
    let (there, here) = std::thread::scope(|scope| {
        let lists = lists(index, &files, cores);
        let there: Vec<_> =
            lists.into_iter().map(|files| scope.spawn(move || sums_there(job, index, files, algorithm))).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        let here: Vec<_> = (0..threads).map(|_| scope.spawn(|| ours.work())).collect();
        while here.iter().any(|thread| !thread.is_finished()) || there.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(20));
            meter.bytes = ours.read.load(Ordering::Relaxed);
            meter.tick();
        }
        (joined(there), joined(here))
    });
    let (mut there, mut here) = (there?, here?);
    there.sort_unstable();
    here.sort_unstable();
    let mut parents = Parents::new(job.target)?;
    for ((position, there), (other, here)) in there.iter().zip(&here) {
        if position != other {
            return Err(Error::new("the checksums of both sides are not about the same files"));
        }
        let what = match (*there == UNREADABLE, *here == UNREADABLE) {
            _ if there == here && *there != UNREADABLE => continue,
            (true, _) => "cannot be read on the source",
            (_, true) => "cannot be read here",
            _ => "other content",
        };
        note(&mut parents, index, *position, what.to_owned(), tally);
    }
    if there.len() != files.len() || here.len() != files.len() {
        return Err(Error::new(format!("{} and {} checksums for {} files", there.len(), here.len(), files.len())));
    }
    tally.verified.content_files = files.len() as u64;
    tally.verified.content_bytes = total;
    Ok(())
}

fn joined<T>(threads: Vec<std::thread::ScopedJoinHandle<'_, Result<Vec<T>>>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    for thread in threads {
        let part = thread.join().unwrap_or_else(|_| Err(Error::new("a thread that computes checksums broke down")));
        all.extend(part?);
    }
    Ok(all)
}

fn probe(job: &Job<'_>) -> Result<(Algorithm, usize)> {
    let command = Command::read("sh").args(["-c", PROBE]).timeout(Duration::from_secs(60));
    let text = job.source.run_ok(&command)?.text();
    let mut words = text.split_whitespace();
    let algorithm = match words.next() {
        Some("sha1sum") => Algorithm::Sha1,
        Some("sha256sum") => Algorithm::Sha256,
        _ => {
            return Err(Error::new(format!("{} has no sha1sum and no sha256sum", job.source.label()))
                .hint("compare with --verify metadata"));
        }
    };
    let cores = words.next().and_then(|n| n.parse().ok()).unwrap_or(1);
    Ok((algorithm, usize::clamp(cores, 1, MOST)))
}

/// Deals the files out: runs of neighbours on the disk, of about the same size.
fn lists(index: &Index, files: &[usize], count: usize) -> Vec<Vec<usize>> {
    let weight = |i: &usize| index.entry(*i).size + (16 << 10);
    let total: u64 = files.iter().map(weight).sum();
    let mut lists = vec![Vec::new(); count];
    let mut before = 0;
    for file in files {
        let list = usize::try_from(before * count as u64 / total.max(1)).unwrap_or_default();
        lists[list.min(count - 1)].push(*file);
        before += weight(file);
    }
    lists.retain(|list| !list.is_empty());
    lists
}

fn sums_there(job: &Job<'_>, index: &Index, files: Vec<usize>, algorithm: Algorithm) -> Result<Vec<(usize, Sum)>> {
    let doing = || format!("computing checksums on {}", job.source.label());
    let (plain, odd): (Vec<usize>, Vec<usize>) = files.into_iter().partition(|i| is_plain(&index.path(*i)));
    let mut all = Vec::new();
    for (files, text) in [(plain, SUMS), (odd, ODD_SUMS)] {
        if files.is_empty() {
            continue;
        }
        let command = script(job, text).arg(algorithm.program());
        let command = command.arg(if job.tuning.full_speed { "full" } else { "low" });
        let feed = list(files.iter().map(|i| index.path(*i)));
        let ended = watch(job.source, &command, job.cancel, Some(&feed), |output| {
            let output = BufReader::new(output);
            if text == SUMS { read_sums(output, index, &files, algorithm) } else { read_odd(output, &files, algorithm) }
        })
        .doing(doing)?;
        if !matches!(ended.output.status, 0 | 123) {
            ended.output.ok(&command, job.source.label()).doing(doing)?;
        }
        all.extend(ended.result.doing(doing)?);
    }
    Ok(all)
}

/// Names that every version writes as they are.
fn is_plain(path: &[u8]) -> bool {
    !path.iter().any(|b| matches!(b, b'\n' | b'\r' | b'\\'))
}

fn read_odd(input: impl BufRead, files: &[usize], algorithm: Algorithm) -> Result<Vec<(usize, Sum)>> {
    let mut sums = Vec::with_capacity(files.len());
    for (line, position) in input.take(128 * files.len() as u64).split(b'\n').zip(files) {
        sums.push((*position, line_sum(&line?, algorithm).map_or(UNREADABLE, |(sum, _)| sum)));
    }
    Ok(sums)
}

/// Reads `CHECKSUM  ./NAME` lines; a file that is passed over could not be read.
fn read_sums(
    mut input: impl BufRead,
    index: &Index,
    files: &[usize],
    algorithm: Algorithm,
) -> Result<Vec<(usize, Sum)>> {
    let mut sums = Vec::with_capacity(files.len());
    let mut rest = files.iter();
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(8192).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        let strange = || Error::new(format!("it says {:?}", shown(&line)));
        let (sum, name) = line_sum(&line, algorithm).ok_or_else(strange)?;
        let name = name.strip_prefix(b"./").and_then(|n| n.strip_suffix(b"\n")).ok_or_else(strange)?;
        loop {
            let position = rest.next().ok_or_else(strange)?;
            if index.path(*position) == name {
                sums.push((*position, sum));
                break;
            }
            sums.push((*position, UNREADABLE));
        }
    }
    sums.extend(rest.map(|position| (*position, UNREADABLE)));
    Ok(sums)
}

/// Splits a line into checksum and name.
fn line_sum(line: &[u8], algorithm: Algorithm) -> Option<(Sum, &[u8])> {
    let length = match algorithm {
        Algorithm::Sha1 => 40,
        Algorithm::Sha256 => 64,
    };
    let text = std::str::from_utf8(line.get(..length)?).ok()?;
    let mut sum = UNREADABLE;
    for (byte, at) in sum.iter_mut().zip((0..length).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    let rest = line.get(length..)?;
    Some((sum, rest.strip_prefix(b"  ").or_else(|| rest.strip_prefix(b" *"))?))
}

/// What the threads on this host share.
struct Ours<'a> {
    job: &'a Job<'a>,
    index: &'a Index,
    files: &'a [usize],
    algorithm: Algorithm,
    next: AtomicUsize,
    read: AtomicU64,
}

impl Ours<'_> {
    fn work(&self) -> Result<Vec<(usize, Sum)>> {
        let mut parents = Parents::new(self.job.target)?;
        let mut buffer = vec![0; 256 << 10];
        let mut sums = Vec::new();
        while let Some(position) = self.files.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            let path = self.index.path(*position);
            // What cannot be read is a difference, with its name; a request to stop is not.
            let sum = self.sum(&mut parents, &path, &mut buffer);
            self.job.cancel.check()?;
            sums.push((*position, sum.unwrap_or(UNREADABLE)));
        }
        Ok(sums)
    }

    fn sum(&self, parents: &mut Parents, path: &[u8], buffer: &mut [u8]) -> Result<Sum> {
        let place = parents.place(path, false)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOATIME;
        let mut file = File::from(rustix::fs::openat(place.dir, place.name, flags, Mode::empty())?);
        match self.algorithm {
            Algorithm::Sha1 => self.digest::<sha1::Sha1>(&mut file, buffer),
            Algorithm::Sha256 => self.digest::<sha2::Sha256>(&mut file, buffer),
        }
    }

    fn digest<D: Digest>(&self, file: &mut File, buffer: &mut [u8]) -> Result<Sum> {
        let mut digest = D::new();
        loop {
            self.job.cancel.check()?;
            let n = file.read(buffer)?;
            if n == 0 {
                let mut sum = UNREADABLE;
                sum.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
                return Ok(sum);
            }
            digest.update(&buffer[..n]);
            self.read.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::exclude::Excludes;
    use crate::transfer::listing;

    #[test]
    fn a_file_that_could_not_be_read_is_passed_over() {
        let tree =
            "d 755 0 0 1 8 1.5 2.5 3 10\0\0\0f 644 1 2 3 8 1.0 2.0 1 11\0a\0\0f 644 1 2 3 8 1.0 2.0 1 12\0b c\0\0";
        let index = listing::read(tree.as_bytes(), &Excludes::default(), |_| Ok(())).unwrap();
        let sum = "00112233445566778899aabbccddeeff00112233";
        let read = |text: &str| read_sums(text.as_bytes(), &index, &[1, 2], Algorithm::Sha1);
        let sums = read(&format!("{sum}  ./b c\n")).unwrap();
        assert_eq!((sums[0], sums[1].0), ((1, UNREADABLE), 2));
        assert_eq!(sums[1].1[..3], [0, 0x11, 0x22]);
        assert_eq!(read("").unwrap(), [(1, UNREADABLE), (2, UNREADABLE)]);
        for bad in ["nonsense\n", &format!("{sum}  ./other\n"), &format!("\\{sum}  ./b c\n")] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let odd = read_odd(format!("unreadable\n{sum}  -\n").as_bytes(), &[1, 2], Algorithm::Sha1).unwrap();
        assert_eq!(odd, [(1, UNREADABLE), (2, sums[1].1)]);
    }
}
