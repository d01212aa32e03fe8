//! The commands and their own options.

use super::options::size;
use crate::config::{Layer, SizeText};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// The format of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// For programs (docs/json.md).
    Json,
}

/// The format of a check's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// One page that stands alone.
    Html,
}

/// The format of an inventory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InventoryFormat {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// A ready manifest for `batch`.
    Toml,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Moves containers: copy, config, cluster, stop, last difference, fixups, start, health check
    Migrate(MigrateArgs),
    /// Moves the containers of a manifest
    Batch(BatchArgs),
    /// Says beforehand what would block or change; touches nothing
    Check(CheckArgs),
    /// Copies while the container runs; repeat as often as you like
    Sync(SyncArgs),
    /// What is left after `sync`: config, cluster, stop, last difference, fixups, start
    Cutover(OneArgs),
    /// Goes on with a migration that was interrupted
    Resume(OneArgs),
    /// Takes a migration back: the old container runs again
    Rollback(RollbackArgs),
    /// Shows the migrations known here
    Status(StatusArgs),
    /// Ends a migration that went well: no way back by this program any more
    Finish(OneArgs),
    /// Lists the containers of a node; as TOML it is a ready manifest
    Inventory(InventoryArgs),
    /// Shows what a VE configuration becomes; needs neither node nor target
    Convert(ConvertArgs),
    /// Shows fixup modules, or applies them to a tree
    #[command(subcommand)]
    Fixup(FixupVerb),
    /// Copies a tree alone, without a migration
    Copy(CopyArgs),
    /// Shows the settings in force
    #[command(subcommand)]
    Config(ConfigVerb),
    /// Prints a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Writes the man pages into a directory
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// Where containers come from: a node, or what is left of one (docs/sources.md).
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// The node.
    #[arg(
        long,
        value_name = "HOST",
        help = "The node: local, [user@]host[:port], ssh://user@host:port, or a name from the configuration"
    )]
    pub from: Option<String>,
    /// A dead node's disk: the directory of HOST where its / is mounted [default HOST: local]
    #[arg(long, value_name = "DIR")]
    pub vz_root: Option<PathBuf>,
    /// The container's private area in a directory of HOST, without a node; with --ve-conf or --vz-root
    #[arg(long, value_name = "DIR", conflicts_with = "vzdump")]
    pub private: Option<PathBuf>,
    /// The container's configuration in a file of HOST, without a node
    #[arg(long, value_name = "FILE")]
    pub ve_conf: Option<PathBuf>,
    /// An archive of vzdump on HOST (tar; gzip, lzop, bzip2 or zstd)
    #[arg(long, value_name = "FILE", conflicts_with = "vz_root")]
    pub vzdump: Option<PathBuf>,
}

impl SourceArgs {
    /// Tells whether any of them is given.
    pub fn is_named(&self) -> bool {
        self.layer().source.is_some()
    }

    /// Returns them as a layer of settings. Files and directories are on this host when no other is named, and their paths
    /// become absolute then.
    pub fn layer(&self) -> Layer {
        let here = self.from.as_deref().is_none_or(|from| from == "local");
        let remains = [&self.vz_root, &self.private, &self.ve_conf, &self.vzdump].into_iter().any(Option::is_some);
        let whole = |path: &Option<PathBuf>| {
            let path = path.clone()?;
            Some(if here { std::path::absolute(&path).unwrap_or(path) } else { path })
        };
        Layer {
            source: self.from.clone().or_else(|| remains.then(|| "local".to_owned())),
            vz_root: whole(&self.vz_root),
            private: whole(&self.private),
            ve_conf: whole(&self.ve_conf),
            vzdump: whole(&self.vzdump),
            ..Layer::default()
        }
    }
}

/// `migrate`.
#[derive(Debug, Clone, Args)]
pub struct MigrateArgs {
    /// Containers: number, name or UUID
    #[arg(required = true, value_name = "CTID")]
    pub ctids: Vec<String>,
    #[command(flatten)]
    /// Where the containers are.
    pub source: SourceArgs,
    /// Only check
    #[arg(long)]
    pub check: bool,
    /// Show the exact commands, the diff of the fixups and the LXC configuration; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Name on the target without the lxc- [default: from the source]
    #[arg(long)]
    pub name: Option<String>,
    /// Size of the volume [default: from DISKSPACE or the usage]
    #[arg(long, value_parser = size)]
    pub size: Option<SizeText>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
    /// Fail on purpose after this step, to see the way back at work: the container is taken back by itself, but not
    /// after hand-over and fence-source, which come after the point of no return and leave the way back to `rollback`
    #[arg(long, value_name = "STEP")]
    pub rehearse_failure: Option<String>,
}

/// `batch`.
#[derive(Debug, Clone, Args)]
pub struct BatchArgs {
    /// The manifest (docs/manifest.md)
    pub manifest: PathBuf,
    /// Only check
    #[arg(long)]
    pub check: bool,
    /// Show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// How many containers at once
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=64))]
    pub jobs: u32,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `check`.
