//! The table of routes, from what Python names.
//!
//! Invariant: a table holds live links only.

use std::collections::HashMap;
use std::sync::Arc;

use crate::path::Paths;
use crate::tables::{Hop, Link, Routes, Shared};
use crate::{Handle, LinkId};

/// Put a table of these routes in place of the one there is; `moved` hears the handles that another link leads to.
pub(super) fn replace(shared: &Shared, routes: &[(Handle, Vec<(LinkId, u32)>)], moved: impl Fn(&[Handle])) {
    let mut live = shared.links.load();
    loop {
        let table = build(&shared.paths, routes, &live);
        let changed = changed(&shared.routes.load(), &table);
        shared.paths.keep(&table, &live);
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
fn build(paths: &Paths, routes: &[(Handle, Vec<(LinkId, u32)>)], live: &HashMap<LinkId, Arc<Link>>) -> Routes {
    let hop = |handle: Handle, (link, weight): (LinkId, u32)| {
        let link = live.get(&link)?;
        Some(Hop { link: Arc::clone(link), weight, path: paths.take(handle, link, false) })
    };
    let hops = |handle: Handle, hops: &[(LinkId, u32)]| hops.iter().filter_map(|each| hop(handle, *each)).collect();
    Routes(routes.iter().map(|(handle, each)| (*handle, hops(*handle, each))).collect())
}

/// The handles that another link leads to now.
fn changed(before: &Routes, after: &Routes) -> Vec<Handle> {
    let first = |routes: &Routes, handle| routes.first(handle).map(|link| link.index);
    let is_new = |handle: &Handle| {
        let now = first(after, *handle);
        now.is_some() && now != first(before, *handle)
    };
    after.0.keys().copied().filter(is_new).collect()
}
