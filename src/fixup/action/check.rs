//! What the types of an action do not say: paths stay inside the tree, expressions compile, modes are octal.

use super::Action;
use crate::fixup::module::When;
use crate::model::guest::NetworkDialect;
use regex::bytes::Regex;
use std::collections::BTreeMap;
use std::path::{Component, Path};
use std::sync::{LazyLock, Mutex, PoisonError};

/// Reads permission bits.
pub(in crate::fixup) fn bits(octal: &str) -> Option<u32> {
    u32::from_str_radix(octal, 8).ok().filter(|m| *m <= 0o7777)
}

/// Compiles an expression: many lines, `^` and `$` at each.
pub(in crate::fixup) fn expression(text: &str) -> Result<Regex, String> {
    // A batch applies the same modules again and again, and compiling takes longer than matching. There are as many as
    // the modules have, all checked when they are loaded.
    static COMPILED: LazyLock<Mutex<BTreeMap<String, Regex>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = compiled.get(text) {
        return Ok(known.clone());
    }
    let new = regex::bytes::RegexBuilder::new(text).multi_line(true).size_limit(1 << 20).build().map_err(|e| {
        format!("the regular expression \"{}\" is wrong: {}", text.escape_debug(), one_line(&e.to_string()))
    })?;
    compiled.insert(text.to_owned(), new.clone());
    Ok(new)
}

fn one_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().to_owned()
}

pub(in crate::fixup) fn inside(path: &str) -> Result<(), String> {
    let plain = !path.is_empty() && Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    if plain {
        Ok(())
    } else {
        Err(format!("the path \"{}\" must be relative to the root, without \"..\"", path.escape_debug()))
    }
}

/// Checks that a replacement names groups that the expression has: the regex crate puts nothing in place of others, and
/// takes `$1x` for a group of that name.
fn groups(find: &Regex, with: &str) -> Result<(), String> {
    let mut rest = with;
    while let Some((_, after)) = rest.split_once('$') {
        rest = after;
        if let Some(literal) = after.strip_prefix('$') {
            rest = literal;
            continue;
        }
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let name = match after.strip_prefix('{') {
            Some(braced) => braced.split('}').next().unwrap_or_default(),
            None => &after[..after.find(|c| !word(c)).unwrap_or(after.len())],
        };
        let known = match name.parse::<usize>() {
            Ok(number) => number < find.captures_len(),
            Err(_) => name.is_empty() || find.capture_names().flatten().any(|n| n == name),
        };
        if !known {
            return Err(format!(
                "\"{}\" names the group {name}, which the expression does not have",
                with.escape_debug()
            ));
        }
    }
    Ok(())
}

impl Action {
    /// Returns its condition.
    pub fn when(&self) -> &When {
        match self {
            Action::Remove(a) => &a.when,
            Action::Write(a) => &a.when,
            Action::Substitute(a) => &a.when,
            Action::Symlink(a) => &a.when,
            Action::Mode(a) => &a.when,
            Action::Mkdir(a) => &a.when,
            Action::Inittab(a) => &a.when,
            Action::Gettys(a) => &a.when,
            Action::Shellvars(a) => &a.when,
            Action::Interfaces(a) | Action::Rcconfig(a) => &a.when,
            Action::Nics(a) => &a.when,
            Action::Fstab(a) => &a.when,
            Action::Hosts(a) | Action::Resolver(a) => &a.when,
            Action::Securetty(a) => &a.when,
            Action::Report(a) => &a.when,
        }
    }

    /// Checks what the types do not: paths stay inside, expressions compile, modes are octal.
    pub(in crate::fixup) fn check(&self) -> Result<(), String> {
        let octal = |m: &str| bits(m).map(|_| ()).ok_or_else(|| format!("\"{}\" is no octal mode", m.escape_debug()));
        let compiles = |e: &Option<String>| e.as_deref().map_or(Ok(()), |e| expression(e).map(|_| ()));
        self.when().check()?;
        match self {
            Action::Remove(a) => {
                a.path.iter().try_for_each(|p| inside(p))?;
                compiles(&a.containing)?;
                compiles(&a.leading_to)
            }
            Action::Write(a) => {
                inside(&a.path)?;
                if a.content.is_some() == a.template.is_some() {
                    return Err("a write needs either content or template".into());
                }
                if !a.expect.is_empty() && a.only != super::Only::Missing {
                    return Err("expect judges a file that a write leaves alone: it needs only = \"missing\"".into());
                }
                a.expect.iter().try_for_each(|e| expression(e).map(|_| ()))?;
                octal(&a.mode)
            }
            Action::Substitute(a) => {
                a.path.iter().try_for_each(|p| inside(p))?;
                groups(&expression(&a.find)?, &a.with)?;
                compiles(&a.within)?;
                compiles(&a.left)?;
                compiles(&a.expect)
            }
            Action::Symlink(a) => inside(&a.path),
            Action::Mode(a) => a.path.iter().try_for_each(|p| inside(p)).and_then(|()| octal(&a.mode)),
            Action::Mkdir(a) => inside(&a.path).and_then(|()| octal(&a.mode)),
            Action::Inittab(a) => a.remove.iter().try_for_each(|m| compiles(&m.process)),
            Action::Gettys(a) => a.program.iter().try_for_each(|g| inside(&g.path)),
            Action::Shellvars(a) => {
                inside(&a.path)?;
                a.unset.values().try_for_each(|e| expression(e).map(|_| ()))
            }
            Action::Interfaces(a) | Action::Rcconfig(a) => expression(&a.remove).map(|_| ()),
            Action::Fstab(a) => compiles(&a.spec),
            Action::Nics(a) if a.dialect == NetworkDialect::Unknown => {
                Err("\"unknown\" is no dialect that can be written".into())
            }
            Action::Report(a) => {
                a.path.iter().try_for_each(|p| inside(p))?;
                if a.path.is_empty() != a.containing.is_none() {
                    return Err("a report on files needs both path and containing".into());
                }
                compiles(&a.containing)
            }
            Action::Nics(_) | Action::Hosts(_) | Action::Resolver(_) | Action::Securetty(_) => Ok(()),
        }
    }

    /// Returns its strings that are templates.
    pub(in crate::fixup) fn templates(&self) -> Vec<&str> {
        match self {
            Action::Write(a) => {
                let own = [Some(&a.path), a.content.as_ref()].into_iter().flatten();
                own.chain(&a.unless).map(String::as_str).collect()
            }
            Action::Symlink(a) => vec![&a.path, &a.target],
            Action::Inittab(a) => {
                a.set.iter().flat_map(|e| [&e.id, &e.runlevels, &e.action, &e.process]).map(String::as_str).collect()
            }
            Action::Gettys(a) => a.program.iter().map(|g| g.process.as_str()).collect(),
            Action::Shellvars(a) => a.set.values().chain(&a.unless).map(String::as_str).collect(),
            Action::Securetty(a) => a.names.iter().chain(&a.each_tty).map(String::as_str).collect(),
            Action::Report(a) => vec![&a.title, &a.detail, &a.remedy],
            _ => Vec::new(),
        }
    }
}
