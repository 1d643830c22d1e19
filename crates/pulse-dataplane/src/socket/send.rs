//! sendmsg(2) with what UDP wants beside the bytes: segment size, congestion mark, source address.

use std::io::{self, IoSlice};
use std::net::IpAddr;
use std::os::fd::RawFd;

use quinn::udp::EcnCodepoint;
use socket2::SockAddr;

use super::address::as_ipv4;

/// Room for the three control messages of one send, aligned for their headers.
type Control = [u64; 16];

/// Everything about a send but the bytes.
#[derive(Debug)]
pub struct Message {
    pub fd: RawFd,
    pub to: SockAddr,
    pub ecn: Option<EcnCodepoint>,
    /// The address to send from, if not the one the route picks; for one that is ours no more the route does.
    pub source: Option<IpAddr>,
}

impl Message {
    /// Send one datagram, or several of `stride` bytes by GSO.
    pub fn send(&self, bytes: &[u8], stride: usize) -> io::Result<()> {
        self.send_gathered(&[IoSlice::new(bytes)], (bytes.len() > stride).then_some(stride as u16))
    }

    /// Send the bytes of all `pieces` as one datagram, or as several of `segment` bytes by GSO.
    pub fn send_gathered(&self, pieces: &[IoSlice<'_>], segment: Option<u16>) -> io::Result<()> {
        match self.send_from(self.source, pieces, segment) {
            Err(error) if self.source.is_some() && may_be_gone(&error) => self.send_from(None, pieces, segment),
            sent => sent,
        }
    }

    fn send_from(&self, source: Option<IpAddr>, pieces: &[IoSlice<'_>], segment: Option<u16>) -> io::Result<()> {
        let mut control: Control = [0; 16];
        // SAFETY: all zeros is an empty message header.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_name = self.to.as_ptr().cast_mut().cast();
        header.msg_namelen = self.to.len();
        // An IoSlice is an iovec; the kernel only reads what a sendmsg names.
        header.msg_iov = pieces.as_ptr().cast_mut().cast();
        header.msg_iovlen = pieces.len() as _;
        header.msg_controllen = self.control(&mut control, source, segment) as _;
        header.msg_control = control.as_mut_ptr().cast();
        loop {
            // SAFETY: every pointer in the header names a live buffer of the length beside it; none is written to.
            if unsafe { libc::sendmsg(self.fd, &raw const header, 0) } >= 0 {
                return Ok(());
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }

    fn control(&self, control: &mut Control, source: Option<IpAddr>, segment: Option<u16>) -> usize {
        let mut used = 0;
        if let Some(segment) = segment {
            used = put(control, used, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        }
        let ipv4 = self.to.as_socket().is_some_and(|to| as_ipv4(to.ip()).is_some());
        if let Some(ecn) = self.ecn {
            let (level, kind) =
                if ipv4 { (libc::IPPROTO_IP, libc::IP_TOS) } else { (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) };
            used = put(control, used, level, kind, ecn as libc::c_int);
        }
        // A neighbour that roams may change the family; then the kernel chooses.
        match source.filter(|source| as_ipv4(*source).is_some() == ipv4) {
            Some(source) => put_source(control, used, source),
            None => used,
        }
    }
}

/// What the system says of a source it does not have: of IPv6, and of IPv4 up to Linux 6.13, the first; then the second.
fn may_be_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENETUNREACH))
}

fn put_source(control: &mut Control, used: usize, source: IpAddr) -> usize {
    match (as_ipv4(source), source) {
        (Some(v4), _) => {
            let from = libc::in_addr { s_addr: u32::from_ne_bytes(v4.octets()) };
            let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: from, ipi_addr: libc::in_addr { s_addr: 0 } };
            put(control, used, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        (None, IpAddr::V6(v6)) => {
            let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: v6.octets() }, ipi6_ifindex: 0 };
            put(control, used, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
        (None, IpAddr::V4(_)) => used,
    }
}

/// Append one control message; the bytes used from then on.
fn put<T: Copy>(control: &mut Control, used: usize, level: libc::c_int, kind: libc::c_int, value: T) -> usize {
    // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
    let (space, length) =
        unsafe { (libc::CMSG_SPACE(size_of::<T>() as u32) as usize, libc::CMSG_LEN(size_of::<T>() as u32)) };
    assert!(used + space <= size_of::<Control>(), "three control messages fit by construction");
    // SAFETY: the assertion keeps header and value inside `control`; `used` is a sum of CMSG_SPACEs, so the
    // header is aligned; the value is written unaligned.
    unsafe {
        let header = control.as_mut_ptr().cast::<u8>().add(used).cast::<libc::cmsghdr>();
        (*header).cmsg_level = level;
        (*header).cmsg_type = kind;
        (*header).cmsg_len = length as _;
        libc::CMSG_DATA(header).cast::<T>().write_unaligned(value);
    }
    used + space
}
