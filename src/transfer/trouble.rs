//! What the source's tar says when something goes wrong, and which entries it says it about.

use super::stream::check_status;
use super::{Job, Pass};
use crate::error::Result;
use crate::host::{Command, Output};
use crate::rootfs::attributes::octal;

/// What tar says about a tree that changes underneath it.
const CHANGING: [&str; 7] = [
    "No such file or directory",
    "Not a directory",
    "File removed before we read it",
    "file changed as we read it",
    "File shrank by",
    "Exiting with failure status",
    "Error exit delayed",
];

/// What it says about one entry that it cannot read; where it can read a part of a file it sends zeros for the rest.
const UNREADABLE: [&str; 6] = [
    ": Read error at byte ",
    ": Warning: Read error at byte ",
    ": Cannot open: ",
    ": Cannot stat: ",
    ": Cannot readlink: ",
    ": Cannot close: ",
];

/// What it says, and no more, of a file that it cannot read on from the middle of one of its reads.
const SHRANK: &str = ": File shrank by ";

/// What became of the entries of one stream that ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What came is what the source has, but for these names.
    Known(Vec<Bad>),
    /// Too much was said to know about which entries.
    Doubtful,
}

/// A name that was not read well.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bad {
    pub(super) name: Vec<u8>,
    /// What tar said, where it can only be the disk; a file that shrank may just have shrunk.
    pub(super) why: Option<String>,
}

/// Judges how tar ended. On the last pass nothing but success is good.
pub(super) fn judge(job: &Job<'_>, command: &Command, output: &Output) -> Result<Verdict> {
    if output.status == 0 {
        return Ok(Verdict::Known(Vec::new()));
    }
    let cut = output.stderr.len() >= 60 << 10;
    if job.pass == Pass::Live && output.status <= 2 && !cut {
        let bad = bad(&output.stderr);
        if !bad.is_empty() {
            let rest = Output { stderr: without(&output.stderr), ..output.clone() };
            if !rest.stderr.trim_ascii().is_empty() {
                check_status(job, command, &rest, &CHANGING, 2)?;
            }
            return Ok(Verdict::Known(bad));
        }
    }
    check_status(job, command, output, &CHANGING, 2).map_err(|e| {
        let shrank = output.stderr.windows(SHRANK.len()).any(|window| window == SHRANK.as_bytes());
        let hint = "what shrinks while the container is stopped may be what cannot be read: look at the source's disk";
        if shrank { e.hint(hint) } else { e }
    })?;
    Ok(if cut { Verdict::Doubtful } else { Verdict::Known(Vec::new()) })
}

/// What tar complained about before its stream was given up, so that nobody heard how it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Complaint {
    /// About nothing that matters.
    Nothing,
    /// About these names.
    Of(Vec<Vec<u8>>),
    /// About more than is known.
    Anything,
}

/// How many pieces the end of what a lost command said has at most: there may have been more before.
const PIECES: usize = 4;

/// What it says when nobody takes its output any more.
const LEFT_ALONE: [&str; 5] = [
    "Cannot write: Broken pipe",
    ": Wrote only ",
    "Error is not recoverable: exiting now",
    "Exiting with failure status",
    "Child ",
];

/// Finds complaints in what was said, and in the reason for which a stream ended: of what was said when a connection was
/// lost, an error holds the last lines.
pub(super) fn complaints(said: &[u8], reason: &[String], pass: Pass) -> Complaint {
    let mut names = Vec::new();
    let said = String::from_utf8_lossy(said);
    let reason = reason.iter().map(|line| line.split("; ").collect::<Vec<_>>());
    for (pieces, most) in reason.map(|line| (line, PIECES)).chain([(said.lines().collect(), usize::MAX)]) {
        for piece in pieces.iter().filter(|piece| piece.starts_with("tar: ")) {
            let is = |known: &[&str]| known.iter().any(|known| piece.contains(known));
            match understand(piece.as_bytes()) {
                _ if pieces.len() >= most || said.len() >= 60 << 10 => return Complaint::Anything,
                Some(bad) => names.push(bad.name),
                None if is(&LEFT_ALONE) || (pass == Pass::Live && is(&CHANGING)) => {}
                None => return Complaint::Anything,
            }
        }
    }
    if names.is_empty() { Complaint::Nothing } else { Complaint::Of(names) }
}

fn lines(said: &[u8]) -> impl Iterator<Item = &[u8]> {
    said.split(|b| *b == b'\n')
}

