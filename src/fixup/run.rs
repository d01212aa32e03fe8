//! Runs the modules over a view of the tree, then writes what the view holds.

use super::action::{Action, Each, Mode, Only, Remove, Say, Substitute, Symlink, Write, bits, expression, inside};
use super::before::Before;
use super::catalogue::Catalogue;
use super::commit::commit;
use super::context::{Context, Local};
use super::module::When;
use super::view::{Seen, View};
use super::{ApplyOptions, Report};
use crate::error::{Doing, Error, Result};
use crate::model::finding::Finding;
use crate::model::guest::Guest;
use crate::model::network::GuestPlan;
use crate::rootfs::look::shown;
use crate::rootfs::{EntryKind, LastLink, Look, Rootfs};
use regex::bytes::Captures;
use std::path::Path;

/// Applies a catalogue to a tree.
///
/// Whatever a module meets that it did not expect (a FIFO in place of a file, a directory, a loop of links, something
/// huge or immutable) becomes a finding and the other actions go on. An error is a wrong plan, an unknown id in `skip`, or
/// a write that failed; then every change is put back before it is returned.
pub fn apply(
    catalogue: &Catalogue,
    rootfs: &Rootfs,
    guest: &Guest,
    plan: &GuestPlan,
    options: &ApplyOptions<'_>,
) -> Result<Report> {
    apply_noting(catalogue, rootfs, guest, plan, options, None)
}

/// Applies a catalogue like [`apply`], and notes what was there before each change where [`Before::revert`] finds it.
pub fn apply_noting(
    catalogue: &Catalogue,
    rootfs: &Rootfs,
    guest: &Guest,
    plan: &GuestPlan,
    options: &ApplyOptions<'_>,
    before: Option<&mut Before>,
) -> Result<Report> {
    catalogue.check_skipped(options.skip)?;
    let context = Context::new(plan, guest, catalogue.templates())?;
    let mut run = Run { view: View::new(rootfs), context: &context, findings: Vec::new() };
    for module in catalogue.modules().iter().filter(|m| !options.skip.contains(&m.id)) {
        run.view.fixup.clone_from(&module.id);
        if !run.holds(&module.when) {
            continue;
        }
        for action in &module.actions {
            if run.holds(action.when()) {
                run.act(action);
            }
        }
    }
    let Run { view, mut findings, .. } = run;
    let mut preimages = Vec::new();
    if !options.dry_run {
        let done = commit(&view, before)?;
        preimages = done.preimages;
        findings.extend(done.findings);
    }
    Ok(Report { changes: view.changes, findings, preimages })
}

/// One application of the catalogue.
pub(super) struct Run<'a> {
    pub(super) view: View<'a>,
    pub(super) context: &'a Context<'a>,
    pub(super) findings: Vec<Finding>,
}

