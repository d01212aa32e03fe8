//! A tar that says less than GNU's new ones: no change times, no extended attributes, no fractions of seconds, and names
//! only as arguments. Its members bring the content; the attributes come from the index, and the extended ones from
//! `getfattr` when the source has it.
//!
//! Without change times nobody can tell whether a member is what the index saw, so nothing is taken from a tree in which
//! somebody may swap a directory for a link: only the last pass is made this way.

use super::archive::{Archive, Member};
use super::by_name::{list, run, script};
use super::extract::{Extractor, member_path};
use super::index::{Entry, Index};
use super::meter::Meter;
use super::node_names::NodeNames;
use super::probe::{Lister, Userland};
use super::{Job, Pass, complete, getfattr};
use crate::error::{Doing, Error, Result};
use crate::model::finding::Finding;
use crate::rootfs::attributes::{Kind, Xattrs, shown};
use std::collections::HashMap;
use std::io::{BufRead, BufReader};

const TAR: &str = "cd \"$1\" && exec xargs -0 tar -c -f - --no-recursion";
/// The bits of a time that eleven octal digits hold; some write no more, and 0 for a time before 1970.
const TIME_BITS: i64 = (1 << 33) - 1;

/// A pass at work.
pub(super) struct Lesser<'a> {
    job: &'a Job<'a>,
    index: &'a Index,
    pub(super) needed: Vec<bool>,
    pub(super) arrived: Vec<bool>,
    extractor: Extractor,
    pub(super) meter: Meter<'a>,
    pub(super) sent: u64,
    xattrs: HashMap<usize, Xattrs>,
}

