//! TUN devices that come and go, by a socket pair in place of each.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use super::attach;
use super::testing::{Pair, eventually, seqpacket_pair, v4};
use super::traffic::icmp;
use crate::event::Event;
use crate::offload::Vnet;
use crate::tun::Tun;

#[test]
fn a_device_that_goes_away_is_told_once() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let (_, other) = seqpacket_pair()?;
    drop(std::mem::replace(&mut pair.left.kernel, other));
    let mut events = vec![];
    assert!(eventually(|| {
        events.extend(pair.left.events());
        !events.is_empty()
    }));
    assert!(matches!(&events[..], [Event::TunGone { .. }]), "{events:?}");
    Ok(())
}

#[test]
fn idle_threads_stop_at_once() -> io::Result<()> {
    let mut pair = Pair::new()?;
    assert!(pair.left.stop() < Duration::from_secs(1));
    assert!(pair.right.stop() < Duration::from_secs(1));
    Ok(())
}

#[test]
fn devices_attached_at_once_leave_one() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let attach_another = || {
        let (ours, kernel) = seqpacket_pair()?;
        attach(&pair.left.shared, Tun::adopt("pair".to_owned(), vec![ours], true)?).map(|_| kernel)
    };
    let mut kernels = vec![];
    for _ in 0..100 {
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..3).map(|_| scope.spawn(attach_another)).collect();
            kernels.extend(threads.into_iter().map(std::thread::ScopedJoinHandle::join));
        });
    }
    pair.left.stop();
    assert!(eventually(|| Arc::strong_count(&pair.left.shared) == 1));
    Ok(())
}

#[test]
fn a_device_is_attached_and_detached_over_and_over() -> io::Result<()> {
    let mut pair = Pair::new()?;
    for round in 0..50 {
        let (ours, kernel) = seqpacket_pair()?;
        attach(&pair.left.shared, Tun::adopt(format!("pair{round}"), vec![ours], true)?)?;
        // The device before this one is closed: its far side reads the end.
        let mut before = std::mem::replace(&mut pair.left.kernel, kernel);
        assert_eq!(before.read(&mut [0; 10])?, 0);
        pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
        pair.right.read()?;
    }
    assert_eq!(pair.left.events(), []);
    pair.left.stop();
    assert_eq!(Arc::strong_count(&pair.left.shared), 1);
    Ok(())
}
