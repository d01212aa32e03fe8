//! Composition root: the only place that names all adapters together.

mod batch;
mod check;
mod convert;
mod inspect;
mod known;
mod lifecycle;
mod migrate;
mod session;
mod standing;
mod tools;
mod verify;

use crate::cancel::Cancel;
use crate::cli::{self, Cli, Color, ConfigVerb, Global, Progress, Verb};
use crate::config::Layer;
use crate::error::{Doing, Error, Kind, Result};
use crate::ui::{self, ColorChoice, ProgressMode};
use session::Session;
use std::io::IsTerminal;
use std::sync::Arc;

/// Runs the program; returns the exit code.
pub fn run() -> u8 {
    let cli = cli::parse();
    let screen = ui::Screen::new(color(cli.global.color), &given(&cli.global));
    ui::log(cli.global.verbose);
    match dispatch(&cli, &screen) {
        Ok(()) => 0,
        Err(error) => {
            screen.error(&error);
            error.kind().exit_code()
        }
    }
}

fn dispatch(cli: &Cli, screen: &ui::Screen) -> Result<()> {
    match &cli.verb {
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            cli::completions(*shell, &mut script);
            return screen.print(&String::from_utf8_lossy(&script));
        }
        Verb::Man { dir } => {
            return cli::man_pages(dir).doing(|| format!("writing man pages into {}", dir.display()));
        }
        _ => {}
    }
    let cancel = Cancel::new();
    listen(&cancel)?;
    let events = ui::choose(progress(&cli.global), std::io::stderr().is_terminal());
    let session = Session::new(cli, Arc::from(events), cancel, screen.is_interactive())?;
    let work = Work { session: &session, screen };
    match &cli.verb {
        Verb::Migrate(args) => migrate::run(&work, args),
        Verb::Batch(args) => batch::run(&work, args),
        Verb::Check(args) => check::run(&work, args),
        Verb::Inventory(args) => check::inventory(&work, args),
        Verb::Sync(args) => lifecycle::sync(&work, args),
        Verb::Cutover(args) => lifecycle::cutover(&work, args),
        Verb::Resume(args) => lifecycle::resume(&work, args),
        Verb::Rollback(args) => lifecycle::rollback(&work, args),
        Verb::Verify(args) => verify::run(&work, args),
        Verb::Status(args) => lifecycle::status(&work, args),
        Verb::Finish(args) => lifecycle::finish(&work, args),
        Verb::Convert(args) => convert::run(&work, args),
        Verb::Fixup(verb) => tools::fixup(&work, verb),
        Verb::Copy(args) => tools::copy(&work, args),
        Verb::Config(ConfigVerb::Show { format }) => tools::config_show(&work, *format),
        Verb::Completions { .. } | Verb::Man { .. } => Ok(()),
    }
}

fn color(choice: Color) -> ColorChoice {
    match choice {
        Color::Auto => ColorChoice::Auto,
        Color::Always => ColorChoice::Always,
        Color::Never => ColorChoice::Never,
    }
}

fn progress(global: &Global) -> ProgressMode {
    match global.progress {
        _ if global.quiet => ProgressMode::None,
        Progress::Auto => ProgressMode::Auto,
        Progress::Bars => ProgressMode::Bars,
        Progress::Plain => ProgressMode::Plain,
        Progress::Json => ProgressMode::Json,
        Progress::None => ProgressMode::None,
    }
}

/// Returns the options that decide where state and settings are, as a later command line has to repeat them.
fn given(global: &Global) -> Vec<String> {
    let absolute = |path: &std::path::Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let option = |name: &str, path: &Option<std::path::PathBuf>| {
        path.as_deref().map(|path| format!("{name} {}", quoted(&absolute(path).display().to_string())))
    };
    [option("--config", &global.config), option("--state-dir", &global.state_dir)].into_iter().flatten().collect()
}

/// Quotes a word for a shell when it needs that.
fn quoted(word: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "/._-+@:,%=".contains(c);
    if word.chars().all(safe) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

/// What every command works with.
struct Work<'a> {
    session: &'a Session,
    screen: &'a ui::Screen,
}

/// Ctrl-C, a lost terminal and a polite kill ask for a clean stop; what is running is taken back, not torn down.
fn listen(cancel: &Cancel) -> Result<()> {
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM, signal_hook::consts::SIGHUP] {
        signal_hook::flag::register(signal, cancel.flag()).doing(|| "installing the signal handler")?;
    }
    Ok(())
}

/// Makes the layer of a command that names a source.
fn from(source: Option<&String>) -> Layer {
    Layer { source: source.cloned(), ..Layer::default() }
}

/// Serialises a document for standard output.
fn json<T: serde::Serialize>(document: &T) -> Result<String> {
    let text = serde_json::to_string_pretty(document).map_err(|e| Error::new(e.to_string()))?;
    Ok(text + "\n")
}

/// An error that only sets the exit code: everything has been said already.
fn said(kind: Kind) -> Error {
    Error::of(kind, "")
}
