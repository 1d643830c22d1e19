//! The table of addresses, from what Python names.
//!
//! Invariant: a node that stays keeps its `Peer`, and with it its keys, counters and waiting packets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwapOption;

use crate::NodeId;
use crate::stats::Traffic;
use crate::tables::{Addresses, Owner, Peer};
use crate::verify::short;

/// Who owns a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ownership {
    /// The network address; bits after `length` are ignored.
    pub network: IpAddr,
    /// Bits of the prefix.
    pub length: u8,
    /// The node behind it.
    pub node: NodeId,
    /// Packets to it go to the node.
    pub destination: bool,
    /// Packets from it may come from the node.
    pub source: bool,
}

impl Ownership {
    /// True for what no packet goes to and none comes from by this prefix.
    fn is_closed(&self) -> bool {
        !self.destination && !self.source
    }

    fn is_host(&self) -> bool {
        self.length == if self.network.is_ipv4() { 32 } else { 128 }
    }
}

/// A table of these owners, longest prefix first; of two owners of one prefix the first named is where packets go. What is
/// ours, `me`, is what others reach through us, or, where nothing comes or goes by it, a prefix of the mesh itself.
pub(super) fn build(owners: &[Ownership], before: &Addresses, me: Option<NodeId>) -> Result<Addresses, String> {
    let (ours, owners): (Vec<_>, Vec<_>) = owners.iter().copied().partition(|owned| Some(owned.node) == me);
    let peers = peers(&owners, before)?;
    let (mesh, ours): (Vec<_>, Vec<_>) = ours.into_iter().partition(Ownership::is_closed);
    let prefixes = |owned: Vec<Ownership>| owned.iter().map(|each| (each.network, each.length)).collect();
    let mut table = Addresses { peers, behind_us: prefixes(ours), mesh: prefixes(mesh), ..Addresses::default() };
    for owned in &owners {
        let Some(peer) = table.peers.get(&owned.node) else { continue };
        let owner = Owner { peer: Arc::clone(peer), destination: owned.destination, source: owned.source };
        if owned.is_host() {
            table.hosts.entry(owned.network).or_insert(owner);
        } else {
            table.networks.push((owned.network, owned.length, owner));
        }
    }
    table.networks.sort_by_key(|(_, length, _)| std::cmp::Reverse(*length));
    Ok(table)
}

fn peers(owners: &[Ownership], before: &Addresses) -> Result<HashMap<NodeId, Arc<Peer>>, String> {
    let mut own: HashMap<NodeId, (Option<Ipv4Addr>, Option<Ipv6Addr>)> = HashMap::new();
    for owned in owners {
        let (v4, v6) = own.entry(owned.node).or_default();
        match owned.network {
            IpAddr::V4(address) if owned.is_host() => drop(v4.get_or_insert(address)),
            IpAddr::V6(address) if owned.is_host() => drop(v6.get_or_insert(address)),
            _ => {}
        }
    }
    let peer = |(node, addresses)| match addresses {
        (Some(handle), Some(v6)) => Ok((node, kept_or_new(before, node, handle, v6))),
        _ => Err(format!("node {} needs its own /32 and its own /128", short(&node))),
    };
    own.into_iter().map(peer).collect()
}

