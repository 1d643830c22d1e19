//! Packets that hide their ports or their protocol, under rules that deny one port and allow the rest.

use std::io;
use std::sync::Arc;

use super::policing::{between, fragment, policy, reaches};
use super::rogues::{Rogue, honest, record};
use super::testing::{Node, row, v6};
use super::traffic::ip_packet;
use crate::frame::HopHeader;
use crate::offload::Vnet;
use crate::policy::{Policy, Rule};
use crate::stats::Drop;

/// So many destination options headers of so many bytes, and what they are in front of.
pub struct Veil {
    pub headers: usize,
    pub bytes: u8,
}

/// The ports can be seen through it.
pub const THIN: Veil = Veil { headers: 1, bytes: 8 };
/// They stand behind the 120th byte.
pub const LONG: Veil = Veil { headers: 1, bytes: 88 };
/// Not even the protocol can be seen.
pub const MANY: Veil = Veil { headers: 8, bytes: 8 };

const OPTIONS: u8 = 60;

impl Veil {
    /// A TCP segment that begins a connection, behind it; the part of that datagram that comes first, if there is one.
    pub fn syn(&self, from: u8, to: u8, (sport, dport): (u16, u16), datagram: Option<u16>) -> Vec<u8> {
        let mut payload = vec![];
        if let Some([high, low]) = datagram.map(u16::to_be_bytes) {
            payload.extend([OPTIONS, 0, 0, 1, 0, 0, high, low]);
        }
        for left in (0..self.headers).rev() {
            payload.extend([if left == 0 { 6 } else { OPTIONS }, self.bytes / 8 - 1]);
            payload.resize(payload.len() + usize::from(self.bytes) - 2, 0);
        }
        payload.extend([sport.to_be_bytes(), dport.to_be_bytes()].concat());
        payload.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0, 0, 0, 0, 0, 0]);
        let next = if datagram.is_some() { 44 } else { OPTIONS };
        let mut packet = ip_packet(v6(from).into(), v6(to).into(), next, payload.len());
        packet[40..].copy_from_slice(&payload);
        packet
    }
}

/// All but that port of that protocol from node 1 to node 2. What is denied might have been an answer.
fn all_but(proto: u8, port: u16) -> Arc<Policy> {
    let all = Rule { from: None, to: None, protocols: vec![], ..between(1, 2, proto, vec![]) };
    policy(vec![Rule { allow: false, ..between(1, 2, proto, vec![(port, port)]) }, all])
}

fn police(nodes: [&Node; 3], proto: u8, port: u16) {
    nodes.iter().for_each(|node| node.judge_by(all_but(proto, port)));
}

#[test]
fn what_hides_its_port_or_its_protocol_is_dropped_by_source_and_destination() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    police([&left, &relay, &right], 6, 22);
    let (rogue, sealer) = (Rogue::next_to(&relay, 1)?, right.record_rogue(1));
    sealer.reserve(1000);
    for (count, veil) in [LONG, MANY].iter().enumerate() {
        let syn = veil.syn(1, 2, (40_000, 22), None);
        left.write(&Vnet::default(), &syn)?;
        assert!(left.dropped(Drop::Unsolicited, count as u64 + 1));
        // A relay cannot tell it from a fragment.
        rogue.send(honest(1, 2, &syn), &record(&sealer, &syn))?;
        assert!(right.dropped(Drop::Unsolicited, count as u64 + 1));
        let lie = HopHeader { proto: 6, dport: 23, flags: 0, ..honest(1, 2, &syn) };
        rogue.send(lie, &record(&sealer, &syn))?;
        assert!(right.dropped(Drop::HeaderMismatch, count as u64 + 1));
    }
    let shown = THIN.syn(1, 2, (40_000, 22), None);
    rogue.send(honest(1, 2, &shown), &record(&sealer, &shown))?;
    assert!(relay.dropped(Drop::PolicyDenied, 1));
    reaches(&mut left, &mut right, &(Vnet::default(), THIN.syn(1, 2, (40_000, 23), None)))?;
    assert_eq!(right.shared.drops.get(Drop::Unsolicited), 2);
    Ok(())
}

#[test]
fn a_first_fragment_that_hides_its_port_does_not_pass_behind_another_of_its_datagram() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    police([&left, &relay, &right], 6, 22);
    let (rogue, sealer) = (Rogue::next_to(&relay, 1)?, right.record_rogue(1));
    sealer.reserve(1000);
    reaches(&mut left, &mut right, &(Vnet::default(), THIN.syn(1, 2, (40_000, 23), Some(7))))?;
    for (count, veil) in [LONG, MANY].iter().enumerate() {
        let syn = veil.syn(1, 2, (40_000, 22), Some(7));
        rogue.send(honest(1, 2, &syn), &record(&sealer, &syn))?;
        assert!(right.dropped(Drop::Unsolicited, count as u64 + 1));
    }
    Ok(())
}

#[test]
fn datagrams_in_fragments_pass_rules_that_deny_other_protocols_and_other_ports() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    for (id, proto) in [(1, 6), (2, 17)] {
        police([&left, &relay, &right], proto, 22);
        reaches(&mut left, &mut right, &fragment(id, [0x20, 0]))?;
        reaches(&mut left, &mut right, &fragment(id, [0x20, 2]))?;
        reaches(&mut left, &mut right, &fragment(id, [0, 3]))?;
    }
    // Of their own port they do not, first or later.
    police([&left, &relay, &right], 17, 81);
    for (count, place) in [[0x20, 0], [0, 2]].into_iter().enumerate() {
        left.write(&Vnet::default(), &fragment(3, place).1)?;
        assert!(left.dropped(Drop::Unsolicited, count as u64 + 1));
    }
    Ok(())
}
