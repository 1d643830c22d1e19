//! The table of routes, from what Python names.
//!
//! Invariant: a table holds live links only.

use std::collections::HashMap;
use std::sync::Arc;

use crate::path::Paths;
use crate::tables::{Link, Routes, Shared};
use crate::{Handle, LinkId};

/// One way to a node: the first link, its share of the flows (0: a warm backup), and whether the neighbour must use a
/// link of its own to the node.
pub type Way = (LinkId, u32, bool);

/// Put a table of these routes in place of the one there is; `rerouted` is told then.
pub(super) fn replace(shared: &Shared, routes: &[(Handle, Vec<Way>)], rerouted: impl Fn()) {
    let mut live = shared.links.load();
    loop {
        let table = build(&shared.paths, routes, &live);
        shared.paths.keep(&table, &live);
        shared.routes.store(Arc::new(table));
        rerouted();
        // A link that ended meanwhile was taken out of the table before this one.
        let before = std::mem::replace(&mut live, shared.links.load());
        if Arc::ptr_eq(&before, &live) {
            return;
        }
    }
}

/// A table of these routes; links that are not in `live` are skipped.
fn build(paths: &Paths, routes: &[(Handle, Vec<Way>)], live: &HashMap<LinkId, Arc<Link>>) -> Routes {
    let hop = |handle, &(link, weight, last): &Way| Some(paths.hop(handle, live.get(&link)?, weight, last));
    let hops = |handle, ways: &[Way]| ways.iter().filter_map(|way| hop(handle, way)).collect();
    Routes(routes.iter().map(|(handle, ways)| (*handle, hops(*handle, ways))).collect())
}
