//! What bash makes of a VE configuration. vzctl's own scripts, action scripts and vzmigrate source the file, so two readers
//! are live on it; where they disagree the operator should know. Nothing is run or expanded here.

/// The value that bash gives a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Exactly these bytes, with this many `$VEID` or `${VEID}` left in them (vzctl sets that variable for its scripts).
    Literal(Vec<u8>, usize),
    /// Something that depends on an expansion.
    Expanded,
}

/// An assignment that lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    /// Line on which it begins, from 1, and the column of the name in it, in bytes from 1.
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) name: Vec<u8>,
    pub(super) value: Value,
}

/// The whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) assignments: Vec<Assignment>,
    /// A quote that opens on this line, in this column, is never closed: bash reads nothing from here on.
    pub(super) broken_at: Option<(usize, usize)>,
}

struct Word {
    line: usize,
    column: usize,
    text: Vec<u8>,
    veid: usize,
    expanded: bool,
    /// Offset of an `=` outside quotes, when a valid name stands before it.
    equals: Option<usize>,
    quoted: bool,
}

impl Word {
    fn at(line: usize) -> Word {
        Word { line, column: 1, text: Vec::new(), veid: 0, expanded: false, equals: None, quoted: false }
    }

    fn is_empty(&self) -> bool {
        self.text.is_empty() && !self.quoted && !self.expanded
    }
}

struct Lexer<'a> {
    file: &'a [u8],
    at: usize,
    line: usize,
    /// Where this line begins.
    start: usize,
    script: Script,
    statement: Vec<Word>,
}

/// Reads a file.
pub(super) fn read(file: &[u8]) -> Script {
    let mut lexer = Lexer { file, at: 0, line: 1, start: 0, script: Script::default(), statement: Vec::new() };
    let mut word = Word::at(1);
    while let Some(byte) = lexer.next() {
        match byte {
            b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' => {
                lexer.end_word(&mut word);
                lexer.end_statement();
            }
            b' ' | b'\t' => lexer.end_word(&mut word),
            b'#' if word.is_empty() => lexer.skip_comment(),
            _ => {
                if word.is_empty() {
                    (word.line, word.column) = lexer.here();
                }
                if let Err(place) = lexer.part(byte, &mut word) {
                    lexer.script.broken_at = Some(place);
                    return lexer.script;
                }
            }
        }
    }
    lexer.end_word(&mut word);
    lexer.end_statement();
    lexer.script
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.file.get(self.at)?;
        self.at += 1;
        // The newline belongs to the line it ends; callers that begin a word look at `line` after their own byte.
        if self.at >= 2 && self.file[self.at - 2] == b'\n' {
            self.line += 1;
            self.start = self.at - 1;
        }
        Some(byte)
    }

    /// Line and column of the byte that was read last.
    fn here(&self) -> (usize, usize) {
        (self.line, self.at - self.start)
    }

    fn skip_comment(&mut self) {
        while self.file.get(self.at).is_some_and(|b| *b != b'\n') {
            self.next();
        }
    }

    /// Reads on in a word from its next byte; fails with the place of a quote that is never closed.
    fn part(&mut self, byte: u8, word: &mut Word) -> Result<(), (usize, usize)> {
        let opened = self.here();
        match byte {
            b'\\' => match self.next() {
                Some(b'\n') | None => {}
                Some(next) => word.text.push(next),
            },
            b'\'' => {
                word.quoted = true;
                loop {
                    match self.next().ok_or(opened)? {
                        b'\'' => break,
                        other => word.text.push(other),
                    }
                }
            }
            b'"' => {
                word.quoted = true;
                self.double_quoted(opened, word)?;
            }
            b'$' => self.dollar(word, b"'\""),
            b'`' => word.expanded = true,
            b'~' if word.text.is_empty() || word.equals == Some(word.text.len().wrapping_sub(1)) => {
                word.expanded = true;
            }
            b'=' => {
                if word.equals.is_none() && !word.quoted && is_name(&word.text) {
                    word.equals = Some(word.text.len());
                }
                word.text.push(b'=');
            }
            other => word.text.push(other),
        }
        Ok(())
    }

    fn double_quoted(&mut self, opened: (usize, usize), word: &mut Word) -> Result<(), (usize, usize)> {
        loop {
            match self.next().ok_or(opened)? {
                b'"' => return Ok(()),
                b'\\' => match self.next().ok_or(opened)? {
                    b'\n' => {}
                    byte @ (b'$' | b'`' | b'"' | b'\\') => word.text.push(byte),
                    byte => word.text.extend([b'\\', byte]),
                },
                b'$' => self.dollar(word, b""),
                b'`' => word.expanded = true,
                other => word.text.push(other),
            }
        }
    }

    /// Reads what follows a dollar sign: `$VEID` stays as it is, a lone dollar too, anything else is an expansion.
    /// `quotes` are those that a dollar may stand before outside of quotes.
    fn dollar(&mut self, word: &mut Word, quotes: &[u8]) {
        let rest = &self.file[self.at..];
        let plain = rest.starts_with(b"VEID") && !rest.get(4).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let length = if plain { Some(4) } else { rest.starts_with(b"{VEID}").then_some(6) };
        if let Some(length) = length {
            word.text.push(b'$');
            word.text.extend_from_slice(&rest[..length]);
            word.veid += 1;
            self.at += length;
            return;
        }
        match rest.first() {
            Some(b) if b.is_ascii_alphanumeric() || b"_{(?!#@*$-".contains(b) || quotes.contains(b) => {
                word.expanded = true;
            }
            _ => word.text.push(b'$'),
        }
    }

    fn end_word(&mut self, word: &mut Word) {
        if !word.is_empty() {
            let next = Word::at(self.line);
            self.statement.push(std::mem::replace(word, next));
        }
    }

    /// Keeps the assignments of a statement, unless a command follows them: then they hold for that command only.
    fn end_statement(&mut self) {
        let words = std::mem::take(&mut self.statement);
        let declares = |w: &Word| matches!(w.text.as_slice(), b"export" | b"declare" | b"typeset" | b"readonly");
        let skip = usize::from(words.first().is_some_and(declares));
        if skip == 0 && words.iter().any(|w| w.equals.is_none()) {
            return;
        }
        for word in words.into_iter().skip(skip) {
            let Some(equals) = word.equals else { continue };
            let value = if word.expanded {
                Value::Expanded
            } else {
                Value::Literal(word.text[equals + 1..].to_vec(), word.veid)
            };
            let (line, column) = (word.line, word.column);
            self.script.assignments.push(Assignment { line, column, name: word.text[..equals].to_vec(), value });
        }
    }
}