impl Run<'_> {
    fn holds(&mut self, when: &When) -> bool {
        if !when.fits(self.context.guest, self.context.plan) {
            return false;
        }
        let mut all = true;
        for (patterns, wanted) in [(&when.exists, true), (&when.missing, false)] {
            for pattern in patterns {
                match self.view.any(pattern) {
                    Ok(found) => all &= found == wanted,
                    Err(error) => {
                        self.complain(pattern, &error);
                        all = false;
                    }
                }
            }
        }
        all
    }

    /// Turns an error into a finding, once for each file and module.
    pub(super) fn complain(&mut self, path: &str, error: &Error) {
        let fixup = self.view.fixup.clone();
        self.tell(
            Finding::warning("fixup-not-applied", format!("a part of the fixup {fixup} was not applied"))
                .detail(error.chain().join(": "))
                .remedy(error.first_hint().unwrap_or("look at the file in the container and change it by hand"))
                .subject(shown(Path::new(path))),
        );
    }

    /// Reports that a file did not have what was expected in it.
    pub(super) fn unexpected(&mut self, path: &Path, detail: String) {
        let title = format!("the fixup {} did not find what it expected", self.view.fixup);
        let remedy = "look at the file in the container and change it by hand if it needs it";
        self.tell(Finding::warning("fixup-unexpected", title).detail(detail).remedy(remedy).subject(shown(path)));
    }

    pub(super) fn tell(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.findings.push(finding);
        }
    }

    fn act(&mut self, action: &Action) {
        self.view.refused.set(false);
        let (path, result) = match action {
            Action::Remove(a) => return self.for_each_path(&a.path, |run, path| run.remove(a, path)),
            Action::Substitute(a) => return self.for_each_path(&a.path, |run, path| run.substitute(a, path)),
            Action::Report(a) if !a.path.is_empty() => {
                return self.for_each_path(&a.path, |run, path| run.report_file(a, path));
            }
            Action::Mode(a) => return self.for_each_path(&a.path, |run, path| run.mode(a, path)),
            Action::Write(a) => (a.path.as_str(), self.each(a.each, |run, local| run.write(a, local))),
            Action::Symlink(a) => (a.path.as_str(), self.each(a.each, |run, local| run.symlink(a, local))),
            Action::Mkdir(a) => (a.path.as_str(), self.view.mkdir(Path::new(&a.path), bits(&a.mode).unwrap_or(0o755))),
            Action::Inittab(a) => ("etc/inittab", self.inittab(a)),
            Action::Gettys(a) => ("etc/inittab", self.gettys(a)),
            Action::Shellvars(a) => (a.path.as_str(), self.shellvars(a)),
            Action::Interfaces(a) => ("etc/network/interfaces", self.interfaces(a)),
            Action::Rcconfig(a) => ("etc/rc.config", self.rcconfig(a)),
            Action::Nics(a) => return self.nics(a.dialect),
            Action::Fstab(a) => ("etc/fstab", self.fstab(a)),
            Action::Hosts(_) => ("etc/hosts", self.hosts()),
            Action::Resolver(_) => ("etc/resolv.conf", self.resolver()),
            Action::Securetty(a) => ("etc/securetty", self.securetty(a)),
            Action::Report(a) => ("", self.report(a)),
        };
        if let Err(error) = result {
            self.complain(path, &error);
        }
    }

    /// Runs something for every path that the patterns match; one path's trouble does not keep the others,
    /// a budget that is spent does.
    fn for_each_path(&mut self, patterns: &[String], mut one: impl FnMut(&mut Self, &Path) -> Result<()>) {
        for pattern in patterns {
            let paths = match self.view.glob(pattern) {
                Ok(paths) => paths,
                Err(error) => {
                    self.complain(pattern, &error);
                    continue;
                }
            };
            for path in paths {
                if let Err(error) = one(self, &path) {
                    self.complain(&path.to_string_lossy(), &error);
                }
                if self.view.refused.get() {
                    return;
                }
            }
        }
    }

    fn each(&mut self, each: Option<Each>, mut one: impl FnMut(&mut Self, &Local<'_>) -> Result<()>) -> Result<()> {
        let plan = self.context.plan;
        match each {
            None => one(self, &Local::default()),
            Some(Each::Tty) => (1..=plan.ttys).try_for_each(|n| one(self, &Local { tty: Some(n), ..Local::default() })),
            Some(Each::Nic) => {
                plan.nics.iter().try_for_each(|nic| one(self, &Local { nic: Some(nic), ..Local::default() }))
            }
        }
    }

    fn remove(&mut self, action: &Remove, path: &Path) -> Result<()> {
        let place = self.view.canonical(path, false)?;
        // Another name of something that is gone already (/etc/init.d is a link on Red Hat).
        let Some(entry) = self.view.entry(&place)? else { return Ok(()) };
        let wanted = match action.kind.as_slice() {
            [] => matches!(entry.kind, EntryKind::File | EntryKind::Symlink),
            kinds => kinds.iter().any(|k| k.is(entry.kind)),
        };
        if !wanted {
            let detail = format!("{} is {}", shown(&place), entry.kind.name());
            self.unexpected(&place, detail);
            return Ok(());
        }
        let expression = |text: &String| expression(text).map_err(Error::new);
        if let Some(target) = &action.leading_to {
            let now = self.view.link(&place)?.unwrap_or_default();
            if !expression(target)?.is_match(now.as_os_str().as_encoded_bytes()) {
                return Ok(());
            }
        }
        if let Some(content) = &action.containing {
            if entry.kind != EntryKind::File {
                // What it leads to may be somebody's own; what it is called is ours to look at.
                self.unexpected(&place, format!("{} is {}, not a regular file", shown(&place), entry.kind.name()));
                return Ok(());
            }
            if !expression(content)?.is_match(self.view.read(&place, LastLink::Replace)?.bytes()) {
                return Ok(());
            }
        }
        self.view.remove(&place)
    }

    /// Renders a path. What a tree says of itself may be in it, so it is checked once more.
    fn path(&self, template: &str, local: &Local<'_>) -> Result<String> {
        let path = self.context.render(template, local)?;
        inside(&path).map_err(Error::new)?;
        Ok(path)
    }

    fn write(&mut self, action: &Write, local: &Local<'_>) -> Result<()> {
        let path = self.path(&action.path, local)?;
        let seen = self.view.read(Path::new(&path), action.last)?;
        let there = seen.content.is_some();
        if action.only == Only::Missing && there {
            return self.judge(action, &path, &seen);
        }
        if action.only == Only::Existing && !there {
            return Ok(());
        }
        for other in &action.unless {
            if there && seen.bytes().trim_ascii() == self.context.render(other, local)?.trim().as_bytes() {
                return Ok(());
            }
        }
        let template = action.template.as_ref().and_then(|name| self.context.templates.get(name));
        let text = template.or(action.content.as_ref()).map(String::as_str).unwrap_or_default();
        let name = action.template.as_deref().unwrap_or("in the module itself");
        let of = || format!("making {} of the template {name} of the fixup {}", path.escape_debug(), self.view.fixup);
        let text = self.context.render(text, local).doing(of)?;
        self.view.write(&seen, text.into_bytes(), bits(&action.mode).unwrap_or(0o644))
    }

    /// Reports a file that has the name of one that is needed, but not what it is needed for.
    fn judge(&mut self, action: &Write, path: &str, seen: &Seen) -> Result<()> {
        for expected in &action.expect {
            if !expression(expected).map_err(Error::new)?.is_match(seen.bytes()) {
                let path = shown(Path::new(path));
                self.unexpected(&seen.path, format!("{path} is there, and does not do what the fixup needs it for"));
                break;
            }
        }
        Ok(())
    }

    fn substitute(&mut self, action: &Substitute, path: &Path) -> Result<()> {
        let seen = self.view.read(path, LastLink::Follow)?;
        if seen.content.is_none() {
            return Ok(());
        }
        let compile = |text: &str| expression(text).map_err(Error::new);
        let find = compile(&action.find)?;
        let replaced = |text: &[u8]| find.replace_all(text, action.with.as_bytes()).into_owned();
        let (new, found) = match &action.within {
            None => (replaced(seen.bytes()), find.is_match(seen.bytes())),
            Some(within) => {
                let within = compile(within)?;
                let new = within.replace_all(seen.bytes(), |part: &Captures<'_>| replaced(&part[0])).into_owned();
                (new, within.find_iter(seen.bytes()).any(|part| find.is_match(part.as_bytes())))
            }
        };
        if let Some(left) = &action.left
            && compile(left)?.is_match(&new)
        {
            let detail = format!("{} still has what the fixup changes, in a form that it does not know", shown(path));
            // A half of a change is worse than none.
            self.unexpected(&seen.path, detail);
            return Ok(());
        }
        if let Some(expect) = &action.expect
            && !found
            && !compile(expect)?.is_match(seen.bytes())
        {
            let detail = format!("{} has neither the text that is replaced nor the replacement", shown(path));
            self.unexpected(&seen.path, detail);
        }
        self.view.write(&seen, new, 0o644)
    }

    fn mode(&mut self, action: &Mode, path: &Path) -> Result<()> {
        self.view.set_mode(path, bits(&action.mode).unwrap_or(0o644))
    }

    fn symlink(&mut self, action: &Symlink, local: &Local<'_>) -> Result<()> {
        let path = self.path(&action.path, local)?;
        let target = self.context.render(&action.target, local)?;
        let entry = self.view.entry(Path::new(&path))?;
        let there = entry.is_some();
        if let Some(entry) = &entry
            && !matches!(entry.kind, EntryKind::File | EntryKind::Symlink)
        {
            let detail = format!("{} is {}, where a link belongs", shown(Path::new(&path)), entry.kind.name());
            self.unexpected(Path::new(&path), detail);
            return Ok(());
        }
        if (action.only == Only::Missing && there) || (action.only == Only::Existing && !there) {
            return Ok(());
        }
        if action.keep_links && entry.is_some_and(|e| e.kind == EntryKind::Symlink) {
            return Ok(());
        }
        self.view.symlink(Path::new(&path), Path::new(&target))
    }

    fn report(&mut self, action: &Say) -> Result<()> {
        let detail = self.context.render(&action.detail, &Local::default())?;
        let subject = self.view.fixup.clone();
        self.say(action, detail, subject)
    }

    /// Reports a file that has something in it, with the first line of that.
    fn report_file(&mut self, action: &Say, path: &Path) -> Result<()> {
        let Some(EntryKind::File | EntryKind::Symlink) = self.view.entry(path)?.map(|e| e.kind) else { return Ok(()) };
        let seen = self.view.read(path, LastLink::Follow)?;
        let containing = expression(action.containing.as_deref().unwrap_or_default()).map_err(Error::new)?;
        let Some(found) = containing.find(seen.bytes()).filter(|_| seen.content.is_some()) else { return Ok(()) };
        let (before, rest) = seen.bytes().split_at(found.start());
        let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let end = rest.iter().position(|b| *b == b'\n').map_or(seen.bytes().len(), |at| found.start() + at);
        let line = String::from_utf8_lossy(&seen.bytes()[start..end]).trim().chars().take(100).collect::<String>();
        let detail = self.context.render(&action.detail, &Local::default())?;
        let detail = format!("{detail}{}{}", if detail.is_empty() { "" } else { ": " }, line.escape_debug());
        self.say(action, detail, shown(&seen.path))
    }

    fn say(&mut self, action: &Say, detail: String, subject: String) -> Result<()> {
        let local = Local::default();
        let finding = Finding::new(action.severity, &action.id, self.context.render(&action.title, &local)?)
            .detail(detail)
            .remedy(self.context.render(&action.remedy, &local)?)
            .subject(subject);
        self.tell(finding);
        Ok(())
    }
}
