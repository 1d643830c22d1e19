//! Counters: why packets were dropped, and what each link and peer carried.
//!
//! Invariant: counting is one relaxed add; reading is a snapshot that may be a few packets old.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! drops {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Why a packet was dropped.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Drop { $($(#[$doc])* $name),+ }

        /// The reasons as metrics and `statistics()` name them, in the order of `Drop`.
        pub const DROP_NAMES: &[&str] = &[$($text),+];
    };
}

drops! {
    /// First byte of a datagram that is nobody's.
    UnknownKind = "unknown_kind",
    /// Shorter than its own header.
    Truncated = "truncated",
    /// No link or record key under that index.
    UnknownIndex = "unknown_index",
    /// The seal did not open.
    BadSeal = "bad_seal",
    /// Counter seen before or too old.
    Replayed = "replayed",
    /// The other copy of a record that was sent over two ways, or one that came after parity had repaired it.
    Duplicate = "duplicate",
    /// A frame for a node that is not us, of a kind that is never passed on.
    NotForUs = "not_for_us",
    /// A frame that took all the hops it may take.
    TtlExceeded = "ttl_exceeded",
    /// A frame to pass on from a node we do not know, or from the very node it is for.
    UnknownSource = "unknown_source",
    /// A frame of our own came back: a loop, or somebody uses our handle.
    OwnSource = "own_source",
    /// The only way on is the link it came over.
    NoWayButBack = "no_way_but_back",
    /// A frame that only a link of ours to its destination may carry, and we have none.
    NotAdjacent = "not_adjacent",
    /// No rule allows the flow.
    PolicyDenied = "policy_denied",
    /// Only the other direction is allowed, and nothing was opened that this would answer.
    Unsolicited = "unsolicited",
    /// More session packets to pass on than one link may ask for.
    RateLimited = "rate_limited",
    /// The packet in a record is not the one the frame's header names.
    HeaderMismatch = "header_mismatch",
    /// One half of a frame whose other half did not come, or did not fit.
    HalfFrame = "half_frame",
    /// Inner packet that is not IPv4 or IPv6, or lies about its length.
    BadPacket = "bad_packet",
    /// Inner source address that is not the sender's.
    SpoofedSource = "spoofed_source",
    /// Inner destination that is not ours.
    ForeignDestination = "foreign_destination",
    /// Packet from the TUN for an address that is no node's.
    UnknownDestination = "unknown_destination",
    /// No link leads to the peer.
    NoRoute = "no_route",
    /// A session was not up in time, or too many packets waited for it.
    NoSession = "no_session",
    /// A queue was full.
    QueueFull = "queue_full",
    /// The kernel refused the send.
    SendFailed = "send_failed",
    /// The kernel refused the write to the TUN.
    TunWriteFailed = "tun_write_failed",
    /// A record key is used up and its successor is not there yet.
    KeyUsedUp = "key_used_up",
    /// Packet from the TUN longer than its path takes whole, whose sender was told so; or a frame longer than any link takes.
    TooBig = "too_big",
    /// Multicast or broadcast: a mesh has none.
    Multicast = "multicast",
    /// A path probe that no session vouches for, or one of too many.
    ProbeRefused = "probe_refused",
    /// A punch probe of no attempt of ours, or one that was heard before.
    StrayProbe = "stray_probe",
    /// A packet thread met a bug of ours; it lost the batch it was working on, and goes on.
    Panicked = "panicked",
}

/// One counter a reason.
#[derive(Debug)]
pub struct Drops([AtomicU64; DROP_NAMES.len()]);

impl Default for Drops {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Drops {
    /// Count one packet.
    pub fn count(&self, reason: Drop) {
        self.add(reason, 1);
    }

    /// Count several packets at once.
    pub fn add(&self, reason: Drop, packets: u64) {
        self.0[reason as usize].fetch_add(packets, Ordering::Relaxed);
    }

    /// Packets dropped for `reason` so far.
    pub fn get(&self, reason: Drop) -> u64 {
        self.0[reason as usize].load(Ordering::Relaxed)
    }

    /// Every reason with its count.
    pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
        DROP_NAMES.iter().zip(&self.0).map(|(name, count)| (*name, count.load(Ordering::Relaxed))).collect()
    }
}

/// Packets and bytes both ways; inner bytes for a peer, outer bytes for a link.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Packets sent.
    pub packets_out: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Packets received.
    pub packets_in: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Of a link: frames of others that were passed on to it.
    pub relayed: AtomicU64,
}

impl Traffic {
    /// Count a batch that left.
    pub fn sent(&self, packets: u64, bytes: u64) {
        self.packets_out.fetch_add(packets, Ordering::Relaxed);
        self.bytes_out.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Count a batch that came.
    pub fn received(&self, packets: u64, bytes: u64) {
        self.packets_in.fetch_add(packets, Ordering::Relaxed);
        self.bytes_in.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Packets both ways: whoever asks twice knows whether there was traffic, without a clock a packet.
    pub fn packets(&self) -> u64 {
        self.packets_out.load(Ordering::Relaxed) + self.packets_in.load(Ordering::Relaxed)
    }
}
