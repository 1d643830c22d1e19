//! From a verified connection to a link: both hellos, the choice between two links, the hop keys.
//!
//! Invariant: a link is announced only after both hellos; frames can be opened before the peer can send any.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tokio::time::timeout;

use super::carrier::{Candidate, Carrier, Close, Ended, Reader, Writer, explain_failure};
use super::life;
use super::rank::{Standing, Verdict};
use super::registry::Live;
use super::{Bucket, Desk};
use crate::LinkId;
use crate::event::Event;
use crate::hello::{Hello, random, read_message, write_message};
use crate::outlet;
use crate::probe::{Probes, size};
use crate::seal::{HopOpener, HopSealer};
use crate::stats::Traffic;
use crate::tables::{Link, PASSING};

/// How long a peer may take for its hello, and to take ours.
const HELLO_DEADLINE: Duration = Duration::from_secs(3);
/// How long an accepted link waits for our own dial to the same node.
const SETTLE_DEADLINE: Duration = Duration::from_secs(2);
/// How long a replaced link still receives: what the peer sent over it is on its way.
const GRACE: Duration = Duration::from_millis(500);

/// Make a link of a connection we dialled; `dial` is what Python knows it by.
pub(crate) async fn greet(
    desk: &Arc<Desk>,
    mut candidate: Candidate,
    dial: u64,
    replaces: LinkId,
) -> Result<(), Ended> {
    let node = candidate.certified.node;
    let lower = desk.is_lower_than(&node);
    let Some(_greeting) = desk.registry.greet(node, replaces, candidate.outlet.is_udp(), lower) else {
        return Err(duplicate(&*candidate.carrier));
    };
    let ours = desk.settings.hello(free_index(desk).map_err(broken)?, replaces);
    say(&*candidate.carrier, &mut candidate.writer, &ours).await?;
    let theirs = hear(&mut candidate).await?;
    let meeting = Meeting { dial, replaces, lower };
    let (live, halves) = establish(desk, candidate, &ours, theirs, true)?;
    meeting.stand(desk, live, halves)
}

/// Make a link of a connection the peer dialled.
pub(crate) async fn welcome(desk: &Arc<Desk>, mut candidate: Candidate) -> Result<(), Ended> {
    let node = candidate.certified.node;
    let lower = desk.is_lower_than(&node);
    let theirs = hear(&mut candidate).await?;
    let replaces = theirs.replaces;
    if lower {
        // Our own dial is about to win: had we answered this one first, the link would change hands twice.
        let _ = timeout(SETTLE_DEADLINE, desk.registry.settled(&node)).await;
    }
    let ours = desk.settings.hello(free_index(desk).map_err(broken)?, 0);
    let standing = Standing {
        quic: candidate.outlet.is_udp(),
        dialled: false,
        boot: theirs.boot,
        ours: ours.index,
        theirs: theirs.index,
        replaces,
        suspect: false,
    };
    if desk.registry.judge(&node, &standing, lower) == Verdict::OldStays {
        return Err(duplicate(&*candidate.carrier));
    }
    let (live, mut halves) = establish(desk, candidate, &ours, theirs, false)?;
    if let Err(ended) = say(&*live.carrier, &mut halves.writer, &ours).await {
        desk.remove_from_tables(&live.link);
        return Err(ended);
    }
    Meeting { dial: 0, replaces, lower }.stand(desk, live, halves)
}

struct Meeting {
    dial: u64,
    replaces: LinkId,
    lower: bool,
}

/// The two halves of the control stream, and what waits to be written.
pub(crate) struct Halves {
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) queue: tokio::sync::mpsc::Receiver<Vec<u8>>,
}

impl Meeting {
    /// Both hellos are through: announce the link and send off the one it replaces.
    fn stand(&self, desk: &Arc<Desk>, live: Arc<Live>, halves: Halves) -> Result<(), Ended> {
        let Ok(replaced) = desk.registry.stand(&live, self.replaces, self.lower) else {
            desk.remove_from_tables(&live.link);
            return Err(duplicate(&*live.carrier));
        };
        // Trust may have changed since the handshake; whoever changes it from here on finds the link.
        if let Err(refusal) = desk.settings.judge(&live.certified.der) {
            desk.registry.forget(&live);
            desk.remove_from_tables(&live.link);
            live.carrier.close(Close::Untrusted, "not trusted any more");
            return Err(Ended::new("certificate", refusal.to_string()));
        }
        desk.shared.bus.emit(Event::LinkUp {
            link: live.link.index,
            dial: self.dial,
            node: live.certified.node,
            certificate: live.certified.der.clone(),
            transport: live.carrier.transport(),
            observed: live.carrier.remote(),
            hello: live.hello.clone(),
        });
        if let Some((old, verdict)) = replaced {
            retire(old, verdict, live.link.index);
        }
        life::start(desk, live, halves);
        Ok(())
    }
}

