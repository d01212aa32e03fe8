//! Layers to settings.

use super::layer::{KEYS, Layer};
use crate::model::settings::{Settings, TransportChoice, Tuning};
use crate::model::source::Remains;
use std::path::PathBuf;

/// How the source is reached, after merging.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Connection {
    /// The source as the operator names it; `None` when nobody named one.
    pub source: Option<String>,
    /// SSH port.
    pub port: Option<u16>,
    /// Private key file.
    pub identity: Option<PathBuf>,
    /// Known hosts file.
    pub known_hosts: Option<PathBuf>,
    /// SSH client.
    pub transport: TransportChoice,
    /// Old algorithms.
    pub legacy_algorithms: bool,
    /// What is left of a node, when the source is none.
    pub remains: Remains,
}

/// One line of `config show`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Shown {
    /// The key.
    pub key: &'static str,
    /// Its value; `None` when nobody set it and it has no default of its own.
    pub value: Option<String>,
    /// Where it comes from.
    pub origin: String,
}

/// Everything that is in force.
#[derive(Debug, Clone)]
pub struct Merged {
    /// The settings for the container.
    pub settings: Settings,
    /// How the source is reached.
    pub connection: Connection,
    /// State directory.
    pub state_dir: PathBuf,
    /// Each value with its origin.
    pub shown: Vec<Shown>,
}

impl Merged {
    /// Tells whether a key's value is that of a layer.
    pub fn is_from(&self, key: &str, origin: &str) -> bool {
        self.shown.iter().any(|shown| shown.key == key && shown.origin == origin)
    }
}

