//! One form for each address, whatever socket it came from.

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// See `Socket::canonical`.
pub fn canonical(address: SocketAddr, ipv6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if ipv6 => SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into(),
        SocketAddr::V4(_) => address,
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) if !ipv6 => SocketAddrV4::new(v4, v6.port()).into(),
            _ => SocketAddrV6::new(*v6.ip(), v6.port(), 0, scope(v6)).into(),
        },
    }
}

/// Elsewhere the kernel puts an interface number there that a dialled address does not have.
fn scope(address: SocketAddrV6) -> u32 {
    if address.ip().is_unicast_link_local() { address.scope_id() } else { 0 }
}

/// The IPv4 address that `address` is or holds.
pub fn as_ipv4(address: IpAddr) -> Option<std::net::Ipv4Addr> {
    match address {
        IpAddr::V4(v4) => Some(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| unreachable!("{text} is an address"))
    }

    #[test]
    fn an_ipv6_socket_holds_ipv4_mapped() {
        assert_eq!(canonical(address("192.0.2.1:5"), true), address("[::ffff:192.0.2.1]:5"));
        assert_eq!(canonical(address("[::ffff:192.0.2.1]:5"), true), address("[::ffff:192.0.2.1]:5"));
    }

    #[test]
    fn an_ipv4_socket_holds_it_plain() {
        assert_eq!(canonical(address("[::ffff:192.0.2.1]:5"), false), address("192.0.2.1:5"));
        assert_eq!(canonical(address("192.0.2.1:5"), false), address("192.0.2.1:5"));
    }

    #[test]
    fn only_link_local_addresses_keep_their_scope() {
        let scoped = |ip: &str, flow| match address(ip) {
            SocketAddr::V6(v6) => SocketAddr::from(SocketAddrV6::new(*v6.ip(), v6.port(), flow, 3)),
            v4 => v4,
        };
        assert_eq!(canonical(scoped("[2001:db8::1]:5", 9), true), address("[2001:db8::1]:5"));
        assert_eq!(canonical(scoped("[fe80::1]:5", 9), true), scoped("[fe80::1]:5", 0));
    }
}
