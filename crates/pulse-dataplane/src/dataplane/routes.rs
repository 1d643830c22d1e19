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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::tests::hop;

    const US: Handle = Handle::new(10, 100, 0, 1);
    const THEM: Handle = Handle::new(10, 100, 0, 2);

    fn routes(hops: Vec<Hop>) -> Routes {
        Routes(HashMap::from([(THEM, hops)]))
    }

    #[test]
    fn a_path_changed_if_the_sessions_first_hop_or_its_last_flag_did() {
        let (one, other) = (hop(1, 1, false), hop(2, 1, false));
        let before = routes(vec![one.clone()]);
        let is_new = |hops| changed(US, &before, &routes(hops)) == [THEM];
        assert!(!is_new(vec![one.clone()]));
        assert!(is_new(vec![other.clone()]));
        assert!(is_new(vec![Hop { last: true, ..one.clone() }]));
        // Another weight alone, a backup, or the loss of all ways: nothing goes another way.
        assert!(!is_new(vec![Hop { weight: 9, ..one.clone() }]));
        assert!(!is_new(vec![one.clone(), Hop { weight: 0, ..other.clone() }]));
        assert!(!is_new(vec![]));
        assert_eq!(changed(US, &Routes::default(), &before), [THEM]);
    }

    #[test]
    fn what_counts_is_the_hop_the_session_takes_not_the_first_in_the_table() {
        let (one, other) = (hop(1, 1, false), hop(2, 1, false));
        let table = routes(vec![one.clone(), other.clone()]);
        let taken = session::hop(&table, US, THEM).map(|hop| hop.link.index);
        let swapped = routes(vec![other, one]);
        assert_eq!(session::hop(&swapped, US, THEM).map(|hop| hop.link.index), taken);
        assert!(changed(US, &table, &swapped).is_empty());
    }
}
