//! What a link stands on: the face every transport shows to the rest of the link layer.
//!
//! Invariant: whoever holds a carrier cannot tell which transport it is, except by asking its name.

use std::fmt::Debug;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::NodeId;
use crate::outlet::Outlet;
use crate::verify::Certified;

/// Label of the TLS exporter that hop keys come from; its context is the id of the sender, then that of the receiver.
pub(crate) const HOP_LABEL: &[u8] = b"EXPORTER-pulse hop v1";
/// What a close may say, in bytes.
const CLOSE_TEXT: usize = 100;

/// Why we close: the code on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Close {
    /// Wanted; the text says why.
    Leaving = 0,
    /// Another link of the same pair stays.
    Duplicate = 0x10,
    /// The node dialled itself.
    Oneself = 0x11,
    /// Our trust does not cover the peer any more.
    Untrusted = 0x12,
    /// The peer broke the protocol.
    Broken = 0x13,
}

/// How a carrier ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    /// One word for `DialFailed`.
    pub(crate) code: &'static str,
    /// A phrase for people.
    pub(crate) text: String,
}

impl Ended {
    pub(crate) fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }

    /// True if whoever is there was met, so that another transport would end in the same way.
    pub(crate) fn is_final(&self) -> bool {
        ["certificate", "refused", "self", "duplicate", "identity"].contains(&self.code)
    }
}

/// One connection to a neighbour, mutually verified.
pub(crate) trait Carrier: Debug + Send + Sync {
    /// Its name in events: `quic` or `websocket`.
    fn transport(&self) -> &'static str;

    /// Where the neighbour is seen now.
    fn remote(&self) -> SocketAddr;

    /// The address of ours it was made to; none if we dialled.
    fn local(&self) -> Option<IpAddr>;

    /// The key of frames from `sender` to `receiver`: the exporter under `HOP_LABEL` and both ids.
    fn hop_key(&self, sender: &NodeId, receiver: &NodeId) -> io::Result<[u8; 32]>;

    /// End it; the peer hears code and text.
    fn close(&self, why: Close, text: &str);

    /// True once it ended.
    fn is_over(&self) -> bool;

    /// Wait for its end.
    fn ended(&self) -> Pin<Box<dyn Future<Output = Ended> + Send + '_>>;
}

/// The reading half of a control stream.
pub(crate) type Reader = Box<dyn AsyncRead + Send + Unpin>;
/// The writing half.
pub(crate) type Writer = Box<dyn AsyncWrite + Send + Unpin>;

/// A verified connection and its control stream, before the hellos.
pub(crate) struct Candidate {
    pub(crate) carrier: Arc<dyn Carrier>,
    pub(crate) certified: Certified,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) outlet: Outlet,
}

/// Why a read or write of the control stream failed: the end of its connection says it best.
pub(crate) async fn explain_failure(carrier: &dyn Carrier, error: &io::Error) -> Ended {
    // quinn tells the stream and the connection at the same time.
    let ended = tokio::time::timeout(Duration::from_millis(50), carrier.ended()).await;
    ended.unwrap_or_else(|_| Ended::new("broken", error.to_string()))
}

/// What a peer that closed with this code and these words meant.
pub(crate) fn closed_by_peer(code: u32, reason: &[u8]) -> Ended {
    if code == Close::Duplicate as u32 {
        return Ended::new("duplicate", "another link to this node stays");
    }
    if code == Close::Oneself as u32 {
        return Ended::new("self", "the address is our own");
    }
    let word = if code == Close::Untrusted as u32 { "refused" } else { "broken" };
    Ended::new(word, format!("closed by peer: {}", printable(reason)))
}

/// Text of a peer, fit for a log: no control characters, not long.
pub(crate) fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text).chars().filter(|letter| !letter.is_control()).take(CLOSE_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_cannot_put_control_characters_into_our_log() {
        let ended = closed_by_peer(0, b"bye\x1b[2J\n\xff");
        assert_eq!(ended.text, "closed by peer: bye[2J\u{fffd}");
        assert_eq!(printable(&[b'x'; 5000]).len(), CLOSE_TEXT);
    }

    #[test]
    fn each_close_has_its_word() {
        assert_eq!(closed_by_peer(0x10, b"").code, "duplicate");
        assert_eq!(closed_by_peer(0x11, b"").code, "self");
        assert_eq!(closed_by_peer(0x12, b"").code, "refused");
    }
}
