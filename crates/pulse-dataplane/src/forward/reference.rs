//! What passes where, by an evaluator that shares nothing with the real one: it reads the rules as people said them, knows
//! packets by what they were made from, and remembers every flow.

use std::collections::HashSet;

use proptest::prelude::*;

use super::ends::End;
use super::relay::may_pass;
use super::testing::{v4, v6};
use super::traffic::ip_packet;
use super::veiled::{self, Veil};
use crate::conntrack::Conntrack;
use crate::flow::{Flow, Transport};
use crate::frame::{HopHeader, Kind, REPLY};
use crate::hits::Hits;
use crate::policy::Policy;
use crate::policy::tests::{Said, said};
use crate::verdicts::{Verdict, Verdicts};

const NODES: u8 = 4;

/// What a packet was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum What {
    Tcp(u16, u16),
    Udp(u16, u16),
    Gre,
    Ping,
    Pong,
    /// The first fragment of that datagram, and a later one.
    First(u16, u16, u16),
    Later(u16),
    /// Over IPv6, behind headers through which all can be seen; the protocol but not the ports; neither.
    Shown(u16, u16),
    Veiled(u16, u16),
    Buried(u16, u16),
    /// The first fragment of that datagram, whose ports cannot be seen.
    Stub(u16),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Sent {
    from: u8,
    to: u8,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Send(Sent),
    /// The receiver of such a packet complains to its sender.
    Complain(Sent),
}

impl What {
    fn proto(self) -> u8 {
        match self {
            Self::Tcp(..) | Self::Shown(..) | Self::Veiled(..) | Self::Stub(_) => 6,
            Self::Buried(..) => 255,
            Self::Udp(..) | Self::First(..) | Self::Later(_) => 17,
            Self::Gre => 47,
            Self::Ping | Self::Pong => 1,
        }
    }

    /// As `Said::covers` takes it.
    fn transport(self) -> Transport {
        let (sport, dport) = match self {
            Self::Tcp(sport, dport) | Self::Shown(sport, dport) => (sport, dport),
            Self::Udp(sport, dport) | Self::First(sport, dport, _) => (sport, dport),
            Self::Ping => (8, 0),
            _ => (0, 0),
        };
        Transport { proto: self.proto(), sport, dport, fragment: self.shows_no_ports() }
    }

    /// Though it has some.
    fn shows_no_ports(self) -> bool {
        matches!(self, Self::Later(_) | Self::Veiled(..) | Self::Buried(..) | Self::Stub(_))
    }

    fn is_v6(self) -> bool {
        matches!(self, Self::Shown(..) | Self::Veiled(..) | Self::Buried(..) | Self::Stub(_))
    }

    /// The flow it is of.
    fn flow(self) -> Self {
        match self {
            Self::First(sport, dport, _) => Self::Udp(sport, dport),
            Self::Shown(sport, dport) => Self::Tcp(sport, dport),
            other => other,
        }
    }

    fn question(self) -> Option<Self> {
        match self {
            Self::Tcp(sport, dport) | Self::Shown(sport, dport) => Some(Self::Tcp(dport, sport)),
            Self::Udp(sport, dport) | Self::First(sport, dport, _) => Some(Self::Udp(dport, sport)),
            Self::Pong => Some(Self::Ping),
            Self::Gre => Some(self),
            _ => None,
        }
    }
}

impl Sent {
    fn back(self, what: What) -> Self {
        Self { from: self.to, to: self.from, what }
    }

    fn packet(self) -> Vec<u8> {
        let veiled = |veil: Veil, ports, datagram| veil.syn(self.from, self.to, ports, datagram);
        match self.what {
            What::Shown(sport, dport) => veiled(veiled::THIN, (sport, dport), None),
            What::Veiled(sport, dport) => veiled(veiled::LONG, (sport, dport), None),
            What::Buried(sport, dport) => veiled(veiled::MANY, (sport, dport), None),
            What::Stub(id) => veiled(veiled::LONG, (1, 2), Some(id)),
            _ => self.packet_v4(),
        }
    }

    fn packet_v4(self) -> Vec<u8> {
        let mut packet = ip_packet(v4(self.from).into(), v4(self.to).into(), self.what.proto(), 20);
        match self.what {
            What::Tcp(sport, dport) | What::Udp(sport, dport) | What::First(sport, dport, _) => {
                packet[20..22].copy_from_slice(&sport.to_be_bytes());
                packet[22..24].copy_from_slice(&dport.to_be_bytes());
            }
            What::Ping => packet[20] = 8,
            _ => {}
        }
        if let What::First(.., id) | What::Later(id) = self.what {
            packet[4..6].copy_from_slice(&id.to_be_bytes());
            packet[6..8].copy_from_slice(if self.what == What::Later(id) { &[0, 9] } else { &[0x20, 0] });
        }
        packet
    }

