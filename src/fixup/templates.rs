//! Checks every template of the modules before a tree is touched: syntax, and names that no run knows.

use super::action::{Action, Each};
use super::context::{Local, environment, values};
use super::fault::{line_of_complaint, line_of_template, lines_of_action, wrong};
use super::module::Module;
use crate::error::{Error, Result};
use crate::model::guest::Guest;
use crate::model::network::{GuestPlan, Method, Nic};
use minijinja::value::Value;
use minijinja::{Environment, ErrorKind};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

/// A file of init-templates/.
#[derive(Debug, Clone)]
pub(super) struct TemplateFile {
    /// Where it came from.
    pub(super) origin: String,
    /// Its text.
    pub(super) text: String,
}

/// An interface with everything that one may have.
fn full_nic() -> Nic {
    Nic {
        name: "eth0".into(),
        mac: Some("02:00:00:00:00:01".into()),
        method: Method::Static,
        addresses: Vec::new(),
        gateway4: Some(Ipv4Addr::LOCALHOST),
        gateway6: Some(Ipv6Addr::LOCALHOST),
        mtu: Some(1500),
    }
}

fn full_plan() -> GuestPlan {
    GuestPlan {
        hostname: "a.example.com".into(),
        nameservers: Vec::new(),
        searchdomains: Vec::new(),
        ttys: 4,
        privileged: true,
        nics: vec![full_nic()],
    }
}

/// What a template does not know, and what is wrong in it, with its line.
struct Fault {
    line: usize,
    why: String,
}

/// Checks one template against the names that it will see.
fn check(engine: &Environment<'_>, text: &str, known: &Value) -> std::result::Result<(), Fault> {
    let template = engine.template_from_str(text).map_err(|e| {
        let detail = e.detail().unwrap_or_default();
        let what = if e.kind() == ErrorKind::SyntaxError { "template syntax".into() } else { e.kind().to_string() };
        Fault { line: e.line().unwrap_or(1), why: format!("{what}: {detail}") }
    })?;
    let mut names: Vec<String> = template.undeclared_variables(true).into_iter().collect();
    names.sort();
    for name in names {
        let mut parts = name.split('.');
        if engine.globals().any(|(g, _)| Some(g) == name.split('.').next()) {
            continue;
        }
        let mut at = known.clone();
        let found = parts.by_ref().all(|part| {
            // Below a list or a text there are no names of ours.
            if at.is_none() || at.kind() != minijinja::value::ValueKind::Map {
                return true;
            }
            at = at.get_attr(part).unwrap_or_default();
            !at.is_undefined() && !at.is_none()
        });
        if !found {
            let line = text.lines().position(|l| l.contains(&name)).map_or(1, |n| n + 1);
            return Err(Fault { line, why: format!("a template does not know \"{name}\" here") });
        }
    }
    Ok(())
}

/// Checks the templates of all modules. The error names file, line and reason.
pub(super) fn check_all(modules: &[Module], files: &BTreeMap<String, TemplateFile>) -> Result<()> {
    let engine = environment();
    let (plan, guest) = (full_plan(), Guest { systemd_version: Some(252), ..Guest::unknown() });
    let nic = full_nic();
    for module in modules {
        for (index, action) in module.actions.iter().enumerate() {
            let known = values(&plan, &guest, &local(action, &nic));
            let lines = lines_of_action(module, index);
            for text in action.templates() {
                check(&engine, text, &known).map_err(|fault| {
                    wrong(&module.origin, line_of_template(&module.text, &lines, text, fault.line), &fault.why)
                })?;
            }
            if let Action::Write(write) = action
                && let Some(name) = &write.template
            {
                let Some(file) = files.get(name) else {
                    let why = format!("there is no template \"{}\"", name.escape_debug());
                    return Err(wrong(&module.origin, line_of_complaint(&module.text, &lines, &why), &why));
                };
                check(&engine, &file.text, &known).map_err(|fault| {
                    Error::usage(format!("fixup template {}, line {}: {}", file.origin, fault.line, fault.why))
                        .hint(format!("it is used by the fixup module {}", module.origin))
                })?;
            }
        }
    }
    Ok(())
}

/// What an action's templates see besides plan and guest.
fn local<'n>(action: &Action, nic: &'n Nic) -> Local<'n> {
    let each = match action {
        Action::Write(a) => a.each,
        Action::Symlink(a) => a.each,
        Action::Securetty(_) => Some(Each::Tty),
        _ => None,
    };
    let terminal = matches!(action, Action::Gettys(_)).then_some("tty1");
    match each {
        Some(Each::Nic) => Local { nic: Some(nic), tty: None, terminal },
        Some(Each::Tty) => Local { nic: None, tty: Some(1), terminal },
        None => Local { nic: None, tty: None, terminal },
    }
}
