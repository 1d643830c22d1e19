//! Frames we make ourselves: session packets, probes, and records that waited.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use super::parcel::Parcel;
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
    let too_long = FRAME_OVERHEAD + stride.min(contents.len()) > link.size.load(Ordering::Relaxed);
    if too_long && !header.kind.seals_body() {
        return send_halves(shared, link, header, contents, stride, to);
    }
    let count = contents.len().div_ceil(stride);
    let frames = seal_all(link, header, contents, stride, count);
    send(shared, link, &frames, FRAME_OVERHEAD + stride, to)
}

fn send(shared: &Shared, link: &Link, frames: &[u8], stride: usize, to: SocketAddr) -> io::Result<()> {
    account(shared, link, link.send(&shared.socket, frames, stride, to), stride, frames.len())
}

/// Count what became of so many bytes, in datagrams of `stride`, that were for `link`. `WouldBlock` comes back: whose
/// they were decides what to do then.
pub fn account(shared: &Shared, link: &Link, sent: io::Result<()>, stride: usize, bytes: usize) -> io::Result<()> {
    let count = bytes.div_ceil(stride) as u64;
    match sent {
        Ok(()) => {
            link.traffic.sent(count, bytes as u64);
            link.probes.carried(stride.min(bytes));
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
        Err(error) => {
            // That a longer one does not pass is no news, whoever made it so long.
            let promised = stride.min(bytes) <= link.size.load(Ordering::Relaxed);
            if promised && error.raw_os_error() == Some(libc::EMSGSIZE) {
                shrunk(link);
            }
            shared.drops.add(Drop::SendFailed, count);
        }
    }
    Ok(())
}

/// The kernel knows that our own interface takes less, and not what the way takes.
fn shrunk(link: &Link) {
    link.size.store(size::LEAST, Ordering::Relaxed);
    link.probes.doubt_size();
}

/// Each frame as two. After `WouldBlock` the rest is not tried.
fn send_halves(
    shared: &Shared,
    link: &Link,
    header: &HopHeader,
    contents: &[u8],
    stride: usize,
    to: SocketAddr,
) -> io::Result<()> {
    let (mut parcel, mut sent) = (Parcel::default(), Ok(()));
    let mut leave = |halves: &[u8], stride: usize| {
        if sent.is_ok() {
            sent = send(shared, link, halves, stride, to);
        }
    };
    for body in contents.chunks(stride) {
        parcel.cut(&link.sealer, header, body, &mut leave);
    }
    parcel.flush(&mut leave);
    sent
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
