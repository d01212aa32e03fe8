//! All modules: those that are built in, and an administrator's.

use super::action::Action;
use super::context::environment;
use super::module::Module;
use crate::error::{Doing, Error, Result};
use include_dir::{Dir, include_dir};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

static MODULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/fixups");
static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/init-templates");

/// A module or template is a page of text.
const TEXT_LIMIT: u64 = 256 * 1024;

/// The modules in the order in which they run, and the templates that they use.
#[derive(Debug, Clone)]
pub struct Catalogue {
    modules: Vec<Module>,
    templates: BTreeMap<String, String>,
}

impl Catalogue {
    /// Loads the built-in modules and those of a directory, when it exists: `*.toml` there with an id that is known
    /// takes that module's place, others are added; files in its `init-templates/` take the place of built-in ones.
    /// Anything wrong is a usage error with file, line and reason.
    pub fn load(overrides: Option<&Path>) -> Result<Catalogue> {
        let mut templates = BTreeMap::new();
        embedded_templates(&TEMPLATES, &mut templates)?;
        let mut modules: BTreeMap<String, Module> = BTreeMap::new();
        for file in MODULES.files() {
            let origin = format!("fixups/{}", file.path().display());
            let text = file.contents_utf8().ok_or_else(|| Error::usage(format!("{origin} is not UTF-8")))?;
            add(&mut modules, Module::parse(text, &origin)?, true)?;
        }
        if let Some(dir) = overrides.filter(|d| d.is_dir()) {
            own_templates(&dir.join("init-templates"), &mut templates)?;
            let mut own = BTreeMap::new();
            for path in files(dir)?.into_iter().filter(|p| p.extension().is_some_and(|e| e == "toml")) {
                let text = read(&path)?;
                add(&mut own, Module::parse(&text, &path.display().to_string())?, true)?;
            }
            for (_, module) in own {
                add(&mut modules, module, false)?;
            }
        }
        let modules = order(modules)?;
        let catalogue = Catalogue { modules, templates };
        catalogue.check_templates()?;
        Ok(catalogue)
    }

    /// Returns the modules in the order in which they run.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Returns one module.
    pub fn module(&self, id: &str) -> Option<&Module> {
        self.modules.iter().find(|m| m.id == id)
    }

    /// Returns the templates by their path below init-templates/.
    pub fn templates(&self) -> &BTreeMap<String, String> {
        &self.templates
    }

    /// Compiles every template once, so that a mistake is found before a tree is touched.
    fn check_templates(&self) -> Result<()> {
        let engine = environment();
        for module in &self.modules {
            let wrong = |why: String| Error::usage(format!("fixup module {}: {why}", module.origin));
            for action in &module.actions {
                for text in action.templates() {
                    engine.template_from_str(text).map_err(|e| wrong(e.to_string()))?;
                }
                if let Action::Write(write) = action
                    && let Some(name) = &write.template
                {
                    let text = self.templates.get(name);
                    let text = text.ok_or_else(|| wrong(format!("there is no template {}", name.escape_debug())))?;
                    let named = |e| wrong(format!("template {name}: {e}"));
                    engine.template_from_str(text).map_err(named)?;
                }
            }
        }
        Ok(())
    }
}

fn add(modules: &mut BTreeMap<String, Module>, module: Module, alone: bool) -> Result<()> {
    let (id, origin) = (module.id.clone(), module.origin.clone());
    match modules.insert(id, module) {
        Some(old) if alone => Err(Error::usage(format!(
            "fixup module {origin}, line 1: the id \"{}\" is taken by {}",
            old.id, old.origin
        ))),
        _ => Ok(()),
    }
}

fn embedded_templates(dir: &Dir<'_>, into: &mut BTreeMap<String, String>) -> Result<()> {
    for file in dir.files() {
        let name = file.path().display().to_string();
        let text = file.contents_utf8().ok_or_else(|| Error::usage(format!("init-templates/{name} is not UTF-8")))?;
        into.insert(name, text.to_owned());
    }
    dir.dirs().try_for_each(|d| embedded_templates(d, into))
}

/// Reads every file below an administrator's template directory, by its path below it.
fn own_templates(dir: &Path, into: &mut BTreeMap<String, String>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::usage(e.to_string())).doing(|| format!("reading {}", dir.display()))?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(dir).unwrap_or(entry.path());
            into.insert(name.to_string_lossy().into_owned(), read(entry.path())?);
        }
    }
    Ok(())
}

