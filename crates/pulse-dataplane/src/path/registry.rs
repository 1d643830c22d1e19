//! All paths there are, kept while tables are swapped.
//!
//! Invariant: a path that stays in the table keeps what is known of it, and one that is suspect is not forgiven by
//! being taken out and put back; nothing outlives its link or the node's entry.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::proof::Proofs;
use super::{Path, Protection};
use crate::clock::now;
use crate::tables::{Hop, Link, Routes};
use crate::{Handle, LinkId};

/// Paths to one node that are out of the table and remembered.
const SPARE: usize = 8;

/// The paths of one data plane.
#[derive(Debug, Default)]
pub struct Paths {
    /// What the sessions vouch for probes with.
    pub proofs: Proofs,
    all: Mutex<HashMap<Handle, Vec<Arc<Path>>>>,
    /// As it was set last, for paths that come later.
    protections: Mutex<HashMap<(Handle, LinkId), Protection>>,
    next: AtomicU32,
}

impl Paths {
    /// A way to `handle` for the table, over a path as it is known, or new.
    pub fn hop(&self, handle: Handle, link: &Arc<Link>, weight: u32, last: bool) -> Hop {
        Hop { link: Arc::clone(link), weight, last, path: self.take(handle, link, last) }
    }

    fn take(&self, handle: Handle, link: &Arc<Link>, last: bool) -> Arc<Path> {
        let mut all = self.all();
        let paths = all.entry(handle).or_default();
        let known = paths.iter().find(|path| Arc::ptr_eq(&path.link, link)).cloned();
        let path = known.unwrap_or_else(|| {
            let path = Arc::new(Path::new(handle, Arc::clone(link)));
            path.protect(self.protections().get(&(handle, link.index)).copied().unwrap_or_default());
            paths.push(Arc::clone(&path));
            path
        });
        path.last.store(last, Ordering::Relaxed);
        path
    }

    /// Forget what is neither in the table nor worth remembering.
    pub fn keep(&self, routes: &Routes, live: &HashMap<LinkId, Arc<Link>>) {
        let now = now();
        self.all().retain(|handle, paths| {
            let Some(hops) = routes.0.get(handle) else { return false };
            let mut spare = 0;
            paths.retain(|path| {
                if hops.iter().any(|hop| Arc::ptr_eq(&hop.path, path)) {
                    return true;
                }
                let remembered = live.contains_key(&path.link.index) && path.remembers(now);
                spare += usize::from(remembered);
                remembered && spare <= SPARE
            });
            true
        });
    }

    /// Protect these paths so from now on, and no others.
    pub fn protect(&self, protections: HashMap<(Handle, LinkId), Protection>) {
        let all = self.all();
        for path in all.values().flatten() {
            path.protect(protections.get(&(path.handle, path.link.index)).copied().unwrap_or_default());
        }
        *self.protections() = protections;
    }

    /// A link is gone.
    pub fn forget(&self, link: LinkId) {
        self.all().values_mut().for_each(|paths| paths.retain(|path| path.link.index != link));
    }

    /// Every path.
    pub fn list(&self) -> Vec<Arc<Path>> {
        self.all().values().flatten().cloned().collect()
    }

    /// The paths to one node.
    pub(crate) fn to(&self, handle: Handle) -> Vec<Arc<Path>> {
        self.all().get(&handle).cloned().unwrap_or_default()
    }

    /// The path to one node that begins with `link`.
    pub(crate) fn over(&self, handle: Handle, link: LinkId) -> Option<Arc<Path>> {
        self.all().get(&handle)?.iter().find(|path| path.link.index == link).cloned()
    }

    /// A number for the next probe: one sequence for all paths, so that an echo names its path.
    pub(super) fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn protections(&self) -> MutexGuard<'_, HashMap<(Handle, LinkId), Protection>> {
        self.protections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Handle, Vec<Arc<Path>>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::time::Duration;

    use super::*;
    use crate::forward::testing::{bare_link, v4};

