//! Which engine copies from a source.

use super::probe::{self, Userland};
use super::{Engine, RsyncEngine, StreamEngine};
use crate::error::Result;
use crate::host::Host;
use crate::model::settings::EngineChoice;
use std::path::Path;
use std::sync::Arc;

/// An engine, and why it is this one.
pub struct Chosen {
    /// The engine.
    pub engine: Box<dyn Engine>,
    /// A line for people.
    pub why: String,
}

/// Makes the engine that the operator asked for; `auto` takes the stream engine when the source's tar and find can do what
/// it needs, rsync otherwise. `index`, when given, is a file in which the engine keeps what it knows for a later process.
pub fn choose(choice: EngineChoice, source: &dyn Host, local: &Arc<dyn Host>, index: Option<&Path>) -> Result<Chosen> {
    let stream = |userland: Userland, why: String| {
        let engine = index.map_or_else(StreamEngine::new, StreamEngine::with_index_file);
        Chosen { engine: Box::new(engine.knowing(source, userland).with_rsync_on(Arc::clone(local))), why }
    };
    let rsync = |why: String| {
        let engine = RsyncEngine::new(Arc::clone(local));
        Chosen {
            engine: Box::new(match index {
                Some(path) => engine.with_state_file(&path.with_extension("rsync")),
                None => engine,
            }),
            why,
        }
    };
    match choice {
        EngineChoice::Stream => Ok(stream(probe::stream(source)?, "asked for".to_owned())),
        EngineChoice::Rsync => {
            probe::rsync(source)?;
            probe::rsync(local.as_ref())?;
            Ok(rsync("asked for".to_owned()))
        }
        EngineChoice::Auto => {
            let both_have_rsync = || probe::rsync(source).and_then(|_| probe::rsync(local.as_ref()));
            match probe::stream(source) {
                Ok(found) => match found.tar.clone() {
                    Ok(_) => Ok(stream(found, format!("tar and find of {} can do what it needs", source.label()))),
                    Err(lacking) if both_have_rsync().is_ok() => Ok(rsync(lacking)),
                    Err(lacking) => Ok(stream(found, format!("there is no rsync, although {lacking}"))),
                },
                Err(lacking) => {
                    let why = lacking.chain().join(": ");
                    both_have_rsync().map_err(|e| e.because(lacking))?;
                    Ok(rsync(why))
                }
            }
        }
    }
}
