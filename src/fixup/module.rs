//! A module as it is written: what it is for, when it applies, what it does.

use super::action::{Action, inside};
use super::fault::{action_lines, line_at, line_of_complaint, line_of_key, meant, with_nearest, wrong};
use crate::error::Result;
use crate::model::guest::{Family, Guest, Init, NetworkDialect};
use crate::model::network::{GuestPlan, Method, Nic};
use serde::{Deserialize, Deserializer};

/// One module: a file NN-name.toml.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// Stable name, in kebab case; a later file with the same id takes this one's place.
    pub id: String,
    /// One line for lists.
    pub title: String,
    /// Why a container needs it, with what breaks otherwise.
    pub why: String,
    /// Ids of modules that run before this one.
    #[serde(default)]
    pub after: Vec<String>,
    /// Ids of modules that run after this one.
    #[serde(default)]
    pub before: Vec<String>,
    /// Which guests it applies to; all when empty.
    #[serde(default)]
    pub when: When,
    /// What it does, in this order.
    #[serde(rename = "action", default)]
    pub actions: Vec<Action>,
    /// The file it came from.
    #[serde(skip)]
    pub origin: String,
    /// The number in front of the file's name; orders modules that do not name one another.
    #[serde(skip)]
    pub number: u32,
    /// The file's text.
    #[serde(skip)]
    pub text: String,
}

/// A condition on guest, plan and tree; every part that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// One of these families.
    pub family: Vec<Family>,
    /// One of these distributions, by id.
    pub distro: Vec<String>,
    /// The distribution's version, for example `>=5, <7`; a guest of unknown version does not match.
    pub version: Option<Range>,
    /// One of these inits.
    pub init: Vec<Init>,
    /// systemd's version; an unknown one does not match.
    pub systemd: Option<Range>,
    /// One of these network dialects.
    pub network: Vec<NetworkDialect>,
    /// How many consoles the plan offers.
    pub ttys: Option<Range>,
    /// Whether the container will be privileged.
    pub privileged: Option<bool>,
    /// Whether an interface of the plan has an IPv4 gateway.
    pub gateway4: Option<bool>,
    /// Whether a gateway that the guest's files must name lies outside of its interface's subnets.
    pub off_link: Option<bool>,
    /// Patterns of which each must match something in the tree.
    pub exists: Vec<String>,
    /// Patterns of which none may match anything in the tree.
    pub missing: Vec<String>,
}

impl When {
    /// Checks what the types do not: patterns stay inside, and a distribution is one that is known. A name that is
    /// misspelt would switch its module off without a word.
    pub(super) fn check(&self) -> std::result::Result<(), String> {
        self.exists.iter().chain(&self.missing).try_for_each(|p| inside(p))?;
        match self.distro.iter().find(|d| !crate::guest::distributions().any(|known| known == *d)) {
            Some(distro) => Err(format!(
                "no distribution is known as \"{}\"{}; for one that is not, use family or exists",
                distro.escape_debug(),
                meant(distro, crate::guest::distributions())
            )),
            None => Ok(()),
        }
    }

    /// Tells whether guest and plan fit; the tree is asked elsewhere.
    pub fn fits(&self, guest: &Guest, plan: &GuestPlan) -> bool {
        let any = |empty: bool, found: bool| empty || found;
        let far = |n: &Nic| n.method == Method::Static && (n.gateway4_off_link() || n.gateway6_off_link());
        any(self.family.is_empty(), self.family.contains(&guest.family))
            && any(self.distro.is_empty(), self.distro.contains(&guest.distro))
            && any(self.init.is_empty(), self.init.contains(&guest.init))
            && any(self.network.is_empty(), self.network.contains(&guest.network))
            && self.version.as_ref().is_none_or(|r| r.holds(&guest.version))
            && self
                .systemd
                .as_ref()
                .is_none_or(|r| r.holds(&guest.systemd_version.map(|v| v.to_string()).unwrap_or_default()))
            && self.ttys.as_ref().is_none_or(|r| r.holds(&plan.ttys.to_string()))
            && self.privileged.is_none_or(|p| p == plan.privileged)
            && self.off_link.is_none_or(|o| o == plan.nics.iter().any(far))
            && self.gateway4.is_none_or(|g| g == plan.nics.iter().any(|n| n.gateway4.is_some()))
    }
}

/// A range of dotted versions: comparisons joined by commas, all of which must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range(Vec<(Compare, Vec<u32>)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compare {
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
}

fn numbers(text: &str) -> Option<Vec<u32>> {
    let text = text.split(['-', ' ', '_']).next().unwrap_or_default();
    text.split('.').map(|n| n.parse().ok()).collect()
}

impl Range {
    fn parse(text: &str) -> Option<Range> {
        let parts = text.split(',').map(|part| {
            let part = part.trim();
            let (compare, rest) = [
                ("<=", Compare::LessOrEqual),
                (">=", Compare::GreaterOrEqual),
                ("<", Compare::Less),
                (">", Compare::Greater),
                ("=", Compare::Equal),
            ]
            .into_iter()
            .find_map(|(sign, compare)| part.strip_prefix(sign).map(|rest| (compare, rest)))
            .unwrap_or((Compare::Equal, part));
            Some((compare, numbers(rest.trim())?))
        });
        parts.collect::<Option<Vec<_>>>().map(Range)
    }

