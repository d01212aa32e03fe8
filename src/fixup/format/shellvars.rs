//! Files of shell assignments: ifcfg-*, /etc/sysconfig/*, /etc/conf.d/*, /etc/default/*.
//!
//! They are sourced by a shell, so a value may be quoted, may run over several lines, and the last assignment wins.

mod array;

use array::{array_words, edit_array};
use std::collections::BTreeSet;

/// How a value is quoted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Quoting {
    Bare,
    Single,
    Double,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Item {
    /// A comment, an empty line, a command.
    Other(Vec<u8>),
    /// An assignment whose quote or array is never closed, or closed in the middle of a word: a shell gives up here.
    Open(Vec<u8>),
    /// An assignment: `lead` is everything up to `=`, `raw` the value as written, `tail` the rest of the line.
    Var { lead: Vec<u8>, key: String, raw: Vec<u8>, tail: Vec<u8> },
}

/// A file of shell assignments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellVars {
    items: Vec<Item>,
}

impl ShellVars {
    /// Reads a file. What is no assignment is kept.
    pub fn parse(text: &[u8]) -> ShellVars {
        let mut items = Vec::new();
        let mut at = 0;
        // After a quote that is never closed, values end with their line: looking to the end of the file for every
        // line would make the time quadratic in a size that the container's user chose.
        let mut spans_lines = true;
        while at < text.len() {
            let line_end = logical_end(text, at);
            let Some((key, lead)) = assignment(&text[at..line_end]) else {
                items.push(Item::Other(text[at..line_end].to_vec()));
                at = line_end;
                continue;
            };
            let start = at + lead;
            let mut len = if spans_lines { value_end(&text[start..]) } else { None };
            spans_lines &= len.is_some();
            len = len.or_else(|| value_end(&text[start..line_end]));
            let Some(end) = len.map(|l| start + l) else {
                items.push(Item::Open(text[at..line_end].to_vec()));
                at = line_end;
                continue;
            };
            let stop = logical_end(text, end);
            // `A=(b)c` is an error for the shell, and an edit could give it a meaning.
            if text[start..].starts_with(b"(") && text.get(end).is_some_and(|b| !b" \t\r\n;&|".contains(b)) {
                items.push(Item::Open(text[at..line_end].to_vec()));
                at = line_end;
                continue;
            }
            items.push(Item::Var {
                lead: text[at..start].to_vec(),
                key,
                raw: text[start..end].to_vec(),
                tail: text[end..stop].to_vec(),
            });
            at = stop;
        }
        ShellVars { items }
    }

    /// Returns the names that are assigned, in order, each once.
    pub fn keys(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let all = self.items.iter().filter_map(|item| match item {
            Item::Var { key, .. } => Some(key.as_str()),
            _ => None,
        });
        all.filter(|key| seen.insert(*key)).collect()
    }

    /// Returns a value without its quotes: that of the last assignment, which is the one that counts. An array is
    /// returned as written, with its parentheses. Nothing is expanded.
    pub fn get(&self, name: &str) -> Option<String> {
        self.items.iter().rev().find_map(|item| match item {
            Item::Var { key, raw, .. } if key == name => Some(unquote(raw)),
            _ => None,
        })
    }

    /// Assigns a value: in the place of the assignment that counts and in its style of quoting, or on a new line. A
    /// value that is already there keeps its bytes.
    pub fn set(&mut self, name: &str, value: &str) {
        if self.get(name).as_deref() != Some(value) {
            self.assign(name, &|style| quote(value, style).into_bytes());
        }
    }

    /// Returns the words of a bash array, or `None` when the variable is none; a string counts as its one word.
    pub fn words(&self, name: &str) -> Option<Vec<String>> {
        self.items.iter().rev().find_map(|item| match item {
            Item::Var { key, raw, .. } if key == name => Some(match raw.strip_prefix(b"(") {
                Some(inside) => array_words(inside.strip_suffix(b")").unwrap_or(inside)),
                None => vec![unquote(raw)],
            }),
            _ => None,
        })
    }

    /// Tells whether a variable is a bash array.
    pub fn is_array(&self, name: &str) -> bool {
        self.get_raw(name).is_some_and(|raw| raw.first() == Some(&b'('))
    }

