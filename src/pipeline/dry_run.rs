//! What a dry run shows: the steps with their exact commands, the diff of the fixups, the LXC configuration.

use super::migration::Migration;
use super::plan::Plan;
use super::step::Step;
use crate::fixup::Change;
use serde::Serialize;

/// One step of a dry run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shown {
    /// The step's id.
    pub step: String,
    /// What it does.
    pub title: String,
    /// Why it would be skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<String>,
    /// Its commands.
    pub commands: Vec<String>,
}

/// A dry run.
#[derive(Debug, Clone, Serialize)]
pub struct DryRun {
    /// Always 1.
    pub schema: u32,
    /// The plan.
    pub plan: Plan,
    /// The steps.
    pub steps: Vec<Shown>,
    /// The changes that the fixups would make, as far as the part of the tree that was fetched tells.
    pub changes: Vec<Change>,
}

/// Describes every step; nothing is run.
pub fn describe<'a>(migration: &Migration<'a>, steps: &[Box<dyn Step<Migration<'a>>>], changes: Vec<Change>) -> DryRun {
    let shown = steps.iter().map(|step| {
        let skipped = step.skip(migration);
        let commands = if skipped.is_some() { Vec::new() } else { step.commands(migration) };
        Shown { step: step.id().into(), title: step.title(migration), skipped, commands }
    });
    DryRun { schema: 1, plan: migration.plan.clone(), steps: shown.collect(), changes }
}
