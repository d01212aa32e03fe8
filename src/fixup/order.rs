//! The order in which the modules run.

use super::fault::{line_of_name, meant, wrong};
use super::module::Module;
use crate::error::Result;
use std::collections::{BTreeMap, BTreeSet};

/// Why one module waits for another: the file and line that say so.
struct Reason {
    origin: String,
    line: usize,
}

/// Sorts by number and name, then moves what `after` and `before` ask for. An unknown name or a circle is an error with
/// file, line and the ids.
pub(super) fn order(modules: BTreeMap<String, Module>) -> Result<Vec<Module>> {
    let mut earlier: BTreeMap<String, BTreeMap<String, Reason>> =
        modules.keys().map(|k| (k.clone(), BTreeMap::new())).collect();
    for module in modules.values() {
        let named = module.after.iter().map(|n| ("after", n)).chain(module.before.iter().map(|n| ("before", n)));
        for (key, name) in named {
            let line = line_of_name(module, key, name);
            if !modules.contains_key(name) {
                let it = if key == "after" { "" } else { " it" };
                let meant = meant(name, modules.keys().map(String::as_str));
                let why = format!("there is no module \"{}\" to run {key}{it}{meant}", name.escape_debug());
                return Err(wrong(&module.origin, line, &why).hint("ovz2lxc fixup list shows the ids"));
            }
            let (waits, first) = if key == "after" { (&module.id, name) } else { (name, &module.id) };
            let reason = Reason { origin: module.origin.clone(), line };
            earlier.entry(waits.clone()).or_default().insert(first.clone(), reason);
        }
    }
    let mut waiting: Vec<Module> = modules.into_values().collect();
    waiting.sort_by(|a, b| (a.number, &a.id).cmp(&(b.number, &b.id)));
    let mut sorted: Vec<Module> = Vec::new();
    let mut done: BTreeSet<String> = BTreeSet::new();
    while !waiting.is_empty() {
        let free = |m: &Module| earlier[&m.id].keys().all(|name| done.contains(name));
        let Some(next) = waiting.iter().position(free) else {
            return Err(circle(&waiting[0].id, &earlier, &done));
        };
        let module = waiting.remove(next);
        done.insert(module.id.clone());
        sorted.push(module);
    }
    Ok(sorted)
}

/// Describes the circle that is found from a module that cannot run: each step with the file that asks for it.
fn circle(
    start: &str,
    earlier: &BTreeMap<String, BTreeMap<String, Reason>>,
    done: &BTreeSet<String>,
) -> crate::error::Error {
    let mut way: Vec<&str> = Vec::new();
    let mut at = start;
    while !way.contains(&at) {
        way.push(at);
        // Every module that is left waits for one that is left.
        let Some(next) = earlier[at].keys().find(|name| !done.contains(*name)) else { break };
        at = next;
    }
    let from = way.iter().position(|id| *id == at).unwrap_or(0);
    let ring: Vec<&str> = way[from..].to_vec();
    let steps: Vec<String> = ring
        .iter()
        .zip(ring.iter().cycle().skip(1))
        .map(|(id, first)| {
            let Reason { origin, line } = &earlier[*id][*first];
            format!("{id} waits for {first} ({origin}, line {line})")
        })
        .collect();
    let first = &earlier[ring[0]][ring.get(1).copied().unwrap_or(ring[0])];
    wrong(&first.origin, first.line, &format!("after and before form a circle: {}", steps.join(", ")))
        .hint("take one of these names out")
}
