//! Policy: which flows the network allows, in the form Python compiled it to.
//!
//! Invariant: the first rule that matches decides; without rules all is allowed, with any what matches none is not.
//! What can never be told of a packet (the ports of a fragment) matches no rule that asks for it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Handle;
use crate::clock::second;
use crate::flow::Flow;

/// Flows whose verdict is remembered.
const REMEMBERED: usize = 1024;

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

    fn ruling(&self) -> Ruling {
        match (self.allow, self.redundant) {
            (false, _) => Ruling::Denied,
            (true, false) => Ruling::Allowed,
            (true, true) => Ruling::Redundant,
        }
    }

    fn matches(&self, flow: &Flow) -> bool {
        let Flow { src, dst, transport } = flow;
        let protocol = self.protocols.is_empty() || self.protocols.contains(&transport.proto);
        let in_range = |(low, high): &(u16, u16)| (*low..=*high).contains(&transport.dport);
        let port = self.ports.is_empty() || (transport.has_ports() && self.ports.iter().any(in_range));
        self.concerns(*src, *dst) && protocol && port
    }
}

/// What the rules say of a flow in its own direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ruling {
    Denied,
    Allowed,
    Redundant,
}

impl Ruling {
    fn allows(self) -> bool {
        self != Self::Denied
    }
}

/// What becomes of a flow at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is allowed.
    Allowed,
    /// The other direction is, and this may be an answer to it.
    Reply,
    /// Neither is.
    Denied,
}

/// A verdict, and how its packets leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Whether they do.
    pub verdict: Verdict,
    /// Over the two best ways at once.
    pub redundant: bool,
}

impl Judged {
    /// Of every flow where there are no rules.
    pub const OPEN: Self = Self { verdict: Verdict::Allowed, redundant: false };
}

/// One policy; swapped whole.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
    version: u64,
}

impl Policy {
    /// These rules, in this order.
    pub fn new(rules: Vec<Rule>) -> Self {
        // No two policies of a process share a version, so a remembered verdict is never another policy's.
        static VERSION: AtomicU64 = AtomicU64::new(1);
        Self { rules, version: VERSION.fetch_add(1, Ordering::Relaxed) }
    }

    /// What it was made of.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// True if everything is allowed: there is no rule.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// True if a flow between these two could be allowed, whichever asks: what errors about packets need to pass a relay,
    /// which does not see the packet that they are about.
    pub fn connects(&self, one: Handle, other: Handle) -> bool {
        let allows = |rule: &Rule| rule.allow && (rule.concerns(one, other) || rule.concerns(other, one));
        self.is_open() || self.rules.iter().any(allows)
    }

    fn ruling(&self, flow: &Flow) -> Ruling {
        if self.is_open() {
            return Ruling::Allowed;
        }
        self.rules.iter().find(|rule| rule.matches(flow)).map_or(Ruling::Denied, Rule::ruling)
    }
}

/// The verdicts of the last flows one thread saw: a super-packet is judged once, a flow about once a policy.
#[derive(Debug, Default)]
pub struct Verdicts {
    places: Vec<Option<Remembered>>,
    second: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    flow: Flow,
    version: u64,
    ruling: Ruling,
}

impl Verdicts {
    /// Another turn begins.
    pub fn begin_turn(&mut self) {
        self.second = None;
    }

    /// The time of this turn: the clock is read by the first who asks.
    pub fn second(&mut self) -> u32 {
        *self.second.get_or_insert_with(second)
    }

    /// True if `flow` is allowed in its own direction.
    pub fn allows(&mut self, policy: &Policy, flow: &Flow) -> bool {
        self.ruling(policy, flow).allows()
    }

    /// What becomes of `flow` at its ends. An answer leaves as what it answers does.
    pub fn judge(&mut self, policy: &Policy, flow: &Flow) -> Judged {
        let own = self.ruling(policy, flow);
        let (verdict, ruling) = if own.allows() {
            (Verdict::Allowed, own)
        } else {
            match self.ruling(policy, &flow.swapped()) {
                Ruling::Denied => (Verdict::Denied, Ruling::Denied),
                other => (Verdict::Reply, other),
            }
        };
        Judged { verdict, redundant: ruling == Ruling::Redundant }
    }