    /// Tells whether a version lies in the range. `=6` means every 6.x; text that is no version lies in none.
    pub fn holds(&self, version: &str) -> bool {
        let Some(version) = numbers(version) else { return false };
        self.0.iter().all(|(compare, bound)| {
            // Only as many parts as the bound has are compared, so that 6.10 is "<= 6" and not "> 6".
            let mut seen: Vec<u32> = version.iter().copied().take(bound.len()).collect();
            seen.resize(bound.len(), 0);
            match compare {
                Compare::Less => seen < *bound,
                Compare::LessOrEqual => seen <= *bound,
                Compare::Equal => seen == *bound,
                Compare::GreaterOrEqual => seen >= *bound,
                Compare::Greater => seen > *bound,
            }
        })
    }
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Range, D::Error> {
        let text = String::deserialize(from)?;
        Range::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format!("\"{}\" is not a range of versions like \">=5, <7\"", text.escape_debug()))
        })
    }
}

/// Finds the action that cannot be read: the parser of the whole only knows that one of them cannot.
fn wrong_action(text: &str) -> Option<(usize, String)> {
    #[derive(Deserialize)]
    struct Alone {
        #[serde(rename = "action")]
        _actions: Vec<Action>,
    }
    let _: toml::Table = text.parse().ok()?;
    action_lines(text).into_iter().find_map(|block| {
        let lines: Vec<&str> = text.lines().skip(block.start - 1).take(block.len()).collect();
        let error = toml::from_str::<Alone>(&lines.join("\n")).err()?;
        let message = error.message().trim().to_owned();
        Some((line_of_complaint(text, &block, &message), message))
    })
}

impl Module {
    /// Parses a module; `origin` is the file's name for messages and for its number. The error names file and line.
    pub fn parse(text: &str, origin: &str) -> Result<Module> {
        let mistake = |line: usize, why: &str| wrong(origin, line, why);
        let mut module: Module = toml::from_str(text).map_err(|e| {
            let at = e.span().map_or(1, |s| line_at(text, s.start));
            let (line, why) = wrong_action(text).unwrap_or((at, e.message().trim().to_owned()));
            mistake(line, &with_nearest(&why)).hint("docs/fixups.md has the format")
        })?;
        let name = origin.rsplit('/').next().unwrap_or(origin);
        let kebab =
            |id: &str| !id.is_empty() && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !kebab(&module.id) {
            return Err(mistake(line_of_key(text, "id"), "the id must be lower case letters, digits and dashes"));
        }
        if module.actions.is_empty() {
            return Err(mistake(line_of_key(text, "id"), "it has no [[action]]"));
        }
        let all = 1..text.lines().count() + 1;
        module.when.check().map_err(|why| mistake(line_of_complaint(text, &all, &why), &why))?;
        let blocks = action_lines(text);
        for (index, action) in module.actions.iter().enumerate() {
            let block = blocks.get(index).cloned().unwrap_or(1..1);
            action.check().map_err(|why| mistake(line_of_complaint(text, &block, &why), &why))?;
        }
        name.split('-').next().and_then(|n| n.parse().ok()).unwrap_or(50u32).clone_into(&mut module.number);
        origin.clone_into(&mut module.origin);
        text.clone_into(&mut module.text);
        Ok(module)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_compare_as_many_parts_as_they_name() {
        for (range, version, holds) in [
            ("<7", "6.10", true),
            ("<7", "7.9.2009", false),
            ("<=6", "6.10", true),
            ("6", "6.10", true),
            (">6", "6.10", false),
            (">=5, <7", "5.11", true),
            (">=12.04", "10.04", false),
            (">=12.04", "14.04", true),
            ("<7", "", false),
            ("<7", "wheezy/sid", false),
        ] {
            assert_eq!(Range::parse(range).unwrap().holds(version), holds, "{version} in {range}");
        }
        assert!(Range::parse("six").is_none());
    }

    #[test]
    fn a_wrong_module_names_file_line_and_reason() {
        let head = "id = \"x\"\ntitle = \"t\"\nwhy = \"w\"\n";
        for (text, line, why) in [
            (format!("{head}[[action]]\ndo = \"remove\"\npath = [\"a\"]\ncolour = \"red\"\n"), 4, "colour"),
            (format!("{head}[[action]]\ndo = \"explode\"\n"), 4, "explode"),
            (format!("{head}[when]\ninit = [\"launchd\"]\n"), 5, "launchd"),
            (format!("{head}[when]\nversion = \"new\"\n"), 5, "range of versions"),
            (format!("{head}[[action]]\ndo = \"remove\"\npath = [\"../etc\"]\n"), 4, "../etc"),
            (
                format!("{head}[[action]]\ndo = \"substitute\"\npath = [\"a\"]\nfind = \"(\"\nwith = \"\"\n"),
                4,
                "regular",
            ),
            (head.to_owned(), 1, "no [[action]]"),
            ("id = \"Not Kebab\"\ntitle = \"\"\nwhy = \"\"\n".to_owned(), 1, "lower case"),
            ("id = \n".to_owned(), 1, ""),
        ] {
            let error = Module::parse(&text, "fixups.d/70-x.toml").unwrap_err();
            let message = error.to_string();
            assert_eq!(error.kind(), crate::error::Kind::Usage);
            assert!(message.contains("fixups.d/70-x.toml"), "{message}");
            assert!((line..=line + 3).any(|l| message.contains(&format!("line {l}:"))), "{message}");
            assert!(message.contains(why), "{message}");
        }
    }
}