/// Splits a message about an entry that was not read well into its name and the rest.
fn understand(line: &[u8]) -> Option<Bad> {
    let text = line.strip_prefix(b"tar: ")?;
    // tar writes a colon of a name with a backslash before it, and a backslash as two.
    let is_end = |at: &usize| text[..*at].iter().rev().take_while(|b| **b == b'\\').count() % 2 == 0;
    let at = |what: &&str| {
        text.windows(what.len()).enumerate().find(|(at, w)| *w == what.as_bytes() && is_end(at)).map(|(at, _)| at)
    };
    let at = UNREADABLE.iter().chain([&SHRANK]).filter_map(at).min()?;
    let (name, why) = text.split_at(at);
    if why.starts_with(SHRANK.as_bytes()) {
        return Some(Bad { name: unescape(name), why: None });
    }
    let why = String::from_utf8_lossy(&why[2..]).into_owned();
    if CHANGING.iter().any(|known| why.contains(known)) {
        return None;
    }
    Some(Bad { name: unescape(name), why: Some(why) })
}

fn bad(said: &[u8]) -> Vec<Bad> {
    lines(said).filter_map(understand).collect()
}

fn without(said: &[u8]) -> Vec<u8> {
    lines(said).filter(|line| understand(line).is_none()).collect::<Vec<_>>().join(&b'\n')
}

/// Undoes tar's way to print names: `\n`, `\303`, `\\`.
fn unescape(name: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'\\' {
            plain.push(*first);
            continue;
        }
        if let Some(byte) = octal(rest) {
            plain.push(byte);
            rest = &rest[3..];
            continue;
        }
        let Some((letter, after)) = rest.split_first() else { break };
        rest = after;
        plain.push(match letter {
            b'a' => 7,
            b'b' => 8,
            b't' => 9,
            b'n' => 10,
            b'v' => 11,
            b'f' => 12,
            b'r' => 13,
            other => *other,
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_of_a_stream_that_was_lost_are_heard() {
        let lost = |said: &str| vec!["running tar".to_owned(), "the connection was lost".to_owned(), said.to_owned()];
        let bad = "tar: ./a\\nb: Read error at byte 0, while reading 6 bytes: Input/output error";
        let gone = "tar: ./c: Cannot stat: No such file or directory";
        for (said, pass, expected) in [
            ("Connection closed by remote host.".to_owned(), Pass::Final, Complaint::Nothing),
            (format!("{bad}; Broken pipe"), Pass::Live, Complaint::Of(vec![b"./a\nb".to_vec()])),
            (
                "tar: ./a: File shrank by 5 bytes; padding with zeros".to_owned(),
                Pass::Live,
                Complaint::Of(vec![b"./a".to_vec()]),
            ),
            (gone.to_owned(), Pass::Live, Complaint::Nothing),
            (gone.to_owned(), Pass::Final, Complaint::Anything),
            (format!("{gone}; {gone}; {gone}; Broken pipe"), Pass::Live, Complaint::Anything),
            ("tar: ./a; b: Read error at byte 0".to_owned(), Pass::Live, Complaint::Anything),
        ] {
            assert_eq!(complaints(b"", &lost(&said), pass), expected, "{said}");
        }
    }

    #[test]
    fn names_are_found_whatever_they_hold() {
        let said = b"tar: ./a: File shrank by 5 bytes; padding with zeros\n\
            tar: ./b\\nc: d\\303\\244\\\\: Read error at byte 4096, while reading 512 bytes: Input/output error\n\
            tar: ./e: Cannot open: Structure needs cleaning\n\
            tar: ./g\\: File shrank by 3: Cannot open: Structure needs cleaning\n\
            tar: ./h\\\\: File shrank by 3 bytes; padding with zeros\ntar: ./f: Cannot stat: No such file or directory\n\
            tar: Exiting with failure status due to previous errors\n";
        let found = bad(said);
        let names: Vec<&[u8]> = found.iter().map(|bad| bad.name.as_slice()).collect();
        let (g, h) = (b"./g: File shrank by 3", b"./h\\");
        assert_eq!(names, [b"./a".as_slice(), b"./b\nc: d\xc3\xa4\\", b"./e", g, h]);
        assert!(found[3].why.is_some() && found[4].why.is_none(), "{found:?}");
        assert_eq!((&found[0].why, found[2].why.as_deref()), (&None, Some("Cannot open: Structure needs cleaning")));
        assert_eq!(lines(&without(said)).count(), 3);
    }
}
