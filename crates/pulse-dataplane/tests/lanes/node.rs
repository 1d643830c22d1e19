//! A data plane on a loopback socket, and waiting for what it says.

use pulse_dataplane::link::Transports;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use pulse_dataplane::dataplane::Dataplane;
use pulse_dataplane::event::Event;
use pulse_dataplane::verify::Trust;
use pulse_dataplane::{LinkId, NodeId};

use crate::authority::{Authority, Card};

/// Guards against hangs only.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Node {
    pub plane: Dataplane,
    pub address: SocketAddr,
    pub id: NodeId,
    seen: Vec<Event>,
}

pub fn socket() -> OwnedFd {
    UdpSocket::bind("127.0.0.1:0").unwrap().into()
}

/// A link that came up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Up {
    pub link: LinkId,
    pub dial: u64,
    pub node: NodeId,
}

impl Node {
    /// Without identity or trust.
    pub fn blank() -> Self {
        Self::at(socket())
    }

    fn at(socket: OwnedFd) -> Self {
        let plane = Dataplane::new(socket).unwrap();
        let address = plane.local_addr().unwrap();
        Self { plane, address, id: [0; 32], seen: vec![] }
    }

    pub fn with(card: &Card, trust: Trust) -> Self {
        Self::with_at(socket(), card, trust)
    }

    pub fn with_at(socket: OwnedFd, card: &Card, trust: Trust) -> Self {
        let mut node = Self::at(socket);
        node.plane.install_identity(std::slice::from_ref(&card.leaf), &card.key).unwrap();
        node.plane.install_trust(trust).unwrap();
        node.id = card.node;
        node
    }

    pub fn member(authority: &Authority, number: u8) -> Self {
        Self::with(&authority.node(number), authority.trust())
    }

    pub fn dial(&self, other: &Self) -> u64 {
        self.plane.dial(other.address, Some(other.id), 0, Transports::default()).unwrap()
    }

    /// Wait for an event that `pick` takes; others are kept for later.
    pub fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some((place, picked)) =
                self.seen.iter().enumerate().find_map(|(place, event)| Some((place, pick(event)?)))
            {
                self.seen.remove(place);
                return picked;
            }
            assert!(Instant::now() < end, "no {what} among {:?}", self.seen);
            self.gather(Duration::from_millis(100));
        }
    }

    /// Everything that is told within `time` or was told before.
    pub fn told_within(&mut self, time: Duration) -> &[Event] {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.gather(end.saturating_duration_since(Instant::now()));
        }
        &self.seen
    }

    fn gather(&mut self, time: Duration) {
        let mut poll = libc::pollfd { fd: self.plane.fileno(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        unsafe { libc::poll(&raw mut poll, 1, i32::try_from(time.as_millis()).unwrap()) };
        self.seen.extend(self.plane.drain(1024));
    }

    pub fn wait_up(&mut self) -> Up {
        self.wait("LinkUp", |event| match event {
            Event::LinkUp { link, dial, node, .. } => Some(Up { link: *link, dial: *dial, node: *node }),
            _ => None,
        })
    }

    pub fn wait_down(&mut self, which: LinkId) -> String {
        self.wait("LinkDown", |event| match event {
            Event::LinkDown { link, reason, .. } if *link == which => Some(reason.clone()),
            _ => None,
        })
    }

    /// Code and detail.
    pub fn wait_failed(&mut self, which: u64) -> (&'static str, String) {
        self.wait("DialFailed", |event| match event {
            Event::DialFailed { dial, code, detail } if *dial == which => Some((*code, detail.clone())),
            _ => None,
        })
    }

    pub fn wait_log(&mut self, part: &str) {
        self.wait(part, |event| match event {
            Event::Log { text, .. } => text.contains(part).then_some(()),
            _ => None,
        });
    }

    pub fn wait_message(&mut self) -> (LinkId, Vec<u8>) {
        self.wait("Message", |event| match event {
            Event::Message { link, payload } => Some((*link, payload.clone())),
            _ => None,
        })
    }

    /// No event of this kind so far.
    pub fn has_no(&self, unwanted: impl Fn(&Event) -> bool) -> bool {
        !self.seen.iter().any(unwanted)
    }
}

/// Two members, linked by a dial of the first.
pub fn pair(authority: &Authority) -> (Node, Up, Node, Up) {
    let (mut alice, mut bob) = (Node::member(authority, 1), Node::member(authority, 2));
    alice.dial(&bob);
    let (a, b) = (alice.wait_up(), bob.wait_up());
    (alice, a, bob, b)
}
