//! Record keys: how the two ends of a session agree on the keys that seal IP packets (protocol §5).
//!
//! Invariant: a key is bound to the session it was agreed on (its TLS exporter), to both ids, to both receive
//! indexes and to one direction, so no key of one session, peer, swap or direction equals another.

mod swap;

pub use swap::{Fresh, Limits, Offer, Step, Swap};

use ring::error::Unspecified;
use ring::hkdf;

use crate::NodeId;

/// Label of the TLS exporter the keys are bound to; its context is [`exporter_context`].
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-pulse record v1";

/// First part of the HKDF info.
const INFO_LABEL: &[u8] = b"pulse record v1";

/// HKDF info of the key that seals parity over the records of one key.
const PARITY_LABEL: &[u8] = b"pulse parity v1";

/// Context of the TLS exporter: the lower id, then the higher.
pub fn exporter_context(one: &NodeId, other: &NodeId) -> [u8; 64] {
    let (lower, higher) = if one < other { (one, other) } else { (other, one) };
    let mut context = [0; 64];
    context[..32].copy_from_slice(lower);
    context[32..].copy_from_slice(higher);
    context
}

/// What one swap of record keys is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// 32 bytes of the session's exporter.
    pub exporter: [u8; 32],
    /// The lower node id.
    pub lower: NodeId,
    /// The higher node id.
    pub higher: NodeId,
    /// The index under which the lower id receives.
    pub lower_index: u32,
    /// The index under which the higher id receives.
    pub higher_index: u32,
}

/// One 32-byte secret a direction.
#[derive(Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Seals what the lower id sends.
    pub lower_to_higher: [u8; 32],
    /// Seals what the higher id sends.
    pub higher_to_lower: [u8; 32],
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

impl Binding {
    /// HKDF-SHA256 (RFC 5869): salt = exporter, input = the X25519 shared secret,
    /// info = label ‖ sender id ‖ receiver id ‖ lower's index ‖ higher's index.
    pub fn secrets(&self, shared: &[u8]) -> Result<Secrets, Unspecified> {
        let key = hkdf::Salt::new(hkdf::HKDF_SHA256, &self.exporter).extract(shared);
        Ok(Secrets {
            lower_to_higher: self.expand(&key, &self.lower, &self.higher)?,
            higher_to_lower: self.expand(&key, &self.higher, &self.lower)?,
        })
    }

    fn expand(&self, key: &hkdf::Prk, sender: &NodeId, receiver: &NodeId) -> Result<[u8; 32], Unspecified> {
        let (lower, higher) = (self.lower_index.to_be_bytes(), self.higher_index.to_be_bytes());
        let info: [&[u8]; 5] = [INFO_LABEL, sender, receiver, &lower, &higher];
        let mut secret = [0; 32];
        key.expand(&info, hkdf::HKDF_SHA256)?.fill(&mut secret)?;
        Ok(secret)
    }
}

/// The secret that seals parity where `secret` seals records: HKDF-Expand, so that neither key tells of the other.
pub fn parity_secret(secret: &[u8; 32]) -> [u8; 32] {
    let mut parity = [0; 32];
    let key = hkdf::Prk::new_less_safe(hkdf::HKDF_SHA256, secret);
    let filled = key.expand(&[PARITY_LABEL], hkdf::HKDF_SHA256).and_then(|expanded| expanded.fill(&mut parity));
    let Ok(()) = filled else { unreachable!("32 bytes are what one block of SHA-256 gives") };
    parity
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const VECTOR: &str = include_str!("../../../../tests/vectors/record_keys.json");

    /// The value of `name` in the one vector of the file, without quotes.
    fn field(name: &str) -> &'static str {
        let start = VECTOR.find(&format!("\"{name}\": ")).unwrap() + name.len() + 4;
        VECTOR[start..].split([',', '\n']).next().unwrap().trim_matches('"')
    }

    fn bytes(name: &str) -> [u8; 32] {
        let text = field(name);
        std::array::from_fn(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap())
    }

    fn binding() -> Binding {
        Binding {
            exporter: bytes("exporter"),
            lower: bytes("lower_id"),
            higher: bytes("higher_id"),
            lower_index: field("lower_index").parse().unwrap(),
            higher_index: field("higher_index").parse().unwrap(),
        }
    }

    #[test]
    fn the_secrets_are_those_of_the_vector() {
        let secrets = binding().secrets(&bytes("shared_secret")).unwrap();
        assert_eq!(secrets.lower_to_higher, bytes("lower_to_higher"));
        assert_eq!(secrets.higher_to_lower, bytes("higher_to_lower"));
    }

    #[test]
    fn everything_a_key_is_bound_to_changes_it() {
        let (binding, shared) = (binding(), bytes("shared_secret"));
        let other = bytes("lower_public");
        let variants = [
            Binding { exporter: other, ..binding.clone() },
            Binding { lower: other, ..binding.clone() },
            Binding { higher: other, ..binding.clone() },
            Binding { lower_index: 7, ..binding.clone() },
            Binding { higher_index: 7, ..binding.clone() },
        ];
        let secrets = binding.secrets(&shared).unwrap();
        for variant in variants {
            let others = variant.secrets(&shared).unwrap();
            assert_ne!(others.lower_to_higher, secrets.lower_to_higher);
            assert_ne!(others.higher_to_lower, secrets.higher_to_lower);
        }
    }

    #[test]
    fn parity_has_a_secret_of_its_own_under_each_record_secret() {
        let secrets = binding().secrets(&bytes("shared_secret")).unwrap();
        let [one, other] = [&secrets.lower_to_higher, &secrets.higher_to_lower].map(parity_secret);
        assert_eq!(one, bytes("parity_lower_to_higher"));
        assert_eq!(other, bytes("parity_higher_to_lower"));
        assert!(one != other && ![one, other].contains(&secrets.lower_to_higher));
    }

    #[test]
    fn both_ends_export_under_the_same_context() {
        assert_eq!(exporter_context(&[1; 32], &[2; 32]), exporter_context(&[2; 32], &[1; 32]));
    }
}