fn kept_or_new(before: &Addresses, node: NodeId, handle: Ipv4Addr, v6: Ipv6Addr) -> Arc<Peer> {
    let kept = before.peers.get(&node).filter(|peer| peer.handle == handle && peer.v6 == v6);
    kept.cloned().unwrap_or_else(|| {
        Arc::new(Peer {
            node,
            handle,
            v6,
            sealer: ArcSwapOption::empty(),
            waiting: Mutex::new(VecDeque::new()),
            traffic: Traffic::default(),
            fec: Arc::default(),
            wanted_at: AtomicU64::new(0),
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn owns(prefix: &str, node: u8) -> Ownership {
        let (network, length) = prefix.split_once('/').unwrap();
        let (network, length) = (network.parse().unwrap(), length.parse().unwrap());
        Ownership { network, length, node: [node; 32], destination: true, source: true }
    }

    fn mesh() -> Vec<Ownership> {
        vec![owns("10.100.0.1/32", 1), owns("fd00::1/128", 1), owns("10.100.0.2/32", 2), owns("fd00::2/128", 2)]
    }

    #[test]
    fn the_longest_prefix_wins() {
        let behind = [owns("10.0.0.0/8", 1), owns("10.1.0.0/16", 2)];
        let table = build(&[&mesh()[..], &behind].concat(), &Addresses::default(), None).unwrap();
        let owner = |address: &str| table.destination(address.parse().unwrap()).map(|owner| owner.peer.node[0]);
        assert_eq!(owner("10.100.0.2"), Some(2));
        assert_eq!(owner("10.1.9.9"), Some(2));
        assert_eq!(owner("10.2.9.9"), Some(1));
        assert_eq!(owner("192.0.2.1"), None);
    }

    #[test]
    fn an_owner_that_is_no_destination_is_passed_over_for_the_next() {
        let backup = Ownership { destination: false, ..owns("192.168.7.0/24", 1) };
        let table = [&mesh()[..], &[backup, owns("192.168.7.0/24", 2)]].concat();
        let table = build(&table, &Addresses::default(), None).unwrap();
        let address = "192.168.7.7".parse().unwrap();
        assert_eq!(table.destination(address).map(|owner| owner.peer.node[0]), Some(2));
        assert_eq!([1, 2, 3].map(|node| table.source_of(address, &[node; 32])), [Some(24), Some(24), None]);
    }

    #[test]
    fn what_is_ours_is_behind_us_and_the_whole_internet_is_the_public_one() {
        let ours = [owns("0.0.0.0/0", 9), owns("192.168.7.0/24", 9)];
        let table = build(&[&mesh()[..], &ours].concat(), &Addresses::default(), Some([9; 32])).unwrap();
        let behind = |address: &str| table.is_behind_us(address.parse().unwrap());
        assert!(behind("203.0.113.9") && behind("192.168.7.7"));
        for never in ["192.168.8.7", "169.254.169.254", "127.0.0.1", "100.64.0.1", "10.100.0.2", "10.0.0.1", "fd00::9"]
        {
            assert!(!behind(never), "{never}");
        }
        assert!(!table.peers.contains_key(&[9; 32]));
    }

    #[test]
    fn no_range_holds_a_mesh_address_whether_a_node_has_it_or_none() {
        let closed = |prefix| Ownership { destination: false, source: false, ..owns(prefix, 9) };
        let ranges = [owns("10.0.0.0/8", 1), owns("fd00::/8", 1), closed("10.100.0.0/16"), closed("fd00::/48")];
        let theirs = build(&[&mesh()[..], &ranges].concat(), &Addresses::default(), Some([9; 32])).unwrap();
        let ours = [owns("10.0.0.0/8", 9), owns("fd00::/8", 9), closed("10.100.0.0/16"), closed("fd00::/48")];
        let ours = build(&[&mesh()[..], &ours].concat(), &Addresses::default(), Some([9; 32])).unwrap();
        for nobody in ["10.100.0.77", "fd00::77"].map(|each| each.parse().unwrap()) {
            assert!(theirs.destination(nobody).is_none() && theirs.source_of(nobody, &[1; 32]).is_none());
            assert!(!theirs.is_beyond(nobody) && !ours.is_behind_us(nobody));
        }
        for beyond in ["10.7.0.77", "fd77::77"].map(|each| each.parse().unwrap()) {
            assert!(theirs.destination(beyond).is_some() && theirs.source_of(beyond, &[1; 32]).is_some());
            assert!(theirs.is_beyond(beyond) && ours.is_behind_us(beyond));
        }
        assert_eq!(theirs.source_of("10.100.0.2".parse().unwrap(), &[2; 32]), Some(32));
        assert_eq!(theirs.source_of("10.100.0.2".parse().unwrap(), &[1; 32]), None);
    }

    #[test]
    fn both_floors_agree_on_what_is_public() {
        for line in include_str!("../../../../tests/vectors/public.txt").lines() {
            let (address, public) = line.split_once(' ').unwrap();
            assert_eq!(crate::tables::is_public(address.parse().unwrap()), public == "public", "{line}");
        }
    }

    #[test]
    fn a_node_that_stays_keeps_its_peer() {
        let before = build(&mesh(), &Addresses::default(), None).unwrap();
        let after = build(&[&mesh()[..2], &[owns("10.100.0.9/32", 2), owns("fd00::2/128", 2)]].concat(), &before, None)
            .unwrap();
        assert!(Arc::ptr_eq(&before.peers[&[1; 32]], &after.peers[&[1; 32]]));
        assert!(!Arc::ptr_eq(&before.peers[&[2; 32]], &after.peers[&[2; 32]]));
    }

    #[test]
    fn a_node_without_a_mesh_address_of_each_family_is_refused() {
        let lone = build(&[owns("10.100.0.1/32", 1)], &Addresses::default(), None);
        assert!(lone.unwrap_err().contains("/128"));
    }
}
