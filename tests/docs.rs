//! The documents say what the program does: a test for every claim that can be looked at by a program.
//! `UPDATE_GOLDEN=1 cargo test --test docs` writes docs/cli.md anew.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;

fn ovz2lxc(args: &[&str]) -> Output {
    support::program(args).env("COLUMNS", "100").output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn stdout(args: &[&str]) -> String {
    let output = ovz2lxc(args);
    assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).unwrap()
}

/// `config show` without a configuration of this machine.
fn default_settings() -> Value {
    let empty = tempfile::NamedTempFile::new().unwrap();
    json(&["config", "show", "--config", empty.path().to_str().unwrap(), "--format", "json"])
}

fn files(dir: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            files(&path, extension, into);
        } else if path.extension().is_some_and(|e| e == extension) {
            into.push(path);
        }
    }
}

fn document(name: &str) -> String {
    std::fs::read_to_string(support::repository().join("docs").join(name)).unwrap()
}

/// README.md, when it is there, and everything below docs/.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths = vec![support::repository().join("README.md")];
    paths.retain(|p| p.exists());
    files(&support::repository().join("docs"), "md", &mut paths);
    assert!(paths.len() > 8, "{paths:?}");
    paths.into_iter().map(|p| (p.clone(), std::fs::read_to_string(p).unwrap())).collect()
}

