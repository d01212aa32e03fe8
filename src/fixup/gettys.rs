//! The getty lines of an inittab: one for the console, one for each tty that LXC offers, none for any other.

use super::format::inittab::{Entry, Inittab};
use std::collections::{BTreeMap, BTreeSet};

/// What a getty line serves.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Terminal {
    Console,
    Tty(u32),
    /// A serial or hypervisor line, which no container has.
    Line,
}

fn terminal(word: &str) -> Option<Terminal> {
    let name = word.strip_prefix("/dev/").unwrap_or(word);
    if name == "console" {
        return Some(Terminal::Console);
    }
    if ["ttyS", "hvc", "xvc", "ttyAMA"].iter().any(|p| name.strip_prefix(p).is_some_and(digits)) {
        return Some(Terminal::Line);
    }
    let number = name.strip_prefix("tty").or_else(|| name.strip_prefix("vc/"))?;
    if digits(number) { number.parse().ok().map(Terminal::Tty) } else { None }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Returns what a line serves, when it runs a getty. BusyBox's init opens the terminal that the id names, whatever the
/// program is: a shell that is asked for first is a login too.
fn served(entry: &Entry, busybox: bool) -> Option<Terminal> {
    if !matches!(entry.action.as_str(), "respawn" | "askfirst" | "ondemand") {
        return None;
    }
    let mut words = entry.process.split_whitespace();
    let program = words.find(|w| (!w.starts_with('-') || w.starts_with("-/")) && !WRAPPERS.contains(&base(w)))?;
    let which = match terminal(&entry.id).filter(|_| busybox) {
        Some(which) => which,
        None if !base(program).contains("getty") && base(program) != "login" => return None,
        // A login that is no getty gets its terminal from redirections.
        None => words.find_map(|w| terminal(w.trim_start_matches(['0', '1', '2', '<', '>', '&'])))?,
    };
    (which != Terminal::Line || stock(program)).then_some(which)
}

/// Programs that run another in their place.
const WRAPPERS: [&str; 3] = ["setsid", "exec", "nohup"];

fn base(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or(program)
}

/// Tells whether a program is one that distributions put on serial lines. Another may serve a modem or a device that the
/// container was given.
fn stock(program: &str) -> bool {
    let place = ["", "/sbin/", "/usr/sbin/", "/bin/", "/usr/bin/", "-/bin/"];
    let name = base(program);
    ["getty", "agetty", "mingetty", "login", "sh", "ash", "bash"].contains(&name)
        && program.strip_suffix(name).is_some_and(|dir| place.contains(&dir))
}

/// Returns a line's process with another terminal in it. One that names none serves the one that BusyBox's init opens by
/// the id, whichever it is.
fn for_terminal(process: &str, name: &str) -> String {
    let Some(word) = process.split_whitespace().find(|w| terminal(w).is_some()) else { return process.to_owned() };
    let bare = if word.starts_with("/dev/") { format!("/dev/{name}") } else { name.to_owned() };
    process.split(word).collect::<Vec<_>>().join(&bare)
}

/// Arranges the lines. `fresh` makes the process for a terminal, when the tree has a getty that it knows; otherwise a
/// line that is there is taken as the model. `busybox` says whose inittab it is. Returns the terminals for which no line could be made.
pub(super) fn arrange(
    tab: &mut Inittab,
    ttys: u32,
    busybox: bool,
    fresh: &dyn Fn(&str) -> Option<String>,
) -> Vec<String> {
    // BusyBox names the terminal in the id and leaves the run levels empty.
    let busybox = busybox
        || tab.entries().any(|e| e.id.starts_with("tty") && e.runlevels.is_empty() && served(&e, true).is_some());
    let served = |e: &Entry| served(e, busybox);
    let is_getty = |e: &Entry| e.process.split_whitespace().next().is_some_and(|p| p.contains("getty"));
    let model = tab.entries().find(|e| is_getty(e) && matches!(served(e), Some(Terminal::Console | Terminal::Tty(_))));
    let console = tab.entries().find(|e| is_getty(e) && served(e) == Some(Terminal::Console)).map(|e| e.process);
    // vzctl appends `1:…console` and `2:…tty2` beside the stock lines of the same id; init ignores a duplicate id, so
    // the console gets an id of its own. One that a person chose is kept.
    // BusyBox takes the id for a device: `2` would be /dev/2.
    let vz = |e: &Entry| {
        let which = served(e);
        digits(&e.id) && (busybox || is_getty(e)) && (which == Some(Terminal::Console) || (busybox && which.is_some()))
    };
    tab.remove_where(vz);
    let (mut seen, mut ignored) = (BTreeSet::new(), BTreeMap::new());
    let mut ids = BTreeSet::new();
    tab.remove_where(|e| {
        let gone = match served(e) {
            None => false,
            Some(Terminal::Line) => true,
            Some(Terminal::Tty(n)) if n == 0 || n > ttys => true,
            // Another line has the id already (one that is off, or a program): init never starts this one.
            Some(which) if !busybox && ids.contains(&e.id) => {
                ignored.entry(which).or_insert_with(|| e.clone());
                true
            }
            Some(which) => !seen.insert(which),
        };
        if !gone {
            ids.insert(e.id.clone());
        }
        gone
    });
    // The tree's own lines say `-L` where its getty waits for a carrier without it (Debian 6).
    let program = |process: &str| process.split_whitespace().next().map(str::to_owned);
    let local = model.as_ref().filter(|m| m.process.split_whitespace().any(|w| w == "-L"));
    let make = |name: &str| {
        let new = fresh(name);
        let same = local.filter(|m| new.as_deref().is_none_or(|n| program(n) == program(&m.process)));
        let own = || model.as_ref().map(|m| for_terminal(&m.process, name));
        same.map(|m| for_terminal(&m.process, name)).or(new).or_else(own)
    };
    let mut without = Vec::new();
    let mut add = |tab: &mut Inittab, name: &str, ids: [String; 3], process: Option<String>| {
        let old = terminal(name).and_then(|which| ignored.get(&which));
        let Some(process) = old.map(|e| e.process.clone()).or(process) else { return without.push(name.to_owned()) };
        if busybox {
            return tab.set(name, "", "respawn", &process);
        }
        let free = ids.into_iter().find(|id| !tab.entries().any(|e| e.id == *id));
        match free {
            Some(id) => tab.set(&id, old.map_or("2345", |e| &e.runlevels), "respawn", &process),
            None => without.push(name.to_owned()),
        }
    };
    for n in 1..=ttys {
        if !seen.contains(&Terminal::Tty(n)) {
            let name = format!("tty{n}");
            add(tab, &name, [n.to_string(), format!("t{n}"), format!("c{n}")], make(&name));
        }
    }
    if !seen.contains(&Terminal::Console) {
        add(tab, "console", ["co".into(), "cn".into(), "cons".into()], console.or_else(|| make("console")));
    }
    without
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str, ttys: u32, fresh: Option<&str>) -> (String, Vec<String>) {
        run_for(text, ttys, fresh, false)
    }

    fn run_for(text: &str, ttys: u32, fresh: Option<&str>, busybox: bool) -> (String, Vec<String>) {
        let mut tab = Inittab::parse(text.as_bytes());
        let make = |name: &str| fresh.map(|f| format!("{f} {name}"));
        let without = arrange(&mut tab, ttys, busybox, &make);
        let once = tab.render();
        assert_eq!(arrange(&mut tab, ttys, busybox, &make), without);
        assert_eq!(tab.render(), once, "a second run changes nothing");
        (String::from_utf8(once).unwrap(), without)
    }

    #[test]
    fn stock_lines_stay_duplicates_and_absent_terminals_go() {
        let stock = "id:3:initdefault:\n\
            1:2345:respawn:/sbin/mingetty tty1\n2:2345:respawn:/sbin/mingetty tty2\n\
            5:2345:respawn:/sbin/mingetty tty5\nT0:23:respawn:/sbin/getty -L ttyS0 9600 vt100\n\
            x:5:respawn:/etc/X11/prefdm -nodaemon\n\
            1:2345:respawn:/sbin/mingetty console\n2:2345:respawn:/sbin/mingetty tty2\n";
        assert_eq!(
            run(stock, 2, Some("/sbin/mingetty")).0,
            "id:3:initdefault:\n\
            1:2345:respawn:/sbin/mingetty tty1\n2:2345:respawn:/sbin/mingetty tty2\n\
            x:5:respawn:/etc/X11/prefdm -nodaemon\nco:2345:respawn:/sbin/mingetty console\n"
        );
    }

    #[test]
    fn without_a_known_program_vzctls_own_line_is_the_model() {
        let vz = "1:2345:respawn:/sbin/getty 38400 console\n2:2345:respawn:/sbin/getty 38400 tty2\n";
        assert_eq!(
            run(vz, 3, None).0,
            "2:2345:respawn:/sbin/getty 38400 tty2\n1:2345:respawn:/sbin/getty 38400 tty1\n\
             3:2345:respawn:/sbin/getty 38400 tty3\nco:2345:respawn:/sbin/getty 38400 console\n"
        );
        assert_eq!(run("id:3:initdefault:\n", 1, None).1, ["tty1", "console"]);
    }

    #[test]
    fn a_model_that_names_its_terminal_in_the_id_alone() {
        assert_eq!(
            run("tty1::respawn:/sbin/getty -n -l /bin/sh 0 -\n", 2, None).0,
            "tty1::respawn:/sbin/getty -n -l /bin/sh 0 -\ntty2::respawn:/sbin/getty -n -l /bin/sh 0 -\n\
             console::respawn:/sbin/getty -n -l /bin/sh 0 -\n"
        );
    }

    #[test]
    fn wrapped_gettys_and_logins_count_and_own_programs_on_devices_stay() {
        let text = "1:2345:respawn:/bin/login -f root tty1 </dev/tty1 >/dev/tty1 2>&1\n\
            3:2345:respawn:setsid /sbin/getty 38400 tty3\n4:2345:respawn:/bin/login -f root </dev/tty4 >/dev/tty4\n\
            S0:23:respawn:/usr/local/sbin/getty ttyS0\nS1:23:respawn:/sbin/mgetty ttyS1\n\
            S2:23:respawn:/usr/bin/setsid /sbin/getty -L ttyS2 9600\n";
        assert_eq!(
            run(text, 1, Some("/sbin/getty 38400")).0,
            "1:2345:respawn:/bin/login -f root tty1 </dev/tty1 >/dev/tty1 2>&1\n\
             S0:23:respawn:/usr/local/sbin/getty ttyS0\nS1:23:respawn:/sbin/mgetty ttyS1\n\
             co:2345:respawn:/sbin/getty 38400 console\n"
        );
        let busybox = "ttyS0::askfirst:-/bin/sh\nttyS1::respawn:/usr/local/bin/modem\n\
            console::respawn:/sbin/getty 38400 console\ntty1::respawn:/sbin/getty 38400 tty1\n";
        assert_eq!(run(busybox, 1, None).0, busybox.replace("ttyS0::askfirst:-/bin/sh\n", ""));
    }

    #[test]
    fn a_getty_that_init_ignores_for_its_id_gets_another() {
        let text = "1:2345:wait:/usr/local/bin/own\n2:2345:off:/sbin/mingetty tty2\n\
            1:2345:respawn:/sbin/mingetty console\n2:2345:respawn:/sbin/mingetty --noclear tty2\n1:2345:respawn:/sbin/mingetty tty1\n";
        assert_eq!(
            run(text, 2, Some("/sbin/mingetty")).0,
            "1:2345:wait:/usr/local/bin/own\n2:2345:off:/sbin/mingetty tty2\n\
             t1:2345:respawn:/sbin/mingetty tty1\nt2:2345:respawn:/sbin/mingetty --noclear tty2\nco:2345:respawn:/sbin/mingetty console\n"
        );
        let busybox = "::sysinit:/bin/a\n::sysinit:/bin/b\ntty1::respawn:/sbin/getty 38400 tty1\nconsole::respawn:/sbin/getty 38400 console\n";
        assert_eq!(run_for(busybox, 1, None, true).0, busybox, "BusyBox has lines without an id");
    }

    #[test]
    fn no_consoles_busybox_and_an_id_that_is_taken() {
        let gentoo = "c1:12345:respawn:/sbin/agetty 38400 tty1 linux\nco:2345:respawn:/usr/bin/own\n";
        assert_eq!(
            run(gentoo, 0, Some("/sbin/agetty 38400")).0,
            "co:2345:respawn:/usr/bin/own\ncn:2345:respawn:/sbin/agetty 38400 console\n"
        );
        let alpine = "tty1::respawn:/sbin/getty 38400 tty1\n";
        assert_eq!(
            run(alpine, 2, None).0,
            "tty1::respawn:/sbin/getty 38400 tty1\ntty2::respawn:/sbin/getty 38400 tty2\n\
             console::respawn:/sbin/getty 38400 console\n"
        );
        let dressed = "::sysinit:/sbin/openrc sysinit\n1:2345:respawn:/sbin/getty 38400 console\n2:2345:respawn:/sbin/getty 38400 tty2\n";
        assert_eq!(
            run_for(dressed, 1, None, true).0,
            "::sysinit:/sbin/openrc sysinit\ntty1::respawn:/sbin/getty 38400 tty1\nconsole::respawn:/sbin/getty 38400 console\n",
            "a template without stock lines, dressed by vzctl"
        );
        let shell =
            "console::askfirst:-/bin/sh\ntty1::respawn:/bin/getty 38400 tty1\n1:2:respawn:/bin/getty 38400 console\n";
        assert_eq!(
            run_for(shell, 1, None, true).0,
            "console::askfirst:-/bin/sh\ntty1::respawn:/bin/getty 38400 tty1\n",
            "a shell on the console is somebody's choice"
        );
        let own = "cons:2345:respawn:/sbin/getty 38400 console\n";
        assert_eq!(run(own, 0, None).0, own, "a console line with its own id is somebody's choice");
    }
}
