//! Text for a terminal.

use std::time::Duration;

/// Makes text harmless: control characters, and the invisible ones that reorder or hide what follows, are escaped. A file
/// name can otherwise clear the screen or show a command that is not there.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_hostile(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Control characters, zero-width characters, and the marks that turn the direction of writing.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// Returns a duration as people say it: `0.4 s`, `42 s`, `3 min 5 s`, `2 h 7 min`.
pub fn duration(time: Duration) -> String {
    let whole = time.as_secs();
    match whole {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Makes a duration of seconds that may be anything a float can be.
pub fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

/// Cuts text to a number of characters; what was cut shows as `~`.
pub fn fit(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(std::iter::once('~')).collect()
}

/// Breaks text at blanks into lines of at most `width` characters; a longer word stays whole, so that paths and commands
/// can be copied.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.last().map_or(0, |l| l.chars().count());
        if last > 0 && last + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_hides_text_is_left() {
        assert_eq!(plain("a\u{1b}[2J\r\nb"), "a\\u{1b}[2J\\r\\nb");
        assert_eq!(plain("evil\u{202e}txt.exe\u{200b}\u{9b}"), "evil\\u{202e}txt.exe\\u{200b}\\u{9b}");
        assert_eq!(plain("Büro 日本"), "Büro 日本");
    }

    #[test]
    fn durations_as_people_say_them() {
        for (secs, text) in [(0.44, "0.4 s"), (42.9, "42 s"), (185.0, "3 min 5 s"), (7620.0, "2 h 7 min")] {
            assert_eq!(duration(seconds(secs)), text);
        }
        assert_eq!(duration(seconds(f64::NAN)), "0.0 s");
        assert_eq!(duration(seconds(-1.0)), "0.0 s");
    }

    #[test]
    fn wrapping_keeps_words_and_fitting_shows_the_cut() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("a /very/long/path b", 5), ["a", "/very/long/path", "b"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(fit("abcdef", 4), "abc~");
        assert_eq!(fit("abcd", 4), "abcd");
    }
}
