//! Where the packets of a link leave: the shared UDP socket, one of its own, or batches through a WebSocket.
//!
//! ```text
//! message: 0 | bytes of the control stream        or        1 | stride 2 | packets of `stride` bytes, back to back
//! ```
//! Invariant: a WebSocket never makes anybody wait: of what its queue does not take the packets are lost, as a full
//! socket buffer would lose them; and so is what waited too long, or a slow line would be seconds late for all.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::apart::Apart;
use crate::signal::Signal;
use crate::socket::Socket;
use crate::tables::Link;

/// First byte of a message that carries the control stream.
pub const CONTROL: u8 = 0;
/// First byte of a message that carries packets.
pub const PACKETS: u8 = 1;
/// Longest packet that goes into a batch: no path of a WebSocket has a size of its own.
pub const LONGEST: usize = 16 << 10;
/// Kind and stride.
const HEAD: usize = 3;
/// Batches that may wait.
const BATCHES: usize = 128;
/// How long one may wait: a line that is slower than what is sent is to lose packets, by which TCP inside knows.
const PATIENCE: Duration = Duration::from_millis(200);

/// Where packets leave.
#[derive(Debug)]
pub enum Outlet {
    /// The one UDP socket.
    Udp,
    /// A UDP socket that is this link's alone.
    Apart(Arc<Apart>),
    /// A WebSocket, through this queue of messages.
    WebSocket(mpsc::Sender<Batch>),
}

/// Packets in one message, and since when they wait.
#[derive(Debug)]
pub struct Batch {
    message: Bytes,
    since: Instant,
}

impl Batch {
    /// The message, unless it waited too long.
    pub fn fresh(self) -> Option<Bytes> {
        (self.since.elapsed() < PATIENCE).then_some(self.message)
    }
}

/// The queue of a new WebSocket, and its far end.
pub fn queue() -> (Outlet, mpsc::Receiver<Batch>) {
    let (queue, batches) = mpsc::channel(BATCHES);
    (Outlet::WebSocket(queue), batches)
}

/// The packets in a message: their stride, and the bytes they lie in; none if there are none.
pub fn packets(message: &mut [u8]) -> Option<(usize, &mut [u8])> {
    let ([PACKETS, high, low], packets) = message.split_first_chunk_mut::<HEAD>()? else { return None };
    let stride = usize::from(u16::from_be_bytes([*high, *low]));
    (stride > 0 && !packets.is_empty()).then_some((stride, packets))
}

impl Outlet {
    /// True for a UDP socket.
    pub fn is_udp(&self) -> bool {
        matches!(self, Self::Udp | Self::Apart(_))
    }
}

impl Link {
    /// Let datagrams of `stride` bytes (the last may be shorter) that lie back to back leave for `to`, which a WebSocket
    /// leads to anyway. Never waits. Errors as `Socket::send_gso`; a full queue is ENOBUFS.
    pub fn send(&self, socket: &Socket, bytes: &[u8], stride: usize, to: SocketAddr) -> io::Result<()> {
        match &self.outlet {
            Outlet::Udp => socket.send_gso(bytes, stride, to, self.local),
            Outlet::Apart(apart) => lost_if_full(apart.socket.send_gso(bytes, stride, to, self.local)),
            Outlet::WebSocket(queue) => push(queue, &[IoSlice::new(bytes)], stride),
        }
    }

    /// As `send`, of datagrams that lie apart: at most 64 and 65,000 bytes, all of one size but the last.
    pub fn send_gathered(&self, socket: &Socket, datagrams: &[IoSlice<'_>]) -> io::Result<()> {
        match &self.outlet {
            Outlet::Udp => socket.send_gathered(datagrams, **self.remote.load(), self.local),
            Outlet::Apart(apart) => {
                lost_if_full(apart.socket.send_gathered(datagrams, **self.remote.load(), self.local))
            }
            Outlet::WebSocket(queue) => push(queue, datagrams, datagrams.first().map_or(0, |first| first.len())),
        }
    }

    /// As `send`, but waits while the UDP socket is full, until `stop`.
    pub fn send_blocking(&self, socket: &Socket, bytes: &[u8], stride: usize, stop: &Signal) -> io::Result<()> {
        match &self.outlet {
            Outlet::Udp => socket.send_blocking(bytes, stride, **self.remote.load(), self.local, stop),
            Outlet::Apart(apart) => apart.socket.send_blocking(bytes, stride, **self.remote.load(), self.local, stop),
            Outlet::WebSocket(queue) => push(queue, &[IoSlice::new(bytes)], stride),
        }
    }
}

/// Who waits for room waits for that of the shared socket.
fn lost_if_full(sent: io::Result<()>) -> io::Result<()> {
    match sent {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::from_raw_os_error(libc::ENOBUFS)),
        sent => sent,
    }
}

fn push(queue: &mpsc::Sender<Batch>, pieces: &[IoSlice<'_>], stride: usize) -> io::Result<()> {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let Ok(stride) = u16::try_from(stride.min(length)) else { return Err(io::ErrorKind::InvalidInput.into()) };
    // Looked at first: a copy that finds no room would be for nothing.
    let Ok(place) = queue.try_reserve() else { return Err(io::Error::from_raw_os_error(libc::ENOBUFS)) };
    let mut message = Vec::with_capacity(HEAD + length);
    message.push(PACKETS);
    message.extend_from_slice(&stride.to_be_bytes());
    pieces.iter().for_each(|piece| message.extend_from_slice(piece));
    place.send(Batch { message: message.into(), since: Instant::now() });
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn queued() -> (mpsc::Sender<Batch>, mpsc::Receiver<Batch>) {
        let (Outlet::WebSocket(sender), batches) = queue() else { unreachable!("a queue is a queue") };
        (sender, batches)
    }

    #[test]
    fn packets_come_out_as_they_went_in() {
        let (sender, mut batches) = queued();
        push(&sender, &[IoSlice::new(&[7; 20]), IoSlice::new(&[8; 20]), IoSlice::new(&[9; 5])], 20).unwrap();
        let mut message = Vec::from(batches.try_recv().unwrap().fresh().unwrap());
        let (stride, bytes) = packets(&mut message).unwrap();
        let lengths: Vec<(usize, u8)> = bytes.chunks(stride).map(|packet| (packet.len(), packet[0])).collect();
        assert_eq!(lengths, [(20, 7), (20, 8), (5, 9)]);
    }

    #[test]
    fn a_full_queue_loses_what_does_not_fit_and_waits_for_nobody() {
        let (sender, mut batches) = queued();
        for _ in 0..BATCHES {
            push(&sender, &[IoSlice::new(&[1])], 1).unwrap();
        }
        let refused = push(&sender, &[IoSlice::new(&[2])], 1).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::ENOBUFS));
        batches.try_recv().unwrap();
        push(&sender, &[IoSlice::new(&[3])], 1).unwrap();
    }

    #[test]
    fn what_waited_too_long_is_lost() {
        let (sender, mut batches) = queued();
        push(&sender, &[IoSlice::new(&[1])], 1).unwrap();
        let mut batch = batches.try_recv().unwrap();
        batch.since -= PATIENCE;
        assert_eq!(batch.fresh(), None);
    }

    #[test]
    fn what_is_no_batch_has_no_packets() {
        for message in
            [&mut [][..], &mut [PACKETS], &mut [PACKETS, 0, 1], &mut [PACKETS, 0, 0, 9], &mut [CONTROL, 0, 1, 9]]
        {
            assert_eq!(packets(message), None);
        }
    }
}
