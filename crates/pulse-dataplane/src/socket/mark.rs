//! The mark by which the system tells our own packets from those it is to send through the mesh.
//!
//! Invariant: every socket of the underlay bears it, so that no routing table for what goes through an exit takes the
//! packets that bring it there.

use std::os::fd::AsFd;

use socket2::SockRef;

/// Four letters of our name; `net/policyrouting.py` has the rules that know it.
pub const MARK: u32 = 0x7075_6c73;

/// Mark a socket. It takes CAP_NET_ADMIN, without which there is no TUN device to tell anything from.
pub fn mark(socket: &impl AsFd) {
    let _unmarked = SockRef::from(socket).set_mark(MARK);
}
