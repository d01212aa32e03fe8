//! The cluster information base (CIB), read only: an XML tree and the questions that are asked of it.

use crate::error::{Doing, Error, Result};
use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;
use std::path::Path;

/// A CIB nests about 12 deep.
const DEPTH: usize = 100;

/// One element with its attributes and children; text is not used in a CIB.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Element {
    pub(crate) name: String,
    attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
}

impl Element {
    /// Returns an attribute.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    fn id(&self) -> Option<&str> {
        self.get("id")
    }

    fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    /// Returns this element and everything below it, outermost first.
    fn all(&self) -> Vec<&Element> {
        let mut found = vec![self];
        let mut next = 0;
        while let Some(element) = found.get(next).copied() {
            found.extend(&element.children);
            next += 1;
        }
        found
    }

    /// Returns the value of a parameter, meta attribute or property that is set directly on this element.
    pub(crate) fn parameter(&self, set: &str, name: &str) -> Option<&str> {
        let sets = self.children.iter().filter(|c| c.name == set);
        sets.flat_map(|s| &s.children).find(|nv| nv.get("name") == Some(name)).and_then(|nv| nv.get("value"))
    }

    fn is_agent(&self, kind: &str) -> bool {
        self.name == "primitive"
            && self.get("class") == Some("ocf")
            && self.get("provider") == Some("heartbeat")
            && self.get("type") == Some(kind)
    }
}

/// A CIB.
pub(crate) struct Cib {
    root: Element,
}

impl Cib {
    /// Parses `cibadmin --query` or a CIB file.
    pub(crate) fn parse(xml: &[u8]) -> Result<Cib> {
        let text = std::str::from_utf8(xml).map_err(|_| Error::new("not UTF-8")).doing(|| "reading the CIB")?;
        let root = parse(text).doing(|| "reading the CIB")?;
        if root.name != "cib" {
            let name = root.name.escape_debug();
            return Err(Error::new(format!("its outermost element is <{name}>, not <cib>")))
                .doing(|| "reading the CIB");
        }
        Ok(Cib { root })
    }

    fn section(&self, name: &str) -> impl Iterator<Item = &Element> {
        let section = self.root.child("configuration").and_then(|c| c.child(name));
        section.into_iter().flat_map(Element::all)
    }

    /// Returns the resource (primitive, group, clone) with this id.
    pub(crate) fn resource(&self, id: &str) -> Option<&Element> {
        self.section("resources").find(|e| e.id() == Some(id) && is_resource(e))
    }

    /// Tells whether anything in the configuration has this id: ids are unique in the whole document.
    pub(crate) fn has_id(&self, id: &str) -> bool {
        self.root.child("configuration").is_some_and(|c| c.all().iter().any(|e| e.id() == Some(id)))
    }

    /// Returns the id of a resource that runs the LXC container of this name, whatever its own name is.
    pub(crate) fn runs_container(&self, name: &str) -> Option<&str> {
        let mut lxc = self.section("resources").filter(|e| e.is_agent("lxc"));
        lxc.find(|e| e.parameter("instance_attributes", "container") == Some(name)).and_then(Element::id)
    }

    /// Returns a cluster property.
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        let config = self.root.child("configuration")?.child("crm_config")?;
        config.parameter("cluster_property_set", name)
    }

    /// Returns a default of all resources' meta attributes.
    pub(crate) fn resource_default(&self, name: &str) -> Option<&str> {
        self.root.child("configuration")?.child("rsc_defaults")?.parameter("meta_attributes", name)
    }

    /// Whether this partition has quorum, as far as the document says.
    pub(crate) fn quorum(&self) -> Option<bool> {
        self.root.get("have-quorum").map(|v| v == "1" || v == "true")
    }

    /// Returns the names of the nodes.
    pub(crate) fn nodes(&self) -> Vec<&str> {
        self.section("nodes").filter(|e| e.name == "node").filter_map(|e| e.get("uname")).collect()
    }

    /// Finds the clone that mounts the file system that `path` lies on: an ocf:heartbeat:Filesystem with `path` or a
    /// directory above it, the nearest one.
    pub(crate) fn shared_fs(&self, path: &Path) -> Option<&str> {
        let mut best: Option<(usize, &str)> = None;
        for clone in self.section("resources").filter(|e| e.name == "clone") {
            for fs in clone.all().into_iter().filter(|e| e.is_agent("Filesystem")) {
                let Some(directory) = fs.parameter("instance_attributes", "directory") else { continue };
                let depth = Path::new(directory).components().count();
                if let Some(id) = clone.id().filter(|_| path.starts_with(directory))
                    && best.is_none_or(|(deepest, _)| depth > deepest)
                {
                    best = Some((depth, id));
                }
            }
        }
        best.map(|(_, id)| id)
    }

    /// Returns which of these resources a node that is online remembers having looked at or run.
    pub(crate) fn remembered(&self, ids: &[&str]) -> bool {
        let gone = |state: &&Element| {
            let is = |name: &str, values: &[&str]| state.get(name).is_some_and(|v| values.contains(&v));
            is("crmd", &["offline", "0"]) || is("in_ccm", &["false", "0"])
        };
        let status = self.root.child("status").into_iter().flat_map(|s| &s.children);
        let present: Vec<&Element> = status.filter(|s| s.name == "node_state").filter(|s| !gone(s)).collect();
        present
            .iter()
            .flat_map(|state| state.all())
            .any(|e| e.name == "lrm_resource" && e.id().is_some_and(|id| ids.contains(&id)))
    }
}

