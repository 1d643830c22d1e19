use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::flow::Transport;
use crate::verdicts::{Verdict, Verdicts};

fn handle(number: u8) -> Handle {
    Handle::new(10, 100, 0, number)
}

fn flow(src: u8, dst: u8, transport: Transport) -> Flow {
    Flow { src: handle(src), dst: handle(dst), transport, ends: None }
}

fn tcp(dport: u16) -> Transport {
    Transport { proto: 6, sport: 40_000, dport, fragment: false }
}

fn rule(allow: bool) -> Rule {
    Rule { id: String::new(), allow, from: None, to: None, protocols: vec![], ports: vec![], redundant: false }
}

/// A rule as people would say it, beside the compiled one.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub allow: bool,
    pub from: Option<HashSet<u8>>,
    pub to: Option<HashSet<u8>>,
    protocols: Vec<u8>,
    ports: Vec<(u16, u16)>,
    redundant: bool,
}

impl Said {
    pub fn compiled(&self) -> Rule {
        let handles = |set: &Option<HashSet<u8>>| set.as_ref().map(|set| set.iter().copied().map(handle).collect());
        let (from, to) = (handles(&self.from), handles(&self.to));
        let (protocols, ports) = (self.protocols.clone(), self.ports.clone());
        Rule { id: String::new(), allow: self.allow, from, to, protocols, ports, redundant: self.redundant }
    }

    pub fn covers(&self, src: u8, dst: u8, transport: Transport) -> bool {
        if self.from.as_ref().is_some_and(|from| !from.contains(&src)) {
            return false;
        }
        if self.to.as_ref().is_some_and(|to| !to.contains(&dst)) {
            return false;
        }
        let unknown = transport.proto == 255;
        if !self.protocols.is_empty() && !self.protocols.contains(&transport.proto) && (self.allow || !unknown) {
            return false;
        }
        if self.ports.is_empty() {
            return true;
        }
        let ported = [6, 17, 33, 132, 136].contains(&transport.proto);
        if unknown || (ported && transport.fragment) {
            return !self.allow;
        }
        ported && self.ports.iter().any(|(low, high)| *low <= transport.dport && transport.dport <= *high)
    }
}

fn nodes() -> impl Strategy<Value = Option<HashSet<u8>>> {
    prop::option::of(prop::collection::hash_set(0..4_u8, 0..4))
}

pub(crate) fn said() -> impl Strategy<Value = Said> {
    let protocols = prop::collection::vec(prop::sample::select(vec![1, 6, 17, 47, 58]), 0..3);
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
        let policy = Policy::new(rules.iter().map(Said::compiled).collect(), &Hits::default());
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
            prop_assert_eq!(policy.ruling(&flow).allows, verdict == Verdict::Allowed);
            // Twice: made, then remembered.
            for _ in 0..2 {
                let judged = verdicts.judge(&policy, &flow);
                prop_assert_eq!((judged.verdict, judged.redundant), (verdict, redundant));
            }
        }
    }
}

#[test]
fn without_a_rule_all_is_allowed_and_with_one_what_matches_none_is_not() {
    assert!(Policy::default().ruling(&flow(1, 2, tcp(22))).allows);
    let policy = Policy::new(vec![Rule { ports: vec![(22, 22)], ..rule(true) }], &Hits::default());
    assert!(policy.ruling(&flow(1, 2, tcp(22))).allows);
    assert!(!policy.ruling(&flow(1, 2, tcp(23))).allows);
}

#[test]
fn what_hides_what_a_rule_asks_for_is_denied_and_not_allowed_by_it() {
    let ssh = |allow| Rule { protocols: vec![6], ports: vec![(22, 22)], ..rule(allow) };
    let passes = |rules, transport| Policy::new(rules, &Hits::default()).ruling(&flow(1, 2, transport)).allows;
    let hidden = |proto| Transport { proto, fragment: true, ..Transport::default() };
    for (proto, denied) in [(6, true), (255, true), (17, false), (1, false), (58, false)] {
        assert_eq!(passes(vec![ssh(false), rule(true)], hidden(proto)), !denied, "{proto}");
        assert!(!passes(vec![ssh(true)], hidden(proto)));
    }
    // Of a protocol without ports there is nothing hidden.
    let port_22 = || Rule { ports: vec![(22, 22)], ..rule(false) };
    for (proto, denied) in [(6, true), (17, true), (255, true), (1, false), (47, false)] {
        assert_eq!(passes(vec![port_22(), rule(true)], hidden(proto)), !denied, "{proto}");
    }
    assert!(passes(vec![ssh(false), rule(true)], tcp(80)));
}

#[test]
fn a_fragment_and_a_protocol_without_ports_match_no_rule_that_allows_ports() {
    let policy = Policy::new(vec![Rule { ports: vec![(0, u16::MAX)], ..rule(true) }], &Hits::default());
    assert!(!policy.ruling(&flow(1, 2, Transport { fragment: true, ..tcp(0) })).allows);
    assert!(!policy.ruling(&flow(1, 2, Transport { proto: 47, ..Transport::default() })).allows);
    assert!(!policy.ruling(&flow(1, 2, Transport { proto: 1, sport: 8, ..Transport::default() })).allows);
}

#[test]
fn a_range_is_judged_by_the_address_at_the_ends_and_by_its_node_on_the_way() {
    let lan = (IpAddr::from([192, 168, 7, 0]), 24);
    let side = || Some(Handles::default().beyond(vec![lan], [handle(2)]));
    let policy = |allow: bool| {
        let rest = Rule { to: None, ..rule(!allow) };
        Policy::new(vec![Rule { to: side(), ..rule(allow) }, rest], &Hits::default())
    };
    let at = |address: [u8; 4]| {
        let ends = Some((IpAddr::from([10, 100, 0, 1]), IpAddr::from(address)));
        Flow { ends, ..flow(1, 2, tcp(22)) }
    };
    let blind = flow(1, 2, tcp(22));
    for allow in [true, false] {
        assert_eq!(policy(allow).ruling(&at([192, 168, 7, 9])).allows, allow);
        assert_eq!(policy(allow).ruling(&at([10, 100, 0, 2])).allows, !allow);
        // A relay lets pass what any address there could be allowed.
        assert!(policy(allow).ruling(&blind).allows);
        assert_eq!(policy(allow).ruling(&flow(1, 3, tcp(22))).allows, !allow);
    }
    assert!(policy(true).reads_ranges && policy(true).connects(handle(1), handle(2)));
    assert!(policy(true).ruling(&at([192, 168, 7, 9]).swapped().swapped()).allows);
}
