//! The one UDP socket: links, frames and records all leave and arrive here.
//!
//! Invariant: a send is at most 64 segments and 65,000 bytes, never a fragment, and as long as our interface takes it,
//! whatever ICMP messages say; whoever holds an address of this socket holds it in one form (`canonical`), so addresses
//! compare by `==`.

mod address;
mod batch;
mod mark;
mod send;
mod source;

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use quinn::udp::{EcnCodepoint, RecvMeta, Transmit, UdpSocketState};
use socket2::SockRef;

pub use batch::{Batch, Received};
pub use mark::mark;
pub use source::source_to;

use crate::signal::{Signal, wait};

/// Segments the kernel takes in one send (UDP_MAX_SEGMENTS of all kernels that have GSO).
pub const MOST_SEGMENTS: usize = 64;
/// Bytes in one send: a UDP datagram's 65,507, rounded down.
pub const MOST_BYTES: usize = 65_000;
/// What 2-core machines needed for 5 Gbit/s; more than 5 ms of it.
const BUFFER: usize = 7 << 20;

/// The socket all threads share; `rebind` puts another in its place.
#[derive(Debug)]
pub struct Socket {
    bound: ArcSwap<Bound>,
    rebound: Signal,
}

/// One bound descriptor and what we learned about it.
#[derive(Debug)]
struct Bound {
    fd: Arc<OwnedFd>,
    state: UdpSocketState,
    ipv6: bool,
    /// False once the kernel refused to segment for us.
    gso: AtomicBool,
}

impl Socket {
    /// Take over a bound UDP socket: AF_INET6 (dual-stack if it was made so) or AF_INET.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { bound: ArcSwap::from_pointee(Bound::new(fd)?), rebound: Signal::new()? })
    }

    /// Put another bound socket in this one's place; the receiving thread follows at once.
    pub fn rebind(&self, fd: OwnedFd) -> io::Result<()> {
        self.bound.store(Arc::new(Bound::new(fd)?));
        self.rebound.raise();
        Ok(())
    }

    /// The descriptor in use now.
    pub fn fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.bound.load().fd)
    }

    /// Where it is bound.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = SockRef::from(&*self.fd()).local_addr()?;
        address.as_socket().ok_or_else(|| io::Error::from_raw_os_error(libc::EAFNOSUPPORT))
    }

    /// The one form of `address` on this socket: on an IPv6 socket IPv4 is `::ffff:a.b.c.d`, the flow label
    /// is 0 and only link-local addresses keep their scope.
    pub fn canonical(&self, address: SocketAddr) -> SocketAddr {
        address::canonical(address, self.bound.load().ipv6)
    }

    /// Send datagrams of `stride` bytes (the last may be shorter) that lie back to back, without waiting; from our
    /// address `source`, or the one the kernel picks.
    /// After `WouldBlock` some may have left; sending all again is harmless to QUIC and to replay windows.
    pub fn send_gso(&self, bytes: &[u8], stride: usize, to: SocketAddr, source: Option<IpAddr>) -> io::Result<()> {
        self.bound.load().send(bytes, stride, to, None, source)
    }

    /// As `send_gso`, of datagrams that lie apart: at most 64 and 65,000 bytes, all of one size but the last.
    pub fn send_gathered(&self, datagrams: &[IoSlice<'_>], to: SocketAddr, source: Option<IpAddr>) -> io::Result<()> {
        self.bound.load().send_gathered(datagrams, to, source)
    }

    /// As `send_gso`, but waits while the socket's buffer is full: back-pressure. `stop` ends the wait with
    /// `Interrupted`.
    pub fn send_blocking(
        &self,
        bytes: &[u8],
        stride: usize,
        to: SocketAddr,
        source: Option<IpAddr>,
        stop: &Signal,
    ) -> io::Result<()> {
        let most = most_bytes(stride, self.bound.load().segments());
        bytes.chunks(most).try_for_each(|batch| {
            loop {
                let bound = self.bound.load_full();
                match bound.send(batch, stride, to, None, source) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => bound.wait_writable(stop)?,
                    done => return done,
                }
            }
        })
    }

    /// A transmit of a quinn endpoint. The only error is `WouldBlock`: QUIC takes the rest as loss.
    pub fn send_transmit(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let stride = transmit.segment_size.unwrap_or(transmit.contents.len());
        match self.bound.load().send(transmit.contents, stride, transmit.destination, transmit.ecn, transmit.src_ip) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// Fill `batch` with what has arrived; `WouldBlock` if nothing has.
    pub fn recv_batch(&self, batch: &mut Batch) -> io::Result<()> {
        batch.fill(|slices: &mut [IoSliceMut<'_>], meta: &mut [RecvMeta]| {
            let bound = self.bound.load();
            bound.state.recv((&*bound.fd).into(), slices, meta)
        })
    }

    /// Sleep until something arrives, `stop` is raised or the socket was replaced.
    pub fn wait_readable(&self, stop: &Signal) -> io::Result<()> {
        self.rebound.clear();
        wait(self.fd().as_fd(), libc::POLLIN, &[stop, &self.rebound])
    }
}

