//! The swap of record keys as a pure machine: facts in, steps out; keys and time come in by argument.
//!
//! Invariant: we open under an index before we name it, and seal under theirs only once they open under it,
//! so no record is lost to a swap. The lower id starts every swap, so two never cross.

use std::time::{Duration, Instant};

use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey, X25519};
use ring::error::Unspecified;
use ring::rand::SecureRandom;

use super::Binding;
use crate::NodeId;

/// Old keys that still open at a time; honest swaps are minutes apart, so they never have more than one.
const MOST_RETIRING: usize = 4;

/// Swaps that a peer may begin at once. An honest one begins one, and the next minutes later.
const BURST: u32 = 8;

/// When a swap is due, how many there may be, and how long an old index still opens.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A key that was used is replaced at this age.
    pub age: Duration,
    /// A key is replaced after this many records, both directions counted.
    pub records: u64,
    /// The old index is erased this long after the peer is known to seal under the new one.
    pub grace: Duration,
    /// A peer may begin a swap each time this has passed, beside a few at once.
    pub pace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(600),
            records: 1 << 31,
            grace: Duration::from_secs(10),
            pace: Duration::from_secs(1),
        }
    }
}

/// What one side names in a swap: its fresh public key and the index under which it will receive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// X25519 public key.
    pub public: [u8; 32],
    /// Receive index, free at the side that names it.
    pub index: u32,
}

/// A fresh private key and a free receive index, made by the shell.
#[derive(Debug)]
pub struct Fresh {
    key: EphemeralPrivateKey,
    offer: Offer,
}

impl Fresh {
    /// A key of `random` for receive index `index`.
    pub fn generate(random: &dyn SecureRandom, index: u32) -> Result<Self, Unspecified> {
        let key = EphemeralPrivateKey::generate(&X25519, random)?;
        let public = key.compute_public_key()?.as_ref().try_into().map_err(|_| Unspecified)?;
        Ok(Self { key, offer: Offer { public, index } })
    }
}

/// What the shell has to do, in this order.
#[derive(Clone, PartialEq, Eq)]
pub enum Step {
    /// Open records under our `index` with `secret`.
    Open {
        /// Our receive index.
        index: u32,
        /// Secret of their direction.
        secret: [u8; 32],
    },
    /// Send our offer.
    Offer(Offer),
    /// Seal under their `index` with `secret` from now on.
    Seal {
        /// Their receive index.
        index: u32,
        /// Secret of our direction.
        secret: [u8; 32],
    },
    /// Tell them that we seal under this index of theirs.
    SayUsed(u32),
    /// Forget our `index` and its key.
    Erase(u32),
}

impl std::fmt::Debug for Step {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { index, .. } => write!(formatter, "Open({index})"),
            Self::Offer(offer) => write!(formatter, "Offer({})", offer.index),
            Self::Seal { index, .. } => write!(formatter, "Seal({index})"),
            Self::SayUsed(index) => write!(formatter, "SayUsed({index})"),
            Self::Erase(index) => write!(formatter, "Erase({index})"),
        }
    }
}

/// The newest keys both sides know.
#[derive(Debug)]
struct Generation {
    index: u32,
    /// They seal under it: had their word, or a record opened.
    confirmed: bool,
    since: Instant,
    /// The count of packets when it was agreed.
    packets: u64,
}

/// The record keys of one session.
#[derive(Debug)]
pub struct Swap {
    us: NodeId,
    them: NodeId,
    exporter: [u8; 32],
    limits: Limits,
    asked: Option<Fresh>,
    held: Option<(u32, [u8; 32])>,
    newest: Option<Generation>,
    retiring: Vec<(u32, Option<Instant>)>,
    /// When the peer, at its pace, would begin the next one.
    next: Option<Instant>,
}

impl Swap {
    /// No keys yet; `exporter` is the session's.
    pub fn new(us: NodeId, them: NodeId, exporter: [u8; 32], limits: Limits) -> Self {
        Self { us, them, exporter, limits, asked: None, held: None, newest: None, retiring: Vec::new(), next: None }
    }

    /// True if we should `start` a swap now. `packets` counts those exchanged with the peer, both ways.
    pub fn due(&self, now: Instant, packets: u64) -> bool {
        if self.us > self.them || self.asked.is_some() {
            return false;
        }
        let Some(newest) = &self.newest else { return true };
        let used = packets.saturating_sub(newest.packets);
        let aged = now.saturating_duration_since(newest.since) >= self.limits.age;
        newest.confirmed && (used >= self.limits.records || (used > 0 && aged))
    }

    /// Begin a swap with `fresh`.
    pub fn start(&mut self, fresh: Fresh) -> Vec<Step> {
        let offer = fresh.offer.clone();
        self.asked = Some(fresh);
        vec![Step::Offer(offer)]
    }

