//! Policy: which flows the network allows, in the form Python compiled it to.
//!
//! Invariant: the first rule that matches decides; without rules all is allowed, with any what matches none is not.
//! What cannot be told of a packet (the ports of a fragment, the protocol behind many headers) matches no rule that allows
//! and every rule that denies, so that nothing passes by hiding what is asked for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Handle;
use crate::flow::Flow;
use crate::hits::{Counters, Hits};

/// A set of nodes.
#[derive(Debug, Clone, Default)]
pub struct Handles(Box<[Handle]>);

impl FromIterator<Handle> for Handles {
    fn from_iter<I: IntoIterator<Item = Handle>>(handles: I) -> Self {
        let mut handles: Vec<Handle> = handles.into_iter().collect();
        handles.sort_unstable();
        Self(handles.into())
    }
}

impl Handles {
    fn contains(&self, handle: Handle) -> bool {
        self.0.binary_search(&handle).is_ok()
    }
}

/// One rule.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What people call it.
    pub id: String,
    /// Allow what matches, else deny it.
    pub allow: bool,
    /// Nodes it may come from; none for any.
    pub from: Option<Handles>,
    /// Nodes it may go to; none for any.
    pub to: Option<Handles>,
    /// IP protocols; empty for any.
    pub protocols: Vec<u8>,
    /// Destination ports, from and to; empty for any, and for protocols without.
    pub ports: Vec<(u16, u16)>,
    /// What it allows leaves over the two best ways at once.
    pub redundant: bool,
}

impl Rule {
    /// True if some flow between these two could match.
    fn concerns(&self, src: Handle, dst: Handle) -> bool {
        self.from.as_ref().is_none_or(|from| from.contains(src)) && self.to.as_ref().is_none_or(|to| to.contains(dst))
    }

    fn ruling(&self, number: usize) -> Ruling {
        Ruling { allows: self.allow, redundant: self.allow && self.redundant, rule: Some(number as u32) }
    }

    fn matches(&self, flow: &Flow) -> bool {
        let Flow { src, dst, transport } = flow;
        let denies = !self.allow;
        let is_named = self.protocols.contains(&transport.proto) || (denies && transport.hides_protocol());
        let in_range = |(low, high): &(u16, u16)| (*low..=*high).contains(&transport.dport);
        let in_ranges = transport.has_ports() && self.ports.iter().any(in_range);
        let protocol = self.protocols.is_empty() || is_named;
        let port = self.ports.is_empty() || in_ranges || (denies && transport.hides_ports());
        self.concerns(*src, *dst) && protocol && port
    }
}

/// What the rules say of a flow in its own direction, and the number of the rule that does; none if no rule matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ruling {
    /// Whether it is allowed.
    pub allows: bool,
    /// It leaves over the two best ways at once.
    pub redundant: bool,
    /// Who says so.
    pub rule: Option<u32>,
}

impl Ruling {
    /// Of every flow where there are no rules.
    pub const OPEN: Self = Self { allows: true, redundant: false, rule: None };
    const UNMATCHED: Self = Self { allows: false, redundant: false, rule: None };
}

/// One policy; swapped whole.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    counters: Counters,
    version: u64,
}

impl Policy {
    /// These rules, in this order; flows are counted under their ids.
    pub fn new(rules: Vec<Rule>, hits: &Hits) -> Self {
        // No two policies of a process share a version, so a remembered verdict is never another policy's.
        static VERSION: AtomicU64 = AtomicU64::new(1);
        let counters = hits.counters(rules.iter().map(|rule| &*rule.id));
        Self { rules, counters, version: VERSION.fetch_add(1, Ordering::Relaxed) }
    }

    /// Which policy it is, of all that this process had.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The id of the rule of a ruling; empty if no rule matched.
    pub fn id(&self, rule: Option<u32>) -> &str {
        rule.and_then(|number| self.rules.get(number as usize)).map_or("", |rule| &rule.id)
    }

    /// A flow was decided on: by that rule, or because no rule matched.
    pub fn count(&self, rule: Option<u32>) {
        self.counters.count(rule);
    }

    /// True if everything is allowed: there is no rule.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// True if a flow between these two could be allowed, whichever asks: what errors and fragments need to pass a relay,
    /// which does not know the packets that they belong to.
    pub fn connects(&self, one: Handle, other: Handle) -> bool {
        let allows = |rule: &Rule| rule.allow && (rule.concerns(one, other) || rule.concerns(other, one));
        self.is_open() || self.rules.iter().any(allows)
    }

    /// What the first rule that matches says.
    pub fn ruling(&self, flow: &Flow) -> Ruling {
        if self.is_open() {
            return Ruling::OPEN;
        }
        let first = self.rules.iter().enumerate().find(|(_, rule)| rule.matches(flow));
        first.map_or(Ruling::UNMATCHED, |(number, rule)| rule.ruling(number))
    }
}

#[cfg(test)]
#[path = "policy_tests.rs"]
pub(crate) mod tests;
