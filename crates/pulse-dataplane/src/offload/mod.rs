//! Super-packets: what lets 64 kB cross the kernel border in one call.
//!
//! The TUN hands us TCP and UDP segments still joined and their checksums unfinished; we split them into
//! packets that fit the path, and join what arrives before it is written back.
//! Invariant: joining after splitting gives the same super-packet back, bit for bit.

pub mod checksum;
mod coalesce;
pub mod icmp;
pub mod mss;
pub mod reject;
mod shape;
mod split;
#[cfg(test)]
pub(crate) mod testing;
pub mod toobig;
mod vnet;

pub use coalesce::{Coalescer, Sink};
pub use shape::{Shape, destination, ends, source};
pub use split::{MOST_HEADERS, Split, finish_each, settle};
pub use vnet::{Gso, VNET_HEADER, Vnet};
