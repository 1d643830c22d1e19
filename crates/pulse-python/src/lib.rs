//! `pulse._dataplane`: the data plane as a Python module.
//!
//! Glue only: arguments are converted, calls passed on, errors translated. No thread of the data plane ever
//! takes the GIL; whatever may wait here lets go of it first.

mod convert;
mod events;
mod statistics;

use std::collections::HashMap;
use std::os::fd::RawFd;

use pulse_dataplane::dataplane::{self, Ownership, Way};
use pulse_dataplane::link::Transports;
use pulse_dataplane::punch::Attempt;
use pulse_dataplane::verify::Trust;
use pulse_dataplane::{Handle, LinkId};
use pyo3::prelude::*;
use pyo3::types::{PyList, PyTuple};

use crate::convert::{
    SaidRule, descriptor, node_id, prefix, python_error, rule, seconds, shown, socket_address, transports,
};
use crate::statistics::{LinkStatistics, PathStatistics, PeerStatistics, SessionStatistics, Statistics};

/// A handle and the ways that lead to it.
type Route = (Handle, Vec<Way>);

/// A path with its protection: node, first link, parity packets, and over a second path, too.
type SaidProtected = (Vec<u8>, LinkId, u8, bool);

/// The data plane of one node.
#[pyclass(frozen, module = "pulse._dataplane")]
struct Dataplane(dataplane::Dataplane);

#[pymethods]
impl Dataplane {
    #[new]
    fn new(py: Python<'_>, udp: RawFd) -> PyResult<Self> {
        let udp = descriptor(udp)?;
        let plane = py.detach(|| dataplane::Dataplane::new(udp));
        plane.map(Self).map_err(|error| python_error(error.into()))
    }

    fn fileno(&self) -> RawFd {
        self.0.fileno()
    }