    /// A table that leads to node 9 over these links.
    fn table(paths: &Paths, links: &[Arc<Link>]) -> Routes {
        Routes(HashMap::from([(v4(9), links.iter().map(|link| paths.hop(v4(9), link, 1, false)).collect())]))
    }

    fn live(links: &[Arc<Link>]) -> HashMap<LinkId, Arc<Link>> {
        links.iter().map(|link| (link.index, Arc::clone(link))).collect()
    }

    #[test]
    fn a_path_that_stays_keeps_what_is_known_of_it() {
        let (paths, links) = (Paths::default(), [bare_link(1), bare_link(2)]);
        let before = table(&paths, &links);
        before.0[&v4(9)][0].path.unheard(now());
        let after = table(&paths, &links[..1]);
        paths.keep(&after, &live(&links));
        assert!(Arc::ptr_eq(&before.0[&v4(9)][0].path, &after.0[&v4(9)][0].path));
        assert_eq!(paths.list().len(), 1);
    }

    #[test]
    fn a_suspect_path_is_remembered_until_its_link_or_its_node_is_gone() {
        let (paths, links) = (Paths::default(), [bare_link(1), bare_link(2)]);
        let suspect = Arc::clone(&table(&paths, &links).0[&v4(9)][0].path);
        suspect.unheard(now());
        assert_eq!(suspect.judge(now()), Some(true));
        let without = table(&paths, &links[1..]);
        paths.keep(&without, &live(&links));
        assert!(Arc::ptr_eq(&paths.over(v4(9), links[0].index).unwrap(), &suspect));
        assert!(Arc::ptr_eq(&table(&paths, &links).0[&v4(9)][0].path, &suspect));
        paths.keep(&without, &live(&links[1..]));
        assert!(paths.over(v4(9), links[0].index).is_none());
        paths.forget(links[1].index);
        assert!(paths.list().is_empty());
        let _again = table(&paths, &links);
        paths.keep(&Routes::default(), &live(&links));
        assert!(paths.list().is_empty());
    }

    #[test]
    fn the_table_of_protections_is_whole_and_counts_for_paths_that_come_later() {
        let (paths, links) = (Paths::default(), [bare_link(1), bare_link(2)]);
        let before = table(&paths, &links[..1]);
        let four = Protection { parity: 4, duplicate: false };
        let twice = Protection { parity: 0, duplicate: true };
        let both = HashMap::from([((v4(9), links[0].index), four), ((v4(9), links[1].index), twice)]);
        paths.protect(both);
        let after = table(&paths, &links);
        assert_eq!(before.0[&v4(9)][0].path.protection(), four);
        assert_eq!(after.0[&v4(9)][1].path.protection(), twice);
        paths.protect(HashMap::from([((v4(9), links[1].index), four)]));
        let now = after.0[&v4(9)].iter().map(|hop| hop.path.protection());
        assert_eq!(now.collect::<Vec<_>>(), [Protection::default(), four]);
    }

    #[test]
    fn of_many_suspect_paths_a_few_are_remembered() {
        let links: Vec<Arc<Link>> = (1..15).map(bare_link).collect();
        let paths = Paths::default();
        let all = table(&paths, &links);
        all.0[&v4(9)].iter().for_each(|hop| hop.path.unheard(now()));
        paths.keep(&table(&paths, &links[..1]), &live(&links));
        assert_eq!(paths.list().len(), 1 + SPARE);
    }

    #[test]
    fn one_that_did_well_is_forgotten_with_its_place_in_the_table() {
        let (paths, links) = (Paths::default(), [bare_link(1), bare_link(2)]);
        let before = table(&paths, &links);
        assert_eq!(before.0[&v4(9)][0].path.judge(now() + Duration::from_secs(1)), None);
        paths.keep(&table(&paths, &links[1..]), &live(&links));
        assert!(paths.over(v4(9), links[0].index).is_none());
    }
}