fn is_resource(element: &Element) -> bool {
    ["primitive", "group", "clone", "master", "bundle", "template"].contains(&element.name.as_str())
}

fn parse(text: &str) -> Result<Element> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    loop {
        let closed = match reader.read_event().map_err(|e| Error::new(e.to_string()))? {
            Event::Start(start) => {
                if open.len() >= DEPTH {
                    return Err(Error::new(format!("it nests deeper than {DEPTH} elements")));
                }
                open.push(element(&start)?);
                continue;
            }
            Event::Empty(start) => element(&start)?,
            // The reader has compared the names already.
            Event::End(_) => open.pop().ok_or_else(|| Error::new("an element is closed that was never opened"))?,
            Event::Eof => return Err(Error::new("it ends too early")),
            _ => continue,
        };
        match open.last_mut() {
            Some(parent) => parent.children.push(closed),
            None => return Ok(closed),
        }
    }
}

fn element(start: &BytesStart<'_>) -> Result<Element> {
    let mut attributes = Vec::new();
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|e| Error::new(e.to_string()))?;
        let value = attribute.normalized_value(XmlVersion::Implicit1_0).map_err(|e| Error::new(e.to_string()))?;
        attributes.push((attribute.key.0.to_owned(), value.into_owned()));
    }
    Ok(Element { name: start.name().0.to_owned(), attributes, children: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const XML: &str = r#"<?xml version="1.0"?><cib have-quorum="1"><configuration>
      <crm_config><cluster_property_set id="o"><nvpair id="o-s" name="stonith-enabled" value="false"/></cluster_property_set></crm_config>
      <nodes><node id="1" uname="n1"/><node id="2" uname="n2"/></nodes>
      <resources>
        <clone id="root-clone"><primitive id="root" class="ocf" provider="heartbeat" type="Filesystem">
          <instance_attributes id="r"><nvpair id="r-d" name="directory" value="/var"/></instance_attributes></primitive></clone>
        <clone id="conf-clone"><group id="g"><primitive id="lv" class="ocf" provider="heartbeat" type="LVM-activate"/>
          <primitive id="fs" class="ocf" provider="heartbeat" type="Filesystem">
          <instance_attributes id="f"><nvpair id="f-d" name="directory" value="/var/lib/lxc"/></instance_attributes></primitive></group></clone>
        <primitive id="web" class="ocf" provider="heartbeat" type="lxc">
          <instance_attributes id="w"><nvpair id="w-c" name="container" value="lxc-a&amp;b"/></instance_attributes>
          <meta_attributes id="w-m"><nvpair id="w-m-t" name="target-role" value="Stopped"/></meta_attributes></primitive>
      </resources><constraints/></configuration>
      <status><node_state id="1" uname="n1" crmd="online" in_ccm="true"><lrm id="1"><lrm_resources><lrm_resource id="web"/></lrm_resources></lrm></node_state>
      <node_state id="2" uname="n2" crmd="offline" in_ccm="false"><lrm id="2"><lrm_resources><lrm_resource id="old"/></lrm_resources></lrm></node_state></status></cib>"#;

    #[test]
    fn the_nearest_clone_that_mounts_the_path_is_found_through_a_group() {
        let cib = Cib::parse(XML.as_bytes()).unwrap();
        assert_eq!(cib.shared_fs(Path::new("/var/lib/lxc")), Some("conf-clone"));
        assert_eq!(cib.shared_fs(Path::new("/var/lib/lxcx")), Some("root-clone"));
        assert_eq!(cib.shared_fs(Path::new("/srv")), None);
    }

    #[test]
    fn ids_parameters_properties_and_history_are_found() {
        let cib = Cib::parse(XML.as_bytes()).unwrap();
        assert!(cib.has_id("w-c") && !cib.has_id("nope"));
        assert!(cib.resource("g").is_some() && cib.resource("w-c").is_none());
        assert_eq!(cib.runs_container("lxc-a&b"), Some("web"));
        assert_eq!(cib.property("stonith-enabled"), Some("false"));
        assert_eq!(cib.resource("web").unwrap().parameter("meta_attributes", "target-role"), Some("Stopped"));
        assert_eq!((cib.nodes(), cib.quorum()), (vec!["n1", "n2"], Some(true)));
        assert!(cib.remembered(&["web"]) && !cib.remembered(&["old"]), "an offline node's memory does not count");
    }

    #[test]
    fn what_is_no_cib_is_an_error_and_never_a_panic() {
        let deep = "<cib>".repeat(500);
        for bad in ["", "<cib", "<cib>", "<a/>", "</cib>", "<cib a=1/>", "<cib a='&x;'/>", "<cib><a></cib></a>", &deep]
        {
            assert!(Cib::parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(Cib::parse(b"<cib>\xff</cib>").is_err());
    }
}
