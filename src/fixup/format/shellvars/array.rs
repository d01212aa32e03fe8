//! Bash arrays: their words, and edits that leave lines and comments alone.

use super::{Quoting, quote, unquote, value_end};
use std::collections::BTreeMap;

/// What stands between the parentheses of an array.
enum Piece<'a> {
    Blanks(&'a [u8]),
    Comment(&'a [u8]),
    Word(&'a [u8]),
}

fn pieces(text: &[u8]) -> Vec<Piece<'_>> {
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < text.len() {
        let rest = &text[at..];
        let len;
        if rest[0].is_ascii_whitespace() {
            len = rest.iter().take_while(|b| b.is_ascii_whitespace()).count();
            pieces.push(Piece::Blanks(&rest[..len]));
        } else if rest[0] == b'#' {
            len = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
            pieces.push(Piece::Comment(&rest[..len]));
        } else {
            // An array that parsed has no open quote; a stray `;` still has to move on.
            len = value_end(rest).unwrap_or(rest.len()).max(1);
            pieces.push(Piece::Word(&rest[..len]));
        }
        at += len;
    }
    pieces
}

/// Splits what stands between the parentheses of an array.
pub(super) fn array_words(text: &[u8]) -> Vec<String> {
    let words =
        pieces(text).into_iter().filter_map(|p| if let Piece::Word(raw) = p { Some(unquote(raw)) } else { None });
    words.collect()
}

/// Makes an array hold these words and returns it with its parentheses: words that stay keep their place and their quotes,
/// what is new stands behind the word before it, and comments stay where they are.
pub(super) fn edit_array(text: &[u8], words: &[String]) -> Vec<u8> {
    let mut out = b"(".to_vec();
    let put = |out: &mut Vec<u8>, new: &[String]| {
        for word in new {
            if out.last().is_some_and(|b| *b != b'(') {
                out.push(b' ');
            }
            out.extend(quote(word, Quoting::Single).into_bytes());
        }
    };
    let all = pieces(text);
    // Which words stay, and how many of the new ones are written by then.
    let mut written = 0;
    let mut known: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    words.iter().enumerate().for_each(|(at, word)| known.entry(word).or_default().push(at));
    let stay: Vec<Option<usize>> = all
        .iter()
        .map(|piece| {
            let Piece::Word(raw) = piece else { return None };
            let places = known.get(unquote(raw).as_str())?;
            let at = *places.get(places.partition_point(|at| *at < written))?;
            written = at + 1;
            Some(at)
        })
        .collect();
    let mut places = stay.iter().flatten().copied().collect::<Vec<_>>().into_iter().chain([words.len()]);
    put(&mut out, &words[..places.next().unwrap_or(words.len())]);
    let mut start = out.len();
    // The line end behind a comment ends it, and must not go with the word that follows.
    let (mut comment, mut line_end) = (false, false);
    for (piece, stays) in all.iter().zip(stay) {
        let raw = match piece {
            Piece::Blanks(raw) => {
                start = out.len();
                out.extend_from_slice(if line_end && !raw.contains(&b'\n') { b"\n" } else { b"" });
                line_end = false;
                out.extend_from_slice(raw);
                continue;
            }
            // The blanks in front of a word go with it.
            Piece::Word(_) if stays.is_none() => {
                out.truncate(start);
                line_end = comment;
                continue;
            }
            Piece::Comment(raw) | Piece::Word(raw) => raw,
        };
        if line_end {
            out.push(b'\n');
        } else if out.last().is_some_and(|b| !b.is_ascii_whitespace() && *b != b'(') {
            out.push(b' ');
        }
        line_end = false;
        out.extend_from_slice(raw);
        if let Some(at) = stays {
            put(&mut out, &words[at + 1..places.next().unwrap_or(words.len())]);
        }
        comment = stays.is_none();
        start = out.len();
    }
    out.extend_from_slice(if line_end { b"\n" } else { b"" });
    out.push(b')');
    out
}
