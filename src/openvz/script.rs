//! Commands of a shell script, as far as they can be read without running it.

use super::grammar::is_space;
use std::collections::HashMap;

/// One simple command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Command {
    /// The line on which it begins, from 1.
    pub(super) line: usize,
    /// Where that line begins in the script.
    pub(super) at: usize,
    /// Its words; `None` where one depends on something that only running it would tell.
    pub(super) words: Vec<Option<String>>,
}

/// Returns the line that begins there.
pub(super) fn line_at(text: &[u8], at: usize) -> &[u8] {
    let rest = text.get(at..).unwrap_or_default();
    rest.split(|b| *b == b'\n').next().unwrap_or_default().trim_ascii()
}

/// No word grows beyond this, so that variables made of variables stay small.
const LONGEST_WORD: usize = 4096;

/// Words before a command that are not it.
const KEYWORDS: &[&str] = &[
    "if", "then", "else", "elif", "do", "while", "until", "!", "{", "exec", "time", "nice", "sudo", "export", "local",
];

/// What stands there, and whether running the script could not make anything else of it.
struct Word {
    text: Vec<u8>,
    plain: bool,
}

impl Word {
    fn plain(self) -> Option<String> {
        String::from_utf8(self.text).ok().filter(|_| self.plain)
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    /// Where this line begins.
    start: usize,
    variables: HashMap<String, Option<String>>,
    words: Vec<Word>,
    /// Line of the first of them, and where it begins.
    began: (usize, usize),
    out: Vec<Command>,
}

/// Reads a script. `known` are variables that it is started with. Assignments of plain words are followed in the order of
/// the text, whatever the flow of control would be.
pub(super) fn commands(text: &[u8], known: impl IntoIterator<Item = (String, String)>) -> Vec<Command> {
    let variables = known.into_iter().map(|(name, value)| (name, Some(value))).collect();
    let mut reader =
        Reader { text, at: 0, line: 1, start: 0, variables, words: Vec::new(), began: (1, 0), out: Vec::new() };
    while let Some(byte) = reader.peek() {
        match byte {
            b'\n' | b';' | b'&' | b'|' | b'(' | b')' | b'<' | b'>' | b'`' => {
                reader.end();
                reader.step();
            }
            b'#' => reader.skip_line(),
            b if is_space(b) => reader.step(),
            b'\\' if reader.text.get(reader.at + 1) == Some(&b'\n') => {
                reader.step();
                reader.step();
            }
            _ => {
                if reader.words.is_empty() {
                    reader.began = (reader.line, reader.start);
                }
                let word = reader.word();
                reader.words.push(word);
            }
        }
    }
    reader.end();
    reader.out
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn step(&mut self) {
        let newline = self.peek() == Some(b'\n');
        self.at += 1;
        if newline {
            (self.line, self.start) = (self.line + 1, self.at);
        }
    }

    fn skip_line(&mut self) {
        while self.peek().is_some_and(|b| b != b'\n') {
            self.at += 1;
        }
    }

    fn word(&mut self) -> Word {
        let (mut out, mut plain, mut quote) = (Vec::new(), true, None);
        while let Some(byte) = self.peek() {
            match (quote, byte) {
                (None, b'\'' | b'"') => quote = Some(byte),
                (Some(open), b) if b == open => quote = None,
                (Some(b'\''), b) => out.push(b),
                (None, b) if is_space(b) || b";&|()<>".contains(&b) => break,
                (_, b'\\') => {
                    self.step();
                    if let Some(next) = self.peek().filter(|b| *b != b'\n') {
                        out.push(next);
                    }
                }
                (_, b'$') => {
                    plain &= self.expand(&mut out);
                    continue;
                }
                (_, b'`') => plain = false,
                // Patterns and braces would become other words.
                (None, b'*' | b'?' | b'[' | b'{' | b'~') if !out.is_empty() || byte != b'[' && byte != b'{' => {
                    plain = false;
                }
                (_, b) => out.push(b),
            }
            self.step();
        }
        if quote.is_some() || out.len() > LONGEST_WORD {
            plain = false;
        }
        Word { text: out, plain }
    }

    /// Puts a variable's value in; tells whether it is known.
    fn expand(&mut self, out: &mut Vec<u8>) -> bool {
        self.step();
        let braced = self.peek() == Some(b'{');
        if braced {
            self.step();
        }
        let begin = self.at;
        while self.peek().is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_') {
            self.at += 1;
        }
        let name = String::from_utf8_lossy(&self.text[begin..self.at]).into_owned();
        if braced {
            if self.peek() != Some(b'}') {
                return false;
            }
            self.step();
        }
        match self.variables.get(&name) {
            Some(Some(value)) if out.len() + value.len() <= LONGEST_WORD => {
                out.extend_from_slice(value.as_bytes());
                true
            }
            _ => false,
        }
    }