#[derive(Debug, Clone, Args)]
pub struct CheckArgs {
    /// Containers: number, name or UUID
    #[arg(value_name = "CTID", required_unless_present = "all")]
    pub ctids: Vec<String>,
    #[command(flatten)]
    /// Where the containers are.
    pub source: SourceArgs,
    /// Every container of the node
    #[arg(long, conflicts_with = "ctids")]
    pub all: bool,
    /// Format of the report
    #[arg(long, value_enum, default_value = "text")]
    pub format: ReportFormat,
    /// Write the report into this file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// `sync`.
#[derive(Debug, Clone, Args)]
pub struct SyncArgs {
    /// The container: number, name or UUID
    pub ctid: String,
    #[command(flatten)]
    /// Where the container is.
    pub source: SourceArgs,
    /// Name on the target without the lxc-
    #[arg(long)]
    pub name: Option<String>,
    /// Size of the volume
    #[arg(long, value_parser = size)]
    pub size: Option<SizeText>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `cutover`, `resume`, `finish`.
#[derive(Debug, Clone, Args)]
pub struct OneArgs {
    /// The container
    pub ctid: String,
    /// The node, when the CTID was migrated from several
    #[arg(long, value_name = "HOST")]
    pub from: Option<String>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `rollback`.
#[derive(Debug, Clone, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    /// The container.
    pub one: OneArgs,
    /// Also delete the volume and the configuration of a container that ran on the target
    #[arg(long)]
    pub discard_target: bool,
}

/// `status`.
#[derive(Debug, Clone, Args)]
pub struct StatusArgs {
    /// The container; all when none is named
    pub ctid: Option<String>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `inventory`.
#[derive(Debug, Clone, Args)]
pub struct InventoryArgs {
    #[command(flatten)]
    /// Where the containers are.
    pub source: SourceArgs,
    /// Format of the list
    #[arg(long, value_enum, default_value = "table")]
    pub format: InventoryFormat,
}

/// `convert`.
#[derive(Debug, Clone, Args)]
pub struct ConvertArgs {
    /// The container's configuration file
    #[arg(long, value_name = "FILE")]
    pub ve_conf: PathBuf,
    /// The node's global configuration file
    #[arg(long, value_name = "FILE")]
    pub vz_conf: Option<PathBuf>,
    /// The container's tree, to look at its guest
    #[arg(long, value_name = "DIR")]
    pub rootfs: Option<PathBuf>,
    /// A plan for the network (docs/fixups.md), instead of what the configuration says
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// CPUs of the target [default: this host's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub host_cpus: Option<u32>,
    /// NUMA nodes of the target [default: this host's]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub host_nodes: Option<u32>,
    /// CPUs of the source, for CPULIMIT in percent of all
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=65536))]
    pub source_cpus: Option<u32>,
    /// Write the result into this directory: config, and start-host when there is one
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `fixup`.
#[derive(Debug, Clone, Subcommand)]
pub enum FixupVerb {
    /// Lists the modules in the order in which they run
    List,
    /// Shows a module: why, when, what
    Show {
        /// The module's id
        id: String,
    },
    /// Applies the modules to a tree
    Apply(FixupApplyArgs),
    /// Puts back what `fixup apply` changed in a tree
    Revert(FixupRevertArgs),
}

/// `fixup apply`.
#[derive(Debug, Clone, Args)]
pub struct FixupApplyArgs {
    /// The tree
    #[arg(long, value_name = "DIR")]
    pub rootfs: PathBuf,
    /// What the guest is told (docs/fixups.md)
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show the diffs
    #[arg(long)]
    pub diff: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `fixup revert`.
#[derive(Debug, Clone, Args)]
pub struct FixupRevertArgs {
    /// The tree
    #[arg(long, value_name = "DIR")]
    pub rootfs: PathBuf,
    /// Show what would be put back; change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Show the diffs
    #[arg(long)]
    pub diff: bool,
    /// Also put back what somebody else changed since, to what it was before the first `fixup apply`
    #[arg(long)]
    pub force: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `copy`.
#[derive(Debug, Clone, Args)]
pub struct CopyArgs {
    /// The tree.
    #[arg(
        long,
        value_name = "FROM",
        help = "The tree: [USER@]HOST:PATH, or PATH on this host; a file is an archive of vzdump"
    )]
    pub from: String,
    /// An existing directory on this host; its content becomes equal to the source's
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// The source does not change any more: anything but complete success is an error
    #[arg(long)]
    pub delta: bool,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    pub format: Format,
}

/// `config`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigVerb {
    /// Shows every setting with its origin
    Show {
        /// Format of the result
        #[arg(long, value_enum, default_value = "text")]
        format: Format,
    },
}
