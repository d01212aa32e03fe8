//! The streams of a pass: one `tar` each, over a session of its own. What a lost connection did not bring is asked for
//! again; what goes over a slow link is compressed.

use super::archive::{Archive, TRUNCATED};
use super::extract::{Extractor, member_path};
use super::parcels::{Parcels, WORTH};
use super::receive::Copy;
use super::remote::{NO_COMPRESSOR, plain_tar, tar_command};
use super::running::{joined, watch_until};
use super::squeeze::{Gauge, Squeeze};
use super::trouble::{Bad, Verdict, complaints, judge};
use super::wire::{Bucket, Tally, open};
use super::{Pass, by_name};
use crate::error::{Error, Result};
use crate::host::{Host, LOST};
use crate::model::finding::Finding;
use crate::model::settings::Compress;
use crate::rootfs::attributes::shown;
use std::collections::{BTreeSet, HashSet};
use std::io::BufRead;
use std::mem::take;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

/// How often a stream connects again without that anything comes.
const TRIES: u32 = 5;
/// Streams that nobody asked for, at most: from there on they are in each other's way.
const MOST_STREAMS: u64 = 4;
/// How often a request to stop is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// The error of a stream that ends because another one failed.
const STOPPED: &str = "another stream failed";
/// What is asked for again goes in parts of this many bytes at least.
const LEAST_AT_ONCE: u64 = 1 << 20;
/// Names of the list that a member may be ahead; tar leaves out what is gone.
const AHEAD: usize = 1000;

/// Names for one `tar`: positions in the index and, in the same order, what its standard input is.
struct List {
    positions: Vec<usize>,
    names: Vec<u8>,
    recursive: bool,
}

/// What the streams of a pass share beside the copy itself.
struct Share<'a> {
    parcels: Mutex<Parcels>,
    bucket: Option<&'a Bucket>,
    squeeze: Squeeze,
    stop: AtomicBool,
}

