//! Packets on their way from the UDP thread to a quinn endpoint on the runtime.
//!
//! Invariant: whoever polls registers its waker before it looks a second time, so no wake-up is lost;
//! a full inbox drops (QUIC sees loss) and never blocks the packet thread.

use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};

use crossbeam_queue::ArrayQueue;
use futures_util::task::AtomicWaker;
use quinn::udp::{EcnCodepoint, RecvMeta};

/// One datagram, or a run of datagrams of one size from one sender (the last may be shorter).
#[derive(Debug)]
pub struct Packet {
    /// The datagrams, back to back.
    pub bytes: Vec<u8>,
    /// Size of each but the last; `bytes.len()` for a single one.
    pub stride: usize,
    /// Sender: a real address on links, `::ffff:handle` (port 1) on sessions.
    pub from: SocketAddr,
    /// Our address it was sent to, from which the answer must come; none on sessions.
    pub to: Option<IpAddr>,
    /// Congestion mark of the carrier.
    pub ecn: Option<EcnCodepoint>,
}

/// A bounded queue with one waker: only quinn's endpoint driver polls.
#[derive(Debug)]
pub struct Inbox {
    queue: ArrayQueue<Packet>,
    waker: AtomicWaker,
}

impl Inbox {
    /// An inbox that holds at most `capacity` packets or runs.
    pub fn new(capacity: usize) -> Self {
        Self { queue: ArrayQueue::new(capacity), waker: AtomicWaker::new() }
    }

    /// Queue a packet; false if the inbox was full and it was dropped. Call `wake` once a batch.
    pub fn push(&self, packet: Packet) -> bool {
        self.queue.push(packet).is_ok()
    }

    /// Wake the endpoint, once for all that was pushed.
    pub fn wake(&self) {
        self.waker.wake();
    }

    /// The face quinn wants: fill its buffers, or register its waker.
    pub fn poll(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<std::io::Result<usize>> {
        let count = self.fill(buffers, meta);
        if count > 0 {
            return Poll::Ready(Ok(count));
        }
        self.waker.register(context.waker());
        match self.fill(buffers, meta) {
            0 => Poll::Pending,
            count => Poll::Ready(Ok(count)),
        }
    }

    fn fill(&self, buffers: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]) -> usize {
        let mut count = 0;
        while count < buffers.len() && count < meta.len() {
            let Some(packet) = self.queue.pop() else { break };
            let len = packet.bytes.len();
            if len == 0 || len > buffers[count].len() {
                continue;
            }
            buffers[count][..len].copy_from_slice(&packet.bytes);
            let Packet { stride, from: addr, to: dst_ip, ecn, .. } = packet;
            meta[count] = RecvMeta { addr, len, stride, ecn, dst_ip };
            count += 1;
        }
        count
    }
}