fn files(dir: &Path) -> Result<Vec<std::path::PathBuf>> {
    let doing = || format!("reading the fixup directory {}", dir.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).doing(doing)? {
        found.push(entry.doing(doing)?.path());
    }
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> Result<String> {
    let doing = || format!("reading {}", path.display());
    let mut text = String::new();
    std::fs::File::open(path).doing(doing)?.take(TEXT_LIMIT).read_to_string(&mut text).doing(doing)?;
    Ok(text)
}

/// Sorts by number and name, then moves what `after` and `before` ask for. An unknown name or a circle is an error.
fn order(modules: BTreeMap<String, Module>) -> Result<Vec<Module>> {
    let mut earlier: BTreeMap<String, BTreeSet<String>> =
        modules.keys().map(|k| (k.clone(), BTreeSet::new())).collect();
    for module in modules.values() {
        for name in module.after.iter().chain(&module.before) {
            if !modules.contains_key(name) {
                return Err(Error::usage(format!(
                    "fixup module {}, line 1: there is no module \"{}\" to run before or after",
                    module.origin,
                    name.escape_debug()
                )));
            }
        }
        for name in &module.after {
            earlier.entry(module.id.clone()).or_default().insert(name.clone());
        }
        for name in &module.before {
            earlier.entry(name.clone()).or_default().insert(module.id.clone());
        }
    }
    let mut waiting: Vec<Module> = modules.into_values().collect();
    waiting.sort_by(|a, b| (a.number, &a.id).cmp(&(b.number, &b.id)));
    let mut sorted: Vec<Module> = Vec::new();
    while !waiting.is_empty() {
        let free = |m: &Module| earlier[&m.id].iter().all(|name| sorted.iter().any(|done| done.id == *name));
        let Some(next) = waiting.iter().position(free) else {
            let names: Vec<&str> = waiting.iter().map(|m| m.id.as_str()).collect();
            return Err(Error::usage(format!(
                "fixup module {}, line 1: after and before form a circle: {}",
                waiting[0].origin,
                names.join(", ")
            )));
        };
        sorted.push(waiting.remove(next));
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn module(id: &str, more: &str) -> String {
        format!(
            "id = \"{id}\"\ntitle = \"t\"\nwhy = \"w\"\n{more}\n[[action]]\ndo = \"remove\"\npath = [\"no-such-file\"]\n"
        )
    }

    fn load(files: &[(&str, &str)]) -> Result<Catalogue> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::create_dir_all(dir.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(dir.path().join(name), text).unwrap();
        }
        Catalogue::load(Some(dir.path()))
    }

    #[test]
    fn what_is_built_in_loads_and_every_module_says_why() {
        let catalogue = Catalogue::load(None).unwrap();
        assert!(catalogue.modules().len() >= 10);
        assert!(catalogue.modules().iter().all(|m| m.why.len() > 40 && !m.title.is_empty()), "{catalogue:?}");
    }

    #[test]
    fn a_file_with_a_known_id_takes_its_place_and_others_are_added_in_order() {
        let catalogue = load(&[
            ("90-last.toml", &module("own-last", "")),
            ("80-early.toml", &module("own-early", "before = [\"own-first\"]")),
            ("70-first.toml", &module("own-first", "")),
            ("01-vz.toml", &module("fstab", "")),
        ])
        .unwrap();
        let at = |id: &str| catalogue.modules().iter().position(|m| m.id == id).unwrap();
        assert!(at("own-early") < at("own-first") && at("own-first") < at("own-last"));
        assert!(catalogue.module("fstab").unwrap().origin.ends_with("01-vz.toml"));
    }

    #[test]
    fn circles_unknown_names_and_missing_templates_are_usage_errors_with_the_file() {
        let a = module("own-a", "after = [\"own-b\"]");
        let b = module("own-b", "after = [\"own-a\"]");
        let missing = module("own-c", "after = [\"own-z\"]");
        let template =
            format!("{}[[action]]\ndo = \"write\"\npath = \"etc/x\"\ntemplate = \"nowhere\"\n", module("own-d", ""));
        let broken =
            format!("{}[[action]]\ndo = \"write\"\npath = \"etc/x\"\ncontent = \"{{{{ x\"\n", module("own-e", ""));
        for (files, why) in [
            (vec![("1-a.toml", a.as_str()), ("2-b.toml", &b)], "circle"),
            (vec![("1-c.toml", missing.as_str())], "own-z"),
            (vec![("1-d.toml", template.as_str())], "nowhere"),
            (vec![("1-e.toml", broken.as_str())], "syntax"),
            (vec![("1-f.toml", "id = [")], "line 1"),
            (vec![("1-a.toml", missing.as_str()), ("2-a.toml", &missing)], "taken"),
        ] {
            let error = load(&files).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.to_string().contains(".toml"), "{error}");
        }
    }
}
