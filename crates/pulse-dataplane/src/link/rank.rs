//! Which of two links of one pair of nodes stays (protocol §3).
//!
//! Invariant: both ends come to the same answer, in whatever order they see the two: a new life of the peer
//! or a named replacement wins; else QUIC beats a WebSocket; else the lower id's dial stays; of two dials by one end,
//! the newer.

/// What a link brings to the comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Standing {
    /// It is QUIC, not a WebSocket.
    pub(crate) quic: bool,
    /// We dialled it.
    pub(crate) dialled: bool,
    /// The peer's boot id.
    pub(crate) boot: [u8; 16],
    /// The index we receive under.
    pub(crate) ours: u32,
    /// The index the peer receives under.
    pub(crate) theirs: u32,
    /// What it is to replace, as its dialler numbers links; 0 for nothing.
    pub(crate) replaces: u32,
    /// Three echoes in a row are missing.
    pub(crate) suspect: bool,
}

/// What becomes of two links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The new one is closed.
    OldStays,
    /// The old one is closed once the new one serves both ends.
    NewStays,
    /// The old one belongs to a former life of the peer: it is closed at once.
    OldIsDead,
}

impl Standing {
    /// Judge `self`, whose hellos are exchanged, against the link that is up. `lower`: our id is the lower one.
    pub(crate) fn against(&self, old: &Self, lower: bool) -> Verdict {
        if self.boot != old.boot {
            return Verdict::OldIsDead;
        }
        if self.names(old) || old.suspect {
            return Verdict::NewStays;
        }
        let stays =
            if self.quic == old.quic { self.dialled == old.dialled || self.dialled == lower } else { self.quic };
        if stays { Verdict::NewStays } else { Verdict::OldStays }
    }

    fn names(&self, old: &Self) -> bool {
        self.replaces != 0 && self.replaces == if self.dialled { old.ours } else { old.theirs }
    }
}

/// Whether a dial of ours is worth its hello, now that we know whom it reached. Only the dialler can tell two
/// of its own dials apart, so it alone refuses the needless one.
pub(crate) fn worth_a_hello(replaces: u32, quic: bool, old: &Standing, lower: bool) -> bool {
    if old.suspect || (replaces != 0 && replaces == old.ours) {
        return true;
    }
    if quic == old.quic { !old.dialled && lower } else { quic }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Standing =
        Standing { quic: true, dialled: true, boot: [1; 16], ours: 10, theirs: 20, replaces: 0, suspect: false };

    /// The same link as its other end sees it; `boot` is then ours, which both links share.
    fn mirrored(link: &Standing) -> Standing {
        Standing { dialled: !link.dialled, ours: link.theirs, theirs: link.ours, ..*link }
    }

    #[test]
    fn the_lower_ids_dial_stays_at_both_ends() {
        let new = Standing { dialled: false, ours: 11, theirs: 21, ..OLD };
        for lower in [true, false] {
            assert_eq!(new.against(&OLD, lower), mirrored(&new).against(&mirrored(&OLD), !lower));
            assert_eq!(new.against(&OLD, lower) == Verdict::OldStays, lower);
            assert_ne!(new.against(&OLD, lower), OLD.against(&new, lower));
        }
    }

    #[test]
    fn a_named_replacement_wins_at_both_ends_whoever_dials() {
        for (dialled, replaces) in [(true, 10), (false, 20)] {
            let new = Standing { dialled, ours: 11, theirs: 21, replaces, ..OLD };
            for lower in [true, false] {
                assert_eq!(new.against(&OLD, lower), Verdict::NewStays);
                assert_eq!(mirrored(&new).against(&mirrored(&OLD), !lower), Verdict::NewStays);
            }
        }
    }

    #[test]
    fn replacing_nothing_or_another_link_wins_nothing() {
        for replaces in [0, 10, 999] {
            let new = Standing { dialled: false, ours: 11, theirs: 21, replaces, ..OLD };
            assert_eq!(new.against(&OLD, true), Verdict::OldStays);
        }
    }

    #[test]
    fn another_life_of_the_peer_wins_at_once() {
        let new = Standing { dialled: false, boot: [2; 16], ..OLD };
        assert_eq!(new.against(&OLD, true), Verdict::OldIsDead);
    }

    #[test]
    fn quic_beats_a_websocket_at_both_ends_whoever_dials() {
        for (quic, verdict) in [(true, Verdict::NewStays), (false, Verdict::OldStays)] {
            let old = Standing { quic: !quic, ..OLD };
            for (dialled, lower) in [(true, true), (true, false), (false, true), (false, false)] {
                let new = Standing { quic, dialled, ours: 11, theirs: 21, ..OLD };
                assert_eq!(new.against(&old, lower), verdict);
                assert_eq!(mirrored(&new).against(&mirrored(&old), !lower), verdict);
                assert_eq!(worth_a_hello(0, quic, &old, lower), quic);
            }
        }
        let silent = Standing { suspect: true, ..OLD };
        assert_eq!(Standing { quic: false, ..OLD }.against(&silent, true), Verdict::NewStays);
        assert!(worth_a_hello(0, false, &silent, false));
    }

    #[test]
    fn a_second_dial_of_ours_is_worth_its_hello_only_if_the_first_is_suspect_or_replaced() {
        assert!(!worth_a_hello(0, true, &OLD, true));
        assert!(!worth_a_hello(20, true, &OLD, true));
        assert!(worth_a_hello(10, true, &OLD, false));
        assert!(worth_a_hello(0, true, &Standing { suspect: true, ..OLD }, false));
    }

    #[test]
    fn a_dial_against_the_peers_is_worth_its_hello_only_from_the_lower_id() {
        let theirs = Standing { dialled: false, ..OLD };
        assert!(worth_a_hello(0, true, &theirs, true));
        assert!(!worth_a_hello(0, true, &theirs, false));
    }
}
