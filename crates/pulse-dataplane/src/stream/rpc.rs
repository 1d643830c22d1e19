//! RPC over a session: a stream a request, opaque bytes both ways.
//!
//! Invariant: every request gets exactly one response event; what a peer sends is bounded before it is read.

use tokio::time::timeout;

use super::pipe::{Kind, Pipe};
use super::{Carrier, Place, Streams, refusal};
use crate::event::Event;

/// Longest request or response, in bytes.
pub const PAYLOAD_LIMIT: usize = 1 << 20;

/// Requests of one peer that may be open at a time; more are refused at once.
pub const OPEN_LIMIT: usize = 64;

/// Ask `carrier`'s peer; `Err` holds a code word.
pub async fn call(carrier: &Carrier, payload: &[u8]) -> Result<Vec<u8>, &'static str> {
    let _open = carrier.load.stream();
    let mut pipe = Pipe::new(carrier.connection.open_bi().await.map_err(|_| "unreachable")?);
    pipe.write_header(Kind::Rpc, &[]).await.map_err(|_| "unreachable")?;
    // A peer that refuses stops reading: its answer tells more than our failed write.
    if pipe.send.write_all(payload).await.is_ok() {
        pipe.end();
    }
    pipe.answer().await.map_err(word)?;
    pipe.recv.read_to_end(PAYLOAD_LIMIT).await.map_err(|error| match error {
        quinn::ReadToEndError::TooLong => "too_large",
        quinn::ReadToEndError::Read(_) => "unreachable",
    })
}

fn word(code: u32) -> &'static str {
    match code {
        refusal::TOO_LARGE => "too_large",
        refusal::LOST => "unreachable",
        _ => "refused",
    }
}

/// Take one request of a peer to Python and its answer back. Python holds the request until it answers, so its place
/// among those of the peer is given back no sooner, even if the asker gave up: else asking and giving up in turn would
/// make Python hold requests without end.
pub(super) async fn serve(streams: &Streams, carrier: &Carrier, mut pipe: Pipe, open: Place) {
    let Some(_request) = carrier.load.request() else { return pipe.refuse(refusal::BUSY).await };
    let payload = match timeout(streams.deadlines.answer, pipe.recv.read_to_end(PAYLOAD_LIMIT)).await {
        Ok(Ok(payload)) => payload,
        Ok(Err(quinn::ReadToEndError::TooLong)) => return pipe.refuse(refusal::TOO_LARGE).await,
        Ok(Err(quinn::ReadToEndError::Read(_))) | Err(_) => return,
    };
    let mut ticket = streams.replies.open(streams.next_id());
    streams.shared.bus.emit(Event::Request { request: ticket.id, node: carrier.node, payload });
    tokio::select! {
        answer = ticket.next() => respond(pipe, answer).await,
        // The asker gave up or is gone.
        _ = pipe.send.stopped() => {
            drop((pipe, open));
            let _ = timeout(streams.deadlines.answer, ticket.next()).await;
        }
    }
}

async fn respond(mut pipe: Pipe, answer: Option<Vec<u8>>) {
    let Some(answer) = answer else { return };
    if answer.len() > PAYLOAD_LIMIT {
        return pipe.refuse(refusal::TOO_LARGE).await;
    }
    if pipe.accept().await.is_ok() && pipe.send.write_all(&answer).await.is_ok() {
        pipe.finish().await;
    }
}
