//! The table of routes, from what Python names.
//!
//! Invariant: a table holds live links only.

use std::collections::HashMap;
use std::sync::Arc;

use crate::tables::{Hop, Link, Routes};
use crate::{Handle, LinkId};

/// A table of these routes; links that are not in `live` are skipped.
pub(super) fn build(routes: &[(Handle, Vec<(LinkId, u32)>)], live: &HashMap<LinkId, Arc<Link>>) -> Routes {
    let hop =
        |(link, weight): &(LinkId, u32)| live.get(link).map(|link| Hop { link: Arc::clone(link), weight: *weight });
    Routes(routes.iter().map(|(handle, hops)| (*handle, hops.iter().filter_map(hop).collect())).collect())
}

/// The handles that another link leads to now.
pub(super) fn changed(before: &Routes, after: &Routes) -> Vec<Handle> {
    let first = |routes: &Routes, handle| routes.first(handle).map(|link| link.index);
    let is_new = |handle: &Handle| {
        let now = first(after, *handle);
        now.is_some() && now != first(before, *handle)
    };
    after.0.keys().copied().filter(is_new).collect()
}
