//! Which session serves which node, and who is being dialled: a pure table, time comes in by argument.
//!
//! Invariant: both ends of a pair judge two sessions alike, so the same one survives: another boot id wins, else the
//! lower id's dial stays, else the newer one (protocol §3).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::NodeId;

/// Two dials to one node start at least this far apart.
pub const DIAL_INTERVAL: Duration = Duration::from_secs(1);

/// A live session as the tie-break sees it.
#[derive(Debug)]
pub struct Entry<S> {
    /// Names it in `down`.
    pub id: u64,
    /// The session.
    pub session: S,
    /// The boot id of the peer's hello.
    pub boot: [u8; 16],
    /// Who dialled it.
    pub dialler: NodeId,
}

/// What became of a new session.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<S> {
    /// There was no other.
    Alone,
    /// It replaces `loser`; `restarted` if the peer is another process now.
    Wins { loser: S, restarted: bool },
    /// The one before stays.
    Loses,
}

/// What to do for somebody who wants a session.
#[derive(Debug)]
pub enum Want<S, W> {
    /// There is one.
    Use(S, Option<W>),
    /// Dial, not before `at`; whoever waits is noted. `restart` says that the path changed meanwhile.
    Dial { at: Instant, restart: Arc<Notify> },
    /// A dial is under way; whoever waits is noted.
    Joined,
}

#[derive(Debug)]
struct Dial<W> {
    started: Instant,
    restart: Arc<Notify>,
    waiters: Vec<W>,
}

/// The table; `S` is a session, `W` somebody who waits for one.
#[derive(Debug)]
pub struct Table<S, W> {
    live: HashMap<NodeId, Entry<S>>,
    dials: HashMap<NodeId, Dial<W>>,
    failed: HashMap<NodeId, Instant>,
}

impl<S, W> Default for Table<S, W> {
    fn default() -> Self {
        Self { live: HashMap::new(), dials: HashMap::new(), failed: HashMap::new() }
    }
}

impl<S: Clone, W> Table<S, W> {
    /// The live session with `node`.
    pub fn get(&self, node: &NodeId) -> Option<&S> {
        self.live.get(node).map(|entry| &entry.session)
    }

    /// Somebody wants a session with `node`; `waiter` is none if nobody waits for the outcome.
    pub fn want(&mut self, node: NodeId, waiter: Option<W>, now: Instant) -> Want<S, W> {
        if let Some(entry) = self.live.get(&node) {
            return Want::Use(entry.session.clone(), waiter);
        }
        if let Some(dial) = self.dials.get_mut(&node) {
            dial.waiters.extend(waiter);
            return Want::Joined;
        }
        let at = self.failed.get(&node).map_or(now, |started| now.max(*started + DIAL_INTERVAL));
        let restart = Arc::new(Notify::new());
        let dial = Dial { started: at, restart: Arc::clone(&restart), waiters: waiter.into_iter().collect() };
        self.dials.insert(node, dial);
        Want::Dial { at, restart }
    }

    /// The session with `node` is to have a successor: a dial begins beside it, unless one is under way.
    pub fn renew(&mut self, node: NodeId, now: Instant) -> Option<Arc<Notify>> {
        if self.dials.contains_key(&node) {
            return None;
        }
        let restart = Arc::new(Notify::new());
        self.dials.insert(node, Dial { started: now, restart: Arc::clone(&restart), waiters: Vec::new() });
        Some(restart)
    }

    /// The path to `node` changed: a dial under way had better begin anew.
    pub fn path_changed(&self, node: &NodeId) {
        if let Some(dial) = self.dials.get(node) {
            dial.restart.notify_one();
        }
    }

    /// A dial ended; who still waits for it gets nothing.
    pub fn dial_ended(&mut self, node: &NodeId, succeeded: bool, now: Instant) -> Vec<W> {
        self.failed.retain(|_, started| *started + DIAL_INTERVAL > now);
        let Some(dial) = self.dials.remove(node) else { return Vec::new() };
        if !succeeded {
            self.failed.insert(*node, dial.started);
        }
        dial.waiters
    }

    /// A session is up, both hellos exchanged. Also returns who waited for it.
    pub fn up(&mut self, us: &NodeId, node: NodeId, new: Entry<S>) -> (Verdict<S>, Vec<W>) {
        self.failed.remove(&node);
        let waiters = self.dials.get_mut(&node).map(|dial| std::mem::take(&mut dial.waiters)).unwrap_or_default();
        let Some(old) = self.live.get(&node) else {
            self.live.insert(node, new);
            return (Verdict::Alone, waiters);
        };
        let restarted = old.boot != new.boot;
        let lower = us.min(&node);
        let stays = old.dialler == *lower && new.dialler != *lower;
        if stays && !restarted {
            return (Verdict::Loses, waiters);
        }
        let loser = old.session.clone();
        self.live.insert(node, new);
        (Verdict::Wins { loser, restarted }, waiters)
    }

