//! docs/parameters.md is written from the table: `UPDATE_GOLDEN=1 cargo test --lib openvz::parameters` writes it anew.

use super::number::Unit;
use super::params::{APPROXIMATE, FAMILIES, Kind, PARAMS, Param, Repeat};
use crate::model::ve::Outcome;
use std::fmt::Write;

const HEAD: &str = "\
# Parameters of a VE configuration

What becomes of every parameter that vzctl 4.11 knows, and of those of Virtuozzo 7 that a migration must know. `convert` and
every report have an answer for each key of a container's own file (`keys` in JSON): *converted* has an exact equivalent,
*approximated* has something close, *ignored* means nothing after the migration or has no equivalent and nobody needs it,
*blocked* has no equivalent and the container may need it, which stops a migration until you accept the finding. A value may
change the answer: a limit that is `unlimited` is converted by writing nothing, one of zero is never written
(but for SWAPPAGES, where it means no swap).

This file is generated from the table in `src/openvz/params.rs`; a test compares the two.

## The file

1. One line, one assignment: `NAME=\"value\"`. There is no continuation, and no variable is expanded, but for one `$VEID` or
   `${VEID}` in `VE_ROOT` and `VE_PRIVATE`.
2. Every backslash is deleted first, on the whole line, and what follows it is kept.
3. Lines that are empty or begin with `#` mean nothing; blanks around a line are stripped (so is the CR of a DOS file).
4. The name ends at the first `=`: a blank before it, or `export`, makes another name, which vzctl does not know.
5. A value that begins with `\"` ends at the *last* `\"` of the line; what stands behind is dropped.
6. Any other value is the rest of the line: single quotes and `# comments` are part of it.
7. What vzctl does not take is unset, and a list keeps what stands before the bad word; both are findings with line and column.
   What it takes and the target cannot have (a loopback address, a second interface with the same MAC address, a device
   number beyond the kernel's) is left out, and a finding as well.
8. The file of the container lies over `vz.conf`: a value wins, a list replaces the other as a whole unless it is empty.
   What `vz.conf` gives to the container has an answer too (`origin` in JSON).
9. Virtuozzo 7 (a UUID as CTID, `UUID=` in the file, or a `ve.conf`) reads single quotes, `# comments` and dotted masks too.
10. A NUL byte, a line of more than 1 MiB or a file of more than 4 MiB is an error, not a configuration.

A shell reads some of these lines otherwise (vzctl's own scripts source the file); where the two disagree, vzctl's reading is
migrated and a finding says so.

## The parameters

*Second line* is what a second line with the same name does: the *first* wins, the *last* wins, or the two are *joined*.

| parameter | value | second line | answer | goes into | why |
|---|---|---|---|---|---|
";

const APPROXIMATIONS: &str = "
## Approximations that you ask for

These have no equivalent, but something close that may be wanted. They are made only where you name them: `--approximate KEY`,
or `approximate = [\"KEY\"]` in the [configuration](configuration.md) or a manifest. A value without a limit gives none.

| parameter | goes into | how |
|---|---|---|
";

fn value(kind: Kind) -> String {
    let pair = |unit| format!("`BARRIER[:LIMIT]`, {unit}");
    match kind {
        Kind::Text => "text".into(),
        Kind::Path => "directory".into(),
        Kind::Name => "letters, digits, blanks and `-+_.`".into(),
        Kind::HostName => "host name, at most 64 bytes".into(),
        Kind::Flag => "`yes` or `no`".into(),
        Kind::OnBoot => "`yes` or `no`; `auto` in Virtuozzo".into(),
        Kind::Number(low, high) | Kind::Int(low, high) if high < super::number::UNLIMITED_32 => {
            format!("number, {low} to {high}")
        }
        Kind::Number(..) | Kind::Int(..) => "number".into(),
        Kind::Float => "fraction".into(),
        Kind::Pair(Unit::Items) => pair("items, no suffix"),
        Kind::Pair(Unit::Pages) => pair("pages of 4096 bytes, or with a suffix K M G T P B"),
        Kind::Pair(Unit::Bytes) => pair("bytes, or with a suffix"),
        Kind::Pair(Unit::Kib) => pair("KiB, or with a suffix; not `unlimited`"),
        Kind::Pair(Unit::Inodes) => pair("inodes, or with a suffix"),
        Kind::CpuLimit => "percent of one CPU; with `%`, of all CPUs of the source".into(),
        Kind::CpuMask => "`0-2,7`, `all` or `auto`".into(),
        Kind::IoLimit => "bytes a second, or with a suffix".into(),
        Kind::Addresses => "`ADDRESS[/PREFIX]`, by blanks".into(),
        Kind::Words => "words, by blanks".into(),
        Kind::NameServers => "addresses, by blanks, or `inherit`".into(),
        Kind::Domains => "domains, by blanks, or `inherit`".into(),
        Kind::Netif => "`key=value` by commas, interfaces by `;`".into(),
        Kind::NetDevices => "names of interfaces, by blanks".into(),
        Kind::Netfilter => "`disabled`, `stateless`, `stateful` or `full`".into(),
        Kind::PciDevices => "`[DOMAIN:]BUS:SLOT.FUNCTION`, by blanks".into(),
        Kind::Disks => "`key=value` by commas, disks by `;`".into(),
        Kind::Meminfo => "`none`, `pages:N` or `privvmpages:N`".into(),
        Kind::Devices => "`b` or `c`, `:MAJOR:MINOR:` or `:MAJOR:all:`, `rwq` or `none`; by blanks".into(),
        Kind::DeviceNodes => "`NODE:` and `rwq` or `none`, by blanks".into(),
        Kind::Capability => "`NAME:on` or `NAME:off`, by blanks".into(),
        Kind::Features => "`NAME:on` or `NAME:off`, by blanks or commas".into(),
        Kind::Layout => {
            "`simfs`, `ploop`, `ploop:expanded`, `ploop:plain` or `ploop:raw`; `3`, `4` or `5` in Virtuozzo".into()
        }
        Kind::Opaque => "not looked at".into(),
    }
}

fn row(param: &Param) -> String {
    let alias = if param.alias.is_empty() { String::new() } else { format!(" (`{}`)", param.alias) };
    let repeat = match param.repeat {
        Repeat::First => "first",
        Repeat::Last => "last",
        Repeat::Join => "joined",
    };
    let outcome = match param.fate.outcome {
        Outcome::Converted => "converted",
        Outcome::Approximated => "approximated",
        Outcome::Ignored => "ignored",
        Outcome::Blocked => "blocked",
    };
    let (into, why) = (param.fate.into, param.fate.why);
    format!("| `{}`{alias} | {} | {repeat} | {outcome} | {into} | {why} |\n", param.name, value(param.kind))
}

fn document() -> String {
    let mut out = HEAD.to_owned();
    out.extend(PARAMS.iter().chain(FAMILIES.iter().map(|(_, param)| param)).map(row));
    out.push_str(APPROXIMATIONS);
    for (name, into, how) in APPROXIMATE {
        writeln!(out, "| `{name}` | {into} | {how} |").unwrap();
    }
    out
}

#[test]
fn the_document_is_that_of_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/parameters.md");
    let want = document();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &want).unwrap();
    }
    let got = std::fs::read_to_string(path).unwrap();
    assert!(
        got == want,
        "docs/parameters.md is not that of the table: UPDATE_GOLDEN=1 cargo test --lib openvz::parameters"
    );
    for param in PARAMS {
        assert!(got.contains(&format!("\n| `{}`", param.name)), "{} has no row", param.name);
    }
    // A bar would end the cell.
    assert!(got.lines().filter(|l| l.starts_with("| `")).all(|l| matches!(l.matches('|').count(), 4 | 7)));
}