    /// Assigns a bash array, like [`ShellVars::set`]. One that has these words already keeps its bytes; one of several
    /// lines keeps its comments, its lines and the words that stay.
    pub fn set_words(&mut self, name: &str, words: &[String]) {
        if self.is_array(name) && self.words(name).as_deref() == Some(words) {
            return;
        }
        let inside = self.get_raw(name).and_then(|raw| raw.strip_prefix(b"(")?.strip_suffix(b")"));
        if let Some(inside) = inside.filter(|text| text.contains(&b'\n')) {
            let edited = edit_array(inside, words);
            return self.assign(name, &|_| edited.clone());
        }
        let quoted: Vec<String> = words.iter().map(|w| quote(w, Quoting::Single)).collect();
        self.assign(name, &|_| format!("({})", quoted.join(" ")).into_bytes());
    }

    fn get_raw(&self, name: &str) -> Option<&[u8]> {
        self.items.iter().rev().find_map(|item| match item {
            Item::Var { key, raw, .. } if key == name => Some(raw.as_slice()),
            _ => None,
        })
    }

    fn assign(&mut self, name: &str, make: &dyn Fn(Quoting) -> Vec<u8>) {
        let last = self.items.iter().rposition(|item| matches!(item, Item::Var { key, .. } if key == name));
        let open = self.items.iter().position(|item| matches!(item, Item::Open(_)));
        if let Some(last) = last.filter(|l| open.is_none_or(|o| *l < o)) {
            if let Item::Var { raw, .. } = &mut self.items[last] {
                let style = match raw.first() {
                    Some(b'"') => Quoting::Double,
                    Some(b'\'') => Quoting::Single,
                    _ => Quoting::Bare,
                };
                *raw = make(style);
            }
            return;
        }
        // Behind an open quote an assignment has no effect, and our own quotes would close it: go before it.
        self.unset(name);
        let end = self.line_end();
        let item = Item::Var {
            lead: format!("{name}=").into_bytes(),
            key: name.to_owned(),
            raw: make(Quoting::Bare),
            tail: end.to_vec(),
        };
        if let Some(open) = self.items.iter().position(|item| matches!(item, Item::Open(_))) {
            self.items.insert(open, item);
        } else {
            self.finish_last_line(end);
            self.items.push(item);
        }
    }

    /// Removes every assignment of a name; tells whether there was one. What else stands on the line stays.
    pub fn unset(&mut self, name: &str) -> bool {
        self.unset_where(|key| key == name)
    }

    /// Removes every assignment of the names for which `gone` says so; tells whether there was one.
    pub fn unset_where(&mut self, gone: impl Fn(&str) -> bool) -> bool {
        let mut found = false;
        self.items.retain_mut(|item| {
            let Item::Var { key, raw, tail, .. } = item else { return true };
            if !gone(key) {
                return true;
            }
            let rest = tail.trim_ascii();
            if let Some(more) = rest.strip_prefix(b";").filter(|m| !m.trim_ascii().is_empty()) {
                let at = tail.len() - tail.trim_ascii_start().len() + (rest.len() - more.len());
                let more = tail[at..].trim_ascii_start().to_vec();
                *item = Item::Other(more);
                found = true;
                return true;
            }
            if rest.is_empty() || rest == b";" || rest.starts_with(b"#") {
                found = true;
                return false;
            }
            // `A=1 command`: the command is not ours to drop.
            found |= !raw.is_empty();
            raw.clear();
            true
        });
        found
    }

    /// Returns the text.
    pub fn render(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for item in &self.items {
            match item {
                Item::Other(text) | Item::Open(text) => out.extend_from_slice(text),
                Item::Var { lead, raw, tail, .. } => {
                    out.extend_from_slice(lead);
                    out.extend_from_slice(raw);
                    out.extend_from_slice(tail);
                }
            }
        }
        out
    }