    /// A session ended; true if it was the one that served `node`.
    pub fn down(&mut self, node: &NodeId, id: u64) -> bool {
        let served = self.live.get(node).is_some_and(|entry| entry.id == id);
        if served {
            self.live.remove(node);
        }
        served
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use super::*;

    const LOW: NodeId = [1; 32];
    const HIGH: NodeId = [2; 32];

    fn entry(id: u64, dialler: NodeId, boot: u8) -> Entry<u64> {
        Entry { id, session: id, boot: [boot; 16], dialler }
    }

    /// The survivor of two sessions that come up in this order, as `us` judges it.
    fn survivor(us: NodeId, first: Entry<u64>, second: Entry<u64>) -> u64 {
        let them = if us == LOW { HIGH } else { LOW };
        let mut table = Table::<u64, ()>::default();
        table.up(&us, them, first);
        table.up(&us, them, second);
        *table.get(&them).unwrap()
    }

    #[test]
    fn both_ends_keep_the_lower_ids_dial_in_whatever_order_they_come_up() {
        for us in [LOW, HIGH] {
            assert_eq!(survivor(us, entry(1, LOW, 0), entry(2, HIGH, 0)), 1);
            assert_eq!(survivor(us, entry(2, HIGH, 0), entry(1, LOW, 0)), 1);
        }
    }

    #[test]
    fn another_boot_id_wins_at_once() {
        for us in [LOW, HIGH] {
            assert_eq!(survivor(us, entry(1, LOW, 0), entry(2, HIGH, 1)), 2);
        }
        let mut table = Table::<u64, ()>::default();
        table.up(&LOW, HIGH, entry(1, LOW, 0));
        let (verdict, _) = table.up(&LOW, HIGH, entry(2, HIGH, 1));
        assert_eq!(verdict, Verdict::Wins { loser: 1, restarted: true });
    }

    #[test]
    fn a_second_dial_of_the_same_end_replaces_its_first() {
        assert_eq!(survivor(HIGH, entry(1, LOW, 0), entry(2, LOW, 0)), 2);
        assert_eq!(survivor(LOW, entry(1, HIGH, 0), entry(2, HIGH, 0)), 2);
    }

    #[test]
    fn the_lower_ids_second_dial_stays_whoever_dialled_the_first_and_there_is_one_at_a_time() {
        for us in [LOW, HIGH] {
            assert_eq!(survivor(us, entry(1, LOW, 0), entry(2, LOW, 0)), 2);
            assert_eq!(survivor(us, entry(1, HIGH, 0), entry(2, LOW, 0)), 2);
        }
        let mut table = Table::<u64, ()>::default();
        let now = Instant::now();
        table.up(&LOW, HIGH, entry(1, HIGH, 0));
        assert!(table.renew(HIGH, now).is_some());
        assert!(table.renew(HIGH, now).is_none());
        table.dial_ended(&HIGH, true, now);
        assert!(table.renew(HIGH, now).is_some());
    }

    #[test]
    fn the_end_of_a_loser_leaves_the_winner() {
        let mut table = Table::<u64, ()>::default();
        table.up(&LOW, HIGH, entry(2, HIGH, 0));
        table.up(&LOW, HIGH, entry(1, LOW, 0));
        assert!(!table.down(&HIGH, 2));
        assert!(table.down(&HIGH, 1));
        assert!(table.get(&HIGH).is_none());
    }

    #[test]
    fn one_dial_serves_all_who_want_the_node() {
        let mut table = Table::<u64, &str>::default();
        let now = Instant::now();
        assert!(matches!(table.want(HIGH, Some("first"), now), Want::Dial { at, .. } if at == now));
        assert!(matches!(table.want(HIGH, Some("second"), now), Want::Joined));
        let (_, waiters) = table.up(&LOW, HIGH, entry(1, HIGH, 0));
        assert_eq!(waiters, ["first", "second"]);
        assert!(matches!(table.want(HIGH, None, now), Want::Use(1, None)));
        assert!(table.dial_ended(&HIGH, true, now).is_empty());
    }

    #[test]
    fn a_dead_peer_is_dialled_once_a_second() {
        let mut table = Table::<u64, ()>::default();
        let mut now = Instant::now();
        table.want(HIGH, None, now);
        for _ in 0..3 {
            let start = now;
            table.dial_ended(&HIGH, false, now);
            now += DIAL_INTERVAL / 4;
            let Want::Dial { at, .. } = table.want(HIGH, None, now) else { panic!("no dial") };
            assert_eq!(at, start + DIAL_INTERVAL);
            now = at;
        }
        table.dial_ended(&HIGH, false, now);
        assert_eq!(table.failed.len(), 1);
        table.dial_ended(&LOW, false, now + DIAL_INTERVAL);
        assert!(table.failed.is_empty());
    }

    #[test]
    fn a_session_that_comes_up_ends_the_backoff() {
        let mut table = Table::<u64, ()>::default();
        let now = Instant::now();
        table.want(HIGH, None, now);
        table.dial_ended(&HIGH, false, now);
        table.up(&LOW, HIGH, entry(1, HIGH, 0));
        table.down(&HIGH, 1);
        assert!(matches!(table.want(HIGH, None, now), Want::Dial { at, .. } if at == now));
    }
}
