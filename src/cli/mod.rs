//! The command line. clap lives here only; what a command does is in [`crate::app`].

mod options;
mod verbs;

pub use options::{Color, Global, Progress, SshOptions, TargetOptions};
pub use verbs::{
    BatchArgs, CheckArgs, ConfigVerb, ConvertArgs, CopyArgs, FixupApplyArgs, FixupRevertArgs, FixupVerb, Format,
    InventoryArgs, InventoryFormat, MigrateArgs, OneArgs, ReportFormat, RollbackArgs, StatusArgs, SyncArgs, Verb,
};

use clap::{CommandFactory, Parser};
use std::io::Write;

/// The end of the help, in lines that no terminal wraps.
const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    failed; everything is as it was before
  2    the command line, the configuration or a manifest is wrong
  3    blocked by the check; nothing was touched
  4    a part of several containers failed
  5    failed, and not wholly taken back
  6    another run works on the container
  130  interrupted; everything is as it was before";

/// Moves OpenVZ containers to LXC, and back when something goes wrong.
#[derive(Debug, Parser)]
#[command(name = "ovz2lxc", version, max_term_width = 100, propagate_version = true, args_override_self = true)]
#[command(after_help = EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    /// Options of every command.
    pub global: Global,
    #[command(flatten)]
    /// How the source is reached.
    pub ssh: SshOptions,
    #[command(flatten)]
    /// Where the container goes.
    pub target: TargetOptions,
    #[command(subcommand)]
    /// What to do.
    pub verb: Verb,
}

/// Parses the process's arguments; a wrong command line ends the process with exit code 2 after saying why.
pub fn parse() -> Cli {
    Cli::parse()
}

/// Writes a shell's completion script.
pub fn completions(shell: clap_complete::Shell, to: &mut dyn Write) {
    clap_complete::generate(shell, &mut Cli::command(), "ovz2lxc", to);
}

/// Writes man pages, one a command, into a directory.
pub fn man_pages(dir: &std::path::Path) -> std::io::Result<()> {
    clap_mangen::generate_to(Cli::command(), dir)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_exit_codes_stand_in_lines_of_80_columns() {
        let help = Cli::command().term_width(80).render_long_help().to_string();
        let codes: Vec<&str> = help.split("Exit codes:\n").nth(1).unwrap().lines().collect();
        assert_eq!(codes.len(), 8, "{codes:?}");
        assert!(codes.iter().all(|l| l.len() <= 80 && l.trim_start().starts_with(|c: char| c.is_ascii_digit())));
    }

    #[test]
    fn a_password_has_no_place_on_the_command_line() {
        let mut help = Vec::new();
        Cli::command().write_long_help(&mut help).unwrap();
        assert!(!String::from_utf8(help).unwrap().contains("--pass"));
    }

    #[test]
    fn every_command_has_a_man_page() {
        let dir = tempfile::tempdir().unwrap();
        man_pages(dir.path()).unwrap();
        assert!(dir.path().join("ovz2lxc-migrate.1").is_file());
        assert!(std::fs::read_to_string(dir.path().join("ovz2lxc-fixup-apply.1")).unwrap().contains("rootfs"));
    }
}