impl Bound {
    fn new(fd: OwnedFd) -> io::Result<Self> {
        // Non-blocking, receive coalescing (GRO), don't-fragment, ECN and packet info, as QUIC needs them.
        let state = UdpSocketState::new((&fd).into())?;
        let ipv6 = SockRef::from(&fd).local_addr()?.is_ipv6();
        grow_buffers(&fd);
        mark(&fd);
        Ok(Self { fd: Arc::new(fd), state, ipv6, gso: AtomicBool::new(true) })
    }

    fn segments(&self) -> usize {
        if self.gso.load(Ordering::Relaxed) { MOST_SEGMENTS } else { 1 }
    }

    fn send(
        &self,
        bytes: &[u8],
        stride: usize,
        to: SocketAddr,
        ecn: Option<EcnCodepoint>,
        source: Option<IpAddr>,
    ) -> io::Result<()> {
        let to = address::canonical(to, self.ipv6);
        let message = send::Message { fd: self.fd.as_raw_fd(), to: to.into(), ecn, source };
        for batch in bytes.chunks(most_bytes(stride, self.segments())) {
            match message.send(batch, stride) {
                Err(error) if batch.len() > stride && refuses_gso(&error) => {
                    self.send_singly(&message, batch, stride)?
                }
                sent => sent?,
            }
        }
        Ok(())
    }

    fn send_gathered(&self, datagrams: &[IoSlice<'_>], to: SocketAddr, source: Option<IpAddr>) -> io::Result<()> {
        let to = address::canonical(to, self.ipv6);
        let message = send::Message { fd: self.fd.as_raw_fd(), to: to.into(), ecn: None, source };
        let segment = datagrams.first().filter(|_| datagrams.len() > 1).map(|first| first.len() as u16);
        let mut sent = Err(io::Error::from_raw_os_error(libc::EIO));
        if segment.is_none() || self.segments() > 1 {
            sent = message.send_gathered(datagrams, segment);
        }
        match sent {
            Err(error) if segment.is_some() && refuses_gso(&error) => {
                datagrams.chunks(1).try_for_each(|datagram| message.send_gathered(datagram, None))?;
                self.gso.store(false, Ordering::Relaxed);
                Ok(())
            }
            sent => sent,
        }
    }

    /// EINVAL also means "one segment is too long for this path": GSO is given up only if single ones leave.
    fn send_singly(&self, message: &send::Message, bytes: &[u8], stride: usize) -> io::Result<()> {
        bytes.chunks(stride).try_for_each(|datagram| message.send(datagram, stride))?;
        self.gso.store(false, Ordering::Relaxed);
        Ok(())
    }

    fn wait_writable(&self, stop: &Signal) -> io::Result<()> {
        if stop.is_raised() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        wait(self.fd.as_fd(), libc::POLLOUT, &[stop])
    }
}

fn refuses_gso(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))
}

fn most_bytes(stride: usize, segments: usize) -> usize {
    let stride = stride.max(1);
    (MOST_BYTES / stride).clamp(1, segments) * stride
}

