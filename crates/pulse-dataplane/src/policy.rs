//! Policy: which flows the network allows, in the form Python compiled it to.
//!
//! Invariant: the first rule that matches decides; without rules all is allowed, with any what matches none is not.
//! What cannot be told of a packet (the ports of a fragment, the protocol behind many headers) matches no rule that allows
//! and every rule that denies, so that nothing passes by hiding what is asked for.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Handle;
use crate::flow::Flow;
use crate::hits::{Counters, Hits};
use crate::tables::contains;

/// A set of nodes, each with all that lies behind it; and ranges that lie behind some.
#[derive(Debug, Clone, Default)]
pub struct Handles {
    nodes: Box<[Handle]>,
    ranges: Box<[(IpAddr, u8)]>,
    /// The nodes that the ranges lie behind.
    gateways: Box<[Handle]>,
}

impl FromIterator<Handle> for Handles {
    fn from_iter<I: IntoIterator<Item = Handle>>(handles: I) -> Self {
        Self { nodes: sorted(handles), ..Self::default() }
    }
}

impl Handles {
    /// These ranges, too, which lie behind those nodes.
    pub fn beyond(self, ranges: Vec<(IpAddr, u8)>, gateways: impl IntoIterator<Item = Handle>) -> Self {
        Self { ranges: ranges.into(), gateways: sorted(gateways), ..self }
    }

    /// Who cannot see the address of a packet takes it for one in a range, if that may allow it: the destination decides.
    fn fits(&self, handle: Handle, address: Option<IpAddr>, allow: bool) -> bool {
        let behind = || match address {
            Some(address) => self.ranges.iter().any(|(network, length)| contains(*network, *length, address)),
            None => allow && has(&self.gateways, handle),
        };
        has(&self.nodes, handle) || behind()
    }
}

fn sorted(handles: impl IntoIterator<Item = Handle>) -> Box<[Handle]> {
    let mut handles: Vec<Handle> = handles.into_iter().collect();
    handles.sort_unstable();
    handles.into()
}

fn has(handles: &[Handle], handle: Handle) -> bool {
    handles.binary_search(&handle).is_ok()
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
    fn concerns(&self, flow: &Flow) -> bool {
        let (source, destination) = flow.ends.unzip();
        let fits = |side: &Option<Handles>, handle, address| {
            side.as_ref().is_none_or(|side| side.fits(handle, address, self.allow))
        };
        fits(&self.from, flow.src, source) && fits(&self.to, flow.dst, destination)
    }

    fn reads_ranges(&self) -> bool {
        [&self.from, &self.to].into_iter().flatten().any(|side| !side.ranges.is_empty())
    }

    fn ruling(&self, number: usize) -> Ruling {
        Ruling { allows: self.allow, redundant: self.allow && self.redundant, rule: Some(number as u32) }
    }

    fn matches(&self, flow: &Flow) -> bool {
        let transport = &flow.transport;
        let denies = !self.allow;
        let is_named = self.protocols.contains(&transport.proto) || (denies && transport.hides_protocol());
        let in_range = |(low, high): &(u16, u16)| (*low..=*high).contains(&transport.dport);
        let in_ranges = transport.has_ports() && self.ports.iter().any(in_range);
        let protocol = self.protocols.is_empty() || is_named;
        let port = self.ports.is_empty() || in_ranges || (denies && transport.hides_ports());
        self.concerns(flow) && protocol && port
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
    /// Some rule asks for addresses.
    pub reads_ranges: bool,
}

impl Policy {
    /// These rules, in this order; flows are counted under their ids.
    pub fn new(rules: Vec<Rule>, hits: &Hits) -> Self {
        // No two policies of a process share a version, so a remembered verdict is never another policy's.
        static VERSION: AtomicU64 = AtomicU64::new(1);
        let counters = hits.counters(rules.iter().map(|rule| &*rule.id));
        let reads_ranges = rules.iter().any(Rule::reads_ranges);
        Self { rules, counters, version: VERSION.fetch_add(1, Ordering::Relaxed), reads_ranges }
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
        let ways = [Flow::session(one, other), Flow::session(other, one)];
        let allows = |rule: &Rule| rule.allow && ways.iter().any(|way| rule.concerns(way));
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
