//! Compares a copy with its source: every attribute of every entry, and the content when that is asked for.
//!
//! The source is listed once more unless the index of the last pass is at hand; the copy is walked. What `find` does not
//! print is asked for beside the walk: the numbers of device nodes, and the extended attributes where the source has
//! `getfattr`.

mod content;
mod source;
mod walk;

use super::Job;
use super::exclude::Excludes;
use super::index::Index;
use super::meter::Meter;
use super::probe;
use crate::error::{Doing, Error, Result};
use crate::model::finding::Finding;
use crate::model::settings::{IdRange, Verify};
use crate::rootfs::attributes::{Time, shown};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Instant;

/// How many differences of one cause are listed; all are counted.
const LISTED: u64 = 100;

/// What a difference comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Nothing explains it: the copy is not what the source is.
    Copy,
    /// A fixup changed it.
    Fixup,
    /// The source changed it after it was copied.
    Source,
    /// The container changed it on the target.
    Target,
}

/// One entry that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Its path below the top, for people: control characters escaped; `/` for the top.
    pub path: String,
    /// What is different.
    pub what: String,
    /// What it comes from.
    pub cause: Cause,
}

/// What is known of an entry that differs, for whoever knows what it comes from.
pub struct Differs<'a> {
    /// Its path below the top.
    pub path: &'a [u8],
    /// When it last changed on the source, by the source's clock; `None` when it is not there.
    pub source: Option<Time>,
    /// When it last changed on the target, by this host's clock; `None` when it is not there.
    pub target: Option<Time>,
}

/// What is to be compared.
pub struct Check<'a> {
    /// How much.
    pub how: Verify,
    /// The ids that the copy's entries were given to, when they were.
    pub ids: Option<IdRange>,
    /// Says what a difference comes from.
    pub cause: &'a (dyn Fn(&Differs<'_>) -> Cause + Sync),
}

/// What came of a comparison.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verified {
    /// `metadata` or `content`.
    pub how: Verify,
    /// Entries that were compared.
    pub entries: u64,
    /// Files whose content was compared.
    pub content_files: u64,
    /// Bytes of these.
    pub content_bytes: u64,
    /// Entries that differ, by cause.
    pub differences: BTreeMap<Cause, u64>,
    /// The first of each cause.
    pub listed: Vec<Difference>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What could not be compared, and why.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

impl Verified {
    fn new(how: Verify) -> Verified {
        Verified {
            how,
            entries: 0,
            content_files: 0,
            content_bytes: 0,
            differences: BTreeMap::new(),
            listed: Vec::new(),
            seconds: 0.0,
            findings: Vec::new(),
        }
    }

    /// Returns how many entries differ for a cause.
    pub fn count(&self, cause: Cause) -> u64 {
        self.differences.get(&cause).copied().unwrap_or_default()
    }

    /// Returns the first differences that nothing explains, as one text: `a: mode 0644 instead of 0600; b: …`.
    pub fn unexplained(&self, most: usize) -> String {
        let of = self.listed.iter().filter(|d| d.cause == Cause::Copy);
        of.take(most).map(|d| format!("{}: {}", d.path, d.what)).collect::<Vec<_>>().join("; ")
    }
}

/// Counts the differences and keeps the first of each cause.
struct Tally<'a> {
    check: &'a Check<'a>,
    verified: Verified,
}

impl Tally<'_> {
    fn note(&mut self, found: &Differs<'_>, what: impl Into<String>) {
        let cause = (self.check.cause)(found);
        let count = self.verified.differences.entry(cause).or_default();
        *count += 1;
        if *count <= LISTED {
            let path = if found.path.is_empty() { "/".to_owned() } else { shown(found.path) };
            self.verified.listed.push(Difference { path, what: what.into(), cause });
        }
    }
}

/// Compares the job's target with its source; `index` is what the source is known to be, when it was just listed.
pub(super) fn verify(job: &Job<'_>, check: &Check<'_>, index: Option<Index>) -> Result<Verified> {
    compare(job, check, index).doing(|| {
        format!("comparing {} with {} of {}", job.target.path().display(), job.tree.display(), job.source.label())
    })
}

fn compare(job: &Job<'_>, check: &Check<'_>, index: Option<Index>) -> Result<Verified> {
    let started = Instant::now();
    let mut tally = Tally { check, verified: Verified::new(check.how) };
    if check.how == Verify::None {
        return Ok(tally.verified);
    }
    let excludes = Excludes::new(&job.excludes);
    let index = match index {
        Some(index) => index,
        None => listing(job, &excludes)?,
    };
    let mut meter = Meter::new(job);
    meter.total = Some((index.len() as u64, 0));
    meter.say();
    // The source answers while the target is walked.
    let (beside, walked) = std::thread::scope(|scope| {
        let beside = scope.spawn(|| source::ask(job, &index, check.ids.is_some()));
        let walked = walk::walk_target(job, &excludes, &index, &mut tally, &mut meter);
        (beside.join(), walked)
    });
    let walked = walked?;
    let beside = beside.map_err(|_| Error::new("the thread that asks the source broke down"))??;
    walked.compare_beside(job.target, &index, &beside, &mut tally)?;
    tally.verified.findings.extend(walked.findings(&index, &beside));
    if check.how == Verify::Content {
        content::compare(job, &index, &walked.contents, &mut tally, &mut meter)?;
    }
    meter.say();
    tally.verified.seconds = started.elapsed().as_secs_f64();
    Ok(tally.verified)
}

fn listing(job: &Job<'_>, excludes: &Excludes) -> Result<Index> {
    Ok(super::source::list(job, probe::stream(job.source)?.lister, excludes, &[])?.index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_differences_are_counted_and_the_first_are_listed() {
        let cause = |found: &Differs<'_>| if found.path.starts_with(b"etc") { Cause::Fixup } else { Cause::Copy };
        let check = Check { how: Verify::Metadata, ids: None, cause: &cause };
        let mut tally = Tally { check: &check, verified: Verified::new(check.how) };
        for number in 0..250 {
            for dir in ["etc", "srv"] {
                let path = format!("{dir}/{number}\n");
                tally.note(&Differs { path: path.as_bytes(), source: None, target: None }, "missing");
            }
        }
        let verified = tally.verified;
        assert_eq!((verified.count(Cause::Copy), verified.count(Cause::Fixup), verified.listed.len()), (250, 250, 200));
        assert_eq!(verified.unexplained(2), "srv/0\\n: missing; srv/1\\n: missing");
    }
}
