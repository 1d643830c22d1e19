//! The sender's side: what left on which path, and whether reports cover it.
//!
//! A path is unheard if nothing sent on it for two seconds arrived: either reports name it missing, or there are none.
//! How much has to be missing, and how long the silence, follows from the loss that is known: chance alone must not
//! make a path suspect. Invariant: what no report can tell of any more counts neither way; at most `MOST` notes are kept.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Departed, Report};
use crate::LinkId;

/// Notes kept; what is older is forgotten first.
const MOST: usize = 1024;
/// After this long a note has said all it can.
const LONGEST: Duration = Duration::from_secs(10);
/// A report and its repetition have told of what left this long ago.
const TOLD: Duration = Duration::from_secs(3);
/// Records that left less than this ago may be on their way, or their report is.
const FRESH: Duration = Duration::from_millis(1500);
/// Records that left so long before a report came, and are above all it knows of, had not arrived when it was made.
const IN_FLIGHT: Duration = Duration::from_millis(500);
/// The oldest missing record left at least this long ago.
const UNHEARD: Duration = Duration::from_secs(2);
/// On top of whole seconds without a report: its way to us, and our own rhythm.
const SLACK: Duration = Duration::from_millis(400);
/// At most so many reports a second are looked at: an honest peer sends one.
const REPORT_PAUSE: Duration = Duration::from_millis(100);

/// Losing so many in a row by chance happens once in ten thousand times.
const CHANCE: f64 = 1e-4;
const FEWEST: u32 = 3;
const MOST_IN_A_ROW: u32 = 8;

/// What is known of a path: patience allows for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Expected {
    pub rtt: Duration,
    pub loss: f64,
}

/// What became of some records, by the path they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub link: LinkId,
    pub records: u64,
    pub lost: u64,
    /// In so many pieces: losses in a row are one.
    pub gaps: u64,
}

#[derive(Debug)]
struct Note {
    departed: Departed,
    at: Duration,
    /// Counters a report told of, and how many of these opened.
    told: u32,
    opened: u32,
    /// Runs of missing ones among the counters, as the newest report has them.
    gaps: u32,
}

impl Note {
    fn is_missing(&self) -> bool {
        self.opened == 0
    }

    fn is_told_missing(&self) -> bool {
        self.opened == 0 && self.told == self.departed.count
    }
}

/// The records under one key.
#[derive(Debug, Default)]
pub(crate) struct Coverage {
    notes: VecDeque<Note>,
    heard: Option<Duration>,
}

impl Coverage {
    /// These records left since the last call.
    pub(crate) fn departed(&mut self, notes: impl Iterator<Item = Departed>, now: Duration) {
        for departed in notes {
            let last = self.notes.back_mut().filter(|last| last.at == now);
            if !last.is_some_and(|last| last.departed.extend(&departed)) {
                self.notes.push_back(Note { departed, at: now, told: 0, opened: 0, gaps: 0 });
            }
        }
        let excess = self.notes.len().saturating_sub(MOST);
        self.notes.drain(..excess);
    }

    /// A report came.
    pub(crate) fn reported(&mut self, report: &Report, now: Duration, expected: impl Fn(LinkId) -> Expected) {
        if self.heard.is_some_and(|heard| now.saturating_sub(heard) < REPORT_PAUSE) {
            return;
        }
        self.heard = Some(now);
        let lowest = report.lowest();
        for note in &mut self.notes {
            let (told, opened) = report.covers(note.departed.first, note.departed.count);
            if told > 0 {
                note.gaps = report.gaps(note.departed.first, note.departed.count);
            }
            (note.told, note.opened) = (note.told.max(told), note.opened.max(opened));
            let age = now.saturating_sub(note.at);
            if note.departed.first > report.highest && age >= IN_FLIGHT + expected(note.departed.link).rtt * 3 / 2 {
                note.told = note.departed.count;
            }
        }
        // Later reports begin no lower: nobody will ever tell of these.
        self.notes.retain(|note| note.told > 0 || note.departed.first >= lowest);
    }

    /// Take the notes that have said all they can: what became of the records a report told of.
    pub(crate) fn settle(&mut self, now: Duration) -> Vec<Outcome> {
        let arrived = self.arrived(now);
        let mut outcomes: Vec<Outcome> = vec![];
        self.notes.retain(|note| {
            let Departed { first, link, .. } = note.departed;
            // What is missing before one that arrived goes with it: else it would be in a row with what is missing later.
            let has_followed = arrived.iter().any(|(on, last)| *on == link && first <= *last);
            let over = has_followed || now.saturating_sub(note.at) >= LONGEST;
            if over && note.told > 0 {
                add(&mut outcomes, note);
            }
            !over
        });
        outcomes
    }

