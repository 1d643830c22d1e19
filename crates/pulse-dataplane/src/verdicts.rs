//! Verdicts: what becomes of a flow under a policy, remembered so that rules are read about once a flow.
//!
//! Invariant: a verdict is one policy's; under another one it is made anew, and so is the count of the rule that denies.

use crate::clock::second;
use crate::flow::Flow;
use crate::policy::{Policy, Ruling};

/// Flows whose verdict is remembered.
const REMEMBERED: usize = 1024;

/// What becomes of a flow at its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is allowed.
    Allowed,
    /// The other direction is, and this may be an answer to it.
    Reply,
    /// Neither is.
    Denied,
}

/// A verdict, how its packets leave, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judged {
    /// Whether they do.
    pub verdict: Verdict,
    /// Over the two best ways at once.
    pub redundant: bool,
    /// The rule that decides on its own direction; none if no rule matches.
    pub rule: Option<u32>,
    /// It was made now, not remembered.
    pub fresh: bool,
}

impl Judged {
    /// Of every flow where there are no rules.
    pub const OPEN: Self = Self { verdict: Verdict::Allowed, redundant: false, rule: None, fresh: false };
}

/// The verdicts of the last flows one thread saw: a super-packet is judged once, a flow about once a policy.
#[derive(Debug, Default)]
pub struct Verdicts {
    places: Vec<Option<Remembered>>,
    second: Option<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    flow: Flow,
    version: u64,
    ruling: Ruling,
}

impl Verdicts {
    /// Another turn begins.
    pub fn begin_turn(&mut self) {
        self.second = None;
    }

    /// The time of this turn: the clock is read by the first who asks.
    pub fn second(&mut self) -> u32 {
        *self.second.get_or_insert_with(second)
    }

    /// True if `flow` is allowed in its own direction.
    pub fn allows(&mut self, policy: &Policy, flow: &Flow) -> bool {
        self.ruling(policy, flow).0.allows
    }

    /// The same for a flow that passes by: it is counted, once.
    pub fn lets_pass(&mut self, policy: &Policy, flow: &Flow) -> bool {
        let (ruling, fresh) = self.ruling(policy, flow);
        if fresh {
            policy.count(ruling.rule);
        }
        ruling.allows
    }

    /// What becomes of `flow` at its ends. An answer leaves as what it answers does.
    pub fn judge(&mut self, policy: &Policy, flow: &Flow) -> Judged {
        let (own, fresh) = self.ruling(policy, flow);
        if own.allows {
            return Judged { verdict: Verdict::Allowed, redundant: own.redundant, rule: own.rule, fresh };
        }
        let (other, _) = self.ruling(policy, &flow.swapped());
        match other.allows {
            true => Judged { verdict: Verdict::Reply, redundant: other.redundant, rule: own.rule, fresh },
            false => Judged { verdict: Verdict::Denied, redundant: false, rule: own.rule, fresh },
        }
    }

    /// What the rules say, and whether that is new to this thread.
    fn ruling(&mut self, policy: &Policy, flow: &Flow) -> (Ruling, bool) {
        if policy.is_open() {
            return (Ruling::OPEN, false);
        }
        self.places.resize(REMEMBERED, None);
        let place = &mut self.places[flow.hash() as usize % REMEMBERED];
        match place {
            Some(known) if known.version == policy.version() && known.flow == *flow => (known.ruling, false),
            _ => {
                let ruling = policy.ruling(flow);
                *place = Some(Remembered { flow: *flow, version: policy.version(), ruling });
                (ruling, true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Handle;
    use crate::flow::Transport;
    use crate::hits::Hits;
    use crate::policy::Rule;

    fn question() -> Flow {
        let transport = Transport { proto: 6, sport: 40_000, dport: 22, fragment: false };
        Flow { src: Handle::new(10, 100, 0, 1), dst: Handle::new(10, 100, 0, 2), transport, ends: None }
    }

    fn rule(id: &str, allow: bool) -> Rule {
        let src = Some([question().src].into_iter().collect());
        Rule { id: id.to_owned(), allow, from: src, to: None, protocols: vec![], ports: vec![], redundant: false }
    }

    #[test]
    fn a_verdict_is_forgotten_with_its_policy() {
        let (mut verdicts, hits) = (Verdicts::default(), Hits::default());
        for allow in [true, false, true] {
            assert_eq!(verdicts.allows(&Policy::new(vec![rule("r", allow)], &hits), &question()), allow);
        }
        assert!(verdicts.allows(&Policy::default(), &question()));
    }

    #[test]
    fn a_flow_that_passes_by_counts_once_and_one_without_a_rule_by_itself() {
        let (mut verdicts, hits) = (Verdicts::default(), Hits::default());
        let policy = Policy::new(vec![rule("r", true)], &hits);
        for _ in 0..3 {
            assert!(verdicts.lets_pass(&policy, &question()));
            assert!(!verdicts.lets_pass(&policy, &question().swapped()));
        }
        assert_eq!((hits.snapshot(), hits.unmatched()), (vec![("r".to_owned(), 1)], 1));
    }
}
