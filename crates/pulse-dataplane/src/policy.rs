//! Policy: which flows the network allows, in the form Python compiled it to.
//!
//! Invariant: the first rule that matches decides; without rules all is allowed, with any what matches none is not.
//! What can never be told of a packet (the ports of a fragment) matches no rule that asks for it.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::Handle;
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
}

impl Rule {
    fn matches(&self, flow: &Flow) -> bool {
        let Flow { src, dst, transport } = flow;
        let nodes = self.from.as_ref().is_none_or(|from| from.contains(*src))
            && self.to.as_ref().is_none_or(|to| to.contains(*dst));
        let protocol = self.protocols.is_empty() || self.protocols.contains(&transport.proto);
        let in_range = |(low, high): &(u16, u16)| (*low..=*high).contains(&transport.dport);
        let port = self.ports.is_empty() || (transport.has_ports() && self.ports.iter().any(in_range));
        nodes && protocol && port
    }
}

/// What a source does with a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is allowed.
    Allowed,
    /// The other direction is, and this may be an answer to it.
    Reply,
    /// Neither is.
    Denied,
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

    /// True if everything is allowed: there is no rule.
    pub fn is_open(&self) -> bool {
        self.rules.is_empty()
    }

    /// True if `flow` is allowed in its own direction.
    pub fn allows(&self, flow: &Flow) -> bool {
        self.is_open() || self.rules.iter().find(|rule| rule.matches(flow)).is_some_and(|rule| rule.allow)
    }
}

/// The verdicts of the last flows one thread saw: a super-packet is judged once, a flow about once a policy.
#[derive(Debug, Default)]
pub struct Verdicts(Vec<Option<Remembered>>);

#[derive(Debug, Clone, Copy)]
struct Remembered {
    flow: Flow,
    version: u64,
    allowed: bool,
}

impl Verdicts {
    /// As `Policy::allows`.
    pub fn allows(&mut self, policy: &Policy, flow: &Flow) -> bool {
        if policy.is_open() {
            return true;
        }
        self.0.resize(REMEMBERED, None);
        let place = &mut self.0[flow.hash() as usize % REMEMBERED];
        match place {
            Some(known) if known.version == policy.version && known.flow == *flow => known.allowed,
            _ => {
                let allowed = policy.allows(flow);
                *place = Some(Remembered { flow: *flow, version: policy.version, allowed });
                allowed
            }
        }
    }

    /// What becomes of `flow` at its ends.
    pub fn judge(&mut self, policy: &Policy, flow: &Flow) -> Verdict {
        if self.allows(policy, flow) {
            return Verdict::Allowed;
        }
        if self.allows(policy, &flow.swapped()) { Verdict::Reply } else { Verdict::Denied }
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
        Rule { allow, from: None, to: None, protocols: vec![], ports: vec![] }
    }

    /// A rule as people would say it, beside the compiled one.
    #[derive(Debug, Clone)]
    struct Said {
        allow: bool,
        from: Option<HashSet<u8>>,
        to: Option<HashSet<u8>>,
        protocols: Vec<u8>,
        ports: Vec<(u16, u16)>,
    }

    impl Said {
        fn compiled(&self) -> Rule {
            let handles = |set: &Option<HashSet<u8>>| set.as_ref().map(|set| set.iter().copied().map(handle).collect());
            let (from, to) = (handles(&self.from), handles(&self.to));
            Rule { allow: self.allow, from, to, protocols: self.protocols.clone(), ports: self.ports.clone() }
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
        (any::<bool>(), nodes(), nodes(), protocols, ports).prop_map(|(allow, from, to, protocols, ports)| Said {
            allow,
            from,
            to,
            protocols,
            ports,
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
                Some(said) => said.allow,
                None => rules.is_empty(),
            };
            let mut verdicts = Verdicts::default();
            for (src, dst, transport) in flows {
                let flow = flow(src, dst, transport);
                let back = flow.swapped();
                let expected = match (naive(src, dst, transport), naive(dst, src, back.transport)) {
                    (true, _) => Verdict::Allowed,
                    (false, true) => Verdict::Reply,
                    (false, false) => Verdict::Denied,
                };
                prop_assert_eq!(policy.allows(&flow), expected == Verdict::Allowed);
                // Twice: made, then remembered.
                prop_assert_eq!(verdicts.judge(&policy, &flow), expected);
                prop_assert_eq!(verdicts.judge(&policy, &flow), expected);
            }
        }
    }

    #[test]
    fn without_a_rule_all_is_allowed_and_with_one_what_matches_none_is_not() {
        assert!(Policy::default().allows(&flow(1, 2, tcp(22))));
        let policy = Policy::new(vec![Rule { ports: vec![(22, 22)], ..rule(true) }]);
        assert!(policy.allows(&flow(1, 2, tcp(22))));
        assert!(!policy.allows(&flow(1, 2, tcp(23))));
    }

    #[test]
    fn a_fragment_and_a_protocol_without_ports_match_no_rule_with_ports() {
        let policy = Policy::new(vec![Rule { ports: vec![(0, u16::MAX)], ..rule(true) }]);
        assert!(!policy.allows(&flow(1, 2, Transport { fragment: true, ..tcp(0) })));
        assert!(!policy.allows(&flow(1, 2, Transport { proto: 47, ..Transport::default() })));
        assert!(!policy.allows(&flow(1, 2, Transport { proto: 1, sport: 8, ..Transport::default() })));
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