    /// The links whose paths are unheard now.
    pub(crate) fn unheard(&self, now: Duration, expected: impl Fn(LinkId) -> Expected) -> Vec<LinkId> {
        let mut links: Vec<LinkId> = self.notes.iter().map(|note| note.departed.link).collect();
        links.sort_unstable();
        links.dedup();
        links.retain(|link| self.is_unheard(*link, now, &expected(*link)));
        links
    }

    /// A path is judged for what is sent from now on.
    pub(crate) fn forget(&mut self, link: LinkId) {
        self.notes.retain(|note| note.departed.link != link);
    }

    /// We slept: what is missing says nothing of the paths.
    pub(crate) fn forget_all(&mut self) {
        self.notes.clear();
    }

    /// True if nothing is waited for.
    pub(crate) fn is_empty(&self) -> bool {
        self.notes.is_empty()
    }

    /// Each link of which a note arrived that has said all it can, and the first counter of the last such note.
    fn arrived(&self, now: Duration) -> Vec<(LinkId, u64)> {
        let mut last: Vec<(LinkId, u64)> = vec![];
        for note in self.notes.iter().filter(|note| note.opened > 0 && now.saturating_sub(note.at) >= TOLD) {
            let Departed { first, link, .. } = note.departed;
            match last.iter_mut().find(|(on, _)| *on == link) {
                Some((_, counter)) => *counter = first,
                None => last.push((link, first)),
            }
        }
        last
    }

    fn is_unheard(&self, link: LinkId, now: Duration, expected: &Expected) -> bool {
        let on_link = self.notes.iter().rev().filter(|note| note.departed.link == link);
        let missing: Vec<&Note> = on_link.take_while(|note| note.is_missing()).collect();
        let patience = FRESH + expected.rtt;
        let ripe = missing.iter().filter(|note| note.is_told_missing() || now.saturating_sub(note.at) >= patience);
        let ripe: Vec<&Note> = ripe.copied().collect();
        let Some(oldest) = ripe.last().filter(|oldest| now.saturating_sub(oldest.at) >= UNHEARD) else { return false };
        let enough = in_a_row(expected.loss);
        let told = ripe.iter().copied().filter(|note| note.is_told_missing());
        moments(told) >= enough || (moments(ripe.iter().copied()) >= enough && self.is_silent(oldest.at, now, expected))
    }

    /// No report came for longer than lost datagrams would explain.
    fn is_silent(&self, since: Duration, now: Duration, expected: &Expected) -> bool {
        let quiet = now.saturating_sub(self.heard.map_or(since, |heard| heard.max(since)));
        // One less than for records: the last report before the silence was the first that could be missing.
        let seconds = Duration::from_secs(u64::from(in_a_row(expected.loss) - 1));
        quiet >= seconds + SLACK + expected.rtt
    }
}

fn add(outcomes: &mut Vec<Outcome>, note: &Note) {
    let link = note.departed.link;
    let place = outcomes.iter().position(|outcome| outcome.link == link).unwrap_or_else(|| {
        outcomes.push(Outcome { link, records: 0, lost: 0, gaps: 0 });
        outcomes.len() - 1
    });
    outcomes[place].records += u64::from(note.told);
    outcomes[place].lost += u64::from(note.told - note.opened);
    outcomes[place].gaps += u64::from(note.gaps.min(note.told - note.opened));
}

/// Bursts are lost as one: only what left at different moments counts as more than one loss.
fn moments<'n>(notes: impl Iterator<Item = &'n Note>) -> u32 {
    let mut last = None;
    notes.filter(|note| last.replace(note.at) != Some(note.at)).count() as u32
}

/// How many losses in a row chance does not explain, if `loss` of all are lost.
fn in_a_row(loss: f64) -> u32 {
    if loss <= 0.0 {
        return FEWEST;
    }
    let rare = CHANCE.ln() / loss.min(0.99).ln();
    (rare.ceil() as u32).clamp(FEWEST, MOST_IN_A_ROW)
}

#[cfg(test)]
#[path = "coverage_tests.rs"]
mod tests;
