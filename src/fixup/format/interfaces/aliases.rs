//! Aliases (`eth0:0`) for the further addresses of an interface, as ifupdown 0.6 knows them.

use super::put::{MARK, value, with_prefix};
use super::{Block, Interfaces, Logical, Words, without_words};
use crate::fixup::format::lines;
use ipnet::Ipv4Net;
use std::collections::BTreeSet;

impl Interfaces {
    /// Makes our aliases of an interface those for these addresses. They are known by a comment, because ifupdown allows
    /// none behind a header; the user's own aliases are left alone.
    pub(super) fn put_aliases(&mut self, name: &str, wanted: &[Ipv4Net]) {
        let prefix = format!("{name}:");
        let marked = |b: &Block| b.iface().is_some_and(|w| w[0].starts_with(&prefix)) && is_marked(b);
        let now: Vec<&Block> = self.blocks.iter().filter(|b| marked(b)).collect();
        let claim = |b: &&Block| with_prefix(&value(b, "address")?, value(b, "netmask").as_deref()).parse().ok();
        if now.len() == wanted.len() && now.iter().map(claim).eq(wanted.iter().copied().map(Some)) {
            return;
        }
        let gone: BTreeSet<String> = now.iter().filter_map(|b| b.iface()?.into_iter().next()).collect();
        let users: BTreeSet<String> =
            self.blocks.iter().filter(|b| !marked(b)).filter_map(|b| b.iface()?.into_iter().next()).collect();
        self.blocks.retain_mut(|block| match block {
            Block::List(logical) => match without_words(logical, |w| gone.contains(w) && !users.contains(w)) {
                Words::Same => true,
                Words::Fewer(rest) => {
                    *logical = rest;
                    true
                }
                Words::NoneLeft => false,
            },
            other => !marked(other),
        });
        let end = self.usual_end();
        if !wanted.is_empty() {
            self.finish_last_line(end);
        }
        let mut at = self.stanzas(name, None).last().map_or(self.blocks.len(), |b| b + 1);
        let mut free = (0_usize..).map(|n| format!("{name}:{n}")).filter(|alias| !users.contains(alias));
        for net in wanted {
            let Some(alias) = free.next() else { return };
            let line = |text: String| Logical::one(lines::line(text, end));
            let body = [MARK.to_owned(), format!("address {}", net.addr()), format!("netmask {}", net.netmask())];
            let body = body.iter().map(|l| line(format!("    {l}"))).collect();
            let header = line(format!("iface {alias} inet static"));
            self.blocks.splice(at..at, [Block::List(line(format!("auto {alias}"))), Block::Stanza { header, body }]);
            at += 2;
        }
    }
}

/// Tells whether a stanza is an alias that this program wrote.
pub(super) fn is_marked(block: &Block) -> bool {
    matches!(block, Block::Stanza { body, .. } if body.iter().any(|l| l.is_comment() && l.text() == MARK))
}
