//! vzlist's inventory. Its JSON is printed by hand: strings are not escaped and warnings stand before it (vzctl 4.11
//! src/vzlist.c:929-965, src/lib/logger.c:71), so that what does not look right is asked for again field by field.

use super::grammar::shown;
use crate::error::{Error, Result};
use crate::model::container::{Status, Summary};
use crate::model::ctid::Ctid;
use crate::model::size::{Bytes, KIB};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// An object whose keys keep their order and may stand twice.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    fields.push(pair);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Reads the output of `vzlist -a -j`. `None` when it cannot be trusted: not JSON, or objects that do not all have the
/// same keys once each, as they would after a string with a quote in it.
pub(super) fn json(stdout: &[u8]) -> Option<Vec<Summary>> {
    let text = String::from_utf8_lossy(stdout);
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        if matches!(line.trim_end(), "[" | "[]") {
            break;
        }
        start += line.len();
    }
    let mut values = serde_json::Deserializer::from_str(&text[start..]).into_iter::<Vec<Fields>>();
    let objects = values.next()?.ok()?;
    let keys = |one: &Fields| one.0.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
    let first = objects.first().map(keys).unwrap_or_default();
    let unique = first.iter().collect::<std::collections::BTreeSet<_>>().len() == first.len();
    if !unique || objects.iter().any(|one| keys(one) != first) {
        return None;
    }
    let list: Vec<Summary> =
        objects.into_iter().map(|one| summary(&one.0.into_iter().collect())).collect::<Option<_>>()?;
    let ids: std::collections::BTreeSet<_> = list.iter().map(|one| &one.ctid).collect();
    if ids.len() == list.len() { Some(list) } else { None }
}

fn summary(fields: &BTreeMap<String, Value>) -> Option<Summary> {
    let text = |key: &str| match fields.get(key) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let ctid = match fields.get("ctid")? {
        Value::Number(n) => n.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    let usage = |key: &str| fields.get(key).and_then(|v| v.get("usage")).and_then(Value::as_u64);
    Some(Summary {
        ctid: Ctid::parse(&ctid).ok()?,
        name: text("name"),
        hostname: text("hostname"),
        status: status(&text("status")?)?,
        addresses: addresses(fields),
        size: usage("diskspace").map(|kib| Bytes(kib.saturating_mul(KIB))),
        inodes: usage("diskinodes"),
        ostemplate: text("ostemplate"),
    })
}

/// `ip` is what vzctl 4 prints; Virtuozzo has `configured_ip` beside it, and texts instead of arrays in places.
fn addresses(fields: &BTreeMap<String, Value>) -> Vec<String> {
    for key in ["ip", "configured_ip"] {
        let list: Vec<String> = match fields.get(key) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(text)) => text.split_whitespace().map(str::to_owned).collect(),
            _ => Vec::new(),
        };
        if !list.is_empty() {
            return list;
        }
    }
    Vec::new()
}

fn status(text: &str) -> Option<Status> {
    match text {
        "running" => Some(Status::Running),
        "stopped" => Some(Status::Stopped),
        "mounted" => Some(Status::Mounted),
        "suspended" | "paused" => Some(Status::Suspended),
        _ => None,
    }
}

/// The fields that are asked for one by one, each behind `ctid`, when the JSON cannot be read.
pub(super) const FIELDS: &[&str] = &["status", "hostname", "name", "ip", "diskspace", "diskinodes", "ostemplate"];

/// Reads `vzlist -a -H -t -o ctid,FIELD`: a line a container, the value is the rest of it, `-` when unset.
pub(super) fn column(stdout: &[u8]) -> BTreeMap<Ctid, String> {
    let text = String::from_utf8_lossy(stdout);
    let mut out = BTreeMap::new();
    for line in text.lines() {
        let line = line.trim();
        let (id, value) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        // A warning does not begin with a CTID.
        if let Ok(ctid) = Ctid::parse(id) {
            let value = value.trim();
            out.insert(ctid, if value == "-" { String::new() } else { value.to_owned() });
        }
    }
    out
}

