//! Streams to a destination behind the peer: offered, judged by Python at the far end, then spliced.
//!
//! Invariant: a stream of ours ends in exactly one `StreamRefused` or `StreamClosed`; one of theirs in
//! `StreamClosed`, unless we refused it ourselves.

use tokio::time::timeout;

use super::pipe::{Kind, Pipe};
use super::splice::{Ending, Local, Moved, splice};
use super::{Carrier, Order, Streams, Ticket, refusal};
use crate::event::{Event, Level};

/// Offers of one peer that may wait for an answer at a time.
pub const PENDING_LIMIT: usize = 256;

/// Run one stream of ours; `carrier` resolves once there is a session, or to a refusal code.
pub(super) async fn open(
    streams: &Streams,
    mut ticket: Ticket<Order>,
    carrier: impl Future<Output = Result<Carrier, u32>>,
    header: &[u8],
) {
    let stream = ticket.id;
    let offered = timeout(streams.deadlines.answer, offer(carrier, header));
    let outcome = tokio::select! {
        outcome = offered => outcome.unwrap_or(Err(refusal::TIMEOUT)),
        // Any order before the answer gives the stream up.
        _ = ticket.next() => Err(refusal::CANCELLED),
    };
    match outcome {
        Err(code) => streams.shared.bus.emit(Event::StreamRefused { stream, code }),
        Ok((carrier, pipe)) => {
            streams.shared.bus.emit(Event::StreamAccepted { stream });
            carry(streams, &carrier, ticket, pipe).await;
        }
    }
}

async fn offer(carrier: impl Future<Output = Result<Carrier, u32>>, header: &[u8]) -> Result<(Carrier, Pipe), u32> {
    let carrier = carrier.await?;
    let _open = carrier.load.stream();
    let mut pipe = Pipe::new(carrier.connection.open_bi().await.map_err(|_| refusal::LOST)?);
    pipe.write_header(Kind::Tcp, header).await.map_err(|_| refusal::LOST)?;
    pipe.answer().await?;
    Ok((carrier.clone(), pipe))
}

/// The far side accepted: splice with the descriptor we are given.
async fn carry(streams: &Streams, carrier: &Carrier, mut ticket: Ticket<Order>, pipe: Pipe) {
    let _open = carrier.load.stream();
    let order = tokio::select! {
        order = timeout(streams.deadlines.answer, ticket.next()) => order.ok().flatten(),
        _ = pipe.send.stopped() => None,
    };
    let moved = Moved::default();
    let cut = match order {
        None => broken(carrier),
        Some(order) => match streams.local(order) {
            Some(local) => run(carrier, local, pipe, &mut ticket, &moved).await,
            None => refusal::CANCELLED,
        },
    };
    closed(streams, ticket.id, &moved, cut);
}

/// A stream of theirs: ask Python, answer, splice.
pub(super) async fn accepted(streams: &Streams, carrier: &Carrier, pipe: Pipe, header: Vec<u8>) {
    let Some(pending) = carrier.load.offer() else { return pipe.refuse(refusal::BUSY).await };
    let mut ticket = streams.orders.open(streams.next_id());
    let stream = ticket.id;
    streams.shared.bus.emit(Event::StreamOffered { stream, node: carrier.node, header });
    let order = tokio::select! {
        order = timeout(streams.deadlines.answer, ticket.next()) => order.ok().flatten(),
        _ = pipe.send.stopped() => Some(Order::Cancel),
    };
    drop(pending);
    let moved = Moved::default();
    let cut = match order {
        Some(Order::Refuse(code)) => return pipe.refuse(code).await,
        Some(Order::Cancel) => refusal::CANCELLED,
        None => {
            pipe.refuse(refusal::TIMEOUT).await;
            refusal::TIMEOUT
        }
        Some(order) => answer(streams, carrier, &mut ticket, pipe, order, &moved).await,
    };
    closed(streams, stream, &moved, cut);
}

async fn answer(
    streams: &Streams,
    carrier: &Carrier,
    ticket: &mut Ticket<Order>,
    mut pipe: Pipe,
    order: Order,
    moved: &Moved,
) -> u32 {
    let Some(local) = streams.local(order) else {
        pipe.refuse(refusal::LOST).await;
        return refusal::LOST;
    };
    if pipe.accept().await.is_err() {
        return refusal::LOST;
    }
    run(carrier, local, pipe, ticket, moved).await
}

/// Splice until the end or an order to cancel; other orders make no sense by now. What cut it, or 0.
async fn run(carrier: &Carrier, local: Local, pipe: Pipe, ticket: &mut Ticket<Order>, moved: &Moved) -> u32 {
    let cancelled = async { while !matches!(ticket.next().await, Some(Order::Cancel) | None) {} };
    match splice(local, pipe, moved, cancelled).await {
        Ending::Whole => 0,
        Ending::Cancelled => refusal::CANCELLED,
        Ending::Broken => broken(carrier),
    }
}

/// What a program did and what came of a lost session look alike to who moves bytes.
fn broken(carrier: &Carrier) -> u32 {
    if carrier.connection.close_reason().is_some() { refusal::LOST } else { refusal::RESET }
}

fn closed(streams: &Streams, stream: u64, moved: &Moved, cut: u32) {
    let (sent, received) = moved.both();
    streams.shared.bus.emit(Event::StreamClosed { stream, sent, received, cut });
}

impl Streams {
    /// The socket of an order to splice, if it is one and can be used.
    fn local(&self, order: Order) -> Option<Local> {
        let Order::Splice(fd) = order else { return None };
        let failed = |error| self.shared.bus.log(Level::Warning, format!("stream descriptor not usable: {error}"));
        Local::new(fd).map_err(failed).ok()
    }
}