/// Merges layers, the strongest first, each with the name of its origin.
pub fn merge(layers: &[(&str, &Layer)]) -> Merged {
    let mut top = Layer::default();
    let mut origins: Vec<(&'static str, String)> = Vec::new();
    for (origin, layer) in layers {
        for (key, _) in layer.entries() {
            if !origins.iter().any(|(known, _)| *known == key) {
                origins.push((key, (*origin).to_owned()));
            }
        }
        top.fill_from(layer);
    }
    let settings = settings(&top);
    let connection = connection(&top);
    let state_dir = top.state_dir.clone().unwrap_or_else(|| "/var/lib/ovz2lxc".into());
    let shown = shown(&top, &origins, &settings);
    Merged { settings, connection, state_dir, shown }
}

fn settings(top: &Layer) -> Settings {
    let d = Settings::default();
    Settings {
        storage: top.storage.as_ref().map_or(d.storage, super::StorageText::value),
        vg: top.vg.clone(),
        thin_pool: top.thin_pool.clone(),
        fs: top.fs.as_ref().map_or(d.fs, super::FsText::value),
        volume_dir: top.volume_dir.clone(),
        lxc_path: top.lxc_path.clone().unwrap_or(d.lxc_path),
        size: top.size.as_ref().map(|s| s.get_ref().value()),
        headroom_percent: top.headroom_percent.unwrap_or(d.headroom_percent),
        name: top.name.as_ref().map(|n| n.get_ref().clone()),
        bridge: top.bridge.clone(),
        gateway4: top.gateway4,
        gateway6: top.gateway6,
        prefix4: top.prefix4,
        prefix6: top.prefix6,
        networks: top.networks.iter().map(Into::into).collect(),
        network: top.network_mode.as_ref().map_or(d.network, super::NetworkText::value),
        uplink: top.uplink.clone(),
        unprivileged: top.unprivileged.unwrap_or(d.unprivileged),
        id_range: top.id_range.as_ref().map(super::IdRangeText::value),
        approximate: top.approximate.iter().flatten().map(super::ApproximateText::value).collect(),
        addresses: top.addresses.as_ref().map_or(d.addresses, super::AddressText::value),
        ttys: top.ttys.unwrap_or(d.ttys),
        lxc_version: top.lxc.as_ref().map(super::LxcText::value),
        cgroup: top.cgroup.as_ref().map(super::CgroupText::value),
        cluster: top.cluster.as_ref().map_or(d.cluster, super::ClusterText::value),
        shared_fs: top.shared_fs.clone(),
        engine: top.engine.unwrap_or(d.engine),
        verify: top.verify.as_ref().map_or(d.verify, super::VerifyText::value),
        tuning: tuning(top),
        live_passes: top.live_passes.unwrap_or(d.live_passes),
        stop_timeout: top.stop_timeout,
        health_timeout: top.health_timeout.unwrap_or(d.health_timeout),
        health_login: top.health_login.unwrap_or(d.health_login),
        accept: top.accept.clone().unwrap_or_default(),
        fixups_dir: top.fixups_dir.clone().unwrap_or(d.fixups_dir),
        skip_fixups: top.skip_fixups.clone().unwrap_or_default(),
    }
}

fn tuning(top: &Layer) -> Tuning {
    let d = Tuning::default();
    Tuning {
        streams: top.streams.map(super::StreamCount::get),
        compress: top.compress.as_ref().map_or(d.compress, super::CompressText::value),
        bwlimit: top.bwlimit.as_ref().map(super::BwlimitText::value),
        full_speed: top.full_speed.unwrap_or(d.full_speed),
    }
}

/// A `[node.NAME]` of the source's name stands below what is set directly.
fn connection(top: &Layer) -> Connection {
    let node = top.source.as_ref().and_then(|s| top.nodes.get(s));
    let transport = top.transport.clone().or_else(|| node.and_then(|n| n.transport.clone()));
    let remains = Remains {
        vz_root: top.vz_root.clone(),
        private: top.private.clone(),
        ve_conf: top.ve_conf.clone(),
        vzdump: top.vzdump.clone(),
    };
    // A disk, a directory, a file: when nobody names a host, they are here.
    let here = (!remains.is_node()).then(|| "local".to_owned());
    Connection {
        source: node.map(|n| n.address.get_ref().clone()).or_else(|| top.source.clone()).or(here),
        port: top.port,
        identity: top.identity.clone().or_else(|| node.and_then(|n| n.identity.clone())),
        known_hosts: top.known_hosts.clone().or_else(|| node.and_then(|n| n.known_hosts.clone())),
        transport: transport.map(|t| t.value()).unwrap_or_default(),
        legacy_algorithms: top.legacy_algorithms.or_else(|| node.and_then(|n| n.legacy_algorithms)).unwrap_or(false),
        remains,
    }
}

fn shown(top: &Layer, origins: &[(&'static str, String)], settings: &Settings) -> Vec<Shown> {
    let set = top.entries();
    let default = |key: &str| match key {
        "transport" | "cluster" | "engine" | "streams" | "compress" => Some("auto".to_owned()),
        "storage" => Some("image".to_owned()),
        "fs" => Some(settings.fs.name().to_owned()),
        "lxc_path" => Some(settings.lxc_path.display().to_string()),
        "headroom_percent" => Some(settings.headroom_percent.to_string()),
        "addresses" => Some("guest".to_owned()),
        "network_mode" => Some("bridge".to_owned()),
        "unprivileged" => Some("false".to_owned()),
        "ttys" => Some(settings.ttys.to_string()),
        "verify" => Some("metadata".to_owned()),
        "full_speed" => Some("false".to_owned()),
        "live_passes" => Some(settings.live_passes.to_string()),
        "health_timeout" => Some(settings.health_timeout.to_string()),
        "health_login" => Some(settings.health_login.to_string()),
        "fixups_dir" => Some(settings.fixups_dir.display().to_string()),
        "legacy_algorithms" => Some("false".to_owned()),
        "state_dir" => Some("/var/lib/ovz2lxc".to_owned()),
        _ => None,
    };
    let line = |key: &&'static str| {
        let value = set.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone());
        let origin = origins.iter().find(|(k, _)| k == key).map_or("default", |(_, o)| o.as_str());
        Shown { key, value: value.or_else(|| default(key)), origin: origin.to_owned() }
    };
    KEYS.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::settings::{Compress, Verify};

    fn layer(text: &str) -> Layer {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_strongest_layer_wins_and_is_named() {
        let (file, line) = (layer("vg = \"a\"\nttys = 2"), layer("vg = \"b\""));
        let merged = merge(&[("command line", &line), ("config.toml", &file)]);
        assert_eq!(merged.settings.vg.as_deref(), Some("b"));
        let origin = |key| merged.shown.iter().find(|s| s.key == key).unwrap().origin.clone();
        assert_eq!(
            (origin("vg"), origin("ttys"), origin("fs")),
            ("command line".into(), "config.toml".into(), "default".into())
        );
    }

    #[test]
    fn what_a_copy_may_take_comes_from_every_layer() {
        let file = layer("verify = \"content\"\nstreams = 4\nbwlimit = \"10M\"\nfull_speed = true");
        let line = layer("compress = \"zstd\"\nverify = \"none\"");
        let merged = merge(&[("command line", &line), ("file", &file)]);
        let tuning = merged.settings.tuning;
        assert_eq!((merged.settings.verify, tuning.compress), (Verify::None, Compress::Zstd));
        assert_eq!((tuning.streams.unwrap().get(), tuning.bwlimit.unwrap().0), (4, 10 << 20));
        assert!(tuning.full_speed);
        assert!(merged.is_from("compress", "command line") && merged.is_from("streams", "file"));
        for bad in ["verify = \"yes\"", "streams = 0", "compress = \"xz\"", "bwlimit = \"10\"", "bwlimit = 10"] {
            assert!(toml::from_str::<Layer>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_login_program_is_asked_for_unless_somebody_says_otherwise() {
        assert!(merge(&[]).settings.health_login);
        let file = layer("health_login = false");
        let merged = merge(&[("config.toml", &file)]);
        assert!(!merged.settings.health_login);
        let shown = merged.shown.iter().find(|s| s.key == "health_login").unwrap();
        assert_eq!((shown.value.as_deref(), shown.origin.as_str()), (Some("false"), "config.toml"));
    }

    #[test]
    fn without_anything_the_documented_defaults_stand() {
        let merged = merge(&[]);
        assert_eq!(merged.settings, Settings::default());
        assert_eq!(merged.state_dir, PathBuf::from("/var/lib/ovz2lxc"));
    }

    #[test]
    fn a_node_is_called_by_its_name() {
        let file = layer("[node.vz1]\naddress = \"root@10.0.0.1:2222\"\nlegacy_algorithms = true");
        let line = layer("source = \"vz1\"");
        let connection = merge(&[("command line", &line), ("file", &file)]).connection;
        assert_eq!(connection.source.as_deref(), Some("root@10.0.0.1:2222"));
        assert!(connection.legacy_algorithms);
    }
}