/// Puts columns together.
pub(super) fn from_columns(columns: &BTreeMap<&str, BTreeMap<Ctid, String>>) -> Result<Vec<Summary>> {
    let field = |name: &str, ctid: &Ctid| {
        columns.get(name).and_then(|c| c.get(ctid)).filter(|value| !value.is_empty()).cloned()
    };
    let Some(states) = columns.get("status") else { return Ok(Vec::new()) };
    let mut out = Vec::new();
    for (ctid, state) in states {
        let status = status(state).ok_or_else(|| {
            Error::new(format!("vzlist says that container {ctid} is \"{}\"", shown(state.as_bytes())))
        })?;
        let number = |name| field(name, ctid).and_then(|text| text.parse::<u64>().ok());
        let ips = field("ip", ctid).unwrap_or_default();
        out.push(Summary {
            ctid: ctid.clone(),
            name: field("name", ctid),
            hostname: field("hostname", ctid),
            status,
            addresses: ips.split_whitespace().map(str::to_owned).collect(),
            size: number("diskspace").map(|kib| Bytes(kib.saturating_mul(KIB))),
            inodes: number("diskinodes"),
            ostemplate: field("ostemplate", ctid),
        });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNNING: &str = r#"Warning: Unknown iptables module: foo, skipped
[
  {
    "ctid": 101,
    "smart_name": 101,
    "name": null,
    "hostname": "web1.example.com",
    "ip": ["10.1.0.101", "2001:db8::101"],
    "status": "running",
    "physpages": {"held": 12, "maxheld": 20, "barrier": 0, "limit": 9223372036854775807, "failcnt": 0},
    "diskspace": {"usage": 400000, "softlimit": 2097152, "hardlimit": 2306867},
    "diskinodes": {"usage": 21000, "softlimit": 200000, "hardlimit": 220000},
    "capability": {"net_admin": true, "sys_timen": false},
    "ostemplate": "centos-6-x86_64"
  },
  {
    "ctid": 102,
    "smart_name": "db",
    "name": "db",
    "hostname": null,
    "ip": null,
    "status": "stopped",
    "physpages": {"held": 0, "maxheld": 0, "barrier": 0, "limit": 0, "failcnt": 0},
    "diskspace": null,
    "diskinodes": null,
    "capability": null,
    "ostemplate": null
  }
]
"#;

    #[test]
    fn warnings_nulls_and_both_smart_names() {
        let list = json(RUNNING.as_bytes()).unwrap();
        assert_eq!(list.len(), 2);
        assert_eq!((list[0].ctid.as_str(), list[0].status, &list[0].name), ("101", Status::Running, &None));
        assert_eq!((list[0].size, list[0].inodes), (Some(Bytes(400_000 * 1024)), Some(21_000)));
        assert_eq!(list[0].addresses, ["10.1.0.101", "2001:db8::101"]);
        assert_eq!((list[1].name.as_deref(), list[1].size), (Some("db"), None));
        assert!(list[1].addresses.is_empty() && list[1].hostname.is_none());
    }

    #[test]
    fn empty_lists() {
        assert_eq!(json(b"[]\n").unwrap(), []);
        assert_eq!(json(b"[\n]\n").unwrap(), []);
        assert!(json(b"").is_none());
        assert!(json(b"Container(s) not found\n").is_none());
    }

    #[test]
    fn an_unescaped_string_is_noticed() {
        let broken = RUNNING.replace("web1.example.com", "say \"hi\"");
        assert!(json(broken.as_bytes()).is_none());
        // A string that stays valid JSON and changes what another field says.
        let sly = RUNNING.replace("web1.example.com", "a\", \"status\": \"stopped\", \"x\": \"");
        assert!(json(sly.as_bytes()).is_none());
        let second =
            RUNNING.replace("\"db\",\n    \"hostname\": null", "\"db\"}, {\"ctid\": 9, \"status\": \"running\"");
        assert!(json(second.as_bytes()).is_none());
        let twice = RUNNING.replace("\"ctid\": 102", "\"ctid\": 101");
        assert!(json(twice.as_bytes()).is_none());
    }

    #[test]
    fn virtuozzo_has_uuids_and_texts() {
        let text = "[\n{\"ctid\": \"5fbaabe3-6958-40ff-92a7-860e329aab41\", \"status\": \"running\", \
                    \"configured_ip\": \"10.0.0.1/255.255.255.0 10.0.0.2\"}\n]\n";
        let list = json(text.as_bytes()).unwrap();
        assert_eq!(list[0].ctid.number(), None);
        assert_eq!(list[0].addresses.len(), 2);
    }

    #[test]
    fn columns_take_the_place_of_json() {
        let mut columns = BTreeMap::new();
        columns.insert("status", column(b"Warning: odd\n  101 running\n  102 stopped\n"));
        columns.insert("hostname", column(b"  101 say \"hi\" you\n  102 -\n"));
        columns.insert("ip", column(b"  101 10.0.0.1 10.0.0.2\n  102 -\n"));
        columns.insert("diskspace", column(b"  101 2048\n  102 -\n"));
        let list = from_columns(&columns).unwrap();
        assert_eq!(list[0].hostname.as_deref(), Some("say \"hi\" you"));
        assert_eq!((list[0].addresses.len(), list[0].size), (2, Some(Bytes(2 << 20))));
        assert_eq!((list[1].status, &list[1].hostname, list[1].size), (Status::Stopped, &None, None));
        columns.insert("status", column(b"101 flying\n"));
        assert!(from_columns(&columns).unwrap_err().to_string().contains("flying"));
    }
}
