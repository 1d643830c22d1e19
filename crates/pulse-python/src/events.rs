//! Events as Python tuples: the kind, then the fields in the order the stub gives.

use pulse_dataplane::event::Event;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};

use crate::convert::shown;

/// The tuple of one event.
pub(crate) fn tuple(py: Python<'_>, event: Event) -> PyResult<Bound<'_, PyTuple>> {
    let bytes = |data: &[u8]| PyBytes::new(py, data);
    match event {
        Event::LinkUp { link, dial, node, certificate, transport, observed, hello } => {
            let fields: [Bound<'_, PyAny>; 14] = [
                "LinkUp".into_pyobject(py)?.into_any(),
                link.into_pyobject(py)?.into_any(),
                dial.into_pyobject(py)?.into_any(),
                bytes(&node).into_any(),
                bytes(&certificate).into_any(),
                transport.into_pyobject(py)?.into_any(),
                shown(observed).into_pyobject(py)?.into_any(),
                hello.version.into_pyobject(py)?.into_any(),
                bytes(&hello.boot).into_any(),
                hello.index.into_pyobject(py)?.into_any(),
                hello.replaces.into_pyobject(py)?.into_any(),
                hello.clock.into_pyobject(py)?.into_any(),
                bytes(&hello.revocations).into_any(),
                hello.features.into_pyobject(py)?.into_any(),
            ];
            PyTuple::new(py, fields)
        }
        Event::LinkDown { link, node, reason } => ("LinkDown", link, bytes(&node), reason).into_pyobject(py),
        Event::LinkSuspect { link, node, suspect } => ("LinkSuspect", link, bytes(&node), suspect).into_pyobject(py),
        Event::LinkMoved { link, node, observed } => {
            ("LinkMoved", link, bytes(&node), shown(observed)).into_pyobject(py)
        }
        Event::PathSuspect { node, link, suspect } => ("PathSuspect", bytes(&node), link, suspect).into_pyobject(py),
        Event::DialFailed { dial, code, detail } => ("DialFailed", dial, code, detail).into_pyobject(py),
        Event::Message { link, payload } => ("Message", link, bytes(&payload)).into_pyobject(py),
        Event::JoinOffered { offer, source, request } => {
            ("JoinOffered", offer, shown(source), bytes(&request)).into_pyobject(py)
        }
        Event::JoinGreeted { join, transport, leaf, objects } => {
            ("JoinGreeted", join, transport, bytes(&leaf), bytes(&objects)).into_pyobject(py)
        }
        Event::JoinAnswered { join, answer } => ("JoinAnswered", join, bytes(&answer)).into_pyobject(py),
        Event::JoinFailed { join, code, detail } => ("JoinFailed", join, code, detail).into_pyobject(py),
        Event::ProbeReceived { attempt, source, echo } => {
            ("ProbeReceived", attempt, shown(source), echo).into_pyobject(py)
        }
        Event::PeerWanted { node } => ("PeerWanted", bytes(&node)).into_pyobject(py),
        Event::NoRoute { node } => ("NoRoute", bytes(&node)).into_pyobject(py),
        Event::FlowDenied { node, rule, proto, port, others } => {
            ("FlowDenied", bytes(&node), rule, proto, port, others).into_pyobject(py)
        }
        Event::Request { request, node, payload } => {
            ("Request", request, bytes(&node), bytes(&payload)).into_pyobject(py)
        }
        Event::Response { request, result: Ok(payload) } => {
            ("Response", request, bytes(&payload), "").into_pyobject(py)
        }
        Event::Response { request, result: Err(code) } => ("Response", request, py.None(), code).into_pyobject(py),
        Event::StreamOffered { stream, node, header } => {
            ("StreamOffered", stream, bytes(&node), bytes(&header)).into_pyobject(py)
        }
        Event::StreamAccepted { stream } => ("StreamAccepted", stream).into_pyobject(py),
        Event::StreamRefused { stream, code } => ("StreamRefused", stream, code).into_pyobject(py),
        Event::StreamClosed { stream, sent, received, cut } => {
            ("StreamClosed", stream, sent, received, cut).into_pyobject(py)
        }
        Event::SessionUp { node } => ("SessionUp", bytes(&node)).into_pyobject(py),
        Event::SessionDown { node, reason } => ("SessionDown", bytes(&node), reason).into_pyobject(py),
        Event::TunGone { reason } => ("TunGone", reason).into_pyobject(py),
        Event::Log { level, text } => ("Log", level as i32, text).into_pyobject(py),
    }
}
