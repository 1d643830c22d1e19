//! Frames we make ourselves: session packets and probes.

use std::io;
use std::net::SocketAddr;

use crate::frame::{self, FRAME_OVERHEAD, HopHeader};
use crate::probe::size;
use crate::stats::Drop;
use crate::tables::{Link, Shared};

/// Seal each `stride` bytes of `contents` as one frame and send them to where the link leads. Never blocks:
/// `WouldBlock` says the socket is full; every other failure is counted and taken as loss.
pub fn send_frames(shared: &Shared, link: &Link, header: &HopHeader, contents: &[u8], stride: usize) -> io::Result<()> {
    send_frames_to(shared, link, header, contents, stride, **link.remote.load())
}

/// As `send_frames`, to an address that may become the link's: a probe, or the echo of one.
pub fn send_frames_to(
    shared: &Shared,
    link: &Link,
    header: &HopHeader,
    contents: &[u8],
    stride: usize,
    to: SocketAddr,
) -> io::Result<()> {
    let stride = stride.max(1);
    let count = contents.len().div_ceil(stride);
    let frames = seal_all(link, header, contents, stride, count);
    match shared.socket.send_gso(&frames, FRAME_OVERHEAD + stride, to, link.local) {
        Ok(()) => link.traffic.sent(count as u64, frames.len() as u64),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
        Err(error) => {
            size::refused(&link.size, &error, FRAME_OVERHEAD + stride);
            shared.drops.add(Drop::SendFailed, count as u64);
        }
    }
    Ok(())
}

fn seal_all(link: &Link, header: &HopHeader, contents: &[u8], stride: usize, count: usize) -> Vec<u8> {
    let mut frames = Vec::with_capacity(contents.len() + count * FRAME_OVERHEAD);
    let first = link.sealer.reserve(count as u64);
    for (counter, body) in (first..).zip(contents.chunks(stride)) {
        let start = frames.len();
        frames.extend_from_slice(&[0; FRAME_OVERHEAD]);
        frames.extend_from_slice(body);
        frame::seal(&link.sealer, counter, header, &mut frames[start..]);
    }
    frames
}
