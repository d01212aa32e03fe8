//! /etc/network/interfaces of ifupdown (interfaces(5)), Debian's, Ubuntu's and BusyBox's.

mod aliases;
mod put;
#[cfg(test)]
mod tests;

use super::lines::{self, Line};
use std::collections::BTreeSet;

pub use put::Style;

/// A logical line: one physical line, or several joined by backslashes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Logical {
    lines: Vec<Line>,
}

/// A part of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Block {
    /// Blank lines, comments, `source`, anything unknown.
    Other(Logical),
    /// `auto`, `allow-hotplug` and kin: a list of interfaces.
    List(Logical),
    /// `iface` or `mapping` with its options and the comments among them.
    Stanza { header: Logical, body: Vec<Logical> },
}

/// A file of interface definitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interfaces {
    blocks: Vec<Block>,
}

impl Logical {
    /// The words before a comment at the end of the line. ifupdown itself knows no such comments, people write them.
    fn words(&self) -> Vec<String> {
        let text = self.text();
        text.split_whitespace().take_while(|w| !w.starts_with('#')).map(str::to_owned).collect()
    }

    /// The text in one line, white space at the ends removed.
    fn text(&self) -> String {
        let mut out = String::new();
        for (at, line) in self.lines.iter().enumerate() {
            let view = line.view();
            let part = if at + 1 < self.lines.len() { view.strip_suffix('\\').unwrap_or(&view) } else { &view };
            out.push_str(part);
        }
        out.trim().to_owned()
    }

    fn is_blank(&self) -> bool {
        self.lines.iter().all(Line::is_blank)
    }

    fn is_comment(&self) -> bool {
        self.lines.first().is_some_and(Line::is_comment)
    }

    fn is_indented(&self) -> bool {
        self.lines.first().is_some_and(|l| l.text.first().is_some_and(u8::is_ascii_whitespace))
    }

    fn one(line: Line) -> Logical {
        Logical { lines: vec![line] }
    }
}

impl Block {
    fn lines(&self) -> Box<dyn Iterator<Item = &Line> + '_> {
        match self {
            Block::Other(l) | Block::List(l) => Box::new(l.lines.iter()),
            Block::Stanza { header, body } => Box::new(header.lines.iter().chain(body.iter().flat_map(|l| &l.lines))),
        }
    }

    fn is_blank(&self) -> bool {
        matches!(self, Block::Other(l) if l.is_blank())
    }

    /// The header's words of an `iface` stanza: name, family, method, and what follows.
    fn iface(&self) -> Option<Vec<String>> {
        let Block::Stanza { header, .. } = self else { return None };
        let words = header.words();
        (words.first().map(String::as_str) == Some("iface") && words.len() > 1).then(|| words[1..].to_vec())
    }
}

impl Interfaces {
    /// Reads a file.
    pub fn parse(text: &[u8]) -> Interfaces {
        let mut blocks: Vec<Block> = Vec::new();
        // Blank lines and comments whose owner only shows with the next option or keyword.
        let mut pending: Vec<Logical> = Vec::new();
        for logical in logical_lines(text) {
            if logical.is_blank() || logical.is_comment() {
                pending.push(logical);
                continue;
            }
            let keyword = logical.words().into_iter().next().unwrap_or_default();
            let ends_stanza = matches!(keyword.as_str(), "iface" | "mapping" | "auto" | "template" | "rename")
                || ["allow-", "no-auto-down", "no-scripts", "source"].iter().any(|k| keyword.starts_with(k));
            if !ends_stanza && let Some(Block::Stanza { body, .. }) = blocks.last_mut() {
                body.append(&mut pending);
                body.push(logical);
                continue;
            }
            settle(&mut blocks, &mut pending);
            blocks.push(match keyword.as_str() {
                "iface" | "mapping" => Block::Stanza { header: logical, body: Vec::new() },
                "auto" | "no-auto-down" | "no-scripts" => Block::List(logical),
                k if k.starts_with("allow-") => Block::List(logical),
                _ => Block::Other(logical),
            });
        }
        settle(&mut blocks, &mut pending);
        Interfaces { blocks }
    }