    fn line_end(&self) -> &'static [u8] {
        let crlf = self.items.iter().filter(|i| last_bytes(i).ends_with(b"\r\n")).count();
        if crlf * 2 > self.items.len() { b"\r\n" } else { b"\n" }
    }

    /// Ends the last line, and the line that it continues into when it ends with a backslash.
    fn finish_last_line(&mut self, end: &[u8]) {
        let Some(item) = self.items.last_mut() else { return };
        let (before, text): (&[u8], &mut Vec<u8>) = match item {
            Item::Other(text) | Item::Open(text) => (b"", text),
            Item::Var { raw, tail, .. } => (raw, tail),
        };
        if !text.ends_with(b"\n") {
            text.extend_from_slice(end);
        }
        let whole = [before, text].concat();
        if logical_end(&[&whole[..], b"x"].concat(), 0) > whole.len() {
            text.extend_from_slice(end);
        }
    }
}

fn last_bytes(item: &Item) -> &[u8] {
    match item {
        Item::Other(text) | Item::Open(text) => text,
        Item::Var { tail, .. } => tail,
    }
}

/// Returns where the line ends that goes on at `from`, lines that a backslash continues included.
fn logical_end(text: &[u8], from: usize) -> usize {
    let comment = text[from..].trim_ascii_start().first() == Some(&b'#');
    let mut at = from;
    loop {
        let Some(len) = text[at..].iter().position(|b| *b == b'\n') else { return text.len() };
        let backslashes = text[at..at + len].iter().rev().take_while(|b| **b == b'\\').count();
        at += len + 1;
        if comment || backslashes % 2 == 0 {
            return at;
        }
    }
}

/// Recognises `[export ]NAME=` at the start of a line; returns the name and where the value starts.
fn assignment(line: &[u8]) -> Option<(String, usize)> {
    let blanks = |from: usize| from + line[from..].iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
    let mut at = blanks(0);
    if line[at..].starts_with(b"export ") || line[at..].starts_with(b"export\t") {
        at = blanks(at + 7);
    }
    let len = line[at..].iter().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
    let name = &line[at..at + len];
    if name.first().is_none_or(u8::is_ascii_digit) || line.get(at + len) != Some(&b'=') {
        return None;
    }
    Some((String::from_utf8_lossy(name).into_owned(), at + len + 1))
}

/// Returns the length of the value at the start of a text; `None` when a quote or an array is not closed.
fn value_end(text: &[u8]) -> Option<usize> {
    let array = text.first() == Some(&b'(');
    let mut at = usize::from(array);
    while let Some(byte) = text.get(at) {
        at = match byte {
            b'\'' => at + 2 + text[at + 1..].iter().position(|b| *b == b'\'')?,
            b'"' => closing_quote(text, at + 1)? + 1,
            b'\\' if text.len() > at + 1 => at + 2,
            b')' if array => return Some(at + 1),
            // A comment in an array may hold quotes of any kind.
            b'#' if array && text[at - 1].is_ascii_whitespace() => at + text[at..].iter().position(|b| *b == b'\n')?,
            b' ' | b'\t' | b'\r' | b'\n' | b';' | b'&' | b'|' if !array => return Some(at),
            _ => at + 1,
        };
    }
    if array { None } else { Some(at) }
}

fn closing_quote(text: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

fn unquote(raw: &[u8]) -> String {
    if raw.first() == Some(&b'(') {
        return String::from_utf8_lossy(raw).into_owned();
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    let mut inside = Quoting::Bare;
    while let Some(byte) = bytes.next() {
        match (inside, byte) {
            (Quoting::Bare, b'\'') => inside = Quoting::Single,
            (Quoting::Bare, b'"') => inside = Quoting::Double,
            (Quoting::Single, b'\'') | (Quoting::Double, b'"') => inside = Quoting::Bare,
            (Quoting::Bare, b'\\') => out.extend(bytes.next().filter(|b| *b != b'\n')),
            (Quoting::Double, b'\\') => match bytes.next() {
                Some(b'\n') | None => {}
                Some(b @ (b'"' | b'\\' | b'$' | b'`')) => out.push(b),
                Some(other) => out.extend([b'\\', other]),
            },
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn quote(value: &str, style: Quoting) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:,@%+=".contains(c);
    match style {
        Quoting::Bare if value.chars().all(plain) => value.to_owned(),
        Quoting::Single if !value.contains('\'') => format!("'{value}'"),
        _ => {
            let mut out = String::from("\"");
            for c in value.chars() {
                if matches!(c, '"' | '\\' | '$' | '`') {
                    out.push('\\');
                }
                out.push(c);
            }
            out + "\""
        }
    }
}

#[cfg(test)]
mod tests;
