//! Which transport a dial takes: QUIC at once, a WebSocket a moment later, and whichever is verified first.
//!
//! As happy eyeballs (RFC 8305) race address families. Invariant: QUIC wins where it works at all as fast; that a
//! WebSocket fails never ends the attempt over QUIC.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::Desk;
use super::carrier::{Candidate, Ended};
use super::knock::{self, oneself};
use super::meeting::greet;
use super::wss::{self, Proxy};
use crate::{LinkId, NodeId, birthday};

/// What a dial may try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transports {
    /// Try QUIC, at once.
    pub quic: bool,
    /// Try a WebSocket too, so long after the start.
    pub websocket: Option<Duration>,
    /// The proxy that WebSockets go through.
    pub proxy: Option<Proxy>,
    /// QUIC goes through the hole of that attempt by birthday, from the socket its probes came in by; 0 for none.
    pub hole: u64,
}

impl Default for Transports {
    fn default() -> Self {
        Self { quic: true, websocket: None, proxy: None, hole: 0 }
    }
}

/// Dial a link and see it through to the end of its hellos.
pub(crate) async fn dial(
    desk: &Arc<Desk>,
    address: SocketAddr,
    expect: Option<NodeId>,
    dial: u64,
    replaces: LinkId,
    transports: Transports,
) -> Result<(), Ended> {
    if expect.is_some() && expect == desk.me() {
        return Err(oneself());
    }
    if desk.shared.is_inside(address.ip()) {
        return Err(Ended::new("inside", "that is an address inside the mesh, which links are to carry"));
    }
    let from = birthday::take(&desk.shared, transports.hole);
    let quic = || knock::dial(desk, address, expect, from);
    let candidate: Candidate = first(transports, quic, |proxy| wss::dial(desk, address, expect, proxy)).await?;
    let node = candidate.certified.node;
    greet(desk, candidate, dial, replaces).await.map_err(|ended| meets(node, ended))
}

/// A duplicate tells who lives at the address: the node's id in hex takes the place of words.
fn meets(node: NodeId, ended: Ended) -> Ended {
    if ended.code != "duplicate" {
        return ended;
    }
    Ended::new("duplicate", node.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// What the first transport to succeed gives.
pub(crate) async fn first<T, Q, W>(
    transports: Transports,
    quic: impl FnOnce() -> Q,
    websocket: impl FnOnce(Option<Proxy>) -> W,
) -> Result<T, Ended>
where
    Q: Future<Output = Result<T, Ended>>,
    W: Future<Output = Result<T, Ended>>,
{
    match (transports.quic, transports.websocket) {
        // Handshakes are large: boxed, they cost nothing while they wait.
        (true, Some(head_start)) => race(Box::pin(quic()), head_start, Box::pin(websocket(transports.proxy))).await,
        (true, None) => Box::pin(quic()).await,
        (false, Some(_)) => Box::pin(websocket(transports.proxy)).await,
        (false, None) => Err(Ended::new("unreachable", "no transport is left to try")),
    }
}

async fn race<T>(
    quic: impl Future<Output = Result<T, Ended>>,
    head_start: Duration,
    websocket: impl Future<Output = Result<T, Ended>>,
) -> Result<T, Ended> {
    tokio::pin!(quic, websocket);
    let behind = async {
        sleep(head_start).await;
        (&mut websocket).await
    };
    tokio::select! {
        biased;
        made = &mut quic => match made {
            Err(ended) if !ended.is_final() => websocket.await.map_err(|other| both(ended, &other)),
            made => made,
        },
        made = behind => match made {
            Err(other) => quic.await.map_err(|ended| both(ended, &other)),
            made => made,
        },
    }
}

/// Why neither came to anything: QUIC's reason, unless the WebSocket met somebody who said more.
fn both(quic: Ended, websocket: &Ended) -> Ended {
    if websocket.is_final() && !quic.is_final() {
        return websocket.clone();
    }
    if quic.code == "timeout" && websocket.code == "closed" {
        return Ended::new("closed", "no answer over UDP, and nothing listens there on TCP");
    }
    Ended { text: format!("{}; over WebSocket: {}", quic.text, websocket.text), ..quic }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::{pending, ready};

    use super::*;

    const SOON: Duration = Duration::from_millis(1);
    const NEVER: Duration = Duration::from_secs(3600);

    type Made = Result<&'static str, Ended>;

    fn failed(code: &'static str) -> Made {
        Err(Ended::new(code, format!("it was {code}")))
    }

    #[tokio::test]
    async fn quic_that_works_is_taken_and_a_websocket_serves_where_it_is_silent() {
        assert_eq!(race(ready(Ok("quic")), SOON, ready(Ok("websocket"))).await, Ok("quic"));
        assert_eq!(race(pending::<Made>(), SOON, ready(Ok("websocket"))).await, Ok("websocket"));
    }

    #[tokio::test]
    async fn a_websocket_does_not_wait_for_its_turn_once_quic_failed() {
        assert_eq!(race(ready(failed("unreachable")), NEVER, ready(Ok("websocket"))).await, Ok("websocket"));
    }

    #[tokio::test]
    async fn who_was_refused_over_quic_is_not_tried_again() {
        assert_eq!(race(ready(failed("certificate")), NEVER, ready(Ok("websocket"))).await, failed("certificate"));
    }

    #[tokio::test]
    async fn a_websocket_that_fails_ends_nothing() {
        let slow = async {
            sleep(Duration::from_millis(20)).await;
            Ok("quic")
        };
        assert_eq!(race(slow, SOON, ready(failed("refused"))).await, Ok("quic"));
    }

    #[tokio::test]
    async fn of_two_reasons_the_telling_one_is_told() {
        let ended = race(ready(failed("timeout")), SOON, ready(failed("certificate"))).await.unwrap_err();
        assert_eq!(ended.code, "certificate");
        let ended = race(ready(failed("timeout")), SOON, ready(failed("closed"))).await.unwrap_err();
        assert_eq!(ended.code, "closed");
        let ended = race(ready(failed("timeout")), SOON, ready(failed("unreachable"))).await.unwrap_err();
        assert_eq!(ended, Ended::new("timeout", "it was timeout; over WebSocket: it was unreachable"));
    }

    #[tokio::test]
    async fn what_may_not_be_tried_is_not() {
        let only = |quic, websocket| {
            first(
                Transports { quic, websocket, ..Transports::default() },
                || ready(Ok("quic")),
                |_| ready(Ok("websocket")),
            )
        };
        assert_eq!(only(true, None).await, Ok("quic"));
        assert_eq!(only(false, Some(NEVER)).await, Ok("websocket"));
        assert_eq!(only(false, None).await.unwrap_err().code, "unreachable");
    }
}