    /// True if the peer may begin a swap now: each costs us an agreement, a window and two copies of the table of keys. An
    /// answer to ours costs no more than we asked for.
    pub fn admits(&mut self, now: Instant) -> bool {
        if self.us < self.them {
            return true;
        }
        let (pace, turn) = (self.limits.pace, self.next.map_or(now, |next| next.max(now)));
        let admitted = turn + pace <= now + pace * BURST;
        if admitted {
            self.next = Some(turn + pace);
        }
        admitted
    }

    /// Their offer came; the higher id answers it with a key of `fresh`.
    pub fn offered(
        &mut self,
        theirs: &Offer,
        fresh: impl FnOnce() -> Result<Fresh, Unspecified>,
        now: Instant,
        packets: u64,
    ) -> Result<Vec<Step>, Unspecified> {
        let answer = self.us > self.them;
        let ours = if answer { fresh()? } else { self.asked.take().ok_or(Unspecified)? };
        let offer = ours.offer.clone();
        let (seal, open) = self.agree(ours, theirs)?;
        let mut steps = self.renew(offer.index, now, packets);
        steps.push(Step::Open { index: offer.index, secret: open });
        if answer {
            self.held = Some((theirs.index, seal));
            steps.push(Step::Offer(offer));
        } else {
            steps.extend([Step::Seal { index: theirs.index, secret: seal }, Step::SayUsed(theirs.index)]);
        }
        Ok(steps)
    }

    /// They seal under our `index`: we had their word, or a record opened under it.
    pub fn confirmed(&mut self, index: u32, now: Instant) -> Vec<Step> {
        let Some(newest) = self.newest.as_mut().filter(|newest| newest.index == index) else { return Vec::new() };
        newest.confirmed = true;
        let erase_at = now + self.limits.grace;
        for (_, at) in &mut self.retiring {
            at.get_or_insert(erase_at);
        }
        let Some((index, secret)) = self.held.take() else { return Vec::new() };
        vec![Step::Seal { index, secret }, Step::SayUsed(index)]
    }

    /// Time has passed: what is to be erased now.
    pub fn tick(&mut self, now: Instant) -> Vec<Step> {
        let expired = |at: &Option<Instant>| at.is_some_and(|at| at <= now);
        let steps = self.retiring.iter().filter(|(_, at)| expired(at)).map(|(index, _)| Step::Erase(*index)).collect();
        self.retiring.retain(|(_, at)| !expired(at));
        steps
    }

    /// True if both sides use the newest keys and there are no others.
    pub fn is_settled(&self) -> bool {
        self.asked.is_none() && self.retiring.is_empty() && self.newest.as_ref().is_some_and(|newest| newest.confirmed)
    }

    /// The receive index whose first record we wait for.
    pub fn unconfirmed(&self) -> Option<u32> {
        self.newest.as_ref().filter(|newest| !newest.confirmed).map(|newest| newest.index)
    }

    /// The key before still opens what is on its way; one that nobody sealed under is of no more use, and a peer
    /// that swaps without end gets no more memory for it.
    fn renew(&mut self, index: u32, now: Instant, packets: u64) -> Vec<Step> {
        let newest = Generation { index, confirmed: false, since: now, packets };
        let Some(old) = self.newest.replace(newest) else { return Vec::new() };
        if !old.confirmed {
            return vec![Step::Erase(old.index)];
        }
        self.retiring.push((old.index, None));
        let excess = self.retiring.len().saturating_sub(MOST_RETIRING);
        self.retiring.drain(..excess).map(|(index, _)| Step::Erase(index)).collect()
    }

    /// The secrets (to seal, to open) of our key and their offer.
    fn agree(&self, ours: Fresh, theirs: &Offer) -> Result<([u8; 32], [u8; 32]), Unspecified> {
        let we_are_lower = self.us < self.them;
        let (lower, higher) = if we_are_lower { (self.us, self.them) } else { (self.them, self.us) };
        let index = ours.offer.index;
        let (lower_index, higher_index) = if we_are_lower { (index, theirs.index) } else { (theirs.index, index) };
        let binding = Binding { exporter: self.exporter, lower, higher, lower_index, higher_index };
        let public = UnparsedPublicKey::new(&X25519, theirs.public);
        let secrets = agreement::agree_ephemeral(ours.key, &public, |shared| binding.secrets(shared))??;
        let pair = (secrets.lower_to_higher, secrets.higher_to_lower);
        Ok(if we_are_lower { pair } else { (pair.1, pair.0) })
    }
}

#[cfg(test)]
#[path = "swap_tests.rs"]
mod tests;
