//! Where in a module's file a mistake is: the line that a person has to look at.

use super::module::Module;
use crate::error::Error;
use std::ops::Range;

/// Makes the error for a mistake in a file of modules: file, line, reason.
pub(super) fn wrong(origin: &str, line: usize, why: &str) -> Error {
    Error::usage(format!("fixup module {origin}, line {line}: {why}"))
}

/// Returns that of the names which a word was most likely meant to be: the nearest, when a third of its letters or less
/// would have to change.
pub(super) fn nearest<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> Option<&'n str> {
    let word: Vec<char> = word.to_lowercase().chars().take(64).collect();
    let all = names.into_iter().map(|name| (distance(&word, name), name));
    let (changes, name) = all.min_by_key(|(changes, _)| *changes)?;
    (changes * 3 <= word.len().max(3)).then_some(name)
}

/// How many letters must be put in, left out, changed or swapped with the next to make one word of another.
fn distance(word: &[char], other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut rows = vec![vec![0; other.len() + 1]; word.len() + 1];
    for i in 0..=word.len() {
        for j in 0..=other.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let same = word[i - 1] == other[j - 1];
                let swapped = i > 1 && j > 1 && word[i - 1] == other[j - 2] && word[i - 2] == other[j - 1];
                let change = rows[i - 1][j - 1] + usize::from(!same);
                let one = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if swapped { one.min(rows[i - 2][j - 2] + 1) } else { one }
            };
        }
    }
    rows[word.len()][other.len()]
}

/// Says behind the parser's complaint of a name that it does not know which one was meant: the parser has the unknown name
/// in backticks, and those that it knows behind it.
pub(super) fn with_nearest(complaint: &str) -> String {
    let mut names = complaint.split('`').skip(1).step_by(2);
    let unknown = complaint.starts_with("unknown ").then(|| names.next()).flatten();
    match unknown.and_then(|word| nearest(word, names)) {
        Some(name) => format!("{complaint}; did you mean `{name}`?"),
        None => complaint.to_owned(),
    }
}

/// Says which name was meant, in a form that can stand behind one that is not known.
pub(super) fn meant<'n>(word: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    nearest(word, names).map(|name| format!(" (did you mean \"{name}\"?)")).unwrap_or_default()
}

/// Returns the line, from 1, on which a byte of a text is.
pub(super) fn line_at(text: &str, offset: usize) -> usize {
    text.get(..offset).unwrap_or(text).matches('\n').count() + 1
}

fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.trim_start().split_once('=')?;
    Some(key.trim().trim_matches('"'))
}

/// Returns the line of a key that stands outside of every table, and 1 when there is none.
pub(super) fn line_of_key(text: &str, key: &str) -> usize {
    let top = text.lines().take_while(|l| !l.trim_start().starts_with('['));
    top.enumerate().find(|(_, l)| key_of(l) == Some(key)).map_or(1, |(n, _)| n + 1)
}

/// Returns the lines, counted from 1, of each `[[action]]`: up to the next table, its own `[action.when]` included.
pub(super) fn action_lines(text: &str) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut open = false;
    let mut last = 1;
    for (number, line) in text.lines().enumerate().map(|(n, l)| (n + 1, l)) {
        let bare: String = line.split_whitespace().collect();
        let below = bare.starts_with("[action.") || bare.starts_with("[[action.");
        if open && (bare.starts_with("[[action]]") || (is_table(line) && !below)) {
            if let Some(block) = found.last_mut() {
                block.end = number;
            }
            open = false;
        }
        if bare.starts_with("[[action]]") {
            found.push(number..number + 1);
            open = true;
        }
        last = number + 1;
    }
    if let Some(block) = found.last_mut().filter(|_| open) {
        block.end = last;
    }
    found
}

/// Tells whether a line opens a table; a line of an array that stands alone, like `["a"],`, does not.
fn is_table(line: &str) -> bool {
    let bare = line.split('#').next().unwrap_or_default().trim();
    bare.starts_with('[') && bare.ends_with(']') && !bare.contains(['"', '\'', ','])
}

/// Strings on one line of TOML, as far as the line can be read alone: a key with its value, or a part of an array.
fn strings(line: &str) -> Vec<String> {
    let value = line.split_once('=').map_or(line, |(_, v)| v).trim().trim_end_matches(',');
    let part = line.split('#').next().unwrap_or_default().trim().trim_start_matches('[').trim_end_matches([']', ',']);
    let tables = [format!("x = {value}"), format!("x = [{value}\n]"), format!("x = [{part}]")];
    let mut found = Vec::new();
    for text in tables {
        if let Ok(table) = text.parse::<toml::Table>() {
            table.values().for_each(|v| below(v, &mut found));
        }
    }
    found
}

fn below(value: &toml::Value, found: &mut Vec<String>) {
    match value {
        toml::Value::String(text) => found.push(text.clone()),
        toml::Value::Array(values) => values.iter().for_each(|v| below(v, found)),
        toml::Value::Table(table) => table.iter().for_each(|(k, v)| {
            found.push(k.clone());
            below(v, found);
        }),
        _ => {}
    }
}

/// Returns the line within a range on which what a message complains of stands: the first word in quotes or backticks is
/// looked for, as key and as value. The first line of the range when it is nowhere.
pub(super) fn line_of_complaint(text: &str, within: &Range<usize>, message: &str) -> usize {
    let quoted = ['`', '"'].into_iter().find_map(|quote| {
        let (_, rest) = message.split_once(quote)?;
        let end = if quote == '"' { rest.rfind('"') } else { rest.find('`') };
        Some(&rest[..end?])
    });
    let Some(quoted) = quoted else { return within.start };
    // What follows the first quoted text may be quoted too.
    let candidates =
        [quoted, quoted.split("\" ").next().unwrap_or(quoted), quoted.split("\",").next().unwrap_or(quoted)];
    let matches = |line: &str| {
        key_of(line).is_some_and(|k| candidates.contains(&k))
            || strings(line).iter().any(|s| {
                let escaped = s.escape_debug().to_string();
                candidates.contains(&escaped.as_str())
            })
    };
    lines_of(text, within).find(|(_, l)| matches(l)).map_or(within.start, |(n, _)| n)
}

/// Returns the line within a range on which a line of a template stands; the first of the range when it is nowhere.
pub(super) fn line_of_template(text: &str, within: &Range<usize>, template: &str, number: usize) -> usize {
    let wanted = template.lines().nth(number.saturating_sub(1)).unwrap_or_default();
    let escaped = wanted.escape_debug().to_string();
    let holds = |l: &str| !wanted.is_empty() && (l.contains(wanted) || l.contains(&escaped));
    lines_of(text, within).find(|(_, l)| holds(l)).map_or(within.start, |(n, _)| n)
}

fn lines_of<'t>(text: &'t str, within: &Range<usize>) -> impl Iterator<Item = (usize, &'t str)> {
    let lines = text.lines().enumerate().map(|(n, l)| (n + 1, l));
    lines.skip(within.start.saturating_sub(1)).take(within.len())
}

/// Returns the lines of a module's action, by its number from 0.
pub(super) fn lines_of_action(module: &Module, index: usize) -> Range<usize> {
    action_lines(&module.text).get(index).cloned().unwrap_or(1..1)
}

/// Returns where a module names another in `after` or `before`.
pub(super) fn line_of_name(module: &Module, key: &str, name: &str) -> usize {
    let start = line_of_key(&module.text, key);
    line_of_complaint(&module.text, &(start..start + 20), &format!("\"{}\"", name.escape_debug()))
}

#[cfg(test)]
#[path = "fault_tests.rs"]
mod tests;