impl Copy<'_> {
    /// Receives the entries at `wanted`, and everything below `tops`, whose paths are too long for a list. Returns the
    /// extractor with what is left for the end.
    pub(super) fn streams(&self, wanted: &[usize], tops: &BTreeSet<Vec<u8>>) -> Result<Extractor> {
        let mut parcels = Parcels::new(self.index, wanted.iter().copied());
        let count = self.count(&parcels);
        parcels.share_among(count, self.job.tuning.streams.is_some());
        let bucket = self.job.tuning.bwlimit.map(|limit| Bucket::new(limit.0));
        let share = Share {
            parcels: Mutex::new(parcels),
            bucket: bucket.as_ref(),
            squeeze: Squeeze::new(self.job.tuning.compress),
            stop: AtomicBool::new(false),
        };
        let mut extractor = Extractor::new(self.job.target)?;
        thread::scope(|scope| {
            let (at_work, over) = mpsc::channel::<()>();
            let stop = |_: &Error| share.stop.store(true, Ordering::Relaxed);
            let write = move || self.write_back(&over).map(|()| None).inspect_err(stop);
            let writer = self.to_disk.then(|| scope.spawn(write));
            let others = (1..count).map(|_| scope.spawn(|| self.another_stream(&share).map(Some)));
            let others: Vec<_> = others.collect();
            let mut result = self.stream(self.job.source, &share, &mut extractor);
            drop(at_work);
            for other in others.into_iter().chain(writer) {
                let other = other.join().unwrap_or_else(|_| Err(Error::new("a stream broke down")));
                match (other, &result) {
                    (Ok(Some(other)), Ok(())) => extractor.absorb(other),
                    // What was stopped because of another's failure is not the reason.
                    (Err(e), Ok(())) => result = Err(e),
                    (Err(e), Err(first)) if is_stopped(first) => result = Err(e),
                    _ => {}
                }
            }
            result
        })?;
        let names = by_name::list(tops.iter().cloned());
        if !names.is_empty() {
            let list = List { positions: Vec::new(), names, recursive: true };
            self.deliver(self.job.source, &share, &mut extractor, list)?;
        }
        Ok(extractor)
    }

    fn count(&self, parcels: &Parcels) -> u64 {
        if let Some(asked) = self.job.tuning.streams {
            return u64::from(asked.get());
        }
        let worth = parcels.worth(MOST_STREAMS);
        // A stream keeps about two cores busy on each side: one with SSH, the other with the files.
        let here = thread::available_parallelism().map_or(1, |n| n.get() as u64);
        worth.min((here.min(self.cores) / 2).max(1))
    }

    fn another_stream(&self, share: &Share<'_>) -> Result<Extractor> {
        let mut extractor = Extractor::new(self.job.target)?;
        let host = match self.job.source.another() {
            Ok(host) => host,
            Err(e) => {
                // The others carry its part.
                tracing::warn!("no further stream from {}: {}", self.job.source.label(), e.chain().join(": "));
                return Ok(extractor);
            }
        };
        self.stream(host.as_ref(), share, &mut extractor)?;
        Ok(extractor)
    }

    /// Takes parcels until none is left.
    fn stream(&self, host: &dyn Host, share: &Share<'_>, extractor: &mut Extractor) -> Result<()> {
        let next = || share.parcels.lock().unwrap_or_else(PoisonError::into_inner).take();
        while let Some(positions) = next() {
            let list = List { names: self.names_of(&positions), positions, recursive: false };
            self.deliver(host, share, extractor, list).inspect_err(|_| share.stop.store(true, Ordering::Relaxed))?;
        }
        Ok(())
    }

    /// Receives one list. A lost connection is made again, with growing pauses, and what did not come asked for again.
    fn deliver(&self, host: &dyn Host, share: &Share<'_>, extractor: &mut Extractor, mut list: List) -> Result<()> {
        let (mut own, mut tries, mut at_once): (Option<Box<dyn Host>>, u32, u64) = (None, 0, WORTH);
        let mut part: Option<List> = None;
        while !list.names.is_empty() {
            let (before, mut so_far) = (self.meter().files, SoFar::default());
            let now = part.as_ref().unwrap_or(&list);
            match self.run(own.as_deref().unwrap_or(host), share, extractor, now, &mut so_far) {
                Ok(Ended::Complete) => match part {
                    None => return Ok(()),
                    Some(part) => {
                        (tries, at_once) = (0, WORTH.min(at_once * 2));
                        let over: HashSet<usize> = part.positions.into_iter().collect();
                        list.positions.retain(|i| !over.contains(i));
                    }
                },
                Ok(Ended::Otherwise) => {}
                Err(e) if e.chain().iter().any(|line| line == LOST) => {
                    if so_far.bytes > 0 {
                        at_once = at_once.min(so_far.bytes / 2).max(LEAST_AT_ONCE);
                    }
                    tries = if self.meter().files > before { 1 } else { tries + 1 };
                    if tries > TRIES {
                        return Err(Error::new(format!("no connection after {TRIES} more attempts")).because(e));
                    }
                    self.pause(share, self.patience * 2u32.pow(tries - 1))?;
                    tracing::warn!("connecting again: {}", e.chain().join(": "));
                    // Where this fails, the next attempt to run something fails too, and counts.
                    own = self.job.source.another().ok().or(own);
                }
                Err(e) => return Err(e),
            }
            part = None;
            if !list.recursive {
                list.positions.retain(|i| !self.came(*i));
                part = self.asked_again(&list, at_once);
                if part.is_none() {
                    list.names = self.names_of(&list.positions);
                }
            }
        }
        Ok(())
    }

    /// Returns what is asked for again, which goes before the rest of a list: so little, in bytes, that the end of its tar is
    /// heard before the connection is lost again.
    fn asked_again(&self, list: &List, at_once: u64) -> Option<List> {
        let again = list.positions.iter().copied().filter(|i| self.is_asked_again(*i));
        let positions = Parcels::beginning(self.index, again, at_once);
        (!positions.is_empty()).then(|| List { names: self.names_of(&positions), positions, recursive: false })
    }

    fn names_of(&self, positions: &[usize]) -> Vec<u8> {
        by_name::list(positions.iter().map(|i| self.index.path(*i)))
    }

    fn pause(&self, share: &Share<'_>, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.job.cancel.check()?;
            share.check()?;
            sleep(left.min(GLANCE));
        }
        Ok(())
    }

    /// Runs one `tar` for a list. Only at a proper end was heard all that it had to say.
    fn run(
        &self,
        host: &dyn Host,
        share: &Share<'_>,
        extractor: &mut Extractor,
        list: &List,
        so_far: &mut SoFar,
    ) -> Result<Ended> {
        let result = self.attempt(host, share, extractor, list, so_far);
        let reason = match &result {
            Ok(Ended::Complete) => {
                let zeros = so_far.sent(list).iter().filter(|i| so_far.zeros.contains(&self.index.entry(**i).inode));
                zeros.for_each(|position| self.note(*position));
                return result;
            }
            Ok(Ended::Otherwise) => Vec::new(),
            Err(e) => e.chain(),
        };
        let (complaint, zeros) = (complaints(&so_far.said, &reason, self.job.pass), take(&mut so_far.zeros));
        self.take_back(complaint, zeros, so_far.sent(list));
        result
    }

    fn attempt(
        &self,
        host: &dyn Host,
        share: &Share<'_>,
        extractor: &mut Extractor,
        list: &List,
        so_far: &mut SoFar,
    ) -> Result<Ended> {
        let compress = share.squeeze.now();
        let command = tar_command(self.job, self.tar, list.recursive, compress);
        let (tally, mut otherwise) = (Tally::default(), false);
        let SoFar { said, zeros, came, bytes } = so_far;
        let ended = watch_until(&share.stop, said, host, &command, self.job.cancel, Some(&list.names), |output| {
            let input = open(output, share.bucket, &tally, self.job.cancel)?;
            let mut receiver = Receiver {
                copy: self,
                share,
                archive: Archive::new(input, self.names),
                gauge: Gauge::new(compress, &tally),
                list,
                next: 0,
                otherwise: &mut otherwise,
                zeros,
                came,
                content: bytes,
            };
            receiver.all(extractor)
        });
        self.sent.fetch_add(tally.bytes(), Ordering::Relaxed);
        share.check()?;
        let ended = ended?;
        if otherwise {
            return Ok(Ended::Otherwise);
        }
        if ended.output.status == 127 && contains(&ended.output.stderr, NO_COMPRESSOR) {
            return self.without_compressor(share, compress);
        }
        // People know tar; the script around it says nothing to them.
        let tar = plain_tar(&self.job.tree, self.tar, list.recursive);
        let verdict = judge(self.job, &tar, &ended.output);
        match (ended.result, verdict) {
            (Ok(()), verdict) => self.heed(verdict?, so_far.sent(list)),
            // The reason why a stream is cut is what tar said, or that the connection was lost.
            (Err(e), Err(reason)) if e.chain().iter().any(|line| line == TRUNCATED) => joined(Err(e), Err(reason)),
            (Err(e), _) => Err(e),
        }
    }

    fn without_compressor(&self, share: &Share<'_>, asked: Compress) -> Result<Ended> {
        if asked == Compress::Auto {
            share.squeeze.give_up();
            return Ok(Ended::Otherwise);
        }
        let error = Error::new(format!("{} does not have the compressor that was asked for", self.job.source.label()));
        Err(error.hint("take --compress auto, or none"))
    }

    /// Takes back what the source could not read well: it is named, and the next pass sends it again.
    fn heed(&self, verdict: Verdict, sent: &[usize]) -> Result<Ended> {
        let Verdict::Known(bad) = verdict else {
            self.doubt(sent);
            return Ok(Ended::Complete);
        };
        let mut shrank = Vec::new();
        for Bad { name, why } in bad {
            let position = self.named(&name);
            self.doubt(position.as_ref().map_or(sent, std::slice::from_ref));
            let path = position.map_or_else(|| shown(&name), |position| shown(&self.index.path(position)));
            match why {
                None => shrank.push(path),
                Some(why) if position.is_none() => {
                    return Err(Error::new(format!("tar could not read {path}: {why}")));
                }
                Some(why) => {
                    let finding = Finding::warning("copy-unreadable", format!("{path} could not be read: {why}"));
                    let remedy = "look at the source's disk; the last pass fails while it cannot be read";
                    self.find(finding.remedy(remedy).subject(path));
                }
            }
        }
        if let Some(first) = shrank.first() {
            let title =
                format!("{} files shrank while they were sent, or could not be read to their end", shrank.len());
            self.find(
                Finding::info("copy-shrank", title)
                    .detail(format!(
                        "the first of them is {first}; each is zeros from some place on until it is sent again"
                    ))
                    .remedy("let another pass follow; if it says the same of the same file, look at the source's disk")
                    .subject(first.clone()),
            );
        }
        Ok(Ended::Complete)
    }
}

