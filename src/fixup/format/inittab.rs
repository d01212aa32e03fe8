//! /etc/inittab of System V init and BusyBox init: `id:runlevels:action:process` (inittab(5)).

use super::lines::{self, Line};

/// The fields of one line. Bytes that are not UTF-8 are shown replaced; they are rendered as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Up to four characters; BusyBox puts the terminal here, or nothing.
    pub id: String,
    /// Runlevels, `2345`.
    pub runlevels: String,
    /// `respawn`, `once`, `powerfail`, …
    pub action: String,
    /// The command line, which may hold colons.
    pub process: String,
}

/// An inittab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inittab {
    lines: Vec<Line>,
}

impl Inittab {
    /// Reads an inittab. Lines that are no entries are kept and never looked at again.
    pub fn parse(text: &[u8]) -> Inittab {
        Inittab { lines: lines::split(text) }
    }

    /// Returns the entries in order, duplicates included (init itself ignores the later ones).
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.lines.iter().filter_map(entry)
    }

    /// Removes the entries for which `gone` says so; returns how many.
    pub fn remove_where(&mut self, mut gone: impl FnMut(&Entry) -> bool) -> usize {
        let before = self.lines.len();
        self.lines.retain(|line| !entry(line).is_some_and(|e| gone(&e)));
        before - self.lines.len()
    }

    /// Makes the entry `id` say this: the first line with that id is replaced in its place, later ones go, and where
    /// there is none the entry is appended. An empty id (BusyBox) names nothing, so there the whole entry is compared.
    pub fn set(&mut self, id: &str, runlevels: &str, action: &str, process: &str) {
        let wanted =
            Entry { id: id.into(), runlevels: runlevels.into(), action: action.into(), process: process.into() };
        let same = |e: &Entry| if id.is_empty() { *e == wanted } else { e.id == id };
        let mut found = false;
        self.lines.retain_mut(|line| {
            let Some(old) = entry(line).filter(|e| same(e)) else { return true };
            if found {
                return false;
            }
            found = true;
            if old != wanted {
                line.text = text(&wanted);
            }
            true
        });
        if !found {
            let end = lines::usual_end(self.lines.iter());
            self.lines.push(lines::line(text(&wanted), end));
        }
    }

    /// Returns the text.
    pub fn render(&self) -> Vec<u8> {
        lines::join(&self.lines)
    }
}

fn text(entry: &Entry) -> Vec<u8> {
    format!("{}:{}:{}:{}", entry.id, entry.runlevels, entry.action, entry.process).into_bytes()
}

fn entry(line: &Line) -> Option<Entry> {
    if line.is_blank() || line.is_comment() {
        return None;
    }
    let view = line.view();
    let mut fields = view.trim().splitn(4, ':');
    let mut next = || fields.next().map(str::to_owned);
    Some(Entry { id: next()?, runlevels: next()?, action: next()?, process: next()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRESSED: &str = "# Default runlevel\n\
        id:3:initdefault:\n\
        pf::powerfail:/sbin/shutdown -f -h +2 \"Power Failure\"\n\
        1:2345:respawn:/sbin/mingetty tty1\n\
        # 5:2345:respawn:/sbin/mingetty tty5\n\
        1:2345:respawn:/sbin/mingetty console\n\
        vz:2345:once:touch /.vzfifo\n";

    #[test]
    fn removes_what_vzctl_added_and_nothing_else() {
        let mut tab = Inittab::parse(DRESSED.as_bytes());
        assert_eq!(tab.remove_where(|e| e.id == "vz" && e.process.contains("/.vzfifo")), 1);
        assert_eq!(tab.render(), DRESSED.replace("vz:2345:once:touch /.vzfifo\n", "").into_bytes());
        assert_eq!(tab.remove_where(|e| e.process.contains("tty5")), 0, "a comment is no entry");
    }

    #[test]
    fn set_replaces_in_place_and_drops_later_duplicates() {
        let mut tab = Inittab::parse(DRESSED.as_bytes());
        tab.set("1", "2345", "respawn", "/sbin/mingetty --nohangup tty1");
        tab.set("pf", "", "powerwait", "/sbin/shutdown -h now");
        let once = tab.render();
        let want = DRESSED
            .replace("1:2345:respawn:/sbin/mingetty console\n", "")
            .replace("mingetty tty1", "mingetty --nohangup tty1")
            .replace("powerfail:/sbin/shutdown -f -h +2 \"Power Failure\"", "powerwait:/sbin/shutdown -h now");
        assert_eq!(String::from_utf8(once.clone()).unwrap(), want);
        let mut again = Inittab::parse(&once);
        again.set("1", "2345", "respawn", "/sbin/mingetty --nohangup tty1");
        again.set("pf", "", "powerwait", "/sbin/shutdown -h now");
        assert_eq!(again.render(), once);
    }

    #[test]
    fn appends_without_gluing_and_with_the_line_end_of_the_file() {
        let mut tab = Inittab::parse(b"id:3:initdefault:\r\n1:2345:respawn:/sbin/mingetty tty1");
        tab.set("co", "2345", "respawn", "/sbin/mingetty console");
        assert_eq!(
            tab.render(),
            b"id:3:initdefault:\r\n1:2345:respawn:/sbin/mingetty tty1\r\nco:2345:respawn:/sbin/mingetty console\r\n"
        );
    }

    #[test]
    fn a_set_that_says_the_same_keeps_the_bytes() {
        let text = b"  1:2345:respawn:/sbin/mingetty tty1  \nx\xff:2:once:/bin/\xfe";
        let mut tab = Inittab::parse(text);
        tab.set("1", "2345", "respawn", "/sbin/mingetty tty1");
        assert_eq!(tab.render(), text);
    }

    #[test]
    fn busybox_entries_without_id_are_not_duplicates_of_each_other() {
        let text = "::sysinit:/sbin/rc sysinit\n::sysinit:/sbin/rc boot\ntty1::respawn:/sbin/getty 38400 tty1\n";
        let mut tab = Inittab::parse(text.as_bytes());
        tab.set("", "", "powerfail", "/sbin/poweroff");
        tab.set("", "", "powerfail", "/sbin/poweroff");
        assert_eq!(tab.render(), format!("{text}::powerfail:/sbin/poweroff\n").into_bytes());
    }

    #[test]
    fn processes_may_hold_colons_and_short_lines_are_no_entries() {
        let tab = Inittab::parse(b"a:2:once:/bin/x a:b:c\nbroken:line\n");
        let entries: Vec<Entry> = tab.entries().collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].process, "/bin/x a:b:c");
    }
}
