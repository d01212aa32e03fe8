//! The batch manifest.

use super::layer::{Layer, SubnetEntry, at, parse, place, read_text};
use crate::error::Result;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    defaults: Layer,
    #[serde(default)]
    container: Vec<Layer>,
    #[serde(default)]
    network: Vec<SubnetEntry>,
}

/// One container of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The container as the operator names it.
    pub selector: String,
    /// Its settings, the manifest's defaults already below them.
    pub layer: Layer,
    /// Keys that its own table sets, for `config show` and messages.
    pub own: Layer,
    /// Line of its table in the manifest.
    pub line: usize,
    /// File, line and column of the size that holds for it, when the manifest has one.
    pub size_place: Option<String>,
}

/// A manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    /// Its containers in order.
    pub entries: Vec<Entry>,
}

/// Reads a manifest; everything that can be wrong in it is said with file, line and column before anything is touched.
pub fn read_manifest(path: &Path) -> Result<Manifest> {
    let text = read_text(path)?;
    let document: Document = parse(path, &text)?;
    if let Some(ctid) = &document.defaults.ctid {
        return Err(at(path, &text, ctid.span().start, "ctid belongs into a [[container]], not into [defaults]"));
    }
    if let Some(name) = &document.defaults.name {
        let message = "name belongs to one container: into a [[container]], not into [defaults]";
        return Err(at(path, &text, name.span().start, message));
    }
    no_nodes(path, &text, &document.defaults)?;
    let mut seen: BTreeMap<(Option<String>, String), usize> = BTreeMap::new();
    let mut entries = Vec::new();
    for own in document.container {
        let Some(ctid) = own.ctid.clone() else {
            return Err(at(path, &text, 0, &format!("[[container]] number {} has no ctid", entries.len() + 1)));
        };
        let offset = ctid.span().start;
        let line = text.get(..offset).unwrap_or_default().matches('\n').count() + 1;
        no_nodes(path, &text, &own)?;
        let mut layer = own.clone();
        layer.networks.extend(document.network.iter().cloned());
        layer.fill_from(&document.defaults);
        let selector = ctid.into_inner().text();
        let key = (layer.source.clone(), selector.clone());
        if let Some(first) = seen.insert(key, line) {
            return Err(at(path, &text, offset, &format!("container {selector} stands in line {first} already")));
        }
        let size_place = layer.size.as_ref().map(|size| place(path, &text, size.span().start));
        entries.push(Entry { selector, layer, own, line, size_place });
    }
    if entries.is_empty() {
        return Err(at(path, &text, 0, "no [[container]] in the manifest"));
    }
    Ok(Manifest { path: path.to_owned(), entries })
}

/// A node is the same for every manifest.
fn no_nodes(path: &Path, text: &str, layer: &Layer) -> Result<()> {
    match layer.nodes.values().next() {
        None => Ok(()),
        Some(node) => Err(at(path, text, node.address.span().start, "[node.NAME] belongs into the configuration file")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(text: &str) -> Result<Manifest> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.toml");
        std::fs::write(&path, text).unwrap();
        read_manifest(&path)
    }

    #[test]
    fn defaults_and_subnets_reach_every_container() {
        let text = "[defaults]\nsource = \"root@vz1\"\nvg = \"v\"\n[[container]]\nctid = 101\nsize = \"4G\"\n\
                    [[container]]\nctid = \"web\"\nvg = \"w\"\n[[network]]\nsubnet = \"10.1.0.0/24\"\nbridge = \"br0\"\n";
        let manifest = manifest(text).unwrap();
        let vgs: Vec<_> = manifest.entries.iter().map(|e| e.layer.vg.clone().unwrap()).collect();
        assert_eq!(vgs, ["v", "w"]);
        assert_eq!(manifest.entries[0].selector, "101");
        assert_eq!(manifest.entries[1].line, 8);
        assert!(manifest.entries[0].size_place.as_deref().unwrap().ends_with("m.toml, line 6, column 8"));
        assert_eq!(manifest.entries[1].size_place, None);
        assert!(manifest.entries.iter().all(|e| e.layer.networks.len() == 1));
    }

    #[test]
    fn every_fault_has_its_line() {
        let cases = [
            ("[[container]]\nctid = 1\nbrige = \"x\"\n", "line 3, column 1: unknown field `brige`"),
            (
                "[[container]]\nctid = 1\n[[container]]\nctid = \"1\"\n",
                "line 4, column 8: container 1 stands in line 2",
            ),
            ("[[container]]\nname = \"x\"\n", "number 1 has no ctid"),
            ("[defaults]\nctid = 1\n", "line 2, column 8: ctid belongs into a [[container]]"),
            ("[defaults]\nname = \"x\"\n[[container]]\nctid = 1\n", "line 2, column 8: name belongs to one container"),
            (
                "[defaults.node.vz1]\naddress = \"a\"\n[[container]]\nctid = 1\n",
                "line 2, column 11: [node.NAME] belongs into the configuration file",
            ),
            (
                "[[container]]\nctid = 1\n[container.node.vz1]\naddress = \"a\"\n",
                "line 4, column 11: [node.NAME] belongs into the configuration file",
            ),
            ("", "no [[container]]"),
            ("[[container]]\nctid = 1\nsize = \"0\"\n", "line 3, column 8: \"0\" is not a size"),
            ("[[container]\n", "line 1"),
            ("[[container]]\nctid = 1\n[[network]]\nsubnet = \"10.1.0.0/99\"\n", "line 4"),
        ];
        for (text, want) in cases {
            let error = manifest(text).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Usage);
            assert!(error.to_string().contains(want), "{text}: {error}");
        }
    }

    #[test]
    fn the_same_ctid_on_two_nodes_is_fine() {
        let text = "[[container]]\nctid = 1\nsource = \"a\"\n[[container]]\nctid = 1\nsource = \"b\"\n";
        assert_eq!(manifest(text).unwrap().entries.len(), 2);
    }
}
