//! Which migration a word of the operator means: by CTID, by the container's name, by its name on the target.

use super::migrate::PLAN;
use super::standing::{Standing, standing};
use crate::config::Connection;
use crate::error::{Error, Result};
use crate::host::Destination;
use crate::journal::{self, Record, Store, read_records};
use crate::model::ctid::Ctid;
use crate::model::settings::IdRange;
use crate::pipeline::plan::Plan;
use std::path::PathBuf;

/// A migration that is known here.
#[derive(Debug)]
pub(super) struct Known {
    /// Its directory.
    pub(super) dir: PathBuf,
    /// The CTID, as the directory says it.
    pub(super) ctid: String,
    /// The node, as the directory says it.
    pub(super) node: String,
    /// Its plan, when it got that far.
    pub(super) plan: Option<Plan>,
}

impl Known {
    /// Reads a directory of the store.
    pub(super) fn read(dir: PathBuf) -> Known {
        let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let (ctid, node) = name.split_once('@').unwrap_or((&name, ""));
        let (ctid, node) = (ctid.to_owned(), node.to_owned());
        // A damaged plan of one container must not be in the way of the others; who needs it says what is wrong.
        let plan = journal::load(&dir, PLAN).ok().flatten();
        Known { dir, ctid, node, plan }
    }

    /// Reads its records.
    pub(super) fn records(&self) -> Result<Vec<Record>> {
        read_records(&self.dir)
    }

    /// Returns where it stands.
    pub(super) fn standing(&self) -> Result<Standing> {
        Ok(standing(&self.records()?))
    }

    fn has_ctid(&self, selector: &str) -> bool {
        self.ctid == selector || Ctid::parse(selector).is_ok_and(|ctid| ctid.as_str() == self.ctid)
    }

    fn has_name(&self, selector: &str) -> bool {
        self.plan.as_ref().is_some_and(|plan| {
            plan.container.ve.name.as_deref() == Some(selector)
                || plan.name == selector
                || plan.name.strip_prefix("lxc-") == Some(selector)
        })
    }

    /// Tells whether its container came from this source. What one of both leaves unsaid, user or port, does not tell
    /// them apart.
    fn is_from(&self, connection: &Connection) -> bool {
        let Some(source) = &connection.source else { return true };
        // Two disks on one host are two sources; who names the host alone means any of them.
        let elsewhere = |plan: &Plan| plan.access.remains != connection.remains && !connection.remains.is_node();
        if self.plan.as_ref().is_some_and(elsewhere) {
            return false;
        }
        let planned = self.plan.as_ref().map(|p| &p.access);
        if planned.is_some_and(|access| access.source == *source && access.port == connection.port) {
            return true;
        }
        let planned = planned.and_then(|access| place(&access.source, access.port));
        match (planned, place(source, connection.port)) {
            (Some(planned), Some(wanted)) => same(&planned, &wanted),
            _ => self.node == safe(source),
        }
    }
}

/// A source with the port that `--port` or the configuration adds.
fn place(source: &str, more: Option<u16>) -> Option<Destination> {
    Some(match Destination::parse(source).ok()? {
        Destination::Ssh { user, host, port } => Destination::Ssh { user, host, port: more.or(port) },
        Destination::Local => Destination::Local,
    })
}

fn same(a: &Destination, b: &Destination) -> bool {
    fn agree<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
        a.is_none() || b.is_none() || a == b
    }
    match (a, b) {
        (Destination::Local, Destination::Local) => true,
        (Destination::Ssh { user, host, port }, Destination::Ssh { user: user2, host: host2, port: port2 }) => {
            host == host2 && agree(user.as_ref(), user2.as_ref()) && agree(port.as_ref(), port2.as_ref())
        }
        _ => false,
    }
}

/// A node's label as it stands in the name of a directory.
fn safe(node: &str) -> String {
    node.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect()
}

/// Returns every migration that a word means; a CTID is stronger than a name. With `from`, those of that source only.
pub(super) fn matching(store: &Store, selector: &str, from: Option<&Connection>) -> Result<Vec<Known>> {
    let mut all = Vec::new();
    for dir in store.containers()? {
        let known = Known::read(dir);
        if from.is_none_or(|from| known.is_from(from)) {
            all.push(known);
        }
    }
    let by_ctid = all.iter().any(|known| known.has_ctid(selector));
    all.retain(|known| if by_ctid { known.has_ctid(selector) } else { known.has_name(selector) });
    Ok(all)
}

/// Returns the one migration that a word means; a usage error that names them when there are several.
pub(super) fn find(store: &Store, selector: &str, from: Option<&Connection>) -> Result<Option<Known>> {
    only(matching(store, selector, from)?, selector)
}

/// Returns the only one; a usage error names them when there are several.
pub(super) fn only(mut found: Vec<Known>, selector: &str) -> Result<Option<Known>> {
    if found.len() < 2 {
        return Ok(found.pop());
    }
    let name = |known: &Known| {
        let source = known.plan.as_ref().map_or(known.node.as_str(), |plan| plan.access.source.as_str());
        format!("{} from {}", known.ctid, source.escape_debug())
    };
    let names: Vec<String> = found.iter().map(name).collect();
    Err(Error::usage(format!("\"{}\" may be any of these: {}", selector.escape_debug(), names.join(", ")))
        .hint("say which with its CTID and --from HOST"))
}

