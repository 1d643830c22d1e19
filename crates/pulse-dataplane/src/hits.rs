//! How many flows each rule decided on.
//!
//! Invariant: counters live outside the policy, which is swapped: a rule's goes on under its id whatever else changes, and
//! counting is one relaxed add.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Ids that are remembered; above it those go that are no longer in force. A policy has at most 1,024 rules.
const REMEMBERED: usize = 4096;

type Counter = Arc<AtomicU64>;

/// The counters of one data plane.
#[derive(Debug, Default)]
pub struct Hits {
    rules: Mutex<HashMap<String, Counter>>,
    unmatched: Counter,
}

/// Those of one policy, by the number of the rule.
#[derive(Debug, Default)]
pub struct Counters {
    rules: Vec<Counter>,
    unmatched: Counter,
}

impl Hits {
    /// For rules with these ids; whoever shares an id shares a counter.
    pub fn counters<'i>(&self, ids: impl Iterator<Item = &'i str>) -> Counters {
        let ids: Vec<&str> = ids.collect();
        let mut known = self.known();
        let rules = ids.iter().map(|id| Arc::clone(known.entry((*id).to_owned()).or_default())).collect();
        if known.len() > REMEMBERED {
            let in_force: HashSet<&str> = ids.into_iter().collect();
            known.retain(|id, _| in_force.contains(&**id));
        }
        Counters { rules, unmatched: Arc::clone(&self.unmatched) }
    }

    /// Every id with the flows its rule decided on.
    pub fn snapshot(&self) -> Vec<(String, u64)> {
        self.known().iter().map(|(id, count)| (id.clone(), count.load(Ordering::Relaxed))).collect()
    }

    /// Flows that no rule matched, while there were rules.
    pub fn unmatched(&self) -> u64 {
        self.unmatched.load(Ordering::Relaxed)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Counter>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counters {
    /// One more flow; none for a rule is none that matched.
    pub fn count(&self, rule: Option<u32>) {
        let counter = rule.and_then(|number| self.rules.get(number as usize)).unwrap_or(&self.unmatched);
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_keeps_its_count_while_others_come_and_go() {
        let hits = Hits::default();
        hits.counters(["a", "b"].into_iter()).count(Some(1));
        let later = hits.counters(["c", "b"].into_iter());
        [Some(1), None, Some(0), None, Some(7)].into_iter().for_each(|rule| later.count(rule));
        let mut counts = hits.snapshot();
        counts.sort();
        assert_eq!(counts, [("a".to_owned(), 0), ("b".to_owned(), 2), ("c".to_owned(), 1)]);
        assert_eq!(hits.unmatched(), 3);
    }

    #[test]
    fn ids_without_end_are_not_remembered() {
        let hits = Hits::default();
        for policy in 0..10 {
            let ids: Vec<String> = (0..1024).map(|rule| format!("{policy}-{rule}")).collect();
            hits.counters(ids.iter().map(String::as_str)).count(Some(0));
            assert!(hits.snapshot().len() <= REMEMBERED && hits.snapshot().contains(&(format!("{policy}-0"), 1)));
        }
    }
}
