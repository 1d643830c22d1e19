//! Policy at the two ends of a flow: what the rules say, and what was opened here before.
//!
//! Invariant: a packet passes in a direction that no rule allows only as an answer: to a flow that was opened at this end
//! and that the rules of now still allow, or as an ICMP error about a packet of such a flow.

use crate::conntrack::Conntrack;
use crate::flow::{Flow, Transport, is_midstream, quoted};
use crate::offload::{destination, source};
use crate::policy::Policy;
use crate::stats::Drop;
use crate::verdicts::{Judged, Verdict, Verdicts};

/// Why a packet does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub reason: Drop,
    /// The rule that denies it; none if no rule matched.
    pub rule: Option<u32>,
    /// Its flow was not judged before under this policy, as far as is remembered.
    pub fresh: bool,
}

/// What becomes of the packet of `flow` that begins with `front`. A flow is counted when it is opened, or denied.
pub fn admit(
    conntrack: &Conntrack,
    policy: &Policy,
    verdicts: &mut Verdicts,
    flow: &Flow,
    front: &[u8],
) -> Result<Judged, Refused> {
    let judged = verdicts.judge(policy, flow);
    let Judged { verdict, rule, fresh, .. } = judged;
    let admitted = match verdict {
        Verdict::Allowed => {
            let is_new = if flow.transport.is_icmp_error() { fresh } else { conntrack.open(flow, verdicts.second()) };
            if is_new {
                policy.count(rule);
            }
            true
        }
        _ if flow.transport.is_icmp_error() => concerns_us(conntrack, policy, verdicts, flow, front),
        Verdict::Reply => answers(conntrack, verdicts.second(), flow, front),
        Verdict::Denied => false,
    };
    match (admitted, verdict) {
        (true, _) => Ok(judged),
        (false, Verdict::Denied) => {
            if fresh {
                policy.count(rule);
            }
            Err(Refused { reason: Drop::PolicyDenied, rule, fresh })
        }
        (false, _) => Err(Refused { reason: Drop::Unsolicited, rule: None, fresh }),
    }
}

/// True if a flow was opened that this answers. Just after a restart a TCP connection is taken at its word, or one that
/// only brings data, and so asks nothing, would hang for ever.
fn answers(conntrack: &Conntrack, now: u32, flow: &Flow, front: &[u8]) -> bool {
    let Some(question) = flow.question() else { return false };
    if conntrack.is_open(&question, now) {
        return true;
    }
    let resumed = conntrack.is_young(now) && is_midstream(front);
    if resumed {
        conntrack.open(&question, now);
    }
    resumed
}

/// True for an ICMP error about a packet of a flow that is open, in either direction, told to who sent that packet.
fn concerns_us(conntrack: &Conntrack, policy: &Policy, verdicts: &mut Verdicts, flow: &Flow, front: &[u8]) -> bool {
    let Some(packet) = quoted(front).filter(|packet| source(packet).is_some() && source(packet) == destination(front))
    else {
        return false;
    };
    let subject = Flow { src: flow.dst, dst: flow.src, transport: Transport::of(packet) };
    let now = verdicts.second();
    [Some(subject), subject.question()]
        .iter()
        .flatten()
        .any(|flow| verdicts.allows(policy, flow) && conntrack.is_open(flow, now))
}