    /// Returns the names that have an `iface` stanza, in order, each once.
    pub fn names(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let all = self.blocks.iter().filter_map(|b| b.iface()?.into_iter().next());
        all.filter(|name| seen.insert(name.clone())).collect()
    }

    /// Returns the words after `inet` or `inet6` of each stanza of an interface: (family, method).
    pub fn methods(&self, name: &str) -> Vec<(String, String)> {
        let all = self.blocks.iter().filter_map(Block::iface).filter(|w| w.first().is_some_and(|n| n == name));
        all.map(|w| (w.get(1).cloned().unwrap_or_default(), w.get(2).cloned().unwrap_or_default())).collect()
    }

    /// Returns what the `source` and `source-directory` lines name, in order: whether it is a directory, and the pattern.
    pub fn sources(&self) -> Vec<(bool, String)> {
        let mut all = Vec::new();
        for block in &self.blocks {
            let Block::Other(logical) = block else { continue };
            let mut words = logical.words().into_iter();
            let directory = match words.next().as_deref() {
                Some("source") => false,
                Some("source-directory") => true,
                _ => continue,
            };
            all.extend(words.map(|pattern| (directory, pattern)));
        }
        all
    }

    /// Removes the interfaces for which `gone` says so: their words in `auto` and `allow-*` lines, their stanzas with
    /// options and comments. Where `venet0` is one of them, vzctl's comment above it goes too, and so does vzctl's
    /// header, which says that the file is generated and must not be edited. Returns how many parts were changed.
    pub fn remove_interface(&mut self, gone: impl Fn(&str) -> bool) -> usize {
        let mut changed = if gone("venet0") { self.remove_vzctl_comments() } else { 0 };
        let mut kept = Kept::default();
        for block in std::mem::take(&mut self.blocks) {
            match block {
                Block::List(logical) => match without_words(&logical, &gone) {
                    Words::Same => kept.push(Block::List(logical)),
                    Words::Fewer(rest) => {
                        changed += 1;
                        kept.push(Block::List(rest));
                    }
                    Words::NoneLeft => {
                        changed += 1;
                        kept.skip();
                    }
                },
                Block::Stanza { header, body } => match header.words().as_slice() {
                    [kind, name, ..] if kind == "iface" && gone(name) => {
                        changed += 1;
                        kept.skip();
                    }
                    [kind, ..] if kind == "mapping" => match without_words(&header, &gone) {
                        Words::Same => kept.push(Block::Stanza { header, body }),
                        Words::Fewer(header) => {
                            changed += 1;
                            kept.push(Block::Stanza { header, body });
                        }
                        Words::NoneLeft => {
                            changed += 1;
                            kept.skip();
                        }
                    },
                    _ => kept.push(Block::Stanza { header, body }),
                },
                other @ Block::Other(_) => kept.push(other),
            }
        }
        self.blocks = kept.blocks;
        changed
    }

    /// Returns the text.
    pub fn render(&self) -> Vec<u8> {
        lines::join(self.blocks.iter().flat_map(Block::lines))
    }

    /// Drops what vzctl wrote about itself (vzctl etc/dists/scripts/debian-add_ip.sh).
    fn remove_vzctl_comments(&mut self) -> usize {
        let mut in_header = false;
        let mut vzctls = |logical: &Logical| {
            let text = logical.text();
            in_header |= text == HEADER[0];
            in_header &= HEADER.contains(&text.as_str());
            in_header || text == "# Auto generated venet0 interface"
        };
        let mut changed = 0;
        let mut kept = Kept::default();
        for mut block in std::mem::take(&mut self.blocks) {
            match &mut block {
                Block::Other(logical) if vzctls(logical) => {
                    changed += 1;
                    kept.skip();
                    continue;
                }
                Block::Stanza { header, body } => {
                    vzctls(header);
                    let before = body.len();
                    body.retain(|logical| !vzctls(logical));
                    changed += before - body.len();
                }
                Block::Other(_) => {}
                Block::List(logical) => {
                    vzctls(logical);
                }
            }
            kept.push(block);
        }
        self.blocks = kept.blocks;
        changed
    }

