//! What templates know: the plan and the guest, both tamed before they reach a file.

use super::FILE_LIMIT;
use crate::error::{Error, Result};
use crate::model::guest::Guest;
use crate::model::network::{GuestPlan, Nic};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{Environment, UndefinedBehavior, context};
use std::collections::BTreeMap;

/// What rendering one template may cost: about one for an instruction and one for 64 bytes of data.
const FUEL: u64 = 200_000;

/// Makes the template engine: strict about names, keeping the newline at the end of a file, and bounded, as a module may
/// be somebody's own.
pub(super) fn environment() -> Environment<'static> {
    let mut engine = Environment::new();
    engine.set_undefined_behavior(UndefinedBehavior::Strict);
    engine.set_fuel(Some(FUEL));
    engine.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    if let Ok(syntax) = syntax {
        engine.set_syntax(syntax);
    }
    engine
}

/// What every template of a run sees.
pub(super) struct Context<'a> {
    pub(super) plan: &'a GuestPlan,
    pub(super) guest: &'a Guest,
    pub(super) templates: &'a BTreeMap<String, String>,
    engine: Environment<'static>,
}

/// What a template sees besides: the interface, console or terminal at hand.
#[derive(Debug, Clone, Default)]
pub(super) struct Local<'a> {
    pub(super) nic: Option<&'a Nic>,
    pub(super) tty: Option<u32>,
    pub(super) terminal: Option<&'a str>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        plan: &'a GuestPlan,
        guest: &'a Guest,
        templates: &'a BTreeMap<String, String>,
    ) -> Result<Context<'a>> {
        check_plan(plan)?;
        Ok(Context { plan, guest, templates, engine: environment() })
    }

    pub(super) fn render(&self, template: &str, local: &Local<'_>) -> Result<String> {
        let values = values(self.plan, self.guest, local);
        let text =
            self.engine.render_str(template, values).map_err(|e| Error::new(format!("rendering a template: {e}")));
        match text {
            Ok(text) if text.len() as u64 > FILE_LIMIT => {
                Err(Error::new(format!("rendering a template: it makes more than {FILE_LIMIT} bytes")))
            }
            other => other,
        }
    }
}

/// Everything that a template may name.
pub(super) fn values(plan: &GuestPlan, guest: &Guest, local: &Local<'_>) -> Value {
    let (short, domain) = plan.hostname.split_once('.').unwrap_or((&plan.hostname, ""));
    context! {
        plan => context! { short, domain, ..Value::from(Serde(plan)) },
        guest => Value::from(Serde(guest)),
        nic => Value::from(Serde(local.nic)),
        tty => local.tty.map(|n| format!("tty{n}")),
        number => local.tty,
        terminal => local.terminal,
    }
}

/// Refuses a plan whose names could become anything but names in the files they are written to.
fn check_plan(plan: &GuestPlan) -> Result<()> {
    let name = |text: &str, extra: &str| {
        !text.is_empty()
            && text.len() <= 253
            && !text.starts_with(['.', '-'])
            && text.chars().all(|c| c.is_ascii_alphanumeric() || extra.contains(c))
    };
    let wrong = |what: &str, text: &str| {
        Error::usage(format!("the {what} \"{}\" of the plan cannot be written to a guest's files", text.escape_debug()))
    };
    if !name(&plan.hostname, ".-_") {
        return Err(wrong("hostname", &plan.hostname).hint("use letters, digits, dots and dashes"));
    }
    for domain in &plan.searchdomains {
        if !name(domain, ".-_") {
            return Err(wrong("search domain", domain));
        }
    }
    if plan.ttys > 63 {
        return Err(Error::usage(format!("{} consoles are more than the 63 that Linux has", plan.ttys)));
    }
    let mut seen = std::collections::BTreeSet::new();
    for nic in &plan.nics {
        if !name(&nic.name, ".-_@") || nic.name.len() > 15 {
            return Err(wrong("interface name", &nic.name).hint("at most 15 letters, digits, dots and dashes"));
        }
        if !seen.insert(&nic.name) {
            return Err(wrong("repeated interface name", &nic.name));
        }
        if let Some(mac) = &nic.mac {
            let pairs: Vec<&str> = mac.split(':').collect();
            let hex = |p: &&str| p.len() == 2 && p.chars().all(|c| c.is_ascii_hexdigit());
            if pairs.len() != 6 || !pairs.iter().all(hex) {
                return Err(wrong("MAC address", mac));
            }
        }
    }
    Ok(())
}
