//! What one run of the program has at hand: settings, connections, sinks, the lock store.

use crate::cancel::Cancel;
use crate::cli::Cli;
use crate::config::{Connection, Layer, Merged, merge, read_config};
use crate::error::{Error, Result};
use crate::event::EventSink;
use crate::host::{self, Destination, Host, Local, SshOverrides};
use crate::journal::Store;
use crate::model::settings::{IdRange, TransportChoice};
use crate::openvz::Node;
use crate::pipeline::plan::Access;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The origin of what the command line says.
pub(super) const COMMAND_LINE: &str = "command line";

const CONFIG: &str = "/etc/ovz2lxc/config.toml";

/// What one run has at hand.
pub(super) struct Session {
    /// Name and content of the configuration file.
    config: (String, Layer),
    /// The command line as a layer.
    command_line: Layer,
    /// This host.
    pub(super) local: Arc<dyn Host>,
    /// Takes events.
    pub(super) events: Arc<dyn EventSink>,
    /// A request to stop.
    pub(super) cancel: Cancel,
    /// The operator is at a terminal and may be asked.
    pub(super) interactive: bool,
    /// Questions are answered with yes.
    pub(super) yes: bool,
    /// Ids that this run has planned for containers; no configuration on this host says so yet.
    pub(super) planned_ids: Mutex<Vec<IdRange>>,
}

impl Session {
    /// Reads the configuration and prepares everything that needs no connection.
    pub(super) fn new(cli: &Cli, events: Arc<dyn EventSink>, cancel: Cancel, interactive: bool) -> Result<Session> {
        let path = cli.global.config.clone().unwrap_or_else(|| PathBuf::from(CONFIG));
        let layer = read_config(&path, cli.global.config.is_some())?;
        Ok(Session {
            config: (path.display().to_string(), layer),
            command_line: cli.layer(),
            local: Arc::new(Local::new()),
            events,
            cancel,
            interactive,
            yes: cli.global.yes,
            planned_ids: Mutex::default(),
        })
    }

    /// Merges the layers; `own` is what the command's own options say, `manifest` a container of a manifest.
    pub(super) fn merged(&self, own: &Layer, manifest: Option<(&str, &Layer)>) -> Merged {
        let mut layers: Vec<(&str, &Layer)> = vec![(COMMAND_LINE, own), (COMMAND_LINE, &self.command_line)];
        layers.extend(manifest);
        layers.push((&self.config.0, &self.config.1));
        merge(&layers)
    }

    /// Returns the lock store of these settings.
    pub(super) fn store(&self, merged: &Merged) -> Store {
        Store::new(merged.state_dir.join("containers"))
    }

    /// Connects to the source.
    pub(super) fn connect(&self, connection: &Connection) -> Result<Arc<dyn Host>> {
        let source = connection.source.as_deref().ok_or_else(|| {
            Error::usage("no source node is named").hint("name it with --from HOST, or set source in the configuration")
        })?;
        self.reach(&Destination::parse(source)?, connection)
    }

    /// Connects to a host by the connection's options.
    pub(super) fn reach(&self, destination: &Destination, connection: &Connection) -> Result<Arc<dyn Host>> {
        let overrides = SshOverrides {
            port: connection.port,
            identity: connection.identity.clone(),
            known_hosts: connection.known_hosts.clone(),
            legacy_algorithms: connection.legacy_algorithms,
            config_file: None,
        };
        host::connect(destination, &overrides, connection.transport, self.interactive)
    }

    /// Connects to the source and makes sure that it is an OpenVZ node, or what is left of one.
    pub(super) fn node(&self, connection: &Connection) -> Result<(Arc<dyn Host>, Arc<Node>)> {
        let host = self.connect(connection)?;
        let node = match &connection.remains {
            none if none.is_node() => Node::open(Arc::clone(&host))?,
            remains => Node::open_remains(Arc::clone(&host), remains.clone())?,
        };
        Ok((host, Arc::new(node)))
    }
}

/// Returns what a later run needs to reach the source again.
pub(super) fn access(connection: &Connection) -> Access {
    let transport = match connection.transport {
        TransportChoice::Auto => "auto",
        TransportChoice::Openssh => "openssh",
        TransportChoice::Ssh2 => "ssh2",
    };
    Access {
        source: connection.source.clone().unwrap_or_default(),
        port: connection.port,
        identity: connection.identity.as_deref().map(absolute),
        known_hosts: connection.known_hosts.as_deref().map(absolute),
        transport: transport.to_owned(),
        legacy_algorithms: connection.legacy_algorithms,
        remains: connection.remains.clone(),
    }
}

/// A later run may start in another directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns the connection that an earlier run used, with what this run's command line says on top.
pub(super) fn connection(access: &Access, over: &Connection) -> Connection {
    let transport = match access.transport.as_str() {
        "openssh" => TransportChoice::Openssh,
        "ssh2" => TransportChoice::Ssh2,
        _ => TransportChoice::Auto,
    };
    Connection {
        source: Some(access.source.clone()),
        port: over.port.or(access.port),
        identity: over.identity.clone().or_else(|| access.identity.clone()),
        known_hosts: over.known_hosts.clone().or_else(|| access.known_hosts.clone()),
        transport: if over.transport == TransportChoice::Auto { transport } else { over.transport },
        legacy_algorithms: over.legacy_algorithms || access.legacy_algorithms,
        remains: access.remains.clone(), // the commands that go on with a migration have no options for it
    }
}
