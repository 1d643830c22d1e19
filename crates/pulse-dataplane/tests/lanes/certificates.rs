//! Each way in which a certificate can be wrong is refused, and by its name.

use pulse_dataplane::verify::{Refusal, Trust, parse};
use rcgen::{ExtendedKeyUsagePurpose, PKCS_ECDSA_P256_SHA256};

use crate::authority::{Authority, DAY, LABEL, Wish, now, self_signed};

fn refusal(authority: &Authority, wish: &Wish) -> Refusal {
    judge(&authority.trust(), &authority.issue(wish).leaf).unwrap_err()
}

fn judge(trust: &Trust, leaf: &[u8]) -> Result<(), Refusal> {
    trust.judge(leaf, 0, now()).map(drop)
}

fn malformed(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::Malformed(what) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_good_certificate_says_who_and_where_its_node_is() {
    let authority = Authority::new();
    let card = authority.node(7);
    let certified = authority.trust().judge(&card.leaf, 0, now()).unwrap();
    assert_eq!(certified.node, card.node);
    assert_eq!((certified.v4.to_string(), certified.v6.to_string()), ("10.100.0.7".into(), "fd00::7".into()));
    assert_eq!(certified.network, LABEL);
    assert_eq!(certified.der, card.leaf);
}

#[test]
fn names_and_tags_beside_the_identity_do_no_harm() {
    let authority = Authority::new();
    let uris = vec!["pulse:name:db".into(), "pulse:tag:web".into(), "pulse:tag:eu".into()];
    let card = authority.issue(&Wish { uris, ..Wish::new(1) });
    assert_eq!(judge(&authority.trust(), &card.leaf), Ok(()));
}

#[test]
fn a_self_signed_or_foreign_certificate_is_refused() {
    let authority = Authority::new();
    let cards = [self_signed(&Wish::new(1)), Authority::new().node(1)];
    for card in cards {
        assert!(matches!(judge(&authority.trust(), &card.leaf), Err(Refusal::Chain(_))));
    }
}

#[test]
fn either_of_two_trusted_cas_may_have_signed() {
    let (old, new) = (Authority::new(), Authority::new());
    let trust = Trust::new(&[old.der.clone(), new.der.clone()], LABEL.into(), [], 0, vec![]).unwrap();
    assert_eq!(judge(&trust, &old.node(1).leaf), Ok(()));
    assert_eq!(judge(&trust, &new.node(2).leaf), Ok(()));
}

#[test]
fn an_expired_certificate_is_refused() {
    let wish = Wish { not_after: now() - 1, ..Wish::new(1) };
    assert_eq!(refusal(&Authority::new(), &wish), Refusal::Expired);
}

#[test]
fn a_certificate_that_is_not_yet_valid_is_refused() {
    let wish = Wish { not_before: now() + 60, ..Wish::new(1) };
    assert_eq!(refusal(&Authority::new(), &wish), Refusal::NotYetValid);
}

#[test]
fn a_certificate_for_servers_or_clients_alone_is_refused() {
    for usages in [vec![], vec![ExtendedKeyUsagePurpose::ServerAuth], vec![ExtendedKeyUsagePurpose::ClientAuth]] {
        let refusal = refusal(&Authority::new(), &Wish { usages, ..Wish::new(1) });
        assert_eq!(malformed(&refusal), "it is not for clients and servers");
    }
}

#[test]
fn another_network_is_refused() {
    let label = LABEL.replace("default", "other");
    let wish = Wish { label: label.clone(), ..Wish::new(1) };
    assert_eq!(refusal(&Authority::new(), &wish), Refusal::Network(label));
}

#[test]
fn a_revoked_node_is_refused() {
    let authority = Authority::new();
    let card = authority.node(1);
    let trust = authority.trust_but(&[card.node]);
    assert_eq!(judge(&trust, &card.leaf), Err(Refusal::Revoked(card.node)));
}

#[test]
fn an_id_that_is_not_the_hash_of_the_key_is_refused() {
    let refusal = refusal(&Authority::new(), &Wish { id: Some([7; 32]), ..Wish::new(1) });
    assert_eq!(malformed(&refusal), "its id is not the hash of its key");
}

#[test]
fn two_identities_in_one_certificate_are_refused() {
    let uris = vec![format!("pulse://{LABEL}/{}", "0".repeat(64))];
    let refusal = refusal(&Authority::new(), &Wish { uris, ..Wish::new(1) });
    assert_eq!(malformed(&refusal), "it does not name exactly one pulse:// identity");
}

#[test]
fn anything_but_one_address_of_each_family_is_refused() {
    for addresses in [
        vec!["10.100.0.1"],
        vec!["fd00::1"],
        vec!["10.100.0.1", "10.100.0.2"],
        vec!["10.100.0.1", "fd00::1", "fd00::2"],
    ] {
        let addresses = addresses.into_iter().map(String::from).collect();
        let refusal = refusal(&Authority::new(), &Wish { addresses, ..Wish::new(1) });
        assert_eq!(malformed(&refusal), "it does not name one IPv4 and one IPv6 address");
    }
}

#[test]
fn a_key_that_is_not_ed25519_is_refused() {
    let wish = Wish { algorithm: &PKCS_ECDSA_P256_SHA256, ..Wish::new(1) };
    assert_eq!(malformed(&refusal(&Authority::new(), &wish)), "its algorithm is not Ed25519");
}

#[test]
fn no_byte_of_a_certificate_can_be_changed_or_cut_off() {
    let authority = Authority::new();
    let (trust, leaf) = (authority.trust(), authority.node(1).leaf);
    for place in 0..leaf.len() {
        let mut changed = leaf.clone();
        changed[place] ^= 1;
        assert!(judge(&trust, &changed).is_err(), "byte {place} may change");
        assert!(judge(&trust, &leaf[..place]).is_err());
    }
    assert_eq!(parse(&[&leaf[..], &[0]].concat()), Err(Refusal::Malformed("bytes after its end")));
}

#[test]
fn a_clock_that_is_behind_judges_by_what_is_known_to_be_past() {
    let authority = Authority::new();
    let fresh = authority.issue(&Wish { not_before: now() - 60, ..Wish::new(1) }).leaf;
    let expired = authority.issue(&Wish { not_before: now() - 90 * DAY, not_after: now() - DAY, ..Wish::new(2) }).leaf;
    let (year_1970, own_not_before) = (1000, now() - 30 * DAY);
    // Our own certificate is a month old: so is time, at least. A fresh peer is let in, a dead one is not.
    assert!(authority.trust().judge(&fresh, own_not_before, year_1970).is_ok());
    let floored = authority.trust_with(&[], now() - DAY / 2, b"");
    assert!(floored.judge(&fresh, own_not_before, year_1970).is_ok());
    assert_eq!(floored.judge(&expired, own_not_before, year_1970), Err(Refusal::Expired));
}

#[test]
fn a_clock_that_is_not_behind_judges_beginnings() {
    let authority = Authority::new();
    let later = authority.issue(&Wish { not_before: now() + DAY, ..Wish::new(1) }).leaf;
    let trust = authority.trust_with(&[], now() - DAY, b"");
    assert_eq!(trust.judge(&later, now() - 2 * DAY, now()), Err(Refusal::NotYetValid));
    assert!(trust.judge(&later, now() - 2 * DAY, now() - 3 * DAY).is_ok());
}

#[test]
fn the_hash_of_the_revoked_does_not_depend_on_their_order() {
    let authority = Authority::new();
    let hash = |revoked: &[[u8; 32]]| authority.trust_but(revoked).revocations;
    assert_eq!(hash(&[[1; 32], [2; 32]]), hash(&[[2; 32], [1; 32]]));
    assert_ne!(hash(&[[1; 32]]), hash(&[]));
}

#[test]
fn what_is_no_ca_certificate_is_an_error_that_names_it() {
    let trust = Trust::new(&[Authority::new().der, b"no".to_vec()], LABEL.into(), [], 0, vec![]);
    assert!(trust.unwrap_err().starts_with("CA certificate 1 "));
}