impl<'a> Lesser<'a> {
    pub(super) fn new(job: &'a Job<'a>, index: &'a Index, needed: Vec<bool>, meter: Meter<'a>) -> Result<Lesser<'a>> {
        let (arrived, extractor) = (vec![false; index.len()], Extractor::new(job.target)?);
        Ok(Lesser { job, index, needed, arrived, extractor, meter, sent: 0, xattrs: HashMap::new() })
    }

    /// Receives all that is needed; `why` says why this tar is a lesser one. Returns what was not carried.
    pub(super) fn everything(&mut self, userland: &Userland, why: &str) -> Result<Vec<Finding>> {
        if self.job.pass == Pass::Live {
            return Err(Error::new(format!("{why}, and this one does not tell when an entry changed"))
                .hint("copy with --engine rsync, or only after the container was stopped"));
        }
        let wanted = |i: &usize| self.needed[*i] && self.index.entry(*i).kind != Kind::Socket;
        let list = list((0..self.index.len()).filter(wanted).map(|i| self.index.path(i)));
        let carries_xattrs = userland.has("getfattr");
        if !list.is_empty() {
            if carries_xattrs {
                self.read_xattrs(&list).doing(|| "reading extended attributes")?;
            }
            self.read_content(&list)?;
        }
        let sockets = complete::make_sockets(self.index, &self.needed, &mut self.extractor)?;
        sockets.into_iter().for_each(|i| self.arrive(i));
        let came = |i: usize| self.arrived[i];
        let joined = complete::join_groups(self.index, &self.needed, came, &mut self.extractor)?;
        joined.into_iter().for_each(|i| self.arrive(i));
        let mut findings = self.extractor.finish()?;
        let lost = |i: &usize| self.needed[*i] && !self.arrived[*i];
        complete::check_none(self.index, (0..self.index.len()).filter(lost))?;
        if self.needed.contains(&true) {
            findings.push(finding(userland.lister, carries_xattrs, why));
        }
        Ok(findings)
    }

    fn read_content(&mut self, list: &[u8]) -> Result<()> {
        let (job, index) = (self.job, self.index);
        let names = NodeNames::new(job.source);
        run(job, &script(job, TAR), list, |output| {
            let mut input = BufReader::with_capacity(256 << 10, output);
            // One archive for each list of arguments that fits, zeros between them.
            while skip_zeros(&mut input)? {
                let mut archive = Archive::new(&mut input, &names);
                while let Some(member) = archive.next_member()? {
                    job.cancel.check()?;
                    let path = member_path(&member.name)?;
                    let position = index.find(&path).filter(|i| self.needed[*i]);
                    let position = position
                        .ok_or_else(|| Error::new(format!("tar sent {}, which nobody asked for", shown(&path))))?;
                    let member = self.complete(position, member)?;
                    let meter = &mut self.meter;
                    self.extractor.extract(&path, &member, &mut archive, job.cancel, &mut |bytes| {
                        meter.bytes += bytes;
                        meter.tick();
                        Ok(())
                    })?;
                    self.arrive(position);
                }
                self.sent += archive.bytes_read();
            }
            Ok(())
        })
    }

    /// Gives a member the attributes that the index knows. One that is not what the index saw is an error.
    fn complete(&mut self, position: usize, member: Member) -> Result<Member> {
        let entry = self.index.entry(position);
        let Some(kind) = member.kind.entry_kind() else {
            let original = self.index.find(&member_path(&member.link)?).filter(|i| self.arrived[*i]);
            let linked = original.is_some_and(|i| self.index.entry(i).inode == entry.inode);
            return if linked { Ok(member) } else { Err(self.changed(position)) };
        };
        let same = kind == entry.kind
            && (entry.mtime.seconds < 0 || (member.mtime.seconds ^ entry.mtime.seconds) & TIME_BITS == 0)
            && (member.size == entry.size || kind != Kind::File)
            && (member.link == self.index.link(position) || kind != Kind::Symlink);
        if !same {
            return Err(self.changed(position));
        }
        let Entry { mode, uid, gid, mtime, .. } = entry;
        let xattrs = self.xattrs.remove(&position).unwrap_or_default();
        Ok(Member { mode, uid, gid, mtime, xattrs, ..member })
    }

    fn changed(&self, position: usize) -> Error {
        Error::new(format!("{} changed while it was copied", shown(&self.index.path(position))))
            .hint("the container must not run during the last pass: is it stopped?")
    }

    fn arrive(&mut self, position: usize) {
        if !std::mem::replace(&mut self.arrived[position], true) {
            self.meter.files += 1;
        }
        self.meter.tick();
    }

    fn read_xattrs(&mut self, list: &[u8]) -> Result<()> {
        let (job, index) = (self.job, self.index);
        self.xattrs =
            run(job, &getfattr::of_named(job), list, |output| getfattr::read_all(output, |path| index.find(path)))?;
        Ok(())
    }
}

fn finding(lister: Lister, carries_xattrs: bool, why: &str) -> Finding {
    let mut lost = vec!["the holes of sparse files, which are full of zeros now"];
    if lister == Lister::Stat {
        lost.push("fractions of a second of times");
    }
    if !carries_xattrs {
        lost.push("extended attributes, capabilities and ACLs, for which getfattr is missing there");
    }
    let title = "the source's tar does not carry everything";
    Finding::warning("copy-lesser-tar", title)
        .detail(format!("{why}. Not carried: {}", lost.join("; ")))
        .remedy("copy from a system with GNU tar, or with --engine rsync")
}

/// Goes to the next byte that is not zero; false at the end of the input.
fn skip_zeros(input: &mut impl BufRead) -> Result<bool> {
    loop {
        let buffer = input.fill_buf().doing(|| "reading the archive")?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let zeros = buffer.iter().take_while(|b| **b == 0).count();
        let more = zeros < buffer.len();
        input.consume(zeros);
        if more {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_between_archives_are_skipped() {
        let bytes = [vec![0; 700], b"x".to_vec()].concat();
        let mut input = BufReader::with_capacity(512, bytes.as_slice());
        assert!(skip_zeros(&mut input).unwrap());
        assert_eq!(input.fill_buf().unwrap(), b"x");
        assert!(!skip_zeros(&mut [0; 9].as_slice()).unwrap());
    }
}
