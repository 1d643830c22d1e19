//! The table of routes, from what Python names.
//!
//! Invariant: a table holds live links only.

use std::collections::HashMap;
use std::sync::Arc;

use crate::session;
use crate::tables::{Hop, Link, Routes, Shared};
use crate::{Handle, LinkId};

/// One way to a node: the first link, its share of the flows (0: a warm backup), and whether the neighbour must use a
/// link of its own to the node.
pub type Way = (LinkId, u32, bool);

/// Put a table of these routes in place of the one there is; `moved` hears the handles whose session goes another way.
pub(super) fn replace(shared: &Shared, routes: &[(Handle, Vec<Way>)], moved: impl Fn(&[Handle])) {
    let us = shared.me.load().as_ref().map_or(Handle::UNSPECIFIED, |me| me.v4);
    let mut live = shared.links.load();
    loop {
        let table = build(routes, &live);
        let changed = changed(us, &shared.routes.load(), &table);
        shared.routes.store(Arc::new(table));
        moved(&changed);
        // A link that ended meanwhile was taken out of the table before this one.
        let before = std::mem::replace(&mut live, shared.links.load());
        if Arc::ptr_eq(&before, &live) {
            return;
        }
    }
}

/// A table of these routes; links that are not in `live` are skipped.
fn build(routes: &[(Handle, Vec<Way>)], live: &HashMap<LinkId, Arc<Link>>) -> Routes {
    let hop = |&(link, weight, last): &Way| live.get(&link).map(|link| Hop { link: Arc::clone(link), weight, last });
    Routes(routes.iter().map(|(handle, hops)| (*handle, hops.iter().filter_map(hop).collect())).collect())
}

/// The handles to which our session's packets go over another first hop now.
fn changed(us: Handle, before: &Routes, after: &Routes) -> Vec<Handle> {
    let hop = |routes, handle| session::hop(routes, us, handle).map(|hop| (hop.link.index, hop.last));
    let is_new = |handle: &Handle| {
        let now = hop(after, *handle);
        now.is_some() && now != hop(before, *handle)
    };
    after.0.keys().copied().filter(is_new).collect()
}