    fn usual_end(&self) -> &'static [u8] {
        lines::usual_end(self.blocks.iter().flat_map(Block::lines))
    }
}

/// The lines of vzctl's header.
const HEADER: [&str; 8] = [
    "# This configuration file is auto-generated.",
    "#",
    "# WARNING: Do not edit this file, your changes will be lost.",
    "# Please create/edit /etc/network/interfaces.head and",
    "# /etc/network/interfaces.tail instead, their contents will be",
    "# inserted at the beginning and at the end of this file, respectively.",
    "# NOTE: it is NOT guaranteed that the contents of /etc/network/interfaces.tail",
    "# will be at the very end of this file.",
];

/// The blocks that stay. Blank lines after something that went are not piled upon those before it.
#[derive(Default)]
struct Kept {
    blocks: Vec<Block>,
    after_gap: bool,
}

impl Kept {
    fn skip(&mut self) {
        self.after_gap = true;
    }

    fn push(&mut self, block: Block) {
        if self.after_gap && block.is_blank() && self.blocks.last().is_none_or(Block::is_blank) {
            return;
        }
        self.after_gap = false;
        self.blocks.push(block);
    }
}

fn logical_lines(text: &[u8]) -> Vec<Logical> {
    let mut out: Vec<Logical> = Vec::new();
    let mut open = false;
    for line in lines::split(text) {
        // A comment or an empty line does not continue, but it can be the continuation of another line.
        let goes_on = line.text.ends_with(b"\\") && (open || !(line.is_comment() || line.is_blank()));
        match out.last_mut().filter(|_| open) {
            Some(last) => last.lines.push(line),
            None => out.push(Logical::one(line)),
        }
        open = goes_on;
    }
    out
}

/// Indented comments right below the last option belong to its stanza; the rest stands for itself.
fn settle(blocks: &mut Vec<Block>, pending: &mut Vec<Logical>) {
    let mut attached = true;
    for logical in pending.drain(..) {
        attached = attached && logical.is_comment() && logical.is_indented();
        match blocks.last_mut() {
            Some(Block::Stanza { body, .. }) if attached => body.push(logical),
            _ => blocks.push(Block::Other(logical)),
        }
    }
}

/// What is left of a list of names.
enum Words {
    Same,
    Fewer(Logical),
    NoneLeft,
}

/// Drops names from a list line, each with the white space (and backslashes) before it.
fn without_words(logical: &Logical, gone: impl Fn(&str) -> bool) -> Words {
    let raw = lines::join(&logical.lines);
    let is_gap = |at: usize| {
        raw[at].is_ascii_whitespace() || (raw[at] == b'\\' && raw.get(at + 1).is_none_or(u8::is_ascii_whitespace))
    };
    let (mut out, mut at, mut nth, mut left, mut dropped) = (Vec::new(), 0, 0, 0, 0);
    let mut in_comment = false;
    while at < raw.len() {
        let gap = (at..raw.len()).find(|i| !is_gap(*i)).unwrap_or(raw.len());
        let end = (gap..raw.len()).find(|i| is_gap(*i)).unwrap_or(raw.len());
        let word = &raw[gap..end];
        in_comment |= word.starts_with(b"#");
        let name = nth > 0 && !in_comment && !word.is_empty();
        if name && gone(&String::from_utf8_lossy(word)) {
            dropped += 1;
        } else {
            left += usize::from(name);
            out.extend_from_slice(&raw[at..end]);
        }
        nth += 1;
        at = end;
    }
    match (dropped, left) {
        (0, _) => Words::Same,
        (_, 0) => Words::NoneLeft,
        _ => Words::Fewer(Logical { lines: lines::split(&out) }),
    }
}