    fn ruling(&mut self, policy: &Policy, flow: &Flow) -> Ruling {
        if policy.is_open() {
            return Ruling::Allowed;
        }
        self.places.resize(REMEMBERED, None);
        let place = &mut self.places[flow.hash() as usize % REMEMBERED];
        match place {
            Some(known) if known.version == policy.version && known.flow == *flow => known.ruling,
            _ => {
                let ruling = policy.ruling(flow);
                *place = Some(Remembered { flow: *flow, version: policy.version, ruling });
                ruling
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;
    use crate::flow::Transport;

    fn handle(number: u8) -> Handle {
        Handle::new(10, 100, 0, number)
    }

    fn flow(src: u8, dst: u8, transport: Transport) -> Flow {
        Flow { src: handle(src), dst: handle(dst), transport }
    }

    fn tcp(dport: u16) -> Transport {
        Transport { proto: 6, sport: 40_000, dport, fragment: false }
    }

    fn rule(allow: bool) -> Rule {
        Rule { allow, from: None, to: None, protocols: vec![], ports: vec![], redundant: false }
    }

    /// A rule as people would say it, beside the compiled one.
    #[derive(Debug, Clone)]
    struct Said {
        allow: bool,
        from: Option<HashSet<u8>>,
        to: Option<HashSet<u8>>,
        protocols: Vec<u8>,
        ports: Vec<(u16, u16)>,
        redundant: bool,
    }

    impl Said {
        fn compiled(&self) -> Rule {
            let handles = |set: &Option<HashSet<u8>>| set.as_ref().map(|set| set.iter().copied().map(handle).collect());
            let (from, to) = (handles(&self.from), handles(&self.to));
            let (protocols, ports) = (self.protocols.clone(), self.ports.clone());
            Rule { allow: self.allow, from, to, protocols, ports, redundant: self.redundant }
        }

        fn covers(&self, src: u8, dst: u8, transport: Transport) -> bool {
            if self.from.as_ref().is_some_and(|from| !from.contains(&src)) {
                return false;
            }
            if self.to.as_ref().is_some_and(|to| !to.contains(&dst)) {
                return false;
            }
            if !self.protocols.is_empty() && !self.protocols.contains(&transport.proto) {
                return false;
            }
            if self.ports.is_empty() {
                return true;
            }
            let ported = [6, 17, 33, 132, 136].contains(&transport.proto) && !transport.fragment;
            ported && self.ports.iter().any(|(low, high)| *low <= transport.dport && transport.dport <= *high)
        }
    }

    fn nodes() -> impl Strategy<Value = Option<HashSet<u8>>> {
        prop::option::of(prop::collection::hash_set(0..4_u8, 0..4))
    }

    fn said() -> impl Strategy<Value = Said> {
        let protocols = prop::collection::vec(prop::sample::select(vec![1, 6, 17, 47]), 0..3);
        let ports = prop::collection::vec((0..6_u16, 0..6_u16), 0..3);
        let marks = (any::<bool>(), any::<bool>());
        (marks, nodes(), nodes(), protocols, ports).prop_map(|((allow, redundant), from, to, protocols, ports)| Said {
            allow,
            from,
            to,
            protocols,
            ports,
            redundant,
        })
    }

    fn transport() -> impl Strategy<Value = Transport> {
        let proto = prop::sample::select(vec![1_u8, 6, 17, 47, 255]);
        (proto, 0..6_u16, 0..6_u16, any::<bool>()).prop_map(|(proto, sport, dport, fragment)| Transport {
            proto,
            sport,
            dport,
            fragment,
        })
    }

    proptest! {
        #[test]
        fn it_agrees_with_a_naive_model(rules in prop::collection::vec(said(), 0..6), flows in prop::collection::vec((0..4_u8, 0..4_u8, transport()), 1..30)) {
            let policy = Policy::new(rules.iter().map(Said::compiled).collect());
            let naive = |src, dst, transport: Transport| match rules.iter().find(|said| said.covers(src, dst, transport)) {
                Some(said) => (said.allow, said.allow && said.redundant),
                None => (rules.is_empty(), false),
            };
            let mut verdicts = Verdicts::default();
            for (src, dst, transport) in flows {
                let flow = flow(src, dst, transport);
                let back = flow.swapped();
                let (verdict, redundant) = match (naive(src, dst, transport), naive(dst, src, back.transport)) {
                    ((true, redundant), _) => (Verdict::Allowed, redundant),
                    (_, (true, redundant)) => (Verdict::Reply, redundant),
                    _ => (Verdict::Denied, false),
                };
                let expected = Judged { verdict, redundant };
                prop_assert_eq!(policy.ruling(&flow).allows(), verdict == Verdict::Allowed);
                // Twice: made, then remembered.
                prop_assert_eq!(verdicts.judge(&policy, &flow), expected);
                prop_assert_eq!(verdicts.judge(&policy, &flow), expected);
            }
        }
    }

    #[test]
    fn without_a_rule_all_is_allowed_and_with_one_what_matches_none_is_not() {
        assert!(Policy::default().ruling(&flow(1, 2, tcp(22))).allows());
        let policy = Policy::new(vec![Rule { ports: vec![(22, 22)], ..rule(true) }]);
        assert!(policy.ruling(&flow(1, 2, tcp(22))).allows());
        assert!(!policy.ruling(&flow(1, 2, tcp(23))).allows());
    }

    #[test]
    fn a_fragment_and_a_protocol_without_ports_match_no_rule_with_ports() {
        let policy = Policy::new(vec![Rule { ports: vec![(0, u16::MAX)], ..rule(true) }]);
        assert!(!policy.ruling(&flow(1, 2, Transport { fragment: true, ..tcp(0) })).allows());
        assert!(!policy.ruling(&flow(1, 2, Transport { proto: 47, ..Transport::default() })).allows());
        assert!(!policy.ruling(&flow(1, 2, Transport { proto: 1, sport: 8, ..Transport::default() })).allows());
    }

    #[test]
    fn a_verdict_is_forgotten_with_its_policy() {
        let (mut verdicts, question) = (Verdicts::default(), flow(1, 2, tcp(22)));
        for allow in [true, false, true] {
            assert_eq!(verdicts.allows(&Policy::new(vec![rule(allow)]), &question), allow);
        }
        assert!(verdicts.allows(&Policy::default(), &question));
    }
}