/// What is known of a stream before its end was heard.
#[derive(Default)]
struct SoFar {
    /// What tar said.
    said: Vec<u8>,
    /// Inodes that came and end in zeros: tar may have been unable to read them, and say so later.
    zeros: HashSet<u64>,
    /// What came of a list that tar makes itself by descending.
    came: Vec<usize>,
    /// How much content came.
    bytes: u64,
}

impl SoFar {
    /// Returns what tar may have sent.
    fn sent<'s>(&'s self, list: &'s List) -> &'s [usize] {
        if list.recursive { &self.came } else { &list.positions }
    }
}

/// How the receipt of a list ended.
enum Ended {
    /// tar sent all that it could.
    Complete,
    /// What did not come yet is to be sent in another way.
    Otherwise,
}

impl Share<'_> {
    fn check(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { Err(Error::new(STOPPED)) } else { Ok(()) }
    }
}

fn is_stopped(error: &Error) -> bool {
    error.chain().iter().any(|line| line == STOPPED)
}

fn contains(text: &[u8], part: &str) -> bool {
    text.windows(part.len()).any(|window| window == part.as_bytes())
}

/// Takes the members of one stream.
struct Receiver<'r, 'c> {
    copy: &'r Copy<'c>,
    share: &'r Share<'r>,
    archive: Archive<'r, Box<dyn BufRead + 'r>>,
    gauge: Gauge<'r>,
    list: &'r List,
    /// The first name of the list that tar may send next.
    next: usize,
    otherwise: &'r mut bool,
    zeros: &'r mut HashSet<u64>,
    came: &'r mut Vec<usize>,
    content: &'r mut u64,
}

