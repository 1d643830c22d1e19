//! A link through a socket that it has for itself, over real sockets.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use super::testing::{Node, Pair, bound, eventually, link_through, loopback, v4};
use super::traffic::{icmp, packets, polled, read_packets, tcp_of};
use super::{Packets, send_frames};
use crate::apart::Apart;
use crate::frame::{HopHeader, Kind};
use crate::offload::Vnet;
use crate::outlet::Outlet;
use crate::stats::Drop;

/// Two nodes; the left one's link goes through a socket of its own, which is at that place.
fn pair() -> io::Result<(Pair, Packets, SocketAddr)> {
    let pair = Pair::new()?;
    let own = bound()?;
    let place = loopback(&own)?;
    let apart = Arc::new(Apart::new(own.into())?);
    let link = link_through(1, 2, **pair.left.link.remote.load(), Outlet::Apart(Arc::clone(&apart)));
    let links = HashMap::from([(2, link)]);
    pair.left.shared.links.store(Arc::new(links));
    pair.left.route(2, &[(2, 1, false)]);
    let thread = Packets::start_apart(Arc::clone(&pair.left.shared), apart)?;
    Ok((pair, thread, place))
}

fn send_session_packet(from: &Node, to: SocketAddr) -> io::Result<()> {
    from.link.remote.store(Arc::new(to));
    send_frames(&from.shared, &from.link, &HopHeader::new(v4(2), v4(1), Kind::Session), b"packet", 6)
}

fn source_of_next(socket: &UdpSocket) -> io::Result<u16> {
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(socket.recv_from(&mut [0; 2000])?.1.port())
}

#[test]
fn records_cross_whole_both_ways() -> io::Result<()> {
    let (mut pair, _thread, place) = pair()?;
    pair.right.link.remote.store(Arc::new(place));
    let there = tcp_of(1, 2, 81, 50_001);
    pair.left.write(&there.0, &there.1)?;
    let expected = packets(there);
    assert_eq!(read_packets(&mut pair.right, expected.len())?, expected);

    let back = tcp_of(2, 1, 82, 9_000);
    pair.right.write(&back.0, &back.1)?;
    let expected = packets(back);
    assert_eq!(read_packets(&mut pair.left, expected.len())?, expected);
    Ok(())
}

#[test]
fn packets_and_frames_leave_by_that_socket() -> io::Result<()> {
    let (mut pair, _thread, place) = pair()?;
    let caught = bound()?;
    let link = pair.left.link_with(2);
    link.remote.store(Arc::new(loopback(&caught)?));
    pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    assert_eq!(source_of_next(&caught)?, place.port());
    send_frames(&pair.left.shared, &link, &HopHeader::new(v4(1), v4(2), Kind::Session), b"packet", 6)?;
    assert_eq!(source_of_next(&caught)?, place.port());
    Ok(())
}

#[test]
fn frames_come_in_by_that_socket_alone() -> io::Result<()> {
    let (pair, _thread, place) = pair()?;
    let shared = loopback_of(&pair.left)?;
    send_session_packet(&pair.right, shared)?;
    assert!(pair.left.dropped(Drop::UnknownIndex, 1));
    send_session_packet(&pair.right, place)?;
    assert!(eventually(|| !polled(&pair.left.shared.session_inbox).is_empty()));
    Ok(())
}

#[test]
fn frames_of_another_link_do_not_come_in_there() -> io::Result<()> {
    let (pair, _thread, place) = pair()?;
    let links = HashMap::from([(2, link_through(1, 2, place, Outlet::Udp))]);
    pair.left.shared.links.store(Arc::new(links));
    send_session_packet(&pair.right, place)?;
    assert!(pair.left.dropped(Drop::UnknownIndex, 1));
    Ok(())
}

fn loopback_of(node: &Node) -> io::Result<SocketAddr> {
    let port = node.shared.socket.local_addr()?.port();
    Ok(SocketAddr::from((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port)))
}