fn is_name(text: &[u8]) -> bool {
    text.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_')
        && text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(file: &str) -> Option<String> {
        let script = read(file.as_bytes());
        match &script.assignments[..] {
            [] => None,
            [a] => match &a.value {
                Value::Literal(text, _) => Some(String::from_utf8(text.clone()).unwrap()),
                Value::Expanded => Some("<expanded>".into()),
            },
            _ => panic!("{file}: more than one"),
        }
    }

    const CASES: &[(&str, Option<&str>)] = &[
        ("X=\"a b\"\n", Some("a b")),
        ("X='a b' # c\n", Some("a b")),
        ("X=a # c\n", Some("a")),
        ("X=a b\n", None),
        ("X = a\n", None),
        ("X =\"a\"\n", None),
        ("X= a\n", None),
        ("export X=a\n", Some("a")),
        ("X=\"a\\b\"\n", Some("a\\b")),
        ("X=a\\b\n", Some("ab")),
        ("X=\"a\\\nb\"\n", Some("ab")),
        ("X=\"a\nb\"\n", Some("a\nb")),
        ("X=\"a\" \"b\"\n", None),
        ("X=a#b\n", Some("a#b")),
        ("X=\n", Some("")),
        ("X=\"\"\n", Some("")),
        ("X=a=b\n", Some("a=b")),
        ("X=\"cost: 5$\"\n", Some("cost: 5$")),
    ];

    #[test]
    fn values_are_those_of_a_real_shell() {
        for (file, want) in CASES {
            assert_eq!(one(file).as_deref(), *want, "{file:?}");
            // A real shell is the oracle: the file is one of the literals above.
            #[expect(clippy::disallowed_methods, reason = "asks a real shell")]
            let out = std::process::Command::new("bash")
                .args([
                    "-c",
                    "unset X; eval \"$1\" 2>/dev/null; [ -n \"${X+x}\" ] && printf %s \"$X\" || exit 3",
                    "bash",
                    file,
                ])
                .output();
            if let Ok(out) = out {
                let got = (out.status.code() == Some(0)).then(|| String::from_utf8(out.stdout).unwrap());
                assert_eq!(got.as_deref(), *want, "bash on {file:?}");
            }
        }
    }

    #[test]
    fn expansions_are_not_guessed() {
        for file in ["X=$HOME\n", "X=\"${A:-b}\"\n", "X=`date`\n", "X=$(date)\n", "X=~/a\n"] {
            let script = read(file.as_bytes());
            assert_eq!(script.assignments.first().map(|a| &a.value), Some(&Value::Expanded), "{file}");
        }
        assert_eq!(
            read(b"X=/vz/$VEID/${VEID}\n").assignments[0].value,
            Value::Literal(b"/vz/$VEID/${VEID}".to_vec(), 2)
        );
        assert_eq!(read(b"X=$VEIDS\n").assignments[0].value, Value::Expanded);
    }

    #[test]
    fn lines_are_counted_through_quotes() {
        let script = read(b"# c\nA=1\nB=\"2\n3\"\nC=4; D=5\n\n E=\"open\n");
        let lines: Vec<_> = script.assignments.iter().map(|a| (a.name[0], a.line, a.column)).collect();
        assert_eq!(lines, [(b'A', 2, 1), (b'B', 3, 1), (b'C', 5, 1), (b'D', 5, 6)]);
        assert_eq!(script.broken_at, Some((7, 4)));
    }
}