impl Receiver<'_, '_> {
    fn all(&mut self, extractor: &mut Extractor) -> Result<()> {
        let (copy, cancel) = (self.copy, self.copy.job.cancel);
        let mut names = self.list.names.as_slice();
        while let Some(member) = self.archive.next_member()? {
            cancel.check()?;
            self.share.check()?;
            let Some(position) = self.asked_for(&member.name, &mut names)? else {
                if self.list.recursive {
                    continue;
                }
                return Err(Error::new(format!("tar sent {}, which nobody asked for", shown(&member.name))));
            };
            let path = copy.index.path(position);
            let entry = copy.index.entry(position);
            if let Some(why) = copy.stale(&entry, &member)? {
                if copy.job.pass == Pass::Live {
                    continue;
                }
                let what = if path.is_empty() { "the top directory".to_owned() } else { shown(&path) };
                let error = Error::new(format!("{what} {why} while it was copied"));
                return Err(error.hint("the container must not run during the last pass: is it stopped?"));
            }
            let (squeeze, gauge, otherwise) = (&self.share.squeeze, &mut self.gauge, &mut *self.otherwise);
            let content = &mut *self.content;
            let zeros = extractor.extract(&path, &member, &mut self.archive, cancel, &mut |bytes| {
                let mut meter = copy.meter();
                meter.bytes += bytes;
                *content += bytes;
                meter.tick();
                *otherwise = gauge.moved(bytes) && squeeze.look(gauge);
                if *otherwise { Err(Error::new("the stream goes on in another way")) } else { Ok(()) }
            })?;
            copy.come(position);
            if zeros {
                self.zeros.insert(entry.inode);
            }
            // Another name of an inode is as good as what it names.
            if !self.zeros.contains(&entry.inode) {
                copy.note(position);
            }
            if self.list.recursive {
                self.came.push(position);
            }
        }
        self.archive.finish()
    }

    /// Returns the entry that a member is, when it was asked for. Members come in the order of the list, some are missing.
    fn asked_for(&mut self, name: &[u8], names: &mut &[u8]) -> Result<Option<usize>> {
        let is_it = |asked: &[u8]| asked == name || name.strip_suffix(b"/") == Some(asked);
        let mut ahead = *names;
        for step in 0..AHEAD {
            let Some(position) = self.list.positions.get(self.next + step) else { break };
            let end = ahead.iter().position(|b| *b == 0).unwrap_or(ahead.len());
            let found = is_it(&ahead[..end]);
            ahead = ahead.get(end + 1..).unwrap_or_default();
            if found {
                self.next += step + 1;
                *names = ahead;
                return Ok(Some(*position));
            }
        }
        let path = member_path(name)?;
        Ok(self.copy.index.find(&path).filter(|i| self.copy.is_needed(*i)))
    }
}
