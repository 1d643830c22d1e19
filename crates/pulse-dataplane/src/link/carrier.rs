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

use crate::verify::Certified;

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
}

/// One connection to a neighbour, mutually verified.
pub(crate) trait Carrier: Debug + Send + Sync {
    /// Its name in events: `quic`.
    fn transport(&self) -> &'static str;

    /// Where the neighbour is seen now.
    fn remote(&self) -> SocketAddr;

    /// The address of ours it was made to; none if we dialled.
    fn local(&self) -> Option<IpAddr>;

    /// 32 bytes that only the two ends of this connection know.
    fn export(&self, label: &[u8], context: &[u8]) -> io::Result<[u8; 32]>;

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
}

/// Why a read or write of the control stream failed: the end of its connection says it best.
pub(crate) async fn explain_failure(carrier: &dyn Carrier, error: &io::Error) -> Ended {
    // quinn tells the stream and the connection at the same time.
    let ended = tokio::time::timeout(Duration::from_millis(50), carrier.ended()).await;
    ended.unwrap_or_else(|_| Ended::new("broken", error.to_string()))
}