/// Past the system's limit if we may, else up to it.
fn grow_buffers(fd: &OwnedFd) {
    for (force, plain) in [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)] {
        let size = BUFFER as libc::c_int;
        let set = |option| {
            let length = size_of::<libc::c_int>() as libc::socklen_t;
            // SAFETY: the value is one c_int, as both options want, and outlives the call.
            unsafe { libc::setsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, option, (&raw const size).cast(), length) == 0 }
        };
        let _limited = set(force) || set(plain);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr, UdpSocket};
    use std::time::Duration;

    use super::*;

    fn socket(address: IpAddr) -> io::Result<(Socket, SocketAddr)> {
        let socket = Socket::new(UdpSocket::bind((address, 0))?.into())?;
        let at = socket.local_addr()?;
        Ok((socket, at))
    }

    /// Everything that arrives until so many bytes did: datagrams, sender and mark of the last batch.
    fn receive(socket: &Socket, bytes: usize) -> io::Result<(Vec<Vec<u8>>, SocketAddr, Option<EcnCodepoint>)> {
        let (mut batch, stop) = (Batch::default(), Signal::new()?);
        let (mut datagrams, mut from, mut mark): (Vec<Vec<u8>>, _, _) = (vec![], socket.local_addr()?, None);
        while datagrams.iter().map(Vec::len).sum::<usize>() < bytes {
            match socket.recv_batch(&mut batch) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => socket.wait_readable(&stop)?,
                done => done?,
            }
            for received in batch.received() {
                (from, mark) = (received.from, received.ecn);
                datagrams.extend(received.bytes.chunks(received.stride).map(<[u8]>::to_vec));
            }
        }
        Ok((datagrams, from, mark))
    }

    #[test]
    fn a_long_run_arrives_datagram_by_datagram() -> io::Result<()> {
        for local in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()] {
            let ((left, at), (right, to)) = (socket(local)?, socket(local)?);
            let bytes: Vec<u8> = (0..150 * 1000 + 17).map(|at| (at % 253) as u8).collect();
            left.send_gso(&bytes, 1000, to, None)?;
            let (datagrams, from, _) = receive(&right, bytes.len())?;
            assert_eq!(from, at);
            assert_eq!(datagrams, bytes.chunks(1000).map(<[u8]>::to_vec).collect::<Vec<_>>());
        }
        Ok(())
    }

    #[test]
    fn refused_segmentation_is_remembered_and_nothing_is_lost() -> io::Result<()> {
        let ((left, _), (right, to)) = (socket(Ipv4Addr::LOCALHOST.into())?, socket(Ipv4Addr::LOCALHOST.into())?);
        // The kernel does not segment what it may not checksum.
        let one: libc::c_int = 1;
        // SAFETY: the value is one c_int, as the option wants.
        let set = unsafe {
            libc::setsockopt(left.fd().as_raw_fd(), libc::SOL_SOCKET, libc::SO_NO_CHECK, (&raw const one).cast(), 4)
        };
        assert_eq!(set, 0);
        assert_eq!(left.bound.load().segments(), MOST_SEGMENTS);
        for _ in 0..2 {
            left.send_gso(&[7; 2500], 1000, to, None)?;
            assert_eq!(receive(&right, 2500)?.0.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1000, 500]);
        }
        assert_eq!(left.bound.load().segments(), 1);
        Ok(())
    }

    #[test]
    fn datagrams_that_lie_apart_leave_as_one_train_and_singly_where_the_kernel_cannot_segment() -> io::Result<()> {
        let ((left, _), (right, to)) = (socket(Ipv6Addr::LOCALHOST.into())?, socket(Ipv6Addr::LOCALHOST.into())?);
        let datagrams: Vec<Vec<u8>> = (0..50).map(|number| vec![number; if number == 49 { 7 } else { 900 }]).collect();
        let slices: Vec<_> = datagrams.iter().map(|datagram| IoSlice::new(datagram)).collect();
        for gso in [true, false] {
            left.bound.load().gso.store(gso, Ordering::Relaxed);
            left.send_gathered(&slices, to, None)?;
            assert_eq!(receive(&right, 49 * 900 + 7)?.0, datagrams);
            assert_eq!(left.bound.load().gso.load(Ordering::Relaxed), gso);
        }
        left.send_gathered(&slices[..1], to, None)?;
        assert_eq!(receive(&right, 900)?.0, datagrams[..1]);
        Ok(())
    }

    #[test]
    fn nothing_is_cut_on_its_way_and_no_icmp_message_is_believed() -> io::Result<()> {
        let probe = [(libc::IPPROTO_IP, libc::IP_MTU_DISCOVER), (libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER)];
        for (local, options) in
            [(IpAddr::from(Ipv4Addr::UNSPECIFIED), &probe[..1]), (Ipv6Addr::UNSPECIFIED.into(), &probe)]
        {
            let (socket, _) = socket(local)?;
            for (level, option) in options {
                let (mut value, mut length): (libc::c_int, libc::socklen_t) = (0, 4);
                let fd = socket.fd();
                // SAFETY: both pointers name a live value, of four bytes each.
                let got = unsafe {
                    libc::getsockopt(fd.as_raw_fd(), *level, *option, (&raw mut value).cast(), &raw mut length)
                };
                assert_eq!((got, value), (0, libc::IP_PMTUDISC_PROBE), "{local} {level}");
            }
        }
        Ok(())
    }

    #[test]
    fn a_transmit_keeps_its_congestion_mark_and_source() -> io::Result<()> {
        for local in [IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), Ipv6Addr::LOCALHOST.into()] {
            let ((left, at), (right, to)) =
                (socket(Ipv6Addr::UNSPECIFIED.into())?, socket(Ipv6Addr::UNSPECIFIED.into())?);
            let destination = SocketAddr::new(local, to.port());
            let ecn = Some(EcnCodepoint::Ce);
            left.send_transmit(&Transmit {
                destination,
                ecn,
                contents: b"quic",
                segment_size: None,
                src_ip: Some(local),
            })?;
            let (datagrams, from, mark) = receive(&right, 4)?;
            assert_eq!((datagrams, from, mark), (vec![b"quic".to_vec()], SocketAddr::new(local, at.port()), ecn));
        }
        Ok(())
    }

    #[test]
    fn a_source_of_the_other_family_does_not_count() -> io::Result<()> {
        let ((left, at), (right, to)) = (socket(Ipv6Addr::UNSPECIFIED.into())?, socket(Ipv6Addr::UNSPECIFIED.into())?);
        let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped()), IpAddr::from(Ipv6Addr::LOCALHOST));
        for (local, source) in [(v4, v6), (v6, v4)] {
            left.send_gso(b"moved", 5, SocketAddr::new(local, to.port()), Some(source))?;
            assert_eq!(receive(&right, 5)?.1, SocketAddr::new(local, at.port()));
        }
        Ok(())
    }

    #[test]
    fn a_source_that_is_ours_no_more_does_not_count() -> io::Result<()> {
        // Set aside for documents (RFC 5737, RFC 3849), so no machine has them.
        let (v4, v6) = (IpAddr::from([192, 0, 2, 7]), IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 7]));
        for (local, gone) in [(IpAddr::from(Ipv4Addr::LOCALHOST), v4), (Ipv6Addr::LOCALHOST.into(), v6)] {
            let ((left, at), (right, to)) = (socket(local)?, socket(local)?);
            left.send_gso(&[7; 2500], 1000, to, Some(gone))?;
            assert_eq!(receive(&right, 2500)?.1, at);
            assert_eq!(left.bound.load().segments(), MOST_SEGMENTS);
        }
        Ok(())
    }

    #[test]
    fn a_replaced_socket_wakes_the_thread_that_sleeps_on_it() -> io::Result<()> {
        let ((socket, old), stop) = (socket(Ipv4Addr::LOCALHOST.into())?, Signal::new()?);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(20));
                UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|fresh| socket.rebind(fresh.into()))
            });
            socket.wait_readable(&stop)
        })?;
        assert_ne!(socket.local_addr()?, old);
        Ok(())
    }
}