    #[pyo3(signature = (most = 1024))]
    fn drain<'py>(&self, py: Python<'py>, most: usize) -> PyResult<Bound<'py, PyList>> {
        let events: PyResult<Vec<Bound<'py, PyTuple>>> =
            self.0.drain(most).into_iter().map(|event| events::tuple(py, event)).collect();
        PyList::new(py, events?)
    }

    fn local_address(&self) -> PyResult<String> {
        self.0.local_addr().map(shown).map_err(python_error)
    }

    fn boot_id(&self) -> PyResult<[u8; 16]> {
        self.0.boot_id().map_err(python_error)
    }

    fn install_identity(&self, chain: Vec<Vec<u8>>, key: Vec<u8>) -> PyResult<()> {
        self.0.install_identity(&chain, &key).map_err(python_error)
    }

    #[pyo3(signature = (cas, network, revoked, time_floor, objects = Vec::new()))]
    fn install_trust(
        &self,
        cas: Vec<Vec<u8>>,
        network: String,
        revoked: Vec<Vec<u8>>,
        time_floor: f64,
        objects: Vec<u8>,
    ) -> PyResult<()> {
        let revoked: PyResult<Vec<_>> = revoked.iter().map(|node| node_id(node)).collect();
        // A float cast saturates, so a negative or absurd floor becomes the nearest one there is.
        let trust = Trust::new(&cas, network, revoked?, time_floor as u64, objects);
        self.0.install_trust(trust.map_err(dataplane::Error::Invalid).map_err(python_error)?).map_err(python_error)
    }

    #[pyo3(signature = (address, pinned, websocket = None, proxy = None))]
    fn join(
        &self,
        address: &str,
        pinned: bool,
        websocket: Option<f64>,
        proxy: Option<(String, String)>,
    ) -> PyResult<u64> {
        let transports = transports(websocket, proxy)?;
        self.0.join(socket_address(address)?, pinned, transports).map_err(python_error)
    }

    fn send_join(&self, join: u64, request: Vec<u8>) -> PyResult<()> {
        self.0.send_join(join, request).map_err(python_error)
    }

    fn cancel_join(&self, join: u64) -> PyResult<()> {
        self.0.cancel_join(join).map_err(python_error)
    }

    fn answer_join(&self, offer: u64, answer: Vec<u8>) -> PyResult<()> {
        self.0.answer_join(offer, answer).map_err(python_error)
    }

    fn listen(&self, tcp: RawFd) -> PyResult<()> {
        self.0.listen(descriptor(tcp)?).map_err(python_error)
    }

    #[pyo3(signature = (address, expect, replaces = 0, websocket = None, proxy = None, hole = 0))]
    fn dial(
        &self,
        address: &str,
        expect: Option<Vec<u8>>,
        replaces: LinkId,
        websocket: Option<f64>,
        proxy: Option<(String, String)>,
        hole: u64,
    ) -> PyResult<u64> {
        let expect = expect.map(|node| node_id(&node)).transpose()?;
        let transports = Transports { hole, ..transports(websocket, proxy)? };
        self.0.dial(socket_address(address)?, expect, replaces, transports).map_err(python_error)
    }

    fn close_link(&self, link: LinkId, reason: &str) -> PyResult<()> {
        self.0.close_link(link, reason).map_err(python_error)
    }

    fn close_session(&self, node: Vec<u8>, reason: &str) -> PyResult<()> {
        self.0.close_session(node_id(&node)?, reason).map_err(python_error)
    }

    fn renew_sessions(&self) -> PyResult<()> {
        self.0.renew_sessions().map_err(python_error)
    }

    fn send(&self, link: LinkId, message: Vec<u8>) -> PyResult<bool> {
        self.0.send(link, message).map_err(python_error)
    }

    fn expect_probes(&self, attempts: Vec<(u64, [u8; 32], [u8; 32], bool)>) -> PyResult<()> {
        let attempts =
            attempts.iter().map(|(id, ours, theirs, by_birthday)| Attempt::new(*id, ours, theirs, *by_birthday));
        self.0.expect_probes(attempts.collect()).map_err(python_error)
    }

    fn send_probe(&self, address: &str, attempt: u64) -> PyResult<()> {
        self.0.send_probe(socket_address(address)?, attempt).map_err(python_error)
    }

    fn send_probes_apart(&self, address: &str, attempt: u64, count: usize) -> PyResult<()> {
        self.0.send_probes_apart(socket_address(address)?, attempt, count).map_err(python_error)
    }

    fn request(&self, node: Vec<u8>, payload: Vec<u8>, timeout: f64) -> PyResult<u64> {
        self.0.request(node_id(&node)?, payload, seconds("timeout", timeout)?).map_err(python_error)
    }

    fn respond(&self, request: u64, payload: Vec<u8>) -> PyResult<()> {
        self.0.respond(request, payload).map_err(python_error)
    }

    fn open_stream(&self, node: Vec<u8>, header: Vec<u8>) -> PyResult<u64> {
        self.0.open_stream(node_id(&node)?, header).map_err(python_error)
    }

    fn accept_stream(&self, stream: u64, fd: RawFd) -> PyResult<()> {
        self.0.accept_stream(stream, descriptor(fd)?).map_err(python_error)
    }

    fn refuse_stream(&self, stream: u64, code: u32) -> PyResult<()> {
        self.0.refuse_stream(stream, code).map_err(python_error)
    }

    fn splice(&self, stream: u64, fd: RawFd) -> PyResult<()> {
        self.0.splice(stream, descriptor(fd)?).map_err(python_error)
    }

    fn cancel_stream(&self, stream: u64) -> PyResult<()> {
        self.0.cancel_stream(stream).map_err(python_error)
    }

    fn replace_routes(&self, routes: HashMap<String, Vec<Way>>) -> PyResult<()> {
        let routes: PyResult<Vec<Route>> =
            routes.into_iter().map(|(handle, hops)| Ok((handle.parse()?, hops))).collect();
        self.0.replace_routes(&routes?).map_err(python_error)
    }

    fn replace_addresses(&self, owners: Vec<(String, Vec<u8>, bool, bool)>) -> PyResult<()> {
        let owners: PyResult<Vec<Ownership>> = owners
            .into_iter()
            .map(|(text, node, destination, source)| {
                let (network, length) = prefix(&text)?;
                Ok(Ownership { network, length, node: node_id(&node)?, destination, source })
            })
            .collect();
        self.0.replace_addresses(&owners?).map_err(python_error)
    }

    fn replace_policy(&self, rules: Vec<SaidRule>) -> PyResult<()> {
        let rules: PyResult<Vec<_>> = rules.into_iter().map(rule).collect();
        self.0.replace_policy(rules?).map_err(python_error)
    }

    fn set_fec(&self, py: Python<'_>, paths: Option<Vec<SaidProtected>>) -> PyResult<()> {
        let protected = |(node, link, parity, duplicate): SaidProtected| Ok((node_id(&node)?, link, parity, duplicate));
        let paths = paths.map(|paths| paths.into_iter().map(protected).collect::<PyResult<Vec<_>>>()).transpose()?;
        py.detach(|| self.0.set_fec(paths.as_deref())).map_err(python_error)
    }

    #[pyo3(signature = (name, queues = 1))]
    fn attach_tun(&self, py: Python<'_>, name: &str, queues: usize) -> PyResult<String> {
        py.detach(|| self.0.attach_tun(name, queues)).map_err(python_error)
    }

    fn detach_tun(&self, py: Python<'_>) -> PyResult<()> {
        py.detach(|| self.0.detach_tun()).map_err(python_error)
    }

    fn rebind(&self, udp: RawFd) -> PyResult<()> {
        self.0.rebind(descriptor(udp)?).map_err(python_error)
    }

    fn moved(&self) -> PyResult<Vec<LinkId>> {
        self.0.moved().map_err(python_error)
    }

    fn statistics(&self) -> PyResult<Statistics> {
        self.0.statistics().map(Statistics::from).map_err(python_error)
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.0.close());
    }
}

/// Version of the crate, which is that of the Python package.
#[pyfunction]
fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

#[pymodule]
fn _dataplane(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(version, module)?)?;
    module.add_class::<Dataplane>()?;
    module.add_class::<Statistics>()?;
    module.add_class::<LinkStatistics>()?;
    module.add_class::<PeerStatistics>()?;
    module.add_class::<PathStatistics>()?;
    module.add_class::<SessionStatistics>()
}
