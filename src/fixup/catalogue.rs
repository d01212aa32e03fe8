//! All modules: those that are built in, and an administrator's.

use super::fault::{line_of_key, meant, wrong};
use super::module::Module;
use super::order::order;
use super::templates::{TemplateFile, check_all};
use crate::error::{Doing, Error, Result};
use include_dir::{Dir, include_dir};
use std::collections::BTreeMap;
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
        check_all(&modules, &templates)?;
        let templates = templates.into_iter().map(|(name, file)| (name, file.text)).collect();
        Ok(Catalogue { modules, templates })
    }

    /// Returns the modules in the order in which they run.
    pub fn modules(&self) -> &[Module] {
        &self.modules
    }

    /// Returns one module.
    pub fn module(&self, id: &str) -> Option<&Module> {
        self.modules.iter().find(|m| m.id == id)
    }

    /// Refuses ids that no module has, as a list of modules to leave out may hold them.
    pub fn check_skipped(&self, skip: &[String]) -> Result<()> {
        match skip.iter().find(|id| self.module(id).is_none()) {
            Some(id) => {
                let meant = meant(id, self.modules.iter().map(|m| m.id.as_str()));
                Err(Error::usage(format!("there is no fixup \"{}\" to skip{meant}", id.escape_debug()))
                    .hint("ovz2lxc fixup list shows the ids"))
            }
            None => Ok(()),
        }
    }

    /// Returns the templates by their path below init-templates/.
    pub fn templates(&self) -> &BTreeMap<String, String> {
        &self.templates
    }
}

fn add(modules: &mut BTreeMap<String, Module>, module: Module, alone: bool) -> Result<()> {
    let (id, origin) = (module.id.clone(), module.origin.clone());
    let line = line_of_key(&module.text, "id");
    match modules.insert(id, module) {
        Some(old) if alone => Err(wrong(&origin, line, &format!("the id \"{}\" is taken by {}", old.id, old.origin))),
        _ => Ok(()),
    }
}

fn embedded_templates(dir: &Dir<'_>, into: &mut BTreeMap<String, TemplateFile>) -> Result<()> {
    for file in dir.files() {
        let name = file.path().display().to_string();
        let text = file.contents_utf8().ok_or_else(|| Error::usage(format!("init-templates/{name} is not UTF-8")))?;
        let file = TemplateFile { origin: format!("init-templates/{name}"), text: text.to_owned() };
        into.insert(name, file);
    }
    dir.dirs().try_for_each(|d| embedded_templates(d, into))
}

/// Reads every file below an administrator's template directory, by its path below it.
fn own_templates(dir: &Path, into: &mut BTreeMap<String, TemplateFile>) -> Result<()> {
    if !dir.is_dir() {
        return Ok(());
    }
    for entry in walkdir::WalkDir::new(dir).sort_by_file_name() {
        let entry = entry.map_err(|e| Error::usage(e.to_string())).doing(|| format!("reading {}", dir.display()))?;
        if entry.file_type().is_file() {
            let name = entry.path().strip_prefix(dir).unwrap_or(entry.path());
            let file = TemplateFile { origin: entry.path().display().to_string(), text: read(entry.path())? };
            into.insert(name.to_string_lossy().into_owned(), file);
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
    if !std::fs::metadata(path).doing(doing)?.is_file() {
        return Err(Error::usage("it is not a regular file")).doing(doing);
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).doing(doing)?.take(TEXT_LIMIT + 1).read_to_end(&mut bytes).doing(doing)?;
    if bytes.len() as u64 > TEXT_LIMIT {
        return Err(Error::usage(format!("it has more than {TEXT_LIMIT} bytes"))).doing(doing);
    }
    String::from_utf8(bytes).map_err(|e| {
        let line = e.as_bytes()[..e.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
        wrong(&path.display().to_string(), line, "it is not UTF-8")
    })
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
