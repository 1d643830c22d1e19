//! The data plane of pulse: everything that moves bytes.
//!
//! Python decides and sets tables; this crate carries them out. Two neighbours share a *link* (QUIC),
//! packets travel as *frames* over links, any two nodes share an end-to-end *session* (QUIC inside
//! frames), and keys agreed on a session seal IP packets as *records*.
//! Invariant: no packet path takes a lock a packet, reads a clock, allocates or calls into Python.

pub mod apart;
pub mod birthday;
pub mod clock;
pub mod conntrack;
pub mod dataplane;
pub mod event;
pub mod fec;
pub mod flow;
pub mod forward;
pub mod frame;
#[cfg(test)]
mod fuzz;
pub mod hello;
pub mod hits;
pub mod inbox;
pub mod join;
pub mod keys;
pub mod link;
pub mod offload;
pub mod outlet;
pub mod path;
pub mod policy;
pub mod probe;
pub mod punch;
pub mod report;
pub mod seal;
pub mod session;
pub mod signal;
pub mod socket;
pub mod stats;
pub mod stream;
pub mod tables;
pub mod tls;
pub mod tun;
#[cfg(test)]
mod vectors;
pub mod verdicts;
pub mod verify;

use std::net::Ipv4Addr;

/// SHA-256 of a node's SubjectPublicKeyInfo.
pub type NodeId = [u8; 32];

/// A node's IPv4 mesh address: its short name on the wire.
pub type Handle = Ipv4Addr;

/// Our receive index of a link: what a neighbour writes into frames for us, and our name for the link.
pub type LinkId = u32;
