//! Arguments from Python into the data plane's types, and its errors into Python's.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use pulse_dataplane::dataplane::Error;
use pulse_dataplane::link::{Proxy, Transports};
use pulse_dataplane::policy::{Handles, Rule};
use pulse_dataplane::{Handle, NodeId};
use pyo3::PyErr;
use pyo3::exceptions::{PyOSError, PyRuntimeError, PyValueError};

/// The 32 bytes of a node id.
pub(crate) fn node_id(bytes: &[u8]) -> Result<NodeId, PyErr> {
    bytes.try_into().map_err(|_| PyValueError::new_err(format!("a node id has 32 bytes, not {}", bytes.len())))
}

/// "192.0.2.1:443" or "[2001:db8::1]:443".
pub(crate) fn socket_address(text: &str) -> Result<SocketAddr, PyErr> {
    text.parse().map_err(|_| PyValueError::new_err(format!("{text:?} is no ip:port")))
}

/// "10.100.1.2/32" or "fd00::/8".
pub(crate) fn prefix(text: &str) -> Result<(IpAddr, u8), PyErr> {
    let wrong = || PyValueError::new_err(format!("{text:?} is no prefix"));
    let (network, length) = text.split_once('/').ok_or_else(wrong)?;
    let (network, length) = (network.parse::<IpAddr>().map_err(|_| wrong())?, length.parse().map_err(|_| wrong())?);
    let longest = if network.is_ipv4() { 32 } else { 128 };
    if length > longest { Err(wrong()) } else { Ok((network, length)) }
}

/// A rule as Python says it: allow, handles it may come from and go to (none for any), IP protocols, port ranges, whether
/// what it allows leaves over two ways, and its id.
pub(crate) type SaidRule =
    (bool, Option<Vec<String>>, Option<Vec<String>>, Vec<i64>, Vec<(i64, i64)>, bool, String, SaidBeyond, SaidBeyond);

/// Ranges, and the handles of the nodes that they lie behind.
type SaidBeyond = (Vec<String>, Vec<String>);

/// That rule for the data plane.
pub(crate) fn rule(said: SaidRule) -> Result<Rule, PyErr> {
    let (allow, from, to, protocols, ports, redundant, id, from_beyond, to_beyond) = said;
    let protocol = |number| number_in(number, "an IP protocol");
    let range = |(low, high)| Ok((number_in(low, "a port")?, number_in(high, "a port")?));
    Ok(Rule {
        id,
        allow,
        from: from.map(|nodes| side(nodes, from_beyond)).transpose()?,
        to: to.map(|nodes| side(nodes, to_beyond)).transpose()?,
        protocols: protocols.into_iter().map(protocol).collect::<Result<_, PyErr>>()?,
        ports: ports.into_iter().map(range).collect::<Result<_, PyErr>>()?,
        redundant,
    })
}

fn side(nodes: Vec<String>, (ranges, gateways): SaidBeyond) -> Result<Handles, PyErr> {
    let ranges = ranges.iter().map(|range| prefix(range)).collect::<Result<_, _>>()?;
    Ok(handles(nodes)?.into_iter().collect::<Handles>().beyond(ranges, handles(gateways)?))
}

fn handles(texts: Vec<String>) -> Result<Vec<Handle>, PyErr> {
    let handle =
        |text: String| text.parse::<Handle>().map_err(|_| PyValueError::new_err(format!("{text:?} is no handle")));
    texts.into_iter().map(handle).collect()
}

fn number_in<T: TryFrom<i64>>(number: i64, what: &str) -> Result<T, PyErr> {
    T::try_from(number).map_err(|_| PyValueError::new_err(format!("{number} is not {what}")))
}

/// Take over a descriptor that Python hands us.
pub(crate) fn descriptor(fd: RawFd) -> Result<OwnedFd, PyErr> {
    if fd < 0 {
        return Err(PyValueError::new_err(format!("{fd} is no descriptor")));
    }
    // SAFETY: the caller gives the descriptor away, as the stub says.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An address as people write it: IPv4 without its IPv6 wrapping.
pub(crate) fn shown(address: SocketAddr) -> String {
    SocketAddr::new(address.ip().to_canonical(), address.port()).to_string()
}

/// The exception that stands for an error of the data plane.
pub(crate) fn python_error(error: Error) -> PyErr {
    match error {
        Error::Closed => PyRuntimeError::new_err(error.to_string()),
        Error::Invalid(what) => PyValueError::new_err(what),
        Error::System(error) => os_error(&error),
    }
}

/// The system's refusal with its errno, by which Python picks the class; pyo3's own conversion keeps the text only.
fn os_error(error: &io::Error) -> PyErr {
    let text = error.to_string();
    let Some(code) = error.raw_os_error() else { return PyOSError::new_err(text) };
    let words = text.strip_suffix(&format!(" (os error {code})")).unwrap_or(&text);
    PyOSError::new_err((code, words.to_owned()))
}

/// A time that can be waited for; `what` it is is named if not.
pub(crate) fn seconds(what: &str, value: f64) -> Result<Duration, PyErr> {
    Duration::try_from_secs_f64(value).map_err(|error| PyValueError::new_err(format!("{what} {value}: {error}")))
}

/// What a dial tries: QUIC, a WebSocket so many seconds later, and through which proxy (its `ip:port`, and a value of
/// Proxy-Authorization).
pub(crate) fn transports(websocket: Option<f64>, proxy: Option<(String, String)>) -> Result<Transports, PyErr> {
    let websocket = websocket.map(|after| seconds("websocket", after)).transpose()?;
    let proxy = proxy.map(|(address, authorization)| {
        // It becomes a line of a header.
        if authorization.bytes().any(|byte| byte.is_ascii_control()) {
            return Err(PyValueError::new_err("the proxy's authorization has control characters"));
        }
        Ok(Proxy { address: socket_address(&address)?, authorization })
    });
    Ok(Transports { websocket, proxy: proxy.transpose()?, ..Transports::default() })
}