/// Returns the ids that migrations under way elsewhere than in `own` have planned: a container that was only copied yet
/// has no configuration that names them.
pub(super) fn reserved_ids(store: &Store, own: &std::path::Path) -> Result<Vec<IdRange>> {
    let others = store.containers()?.into_iter().filter(|dir| dir != own).map(Known::read);
    let open = |known: &Known| {
        let under_way = [Standing::Syncing, Standing::Synced, Standing::Open, Standing::OnlyBack];
        // A damaged journal is no reason to give its ids away.
        known.standing().map_or(true, |standing| under_way.contains(&standing))
    };
    let range = |known: Known| known.plan.and_then(|plan| plan.idmap).map(|map| map.range);
    Ok(others.filter(open).filter_map(range).collect())
}

/// Returns the one migration that a word means, or says that there is none.
pub(super) fn required(store: &Store, selector: &str, from: Option<&Connection>) -> Result<Known> {
    find(store, selector, from)?.ok_or_else(|| {
        let from = from.and_then(|c| c.source.as_deref());
        let from = from.map(|s| format!(" from {}", s.escape_debug())).unwrap_or_default();
        Error::new(format!("no migration of container {}{from} is known here", selector.escape_debug()))
            .hint("see what is known with: ovz2lxc status")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::tests::good;
    use crate::pipeline::plan::Access;
    use crate::pipeline::planner;

    /// Keeps a migration of a container with a NAME from a source.
    fn keep(store: &Store, ctid: &str, name: &str, source: &str) {
        let mut facts = good();
        facts.container.ctid = Ctid::parse(ctid).unwrap();
        facts.container.ve.name = Some(name.into());
        facts.target_name = format!("lxc-{name}1");
        let volume = planner::volume_plan(&facts).unwrap();
        let dir = store.container_dir(ctid, &format!("{source}:22"));
        let way = planner::Way {
            access: Access { source: source.into(), ..Access::default() },
            state: &dir,
            cluster: "none".into(),
            autostart: crate::openvz::Fenced { onboot: None, disabled: None, config: "/etc/vz/conf/1.conf".into() },
        };
        let plan = planner::plan(&facts, volume, way).unwrap();
        let mut journal = store.open(&dir).unwrap();
        journal.save(PLAN, &plan).unwrap();
        journal.append(&Record::PointOfNoReturn).unwrap();
    }

    #[test]
    fn ids_of_what_is_only_copied_are_reserved() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let own = store.container_dir("102", "root@vz1:22");
        for (ctid, range) in [("101", 100_000), ("102", 200_000), ("103", 300_000)] {
            keep(&store, ctid, "web", "root@vz1");
            let mut journal = store.open(&store.container_dir(ctid, "root@vz1:22")).unwrap();
            let mut plan: Plan = journal::load(journal.dir(), PLAN).unwrap().unwrap();
            let range = IdRange { base: range, count: 65_536 };
            plan.idmap = Some(crate::lxc::IdMap { range, mounted: false });
            journal.save(PLAN, &plan).unwrap();
            journal.append(&Record::Run { version: String::new(), command: "sync".into(), at: 0 }).unwrap();
            let outcome = if ctid == "103" { "rolled_back" } else { "synced" };
            journal.append(&Record::Outcome { outcome: outcome.into(), at: 0 }).unwrap();
        }
        assert_eq!(reserved_ids(&store, &own).unwrap(), [IdRange { base: 100_000, count: 65_536 }]);
    }

    fn connection(source: &str) -> Connection {
        Connection { source: Some(source.into()), ..Connection::default() }
    }

    #[test]
    fn a_migration_is_found_by_every_name_that_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        keep(&store, "101", "web", "root@vz1");
        keep(&store, "102", "101", "root@vz1");
        for selector in ["101", "0101", "web", "web1", "lxc-web1"] {
            assert_eq!(find(&store, selector, None).unwrap().unwrap().ctid, "101", "{selector}");
        }
        assert_eq!(find(&store, "lxc-1011", None).unwrap().unwrap().ctid, "102");
        assert!(find(&store, "10", None).unwrap().is_none());
        assert!(required(&store, "nobody", None).unwrap_err().to_string().contains("no migration of container nobody"));
    }

    #[test]
    fn the_source_tells_two_of_a_ctid_apart() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        keep(&store, "101", "web", "root@vz1");
        keep(&store, "101", "mail", "root@vz2");
        let error = find(&store, "101", None).unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        assert!(error.to_string().contains("101 from root@vz1, 101 from root@vz2"), "{error}");
        for source in ["root@vz2", "vz2", "vz2:22", "ssh://root@vz2"] {
            let found = find(&store, "101", Some(&connection(source))).unwrap().unwrap();
            assert_eq!(found.plan.unwrap().access.source, "root@vz2", "{source}");
        }
        for source in ["vz3", "admin@vz2", "local"] {
            assert!(find(&store, "101", Some(&connection(source))).unwrap().is_none(), "{source}");
        }
        let port = Connection { port: Some(2222), ..connection("root@vz1") };
        let known = find(&store, "web", Some(&port)).unwrap();
        assert!(known.is_some(), "the plan says no port, so the port does not tell them apart");
    }
}