    /// "Port unreachable", to who sent it.
    fn complaint(self) -> Vec<u8> {
        if self.what.is_v6() {
            let about = self.packet();
            let mut packet = ip_packet(v6(self.to).into(), v6(self.from).into(), 58, 8 + about.len());
            packet[40..42].copy_from_slice(&[1, 4]);
            packet[48..].copy_from_slice(&about);
            return packet;
        }
        let mut packet = ip_packet(v4(self.to).into(), v4(self.from).into(), 1, 8 + 28);
        packet[20..22].copy_from_slice(&[3, 3]);
        packet[28..].copy_from_slice(&self.packet()[..28]);
        packet
    }
}

impl Step {
    /// Who sends it, to whom, the packet, and what a relay reads of it.
    fn made(self) -> (u8, u8, Vec<u8>, Transport) {
        match self {
            Self::Send(sent) => (sent.from, sent.to, sent.packet(), sent.what.transport()),
            Self::Complain(about) => {
                let said = if about.what.is_v6() { UNREACHABLE_V6 } else { UNREACHABLE };
                (about.to, about.from, about.complaint(), said)
            }
        }
    }
}

/// "Port unreachable", as type and code.
const UNREACHABLE: Transport = Transport { proto: 1, sport: 3, dport: 3, fragment: false };
const UNREACHABLE_V6: Transport = Transport { proto: 58, sport: 1, dport: 4, fragment: false };

/// Where a packet is judged.
#[derive(Debug, Clone, Copy)]
enum Place {
    Source,
    Relay,
    Destination,
}

const WAY: [Place; 3] = [Place::Source, Place::Relay, Place::Destination];

/// The naive one.
struct Reference {
    rules: Vec<Said>,
    opened: Vec<HashSet<Sent>>,
    /// Datagrams whose first fragment passed.
    led: Vec<HashSet<(u8, u8, u16)>>,
    /// The source said that the packet under way is an answer.
    reply: bool,
}

impl Reference {
    fn new() -> Self {
        let (opened, led) = (vec![HashSet::new(); usize::from(NODES)], vec![HashSet::new(); usize::from(NODES)]);
        Self { rules: vec![], opened, led, reply: false }
    }

    fn allows(&self, from: u8, to: u8, transport: Transport) -> bool {
        let first = self.rules.iter().find(|said| said.covers(from, to, transport));
        first.map_or(self.rules.is_empty(), |said| said.allow)
    }

    /// True if some rule that allows names both.
    fn connects(&self, one: u8, other: u8) -> bool {
        let names = |nodes: &Option<HashSet<u8>>, node| nodes.as_ref().is_none_or(|nodes| nodes.contains(&node));
        let either = |said: &Said| {
            (names(&said.from, one) && names(&said.to, other)) || (names(&said.from, other) && names(&said.to, one))
        };
        self.rules.is_empty() || self.rules.iter().any(|said| said.allow && either(said))
    }

    fn is_open(&self, at: u8, sent: Sent) -> bool {
        self.opened[usize::from(at)].contains(&Sent { what: sent.what.flow(), ..sent })
    }

    /// As an answer, or as a message about one or its question.
    fn is_known(&self, at: u8, step: Step) -> bool {
        match step {
            Step::Send(Sent { from, to, what: What::Later(id) }) => self.led[usize::from(at)].contains(&(from, to, id)),
            Step::Send(sent) => sent.what.question().is_some_and(|what| self.is_open(at, sent.back(what))),
            Step::Complain(about) => {
                let question = about.what.question().map(|what| about.back(what));
                let goes_on =
                    |flow: Sent| self.allows(flow.from, flow.to, flow.what.transport()) && self.is_open(at, flow);
                goes_on(about) || question.is_some_and(goes_on)
            }
        }
    }

    fn passes(&mut self, place: Place, step: Step) -> bool {
        let (from, to, _, transport) = step.made();
        let own = self.allows(from, to, transport);
        let back = Transport { sport: transport.dport, dport: transport.sport, ..transport };
        let other = self.allows(to, from, back);
        let belongs = match step {
            Step::Send(sent) => sent.what.shows_no_ports(),
            Step::Complain(_) => true,
        };
        let at = match place {
            Place::Source => from,
            Place::Destination => to,
            Place::Relay => return (if self.reply { other } else { own }) || (belongs && self.connects(from, to)),
        };
        if let (true, false, Step::Send(sent)) = (own, belongs, step) {
            self.opened[usize::from(at)].insert(Sent { what: sent.what.flow(), ..sent });
        }
        self.reply = !own && other;
        let passes = own || ((other || belongs) && self.is_known(at, step));
        if let (true, Step::Send(Sent { what: What::First(.., id), .. })) = (passes, step) {
            self.led[usize::from(at)].insert((from, to, id));
        }
        passes
    }
}