/// The fenced blocks of a document with their language.
fn blocks(document: &str) -> Vec<(String, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in document.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(language), None) => open = Some((language.to_owned(), String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// The first block of a language that holds `mark`.
fn block(name: &str, language: &str, mark: &str) -> String {
    let mut found = blocks(&document(name)).into_iter().filter(|(l, text)| l == language && text.contains(mark));
    found.next().unwrap_or_else(|| panic!("docs/{name} has no {language} block with {mark:?}")).1
}

// --- docs/cli.md ---

/// Every command that has one, in the order of the help, the program itself first: `["fixup", "apply"]`.
fn commands() -> Vec<Vec<String>> {
    let name = Regex::new(r"^  ([a-z][a-z-]*)(?: |$)").unwrap();
    let mut all = vec![Vec::new()];
    let mut at = 0;
    while at < all.len() {
        let path = all[at].clone();
        let help = help(&path);
        let list = help.split("\nCommands:\n").nth(1).and_then(|rest| rest.split("\n\n").next()).unwrap_or_default();
        let below = list.lines().filter_map(|l| Some(name.captures(l)?[1].to_owned())).filter(|n| n != "help");
        let below: Vec<Vec<String>> = below.map(|n| [path.clone(), vec![n]].concat()).collect();
        all.splice(at + 1..at + 1, below);
        at += 1;
    }
    all
}

/// The long help, without blanks at the ends of lines.
fn help(path: &[String]) -> String {
    let mut args: Vec<&str> = path.iter().map(String::as_str).collect();
    args.push("--help");
    let help = stdout(&args);
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// A help in its parts: headings (and what is none of an option's) and options, each with its explanation.
fn parts(help: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in help.lines() {
        let option = line.starts_with("  -") || line.starts_with("      --");
        let heading = !line.is_empty() && !line.starts_with(' ');
        match parts.last_mut() {
            Some(part) if !option && !heading => *part += &format!("{line}\n"),
            _ => parts.push(format!("{line}\n")),
        }
    }
    parts
}

/// A help without the options that stand in the program's own help, and without headings that are left with nothing.
fn own_part(help: &str, common: &BTreeSet<String>) -> String {
    let end = |p: &str| p.trim_end().to_owned();
    let general = |p: &str| p.trim_start().starts_with("-h, --help") || p.trim_start().starts_with("-V, --version");
    let kept: Vec<String> = parts(help).into_iter().filter(|p| !common.contains(&end(p)) && !general(p)).collect();
    let mut text = String::new();
    for (at, part) in kept.iter().enumerate() {
        let heading = ["Options:", "SSH:", "Target:"].contains(&part.trim());
        if !heading || kept.get(at + 1).is_some_and(|next| next.starts_with(' ')) {
            text += part;
        }
    }
    text.trim_end().to_owned() + "\n"
}

#[test]
fn the_reference_of_the_command_line_is_the_help() {
    let all = commands();
    let root = help(&[]);
    let common: BTreeSet<String> =
        parts(&root).iter().map(|p| p.trim_end().to_owned()).filter(|p| p.starts_with(' ')).collect();
    let mut page = String::from(
        "# Command line\n\nThis is what `--help` prints, command by command; a test holds it to that. Options of every command stand \
         once,\nin the first block; they may come before the command or after it. Settings that have no option stand in the\n\
         [configuration](configuration.md).\n",
    );
    for path in &all {
        let name = [vec!["ovz2lxc".to_owned()], path.clone()].concat().join(" ");
        let help = help(path);
        let own = if path.is_empty() { help } else { own_part(&help, &common) };
        page += &format!("\n## {name}\n```text\n{}\n```\n", own.trim_end());
    }
    assert!(all.len() > 18, "only {all:?} was found: the reader of this test is broken");
    let path = support::repository().join("docs/cli.md");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(old.lines()).position(|(a, b)| a != b).map(|n| n + 1);
    assert!(
        old == page,
        "docs/cli.md is not the help any more (line {differs:?}): UPDATE_GOLDEN=1 cargo test --test docs"
    );
}

/// Flags of each command with those of the program, by its name.
fn flags() -> BTreeMap<String, BTreeSet<String>> {
    let flag = Regex::new(r"(?m)^\s+(?:-\w, )?(--[a-z][a-z0-9-]*)").unwrap();
    let of = |path: &Vec<String>| {
        let flags = flag.captures_iter(&help(path)).map(|c| c[1].to_owned()).collect();
        ([vec!["ovz2lxc".to_owned()], path.clone()].concat().join(" "), flags)
    };
    commands().iter().map(of).collect()
}

/// The command that a text names after `ovz2lxc`, the longest that there is; `None` for one that there is not.
fn named<'f>(words: &[&str], flags: &'f BTreeMap<String, BTreeSet<String>>) -> Option<&'f BTreeSet<String>> {
    let word = |w: &&&str| w.starts_with(|c: char| c.is_ascii_lowercase());
    let names: Vec<&str> = words.iter().skip(1).take_while(word).copied().collect();
    let longest = (0..=names.len().min(2))
        .rev()
        .find_map(|n| flags.get(&[&["ovz2lxc"], &names[..n]].concat().join(" ")).map(|flags| (n, flags)));
    longest.filter(|(n, _)| *n > 0 || names.is_empty()).map(|(_, flags)| flags)
}

/// Faults of the command lines in a text, each from `ovz2lxc` to the end of its span.
fn faults(lines: &[String], flags: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let flag = Regex::new(r"(?:^|[\s\[|])(--[a-z][a-z0-9-]*)").unwrap();
    let mut faults = Vec::new();
    for line in lines {
        let words: Vec<&str> = line.split_whitespace().collect();
        // A list of commands (`resume|rollback CTID`) names each of them.
        let several: Vec<&str> = words.get(1).map(|w| w.split('|').collect()).unwrap_or_default();
        for one in if several.is_empty() { vec![""] } else { several } {
            let mut words = words.clone();
            if words.len() > 1 {
                words[1] = one;
            }
            let Some(known) = named(&words, flags) else {
                faults.push(format!("no such command: {line}"));
                continue;
            };
            for found in flag.captures_iter(line) {
                if !known.contains(&found[1]) {
                    faults.push(format!("no {} there: {line}", &found[1]));
                }
            }
        }
    }
    faults
}

/// Command lines in code spans and in blocks, comments cut off.
fn command_lines(document: &str) -> Vec<String> {
    let span = Regex::new(r"`(?:sudo )?(ovz2lxc(?: [^`]*)?)`").unwrap();
    let line = Regex::new(r"(?m)^ *(?:[$#] )?(?:sudo )?(ovz2lxc [^\n]*)$").unwrap();
    let cut =
        |text: &str| text.split("  ").next().unwrap_or_default().split(" #").next().unwrap_or_default().to_owned();
    let all = span.captures_iter(document).chain(line.captures_iter(document));
    all.map(|c| cut(&c[1])).filter(|l| !l.starts_with("ovz2lxc-")).collect()
}

#[test]
fn no_document_names_a_command_or_a_flag_that_there_is_not() {
    let flags = flags();
    let wrong = |text: &str| faults(&command_lines(text), &flags).len();
    assert_eq!(wrong("`ovz2lxc cluster check`, `ovz2lxc migrate 101 --nonsense`, `ovz2lxc fixup --diff`"), 3);
    assert_eq!(wrong("`ovz2lxc fixup apply --rootfs DIR --diff`\n    ovz2lxc status --port 22\n`ovz2lxc`"), 0);
    // A span that begins with a flag speaks of this program.
    let bare = Regex::new("`(--[a-z][a-z0-9-]*)").unwrap();
    let any: BTreeSet<&String> = flags.values().flatten().collect();
    let (mut seen, mut bad) = (0, Vec::new());
    for (path, text) in documents() {
        if path.ends_with("docs/cli.md") {
            continue;
        }
        let lines = command_lines(&text);
        seen += lines.len();
        for found in bare.captures_iter(&text).filter(|f| !any.iter().any(|flag| **flag == f[1])) {
            bad.push(format!("{}: no command has {}", path.display(), &found[1]));
        }
        bad.extend(faults(&lines, &flags).into_iter().map(|f| format!("{}: {f}", path.display())));
    }
    assert!(seen > 10, "only {seen} command lines were seen: the reader of this test is broken");
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn no_hint_of_the_program_names_a_command_that_there_is_not() {
    let flags = flags();
    let after = Regex::new(r"ovz2lxc ([a-z]+(?: [a-z]+)?)").unwrap();
    let mut sources = Vec::new();
    files(&support::repository().join("src"), "rs", &mut sources);
    let (mut seen, mut bad) = (0, Vec::new());
    for path in sources {
        let source = std::fs::read_to_string(&path).unwrap();
        for literal in literals(&source) {
            for found in after.captures_iter(&literal) {
                // Prose ("ovz2lxc moves …") is told from a command by its mark in front.
                let before = &literal[..found.get(0).unwrap().start()];
                if !["`", "with: ", "see: ", "run: ", "again: ", "back: "].iter().any(|m| before.ends_with(m)) {
                    continue;
                }
                seen += 1;
                let line: Vec<&str> = found[0].split_whitespace().collect();
                if named(&line, &flags).is_none() {
                    bad.push(format!("{}: {}", path.display(), &found[0]));
                }
            }
        }
    }
    assert!(seen > 8, "only {seen} commands were seen: the reader of this test is broken");
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

// --- docs/checks.md ---

/// The string literals of a Rust source, comments left out.
fn literals(source: &str) -> Vec<String> {
    let literal = Regex::new(r#"(?m)//[^\n]*$|'"'|"((?:[^"\\]|\\.)*)""#).unwrap();
    literal.captures_iter(source).filter_map(|c| Some(c.get(1)?.as_str().to_owned())).collect()
}

/// The source up to its tests.
fn without_tests(source: &str) -> &str {
    source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// Ids of findings that a source makes: the literal in a constructor's call, the `id:` of a table, constants.
fn ids(source: &str) -> BTreeSet<String> {
    let id = "\"([a-z][a-z0-9]*(?:-[a-z0-9]+)+)\"";
    let patterns = [
        format!(r"Finding::(?:warning|info|blocker|overridable)\(\s*{id}"),
        format!(r"(?:Finding::new|about)\(\s*[A-Za-z_:.]+,\s*{id}"),
        format!(r"\bid: {id}"),
        format!(r#"(?s)VE_FINDINGS[^=]*= \[{id}"#),
        format!(r#"const [A-Z_]+: &(?:'static )?str = {id};"#),
    ];
    let mut found = BTreeSet::new();
    for pattern in &patterns[..4] {
        found.extend(Regex::new(pattern).unwrap().captures_iter(source).map(|c| c[1].to_owned()));
    }
    // A constant counts when a constructor is called with a constant.
    if Regex::new(r"Finding::(?:warning|info|blocker|overridable)\(\s*[A-Z_]+,").unwrap().is_match(source) {
        found.extend(Regex::new(&patterns[4]).unwrap().captures_iter(source).map(|c| c[1].to_owned()));
    }
    found
}

/// Calls of constructors whose id is neither a literal nor a constant.
fn unread(source: &str) -> usize {
    let call = Regex::new(r"Finding::(warning|info|blocker|overridable|new)\(\s*").unwrap();
    let plain = Regex::new(r#"^(?:[A-Za-z_:.]+,\s*)?(?:"[^"]+"|[A-Z_]{2,}\b)"#).unwrap();
    call.find_iter(source).filter(|m| !plain.is_match(&source[m.end()..])).count()
}

/// Where an id is worked out, and what it then is; a new place has to be thought about here.
const WORKED_OUT: &[(&str, usize, &str)] = &[
    ("src/check/rules/mod.rs", 1, "the rule's own id takes the place of the empty one"),
    ("src/openvz/answer.rs", 1, "`about`, whose calls are read"),
    ("src/openvz/reading.rs", 1, "an id that was given before, for those that are only counted"),
    ("src/fixup/run.rs", 1, "the id of a module's report action"),
];

#[test]
fn every_finding_stands_in_the_list() {
    let list = document("checks.md");
    let row = Regex::new(r"(?m)^\| (`[^|]*) \|").unwrap();
    let code = Regex::new("`([^`]+)`").unwrap();
    let cells: Vec<String> = row.captures_iter(&list).map(|c| c[1].to_owned()).collect();
    let listed: Vec<String> =
        cells.iter().flat_map(|cell| code.captures_iter(cell).map(|c| c[1].to_owned()).collect::<Vec<_>>()).collect();
    // A key that blocks has the id `ve-KEY`.
    let blocked = Regex::new(r#"row\("([A-Z0-9_]+)"[^\n]*\bneeded\("#).unwrap();
    let mut emitted = BTreeMap::new();
    let mut sources = Vec::new();
    files(&support::repository().join("src"), "rs", &mut sources);
    for path in sources.iter().filter(|p| !p.file_stem().unwrap().to_string_lossy().ends_with("tests")) {
        let source = std::fs::read_to_string(path).unwrap();
        if path.starts_with(support::repository().join("src/ui")) {
            continue; // shows findings, makes none
        }
        let source = without_tests(&source);
        let place = path.strip_prefix(support::repository()).unwrap().to_str().unwrap();
        let known = WORKED_OUT.iter().find(|w| w.0 == place).map_or(0, |w| w.1);
        if place != "src/model/finding.rs" {
            assert_eq!(unread(source), known, "{place} makes findings whose ids this test cannot read");
        }
        emitted.extend(ids(source).into_iter().map(|id| (id, path.display().to_string())));
        emitted.extend(
            blocked
                .captures_iter(source)
                .map(|c| (format!("ve-{}", c[1].to_lowercase().replace('_', "-")), path.display().to_string())),
        );
    }
    let mut modules = Vec::new();
    files(&support::repository().join("fixups"), "toml", &mut modules);
    let report = Regex::new(r#"do = "report"\nid = "([a-z0-9-]+)""#).unwrap();
    for path in modules {
        let module = std::fs::read_to_string(&path).unwrap();
        emitted.extend(report.captures_iter(&module).map(|c| (c[1].to_owned(), path.display().to_string())));
    }
    for id in ["ve-zero-limit", "container-not-examined", "accept-unused", "guest-not-seen", "fixup-network-unknown"] {
        assert!(emitted.contains_key(id), "{id} was not found: the reader of this test is broken");
    }
    let missing: Vec<_> = emitted.iter().filter(|(id, _)| !listed.contains(id)).collect();
    assert!(missing.is_empty(), "not in docs/checks.md: {missing:#?}");
    let unknown: Vec<_> = listed.iter().filter(|id| !emitted.contains_key(*id)).collect();
    assert!(unknown.is_empty(), "in docs/checks.md, but made nowhere: {unknown:#?}");
    let twice: Vec<_> = listed.iter().filter(|id| listed.iter().filter(|i| i == id).count() > 1).collect();
    assert!(twice.is_empty(), "more than once in docs/checks.md: {twice:?}");
}

// --- docs/configuration.md ---

#[test]
fn every_key_of_the_configuration_is_explained_in_its_order() {
    let page = document("configuration.md");
    let row = Regex::new(r"(?m)^\| `([a-z0-9_]+)` \| ([^|]*) \|").unwrap();
    let table = page.split("## Keys").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<(String, String)> =
        row.captures_iter(table).map(|c| (c[1].to_owned(), c[2].trim().replace('`', ""))).collect();
    let shown = default_settings();
    let keys: Vec<&str> = shown["settings"].as_array().unwrap().iter().map(|s| s["key"].as_str().unwrap()).collect();
    assert_eq!(rows.iter().map(|r| r.0.as_str()).collect::<Vec<_>>(), keys);
    for (key, default) in &rows {
        let setting = shown["settings"].as_array().unwrap().iter().find(|s| s["key"] == key.as_str()).unwrap();
        if let Some(value) = setting["value"].as_str() {
            assert_eq!(default, value, "{key}: the default is another");
        }
    }
}

#[test]
fn the_example_of_the_configuration_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, block("configuration.md", "toml", "[node.")).unwrap();
    let file = file.to_str().unwrap();
    let args = ["config", "show", "--config", file, "--ttys", "2"];
    assert_eq!(ovz2lxc(&args).status.code(), Some(2), "not every key is an option");
    let shown = json(&["config", "show", "--config", file, "--bridge", "br7", "--format", "json"]);
    let find = |key: &str| shown["settings"].as_array().unwrap().iter().find(|s| s["key"] == key).unwrap().clone();
    assert_eq!(find("storage")["value"], "lvm");
    assert_eq!(find("storage")["origin"], file);
    assert_eq!(find("bridge")["origin"], "command line");
    assert_eq!(find("ttys")["origin"], "default");
}

// --- docs/manifest.md ---

#[test]
fn the_manifest_of_the_document_is_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let check = |manifest: &str| {
        let (file, config) = (dir.path().join("wave1.toml"), dir.path().join("config.toml"));
        std::fs::write(&file, manifest).unwrap();
        std::fs::write(&config, "").unwrap();
        let state = dir.path().join("state");
        let args = ["batch", file.to_str().unwrap(), "--check", "--state-dir", state.to_str().unwrap()];
        let output = ovz2lxc(&[&args[..], &["--config", config.to_str().unwrap(), "--transport", "ssh2"]].concat());
        (output.status.code(), text(&output.stderr), state.exists())
    };
    let example = block("manifest.md", "toml", "[[container]]");
    // Nobody listens there: the manifest is read, the connection fails.
    let elsewhere = example.replace("root@vz1.example.com", "root@127.0.0.1:1");
    assert_ne!(example, elsewhere);
    let (code, said, touched) = check(&elsewhere);
    assert_eq!((code, touched), (Some(1), false), "{said}");
    assert!(said.contains("127.0.0.1") && !said.contains("wave1.toml"), "{said}");
    // The faults that the document shows, with the words that it shows.
    let shown = block("manifest.md", "text", "wave1.toml, line");
    for (wrong, was) in [("brige = ", "bridge = "), ("size = \"4X\"", "size = \"8G\"")] {
        let (code, said, _) = check(&elsewhere.replacen(was, wrong, 1));
        assert_eq!(code, Some(2), "{said}");
        let fault = said.split("wave1.toml").nth(1).unwrap().lines().next().unwrap();
        let fault = fault.split(", expected").next().unwrap();
        assert!(shown.contains(fault), "docs/manifest.md does not show: {said}");
    }
    let (code, said, _) = check(&elsewhere.replacen("\"mail\"", "101", 1));
    assert_eq!(code, Some(2), "{said}");
    let place = said.split("wave1.toml").nth(1).unwrap().lines().next().unwrap();
    assert!(shown.contains(place), "docs/manifest.md does not show: {said}");
}

// --- docs/json.md ---

/// The names of all keys of a document, as `a.b[].c`.
fn keys(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                into.insert(path.clone());
                keys(value, &path, into);
            }
        }
        Value::Array(list) => list.iter().for_each(|v| keys(v, &format!("{path}[]"), into)),
        _ => {}
    }
}

fn same_keys(mark: &str, real: &Value) {
    let shown: Value = serde_json::from_str(&block("json.md", "json", mark)).unwrap();
    let (mut a, mut b) = (BTreeSet::new(), BTreeSet::new());
    keys(&shown, "", &mut a);
    keys(real, "", &mut b);
    assert_eq!(a, b, "the example with {mark} in docs/json.md has other keys than the program's document");
    assert_eq!(real["schema"], 1);
}

#[test]
fn the_examples_have_the_keys_of_the_real_documents() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("101.conf"), block("json.md", "sh", "PHYSPAGES")).unwrap();
    let args = ["convert", "--ve-conf", &path("101.conf"), "--lxc", "5.0", "--cgroup", "v2", "--format", "json"];
    let converted = json(&[&args[..], &["--host-cpus", "4"]].concat());
    same_keys("\"lxc_config\"", &converted);
    let shown: Value = serde_json::from_str(&block("json.md", "json", "\"lxc_config\"")).unwrap();
    for key in ["limits", "network", "devices", "features", "capabilities", "hostname", "onboot", "ctid"] {
        assert_eq!(shown[key], converted[key], "{key}");
    }

    same_keys("\"settings\"", &default_settings());
    let status = json(&["status", "--state-dir", &path("state"), "--format", "json"]);
    assert_eq!(status, serde_json::json!({ "schema": 1, "migrations": [] }));
}

#[test]
fn the_examples_of_the_fixups_have_the_keys_of_the_real_documents() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir_all(dir.path().join("tree/etc/network")).unwrap();
    std::fs::write(path("tree/etc/debian_version"), "12.5\n").unwrap();
    std::fs::write(path("tree/etc/os-release"), "ID=debian\nVERSION_ID=\"12\"\n").unwrap();
    std::fs::create_dir_all(dir.path().join("tree/lib/systemd")).unwrap();
    std::fs::write(path("tree/lib/systemd/systemd"), "").unwrap();
    std::fs::write(path("tree/etc/network/interfaces"), "auto venet0\niface venet0 inet manual\n").unwrap();
    std::fs::write(path("plan.toml"), "hostname = \"web1.example.com\"\nttys = 4\nprivileged = true\n").unwrap();
    let (tree, plan) = (path("tree"), path("plan.toml"));
    let state = path("state");
    let common = ["--rootfs", &tree, "--format", "json", "--fixups-dir", "/nonexistent", "--state-dir", &state];
    let fixups = [&["fixup", "apply", "--plan", &plan][..], &common].concat();
    same_keys("\"changes\"", &json(&fixups));
    assert_eq!(json(&fixups)["changes"], serde_json::json!([]), "a second run changes nothing");
    let back = json(&[&["fixup", "revert"][..], &common].concat());
    same_keys("\"fixup\": \"revert\"", &back);
}

#[test]
fn the_report_of_a_migration_has_the_keys_of_its_example() {
    use ovz2lxc::pipeline::report::Report;
    let mut example: Value = serde_json::from_str(&block("json.md", "json", "\"downtime_seconds\"")).unwrap();
    let report: Report = serde_json::from_value(example.clone()).unwrap();
    // Keys that the type does not know would be dropped on the way there and back.
    assert_eq!(serde_json::to_value(&report).unwrap(), example);
    example["outcome"] = "nonsense".into();
    assert!(serde_json::from_value::<Report>(example).is_err());
}

#[test]
fn the_report_of_a_check_has_the_keys_of_its_example() {
    let example: Value = serde_json::from_str(&block("json.md", "json", "\"verdict\"")).unwrap();
    let report: ovz2lxc::check::Report = serde_json::from_value(example.clone()).unwrap();
    assert_eq!(serde_json::to_value(&report).unwrap(), example);
}

#[test]
fn the_lines_of_progress_have_the_keys_of_their_examples() {
    use ovz2lxc::event::{Event, PhaseState};
    let (ctid, phase) = ("101".to_owned(), "copy-live".to_owned());
    let detail = String::new();
    let finding = ovz2lxc::model::finding::Finding::info("a-b", "c");
    let events = [
        Event::Phase {
            ctid: ctid.clone(),
            phase: phase.clone(),
            state: PhaseState::Done,
            detail: detail.clone(),
            seconds: Some(1.0),
        },
        Event::Progress { ctid: ctid.clone(), phase, files: 1, bytes: 1, total_files: None, total_bytes: None },
        Event::Finding { ctid: ctid.clone(), finding },
        Event::Done { ctid, outcome: "migrated".into(), detail },
    ];
    let shown: Vec<Value> =
        block("json.md", "json", "\"event\"").lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(shown.len(), events.len());
    for (event, shown) in events.iter().zip(&shown) {
        let (mut a, mut b) = (BTreeSet::new(), BTreeSet::new());
        keys(shown, "", &mut a);
        keys(&serde_json::to_value(event).unwrap(), "", &mut b);
        assert_eq!((a, &shown["event"]), (b, &serde_json::to_value(event).unwrap()["event"]));
    }
}

#[test]
fn every_step_stands_in_the_list() {
    let page = document("json.md");
    let listed: Vec<String> = Regex::new("(?m)^\\| `([a-z-]+)` \\| .* \\|$")
        .unwrap()
        .captures_iter(page.split("## Steps").nth(1).unwrap().split("\n## ").next().unwrap())
        .map(|c| c[1].to_owned())
        .collect();
    assert_eq!(listed, ovz2lxc::pipeline::steps::ids());
}

// --- all of them ---

#[test]
fn links_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut bad = Vec::new();
    let mut seen = 0;
    for (path, text) in documents() {
        for found in link.captures_iter(&text) {
            let target = found[1].split('#').next().unwrap();
            if target.is_empty() || target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            seen += 1;
            if !path.parent().unwrap().join(target).exists() {
                bad.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(seen > 3, "only {seen} links were seen: the reader of this test is broken");
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn the_plan_of_the_manual_is_accepted() {
    let manual = std::fs::read_to_string(support::repository().join("docs/fixups.md")).unwrap();
    let section = manual.split("## The plan").nth(1).expect("the manual has a section about the plan");
    let plan = section.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("plan.toml"), plan).unwrap();
    std::fs::create_dir(dir.path().join("tree")).unwrap();
    let output = support::program(&["fixup", "apply", "--dry-run", "--rootfs"])
        .arg(dir.path().join("tree"))
        .arg("--plan")
        .arg(dir.path().join("plan.toml"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
