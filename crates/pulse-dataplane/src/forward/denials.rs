//! What Python hears of flows that leave here no further than our own policy.
//!
//! Invariant: one event a second at most, each with the number of flows that were denied since the one before and had none.

use std::time::{Duration, Instant};

use super::ends::Refused;
use crate::NodeId;
use crate::event::{Bus, Event};
use crate::flow::Transport;
use crate::policy::Policy;
use crate::stats::Drop;

const PAUSE: Duration = Duration::from_secs(1);

/// What one thread told.
#[derive(Debug, Default)]
pub struct Denials {
    told: Option<Instant>,
    others: u64,
}

impl Denials {
    /// A packet for `node` was refused. A clock is read only for flows that are new.
    pub fn refused(&mut self, node: NodeId, said: &Transport, refused: Refused, policy: &Policy, bus: &Bus) -> Drop {
        if refused.fresh {
            self.denied(node, said, policy.id(refused.rule), Instant::now(), bus);
        }
        refused.reason
    }

    fn denied(&mut self, node: NodeId, said: &Transport, rule: &str, now: Instant, bus: &Bus) {
        if self.told.is_some_and(|told| now.duration_since(told) < PAUSE) {
            self.others += 1;
            return;
        }
        self.told = Some(now);
        let (others, port) = (std::mem::take(&mut self.others), if said.has_ports() { said.dport } else { 0 });
        bus.emit(Event::FlowDenied { node, rule: rule.to_owned(), proto: said.proto, port, others });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forward::testing::id;

    #[test]
    fn one_denial_a_second_is_told_and_the_others_are_counted() -> std::io::Result<()> {
        let (bus, mut denials, begin) = (Bus::new()?, Denials::default(), Instant::now());
        let said = |proto| Transport { proto, sport: 7, dport: 22, fragment: false };
        for milliseconds in [0, 10, 999, 1000, 1500] {
            denials.denied(id(2), &said(6), "ssh", begin + Duration::from_millis(milliseconds), &bus);
        }
        denials.denied(id(3), &said(1), "", begin + Duration::from_secs(3), &bus);
        let told = |node, rule: &str, proto, port, others| Event::FlowDenied {
            node: id(node),
            rule: rule.to_owned(),
            proto,
            port,
            others,
        };
        assert_eq!(bus.drain(9), [told(2, "ssh", 6, 22, 0), told(2, "ssh", 6, 22, 2), told(3, "", 1, 0, 1)]);
        Ok(())
    }
}
