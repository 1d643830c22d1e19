//! Which address of ours the system would send from: it tells that we are on another network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::address::canonical;
use super::mark;

/// The address that packets to `remote` would leave from now; none while no route leads there. Nothing is sent: to
/// connect a datagram socket is to ask for the route.
pub fn source_to(remote: SocketAddr) -> Option<IpAddr> {
    let remote = canonical(remote, false);
    let any: IpAddr = if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    mark(&socket);
    socket.connect(remote).ok()?;
    socket.local_addr().ok().map(|source| source.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_of_the_family_of_the_remote() {
        let v4 = IpAddr::from(Ipv4Addr::LOCALHOST);
        for remote in [v4, IpAddr::from(Ipv4Addr::LOCALHOST.to_ipv6_mapped())] {
            assert_eq!(source_to((remote, 9).into()), Some(v4));
        }
        assert_eq!(source_to((Ipv6Addr::LOCALHOST, 9).into()), Some(Ipv6Addr::LOCALHOST.into()));
    }

    #[test]
    fn where_no_packet_may_go_there_is_none() {
        assert_eq!(source_to((Ipv4Addr::BROADCAST, 9).into()), None);
    }
}