fn retire(old: Arc<Live>, verdict: Verdict, successor: LinkId) {
    let reason = format!("replaced by link {successor}");
    old.decide(&reason);
    if verdict == Verdict::OldIsDead {
        return old.close(Close::Duplicate, &reason);
    }
    tokio::spawn(async move {
        tokio::time::sleep(GRACE).await;
        old.close(Close::Duplicate, &reason);
    });
}

fn duplicate(carrier: &dyn Carrier) -> Ended {
    let text = "another link to this node stays";
    carrier.close(Close::Duplicate, text);
    Ended::new("duplicate", text)
}

async fn say(carrier: &dyn Carrier, writer: &mut Writer, hello: &Hello) -> Result<(), Ended> {
    let bytes = hello.encode().map_err(broken)?;
    // A peer that grants no window would let us wait for ever.
    match timeout(HELLO_DEADLINE, write_message(writer, &bytes)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(explain_failure(carrier, &error).await),
        Err(_) => Err(refuse(carrier, "timeout", "it took no hello within 3 s")),
    }
}

async fn hear(candidate: &mut Candidate) -> Result<Hello, Ended> {
    let heard = timeout(HELLO_DEADLINE, read_message(&mut candidate.reader)).await;
    let decoded = match heard {
        Err(_) => return Err(refuse(&*candidate.carrier, "timeout", "no hello within 3 s")),
        Ok(Ok(None)) => return Err(refuse(&*candidate.carrier, "broken", "it said no hello")),
        Ok(Ok(Some(bytes))) => Hello::decode(&bytes),
        Ok(Err(error)) => return Err(explain_failure(&*candidate.carrier, &error).await),
    };
    match decoded {
        Ok(hello) if hello.index != 0 && hello.version != 0 => Ok(hello),
        Ok(_) => Err(refuse(&*candidate.carrier, "broken", "its hello names no index or version")),
        Err(error) => Err(refuse(&*candidate.carrier, "broken", &error.to_string())),
    }
}

fn refuse(carrier: &dyn Carrier, code: &'static str, text: &str) -> Ended {
    carrier.close(Close::Broken, text);
    Ended::new(code, text)
}

fn broken(error: io::Error) -> Ended {
    Ended::new("broken", error.to_string())
}

/// Agree on hop keys and let the packet threads see the link.
fn establish(
    desk: &Desk,
    candidate: Candidate,
    ours: &Hello,
    theirs: Hello,
    dialled: bool,
) -> Result<(Arc<Live>, Halves), Ended> {
    let Candidate { carrier, certified, reader, writer, outlet } = candidate;
    let size = if outlet.is_udp() { size::LEAST } else { outlet::LONGEST };
    let me = desk.me().ok_or_else(|| Ended::new("identity", "our certificate was taken away"))?;
    let cipher = ours.cipher(&theirs);
    let to_peer = carrier.hop_key(&me, &certified.node).map_err(broken)?;
    let from_peer = carrier.hop_key(&certified.node, &me).map_err(broken)?;
    let link = Arc::new(Link {
        index: ours.index,
        node: certified.node,
        handle: certified.v4,
        remote: ArcSwap::from_pointee(carrier.remote()),
        local: carrier.local(),
        outlet,
        sealer: HopSealer::new(theirs.index, &to_peer, cipher),
        opener: HopOpener::new(&from_peer, cipher),
        probes: Probes::default(),
        traffic: Traffic::default(),
        suspect: AtomicBool::new(false),
        size: size.into(),
        settled: 0.into(),
        halves: Mutex::default(),
        passing: Bucket::new(PASSING, Instant::now()).into(),
    });
    desk.shared.links.rcu(|links| {
        let mut links = HashMap::clone(links);
        links.insert(link.index, Arc::clone(&link));
        links
    });
    let (live, queue) = Live::new(link, carrier, certified, theirs, dialled);
    Ok((Arc::new(live), Halves { reader, writer, queue }))
}

/// An index to receive under that no link has; random, so that a stray frame of a former life fits none.
fn free_index(desk: &Desk) -> io::Result<LinkId> {
    loop {
        let index = LinkId::from_be_bytes(random()?);
        if index != 0 && !desk.shared.links.load().contains_key(&index) {
            return Ok(index);
        }
    }
}
