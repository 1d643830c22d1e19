#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use ring::rand::SystemRandom;

use super::*;
use crate::seal::{Cipher, Key};

const LIMITS: Limits =
    Limits { age: Duration::from_secs(600), records: 50, grace: Duration::from_secs(10), pace: Duration::from_secs(1) };

/// One end: its machine, and what its steps did.
struct End {
    swap: Swap,
    next_index: u32,
    opens: HashMap<u32, [u8; 32]>,
    seals: Option<(u32, [u8; 32])>,
}

#[derive(Debug, Clone)]
enum Word {
    Offer(Offer),
    Used(u32),
}

impl End {
    fn new(us: NodeId, them: NodeId, next_index: u32) -> Self {
        Self { swap: Swap::new(us, them, [9; 32], LIMITS), next_index, opens: HashMap::new(), seals: None }
    }

    fn fresh(&mut self) -> Fresh {
        self.next_index += 1;
        Fresh::generate(&SystemRandom::new(), self.next_index).unwrap()
    }

    fn start(&mut self) -> Vec<Word> {
        let fresh = self.fresh();
        let steps = self.swap.start(fresh);
        self.act(steps)
    }

    fn hear(&mut self, word: &Word, now: Instant) -> Vec<Word> {
        let steps = match word {
            Word::Used(index) => self.swap.confirmed(*index, now),
            Word::Offer(offer) => {
                let fresh = self.fresh();
                self.swap.offered(offer, || Ok(fresh), now, 0).unwrap()
            }
        };
        self.act(steps)
    }

    fn tick(&mut self, now: Instant) {
        let steps = self.swap.tick(now);
        self.act(steps);
    }

    fn act(&mut self, steps: Vec<Step>) -> Vec<Word> {
        let mut words = Vec::new();
        for step in steps {
            match step {
                Step::Open { index, secret } => assert!(self.opens.insert(index, secret).is_none()),
                Step::Offer(offer) => words.push(Word::Offer(offer)),
                Step::Seal { index, secret } => self.seals = Some((index, secret)),
                Step::SayUsed(index) => words.push(Word::Used(index)),
                Step::Erase(index) => assert!(self.opens.remove(&index).is_some()),
            }
        }
        words
    }

    /// A record sealed here and now opens at `other`, which learns from it.
    fn sends_a_record_to(&self, other: &mut Self, now: Instant) -> Vec<Word> {
        let (index, secret) = self.seals.unwrap();
        assert_eq!(other.opens.get(&index), Some(&secret), "a record under {index} does not open");
        let steps = other.swap.confirmed(index, now);
        other.act(steps)
    }
}

fn ends() -> (End, End, Instant) {
    (End::new([1; 32], [2; 32], 100), End::new([2; 32], [1; 32], 200), Instant::now())
}

/// Carry words between both until neither has any.
fn exchange(lower: &mut End, higher: &mut End, mut for_higher: Vec<Word>, now: Instant) {
    while !for_higher.is_empty() {
        let for_lower: Vec<Word> = for_higher.iter().flat_map(|word| higher.hear(word, now)).collect();
        for_higher = for_lower.iter().flat_map(|word| lower.hear(word, now)).collect();
    }
}

fn agreed() -> (End, End, Instant) {
    let (mut lower, mut higher, now) = ends();
    let words = lower.start();
    exchange(&mut lower, &mut higher, words, now);
    (lower, higher, now)
}

#[test]
fn after_a_swap_records_open_both_ways() {
    let (mut lower, mut higher, now) = agreed();
    lower.sends_a_record_to(&mut higher, now);
    higher.sends_a_record_to(&mut lower, now);
    assert_ne!(lower.seals.unwrap().1, higher.seals.unwrap().1);
}

#[test]
fn only_the_lower_id_starts() {
    let (lower, higher, now) = ends();
    assert!(lower.swap.due(now, 0));
    assert!(!higher.swap.due(now, 1 << 40));
}

#[test]
fn nobody_seals_under_a_key_the_other_cannot_open_yet() {
    let (mut lower, mut higher, now) = agreed();
    let old = lower.seals;
    let words = lower.start();
    assert_eq!(lower.seals, old);
    let answer = higher.hear(&words[0], now);
    lower.sends_a_record_to(&mut higher, now);
    higher.sends_a_record_to(&mut lower, now);
    lower.hear(&answer[0], now);
    assert_ne!(lower.seals, old);
    lower.sends_a_record_to(&mut higher, now);
    higher.sends_a_record_to(&mut lower, now);
}

#[test]
fn the_first_record_counts_like_the_word() {
    let (mut lower, mut higher, now) = ends();
    let words = lower.start();
    let answer = higher.hear(&words[0], now);
    let used = lower.hear(&answer[0], now);
    assert!(higher.seals.is_none());
    let told = lower.sends_a_record_to(&mut higher, now);
    assert!(matches!(told[..], [Word::Used(_)]));
    higher.sends_a_record_to(&mut lower, now);
    // The word comes late: nothing happens twice.
    assert!(higher.hear(&used[0], now).is_empty());
}

#[test]
fn a_swap_is_due_by_age_only_if_the_key_was_used() {
    let (lower, _, now) = agreed();
    let later = now + LIMITS.age;
    assert!(!lower.swap.due(later, 0));
    assert!(lower.swap.due(later, 1));
    assert!(!lower.swap.due(now, LIMITS.records - 1));
    assert!(lower.swap.due(now, LIMITS.records));
}

