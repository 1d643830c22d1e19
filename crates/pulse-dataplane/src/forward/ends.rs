//! Policy at the two ends of a flow: what the rules say, and what was opened here before.
//!
//! Invariant: a packet passes in a direction that no rule allows only as an answer: to a flow that was opened at this end
//! and that the rules of now still allow, as an ICMP error about a packet of such a flow, or as a fragment behind one that
//! passed and held the ports.

use crate::conntrack::Conntrack;
use crate::flow::{Flow, Fragment, Stage, Traits, Transport, is_midstream, quoted};
use crate::offload::{destination, ends, source};
use crate::policy::Policy;
use crate::stats::Drop;
use crate::verdicts::{Judged, Verdict, Verdicts};

/// Why a packet does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub reason: Drop,
    /// The rule that denies it; none if no rule matched.
    pub rule: Option<u32>,
    /// Somebody tried a flow that was not judged before under this policy, as far as is remembered.
    pub fresh: bool,
}

/// Who judges at one end, for one thread.
pub struct End<'e> {
    pub conntrack: &'e Conntrack,
    pub policy: &'e Policy,
    pub verdicts: &'e mut Verdicts,
}

impl End<'_> {
    /// What becomes of the packet of `flow` that begins with `front`.
    pub fn admit(&mut self, flow: &Flow, front: &[u8]) -> Result<Judged, Refused> {
        let judged = self.verdicts.judge(self.policy, flow);
        let Traits { fragment, stage } = Traits::of(front);
        let passes = match judged.verdict {
            Verdict::Allowed => {
                self.opens(flow, judged);
                true
            }
            // One that leads shows its ports, so this one follows.
            _ if flow.transport.fragment => fragment.is_some_and(|fragment| self.is_led(flow, fragment)),
            _ if flow.transport.is_icmp_error() => self.concerns_us(flow, front),
            Verdict::Reply => self.answers(flow, front),
            Verdict::Denied => false,
        };
        if !passes {
            return Err(self.refused(judged, front));
        }
        if let Some(first) = fragment.filter(|fragment| fragment.leads) {
            self.conntrack.lead(flow, first.datagram, self.verdicts.second());
        }
        if stage != Stage::GoesOn {
            self.conntrack.note(flow, stage);
        }
        Ok(judged)
    }

    /// A packet leaves for what lies behind a node: where there are no rules, too, its answers are told from what nobody
    /// asked for.
    pub fn expect(&mut self, flow: &Flow, front: &[u8]) {
        let (now, Traits { fragment, stage }) = (self.verdicts.second(), Traits::of(front));
        if !flow.transport.fragment && !flow.transport.is_icmp_error() {
            self.conntrack.open(flow, now);
        }
        if let Some(first) = fragment.filter(|fragment| fragment.leads) {
            self.conntrack.lead(flow, first.datagram, now);
        }
        if stage != Stage::GoesOn {
            self.conntrack.note(flow, stage);
        }
    }

    /// True if a flow was opened here that the packet of `flow` belongs to, whatever else the rules allow.
    pub fn is_awaited(&mut self, flow: &Flow, front: &[u8]) -> bool {
        let (now, Traits { fragment, .. }) = (self.verdicts.second(), Traits::of(front));
        let awaited = match flow.transport {
            said if said.fragment => return fragment.is_some_and(|fragment| self.is_led(flow, fragment)),
            said if said.is_icmp_error() => self.concerns_us(flow, front),
            _ => flow.question().is_some_and(|question| self.conntrack.is_open(&question, now)),
        };
        if let Some(first) = fragment.filter(|fragment| awaited && fragment.leads) {
            self.conntrack.lead(flow, first.datagram, now);
        }
        awaited
    }

    /// A flow is counted when it is opened; what nothing answers opens none.
    fn opens(&mut self, flow: &Flow, judged: Judged) {
        let is_new = match flow.transport {
            said if said.fragment => false,
            said if said.is_icmp_error() => judged.fresh,
            _ => self.conntrack.open(flow, self.verdicts.second()),
        };
        if is_new {
            self.policy.count(judged.rule);
        }
    }

    /// It is counted, too, unless it belongs to a connection from before a restart.
    fn refused(&self, judged: Judged, front: &[u8]) -> Refused {
        let is_denied = judged.verdict == Verdict::Denied;
        let reason = if is_denied { Drop::PolicyDenied } else { Drop::Unsolicited };
        let fresh = judged.fresh && (is_denied || !is_midstream(front));
        if fresh {
            self.policy.count(judged.rule);
        }
        Refused { reason, rule: judged.rule, fresh }
    }

    fn is_led(&mut self, flow: &Flow, fragment: Fragment) -> bool {
        self.conntrack.is_led(flow, fragment.datagram, self.verdicts.second())
    }

    /// True if a flow was opened that this answers. Just after a restart a TCP connection is taken at its word, or one that
    /// only brings data, and so asks nothing, would hang for ever.
    fn answers(&mut self, flow: &Flow, front: &[u8]) -> bool {
        let (Some(question), now) = (flow.question(), self.verdicts.second()) else { return false };
        if self.conntrack.is_open(&question, now) {
            return true;
        }
        let resumed = self.conntrack.is_young(now) && is_midstream(front);
        if resumed {
            self.conntrack.open(&question, now);
        }
        resumed
    }

    /// True for an ICMP error about a packet of a flow that is open, in either direction, told to who sent that packet.
    fn concerns_us(&mut self, flow: &Flow, front: &[u8]) -> bool {
        let told = destination(front);
        let Some(packet) = quoted(front).filter(|packet| told.is_some() && source(packet) == told) else {
            return false;
        };
        let addresses = flow.ends.and_then(|_| ends(packet));
        let subject = Flow { src: flow.dst, dst: flow.src, transport: Transport::of(packet), ends: addresses };
        let now = self.verdicts.second();
        let goes_on = |flow: &Flow| self.verdicts.allows(self.policy, flow) && self.conntrack.is_open(flow, now);
        [Some(subject), subject.question()].iter().flatten().any(goes_on)
    }
}
