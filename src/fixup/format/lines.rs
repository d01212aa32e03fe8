//! Physical lines with their own line ends.

/// One physical line: its text and the line end that it came with (`\n`, `\r\n`, or nothing at the end of the file).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// The text without the line end.
    pub(super) text: Vec<u8>,
    end: &'static [u8],
}

impl Line {
    /// Returns the text, with bytes that are not UTF-8 replaced: for reading only, never for rendering.
    pub(super) fn view(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }

    /// Tells whether the line is empty or white space.
    pub(super) fn is_blank(&self) -> bool {
        self.text.iter().all(u8::is_ascii_whitespace)
    }

    /// Tells whether the first character that is not white space is `#`.
    pub(super) fn is_comment(&self) -> bool {
        self.text.trim_ascii_start().first() == Some(&b'#')
    }
}

/// Splits a text into lines.
pub(super) fn split(text: &[u8]) -> Vec<Line> {
    text.split_inclusive(|b| *b == b'\n')
        .map(|raw| {
            let (text, end): (&[u8], &'static [u8]) = if let Some(t) = raw.strip_suffix(b"\r\n") {
                (t, b"\r\n")
            } else if let Some(t) = raw.strip_suffix(b"\n") {
                (t, b"\n")
            } else {
                (raw, b"")
            };
            Line { text: text.to_vec(), end }
        })
        .collect()
}

/// Puts lines together again. A line that had no line end, because it was the last of its file, gets one when another
/// line now follows it: nothing is glued.
pub(super) fn join<'a>(lines: impl IntoIterator<Item = &'a Line>) -> Vec<u8> {
    let lines: Vec<&Line> = lines.into_iter().collect();
    let usual = usual_end(lines.iter().copied());
    let mut out = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        out.extend_from_slice(&line.text);
        let end = if line.end.is_empty() && at + 1 < lines.len() { usual } else { line.end };
        out.extend_from_slice(end);
    }
    out
}

/// Puts the lines of `new` into a text: of what is there, lines go for whose words `goes` holds, unless they are wanted;
/// what is not there yet comes last. Lines of the same words are the same.
pub(super) fn merge(old: &[u8], new: &[u8], goes: impl Fn(&[&str]) -> bool) -> Vec<u8> {
    let same = |a: &Line, b: &Line| a.view().split_whitespace().eq(b.view().split_whitespace());
    let wanted = split(new);
    let mut list = split(old);
    list.retain(|l| {
        let view = l.view();
        let words: Vec<&str> = view.split_whitespace().collect();
        !goes(&words) || wanted.iter().any(|w| same(l, w))
    });
    let end = usual_end(list.iter());
    for new in wanted {
        if !list.iter().any(|l| same(l, &new)) {
            list.push(line(new.text, end));
        }
    }
    join(&list)
}

/// Returns the line end that most lines have; `\n` when there are none.
pub(super) fn usual_end<'a>(lines: impl Iterator<Item = &'a Line>) -> &'static [u8] {
    let (mut lf, mut crlf) = (0_usize, 0_usize);
    for line in lines {
        match line.end {
            b"\n" => lf += 1,
            b"\r\n" => crlf += 1,
            _ => {}
        }
    }
    if crlf > lf { b"\r\n" } else { b"\n" }
}

/// Makes a line with a given line end.
pub(super) fn line(text: impl Into<Vec<u8>>, end: &'static [u8]) -> Line {
    Line { text: text.into(), end }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_end_survives() {
        for text in [&b""[..], b"a", b"a\n", b"a\r\nb\n\n\xff", b"\r\n\r", b"\n\n"] {
            assert_eq!(join(&split(text)), text, "{text:?}");
        }
    }

    #[test]
    fn a_line_after_an_unfinished_one_is_not_glued() {
        let mut lines = split(b"a\r\nb");
        let end = usual_end(lines.iter());
        lines.push(line("c", end));
        assert_eq!(join(&lines), b"a\r\nb\r\nc\r\n");
    }
}
