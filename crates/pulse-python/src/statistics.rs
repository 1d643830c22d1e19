//! One snapshot of the counters, as frozen Python objects.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use pulse_dataplane::stats::Traffic;
use pulse_dataplane::{NodeId, dataplane, link, session};
use pyo3::prelude::*;

use crate::convert::shown;

/// One live link.
#[pyclass(frozen, get_all, skip_from_py_object, module = "pulse._dataplane")]
#[derive(Clone)]
pub(crate) struct LinkStatistics {
    link: u32,
    node: NodeId,
    transport: &'static str,
    remote: String,
    rtt: Option<f64>,
    jitter: f64,
    loss: f64,
    suspect: bool,
    size: usize,
    age: f64,
    packets_out: u64,
    bytes_out: u64,
    packets_in: u64,
    bytes_in: u64,
    relayed: u64,
}

/// One node that packets can be sent to.
#[pyclass(frozen, get_all, skip_from_py_object, module = "pulse._dataplane")]
#[derive(Clone)]
pub(crate) struct PeerStatistics {
    node: NodeId,
    mtu: Option<usize>,
    packets_out: u64,
    bytes_out: u64,
    packets_in: u64,
    bytes_in: u64,
    parity_out: u64,
    parity_in: u64,
    repaired: u64,
    unrepairable: u64,
}

/// One path that was measured.
#[pyclass(frozen, get_all, skip_from_py_object, module = "pulse._dataplane")]
#[derive(Clone)]
pub(crate) struct PathStatistics {
    node: NodeId,
    link: u32,
    rtt: Option<f64>,
    loss: f64,
    reported: Option<f64>,
    burst: f64,
    suspect: bool,
    parity: u8,
    duplicate: bool,
}

/// One live session.
#[pyclass(frozen, get_all, skip_from_py_object, module = "pulse._dataplane")]
#[derive(Clone)]
pub(crate) struct SessionStatistics {
    node: NodeId,
    rtt: f64,
    age: f64,
    streams: usize,
    bytes_out: u64,
    bytes_in: u64,
}

/// Everything that is counted.
#[pyclass(frozen, get_all, module = "pulse._dataplane")]
pub(crate) struct Statistics {
    links: Vec<LinkStatistics>,
    peers: Vec<PeerStatistics>,
    paths: Vec<PathStatistics>,
    sessions: Vec<SessionStatistics>,
    drops: HashMap<&'static str, u64>,
    hits: HashMap<String, u64>,
    unmatched: u64,
}

impl From<dataplane::Statistics> for Statistics {
    fn from(all: dataplane::Statistics) -> Self {
        Self {
            links: all.links.iter().map(LinkStatistics::from).collect(),
            peers: all.peers.iter().map(PeerStatistics::from).collect(),
            paths: all.paths.iter().map(PathStatistics::from).collect(),
            sessions: all.sessions.iter().map(SessionStatistics::from).collect(),
            drops: all.drops.into_iter().collect(),
            hits: all.hits.into_iter().collect(),
            unmatched: all.unmatched,
        }
    }
}

impl From<&link::Snapshot> for LinkStatistics {
    fn from(live: &link::Snapshot) -> Self {
        let link = &live.link;
        let figures = link.probes.reading();
        let (packets_out, bytes_out, packets_in, bytes_in) = counts(&link.traffic);
        Self {
            link: link.index,
            node: link.node,
            transport: live.transport,
            remote: shown(**link.remote.load()),
            rtt: figures.rtt.map(|rtt| rtt.as_secs_f64()),
            jitter: figures.jitter.as_secs_f64(),
            loss: figures.loss,
            suspect: link.suspect.load(Relaxed),
            size: link.size.load(Relaxed),
            age: live.age.as_secs_f64(),
            packets_out,
            bytes_out,
            packets_in,
            bytes_in,
            relayed: link.traffic.relayed.load(Relaxed),
        }
    }
}

impl From<&dataplane::PeerSnapshot> for PeerStatistics {
    fn from(snapshot: &dataplane::PeerSnapshot) -> Self {
        let (peer, mtu) = (&snapshot.peer, snapshot.mtu);
        let (packets_out, bytes_out, packets_in, bytes_in) = counts(&peer.traffic);
        let [parity_out, parity_in, repaired, unrepairable] =
            [&peer.fec.parity_out, &peer.fec.parity_in, &peer.fec.repaired, &peer.fec.unrepairable]
                .map(|count| count.load(Relaxed));
        Self {
            node: peer.node,
            mtu,
            packets_out,
            bytes_out,
            packets_in,
            bytes_in,
            parity_out,
            parity_in,
            repaired,
            unrepairable,
        }
    }
}

impl From<&dataplane::PathSnapshot> for PathStatistics {
    fn from(path: &dataplane::PathSnapshot) -> Self {
        let (rtt, protection) = (path.figures.rtt.map(|rtt| rtt.as_secs_f64()), path.protection);
        Self {
            node: path.node,
            link: path.link,
            rtt,
            loss: path.figures.loss,
            reported: path.figures.reported,
            burst: path.figures.burst,
            suspect: path.suspect,
            parity: protection.parity,
            duplicate: protection.duplicate,
        }
    }
}

impl From<&session::Snapshot> for SessionStatistics {
    fn from(session: &session::Snapshot) -> Self {
        Self {
            node: session.node,
            rtt: session.rtt.as_secs_f64(),
            age: session.age.as_secs_f64(),
            streams: session.streams,
            bytes_out: session.sent,
            bytes_in: session.received,
        }
    }
}

fn counts(traffic: &Traffic) -> (u64, u64, u64, u64) {
    let [packets_out, bytes_out, packets_in, bytes_in] =
        [&traffic.packets_out, &traffic.bytes_out, &traffic.packets_in, &traffic.bytes_in]
            .map(|count| count.load(Relaxed));
    (packets_out, bytes_out, packets_in, bytes_in)
}