#[test]
fn no_swap_starts_before_the_last_one_is_confirmed() {
    let (mut lower, mut higher, now) = ends();
    let words = lower.start();
    assert!(!lower.swap.due(now, LIMITS.records));
    let answer = higher.hear(&words[0], now);
    let used = lower.hear(&answer[0], now);
    assert!(!lower.swap.due(now, LIMITS.records));
    let back = higher.hear(&used[0], now);
    lower.hear(&back[0], now);
    assert!(lower.swap.due(now, LIMITS.records));
}

#[test]
fn the_old_index_opens_for_ten_more_seconds() {
    let (mut lower, mut higher, now) = agreed();
    let (old_lower, old_higher) = (lower.seals.unwrap(), higher.seals.unwrap());
    let words = lower.start();
    exchange(&mut lower, &mut higher, words, now);
    for (end, old) in [(&mut lower, old_higher), (&mut higher, old_lower)] {
        end.tick(now + LIMITS.grace / 2);
        assert!(end.opens.contains_key(&old.0));
        end.tick(now + LIMITS.grace);
        assert!(!end.opens.contains_key(&old.0));
        assert_eq!(end.opens.len(), 1);
    }
}

/// Forward secrecy: each secret comes of two private keys that were used up as it was made.
#[test]
fn keys_of_now_open_nothing_from_two_changes_ago() {
    let (mut lower, mut higher, now) = agreed();
    let recorded = [lower.seals, higher.seals].map(|seals| {
        let (index, secret) = seals.unwrap();
        let mut record = [7; 100];
        Key::new(&secret, Cipher::Aes128Gcm).seal(0, &[], &mut record);
        (index, secret, record)
    });
    for _ in 0..2 {
        let words = lower.start();
        exchange(&mut lower, &mut higher, words, now);
    }
    for end in [&mut lower, &mut higher] {
        end.tick(now + LIMITS.grace);
        let held: Vec<[u8; 32]> = end.opens.values().copied().chain(end.seals.map(|(_, secret)| secret)).collect();
        assert_eq!(held.len(), 2);
        for (index, old, record) in recorded {
            let opens = |secret| Key::new(secret, Cipher::Aes128Gcm).open(0, &[], &mut record.clone()).is_some();
            assert!(opens(&old));
            assert!(!end.opens.contains_key(&index) && !held.iter().any(opens));
        }
    }
}

#[test]
fn an_unconfirmed_swap_erases_nothing() {
    let (mut lower, mut higher, now) = agreed();
    let words = lower.start();
    let answer = higher.hear(&words[0], now);
    lower.hear(&answer[0], now);
    lower.tick(now + Duration::from_secs(3600));
    higher.tick(now + Duration::from_secs(3600));
    assert_eq!((lower.opens.len(), higher.opens.len()), (2, 2));
}

#[test]
fn an_offer_nobody_asked_for_is_refused() {
    let (mut lower, mut higher, now) = agreed();
    let offer = higher.fresh().offer;
    let fresh = lower.fresh();
    assert!(lower.swap.offered(&offer, || Ok(fresh), now, 0).is_err());
}

#[test]
fn a_public_key_of_small_order_is_refused() {
    let (_, mut higher, now) = ends();
    let fresh = higher.fresh();
    let offer = Offer { public: [0; 32], index: 7 };
    assert!(higher.swap.offered(&offer, || Ok(fresh), now, 0).is_err());
}

#[test]
fn a_repeated_offer_starts_the_swap_anew() {
    let (mut lower, mut higher, now) = ends();
    let lost = lower.start();
    higher.hear(&lost[0], now);
    // The lower id came back with another machine and does not know of the first offer.
    let mut lower = End::new([1; 32], [2; 32], 300);
    let words = lower.start();
    exchange(&mut lower, &mut higher, words, now);
    lower.sends_a_record_to(&mut higher, now);
    higher.sends_a_record_to(&mut lower, now);
}

#[test]
fn offers_without_end_hold_a_handful_of_keys() {
    for confirmed in [false, true] {
        let (mut lower, mut higher, now) = agreed();
        for _ in 0..100 {
            let offer = Word::Offer(lower.fresh().offer);
            let Word::Offer(answer) = higher.hear(&offer, now).remove(0) else { unreachable!("an offer is answered") };
            if confirmed {
                higher.hear(&Word::Used(answer.index), now);
            }
        }
        assert!(higher.opens.len() <= 1 + MOST_RETIRING, "{} keys", higher.opens.len());
    }
}

#[test]
fn a_peer_may_begin_eight_swaps_at_once_and_one_a_second() {
    let now = Instant::now();
    let mut swap = Swap::new([2; 32], [1; 32], [9; 32], LIMITS);
    let admitted = |swap: &mut Swap, at: f64| swap.admits(now + Duration::from_secs_f64(at));
    assert_eq!((0..20).filter(|_| admitted(&mut swap, 0.0)).count(), 8);
    assert!(!admitted(&mut swap, 0.9));
    assert!(admitted(&mut swap, 1.0) && !admitted(&mut swap, 1.0));
    // What was refused costs nothing; after a while there are eight again.
    assert_eq!((0..20).filter(|_| admitted(&mut swap, 60.0)).count(), 8);
    // Whoever uses up a key a second goes on for ever.
    assert!((70..1000).all(|second| admitted(&mut swap, second.into())));
    // Answers are as many as we asked for.
    let mut lower = Swap::new([1; 32], [2; 32], [9; 32], LIMITS);
    assert!((0..20).all(|_| lower.admits(now)));
}