/// The real one: what the data planes of all nodes hold, and that of a relay.
struct Real {
    policy: Policy,
    /// Of each node: its table, and the verdicts of the thread that sends and of the one that receives.
    nodes: Vec<(Conntrack, [Verdicts; 2])>,
    relay: Verdicts,
    reply: bool,
}

impl Real {
    fn new() -> Self {
        let nodes = (0..NODES).map(|_| Default::default()).collect();
        Self { policy: Policy::default(), nodes, relay: Verdicts::default(), reply: false }
    }

    fn passes(&mut self, place: Place, step: Step) -> bool {
        let (from, to, packet, _) = step.made();
        let flow = Flow { src: v4(from), dst: v4(to), transport: Transport::of(&packet), ends: None };
        let (at, thread) = match place {
            Place::Source => (from, 0),
            Place::Destination => (to, 1),
            Place::Relay => {
                let flags = if self.reply { REPLY } else { 0 };
                let plain = HopHeader { flags, ..HopHeader::new(flow.src, flow.dst, Kind::Record) };
                return may_pass(&self.policy, &mut self.relay, &plain.describe(flow.transport));
            }
        };
        let (conntrack, verdicts) = &mut self.nodes[usize::from(at)];
        let mut end = End { conntrack, policy: &self.policy, verdicts: &mut verdicts[thread] };
        let judged = end.admit(&flow, &packet);
        self.reply = judged.is_ok_and(|judged| judged.verdict == Verdict::Reply);
        judged.is_ok()
    }
}

fn what() -> impl Strategy<Value = What> {
    let ports = || (0..6_u16, 0..6_u16);
    prop_oneof![
        4 => ports().prop_map(|(sport, dport)| What::Tcp(sport, dport)),
        3 => ports().prop_map(|(sport, dport)| What::Udp(sport, dport)),
        1 => Just(What::Gre),
        1 => Just(What::Ping),
        1 => Just(What::Pong),
        1 => (ports(), 0..3_u16).prop_map(|((sport, dport), id)| What::First(sport, dport, id)),
        1 => (0..3_u16).prop_map(What::Later),
        1 => ports().prop_map(|(sport, dport)| What::Shown(sport, dport)),
        1 => ports().prop_map(|(sport, dport)| What::Veiled(sport, dport)),
        1 => ports().prop_map(|(sport, dport)| What::Buried(sport, dport)),
        1 => (0..3_u16).prop_map(What::Stub),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let sent = (0..NODES, 1..NODES, what()).prop_map(|(from, on, what)| Sent { from, to: (from + on) % NODES, what });
    (sent, 0..4_u8).prop_map(|(sent, kind)| if kind == 0 { Step::Complain(sent) } else { Step::Send(sent) })
}

/// What a source asks itself before it sends, or how a rogue marks what it sends without asking.
fn source() -> impl Strategy<Value = Option<bool>> {
    prop::option::weighted(0.3, any::<bool>())
}

/// Rules, and what is sent under them; rules that change find flows under way.
fn round() -> impl Strategy<Value = (Vec<Said>, Vec<(Step, Option<bool>)>)> {
    (prop::collection::vec(said(), 1..6), prop::collection::vec((step(), source()), 500))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(67))]

    /// 67 worlds of 3 policies with 500 flows each: 10^5.
    #[test]
    fn source_relay_and_destination_agree_with_it_on_random_flows(rounds in prop::collection::vec(round(), 3)) {
        let (mut reference, mut real) = (Reference::new(), Real::new());
        for (rules, steps) in rounds {
            real.policy = Policy::new(rules.iter().map(Said::compiled).collect(), &Hits::default());
            reference.rules = rules;
            for (step, rogue) in steps {
                for place in WAY.into_iter().skip(usize::from(rogue.is_some())) {
                    if let (Some(reply), Place::Relay) = (rogue, place) {
                        (reference.reply, real.reply) = (reply, reply);
                    }
                    let expected = reference.passes(place, step);
                    prop_assert_eq!(real.passes(place, step), expected, "{:?} at {:?} under {:?}", step, place, &reference.rules);
                    // A rogue may have another way around a relay.
                    if !expected && rogue.is_none() {
                        break;
                    }
                }
            }
        }
    }
}