    /// Ends a command: remembers its assignments, drops the keywords before it, keeps the rest.
    fn end(&mut self) {
        let mut words = std::mem::take(&mut self.words).into_iter().peekable();
        while let Some(word) = words.peek() {
            let equals = word.text.iter().position(|b| *b == b'=').filter(|n| is_name(&word.text[..*n]));
            let before = KEYWORDS.iter().any(|k| k.as_bytes() == word.text);
            match equals {
                Some(equals) => {
                    let name = String::from_utf8_lossy(&word.text[..equals]).into_owned();
                    let value = String::from_utf8(word.text[equals + 1..].to_vec()).ok().filter(|_| word.plain);
                    self.variables.insert(name, value);
                }
                None if before => {}
                None => break,
            }
            words.next();
        }
        let words: Vec<Option<String>> = words.map(Word::plain).collect();
        if !words.is_empty() {
            let (line, at) = self.began;
            self.out.push(Command { line, at, words });
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

    fn words(text: &str) -> Vec<String> {
        let known = [("VE_ROOT".to_owned(), "/vz/root/101".to_owned())];
        let word = |w: Option<String>| w.unwrap_or_else(|| "?".into());
        let line = |c: Command| format!("{} {}", c.line, c.words.into_iter().map(word).collect::<Vec<_>>().join("|"));
        commands(text.as_bytes(), known).into_iter().map(line).collect()
    }

    #[test]
    fn commands_are_found_between_operators_and_keywords() {
        assert_eq!(words("if [ -d /a ]; then mount 'a b' \"c\"d; fi"), ["1 [|-d|/a|]", "1 mount|a b|cd", "1 fi"]);
        assert_eq!(words("# a\n\na && \\\n b x\\ y # c\n! c|d"), ["3 a", "4 b|x y", "5 c", "5 d"]);
        assert_eq!(words("X=1 export Y=2\necho $X${Y}$Z"), ["2 echo|?"]);
        assert_eq!(words("X=1 export Y=2\necho $X${Y}"), ["2 echo|12"]);
    }

    #[test]
    fn nothing_is_guessed() {
        assert_eq!(words("VE_ROOT=$(pwd); echo $VE_ROOT/a")[1..], ["1 echo|?"]);
        assert_eq!(words("echo ${VE_ROOT} ${VE_ROOT%/*} `pwd` a* '$X' ~"), ["1 echo|/vz/root/101|?", "1 ?|?|$X|?"]);
        assert_eq!(words("echo 'open"), ["1 echo|?"]);
        // Variables made of variables do not grow without bound.
        let doubling: String = std::iter::repeat_n("A=$A$A\n", 100).collect();
        assert_eq!(words(&format!("A=xxxxxxxx\n{doubling}echo $A")).last().unwrap(), "102 echo|?");
    }

    #[test]
    fn large_scripts_are_read_in_one_pass() {
        let began = std::time::Instant::now();
        for text in ["a;".repeat(128 << 10), "a\n".repeat(128 << 10), "$A\\".repeat(64 << 10), "A=$A;".repeat(32 << 10)]
        {
            commands(text.as_bytes(), []);
        }
        assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    }
}
