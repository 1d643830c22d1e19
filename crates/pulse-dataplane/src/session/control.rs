//! Messages of a session's control stream after the hellos: msgpack arrays, the integer tag first.
//!
//! Invariant: trailing fields and unknown tags of a newer peer are skipped, never an error.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};
use serde_bytes::{ByteArray, Bytes};

use crate::hello::unpack;
use crate::keys::Offer;

const KEYS: u64 = 2;
const KEYS_USED: u64 = 3;

/// One message; the hello (tag 1) has a file of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// `[2, public key, receive index]`: our half of a swap of record keys.
    Keys(Offer),
    /// `[3, index]`: we seal records under this index of yours.
    KeysUsed(u32),
    /// A tag of a newer release.
    Unknown(u64),
}

impl Message {
    /// The bytes of a message; an unknown one has none.
    pub fn encode(&self) -> Vec<u8> {
        let encoded = match self {
            Self::Keys(offer) => rmp_serde::to_vec(&(KEYS, Bytes::new(&offer.public), offer.index)),
            Self::KeysUsed(index) => rmp_serde::to_vec(&(KEYS_USED, index)),
            Self::Unknown(_) => Ok(Vec::new()),
        };
        // Encoding integers and bytes into a vector cannot fail.
        encoded.unwrap_or_default()
    }

    /// The message in `bytes`, if it is one.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        unpack(bytes).ok()
    }
}

impl<'de> Deserialize<'de> for Message {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Message;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array that begins with a tag")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Message, A::Error> {
        let message = match required(&mut fields)? {
            KEYS => {
                let public: ByteArray<32> = required(&mut fields)?;
                Message::Keys(Offer { public: public.into_array(), index: required(&mut fields)? })
            }
            KEYS_USED => Message::KeysUsed(required(&mut fields)?),
            tag => Message::Unknown(tag),
        };
        while fields.next_element::<IgnoredAny>()?.is_some() {}
        Ok(message)
    }
}

fn required<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::custom("too few fields"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::fuzz::fuzz;

    #[test]
    fn messages_are_what_msgspec_would_write() {
        let keys = Message::Keys(Offer { public: [0xab; 32], index: 0x0102_0304 });
        let mut expected = vec![0x93, 0x02, 0xc4, 32];
        expected.extend([0xab; 32]);
        expected.extend([0xce, 1, 2, 3, 4]);
        assert_eq!(keys.encode(), expected);
        assert_eq!(Message::KeysUsed(7).encode(), [0x92, 0x03, 0x07]);
    }

    #[test]
    fn what_is_encoded_decodes() {
        for message in [Message::Keys(Offer { public: [7; 32], index: u32::MAX }), Message::KeysUsed(1 << 20)] {
            assert_eq!(Message::decode(&message.encode()), Some(message));
        }
    }

    #[test]
    fn fields_and_tags_of_a_newer_release_are_skipped() {
        let longer = rmp_serde::to_vec(&(3, 7, "new", [1, 2])).unwrap();
        assert_eq!(Message::decode(&longer), Some(Message::KeysUsed(7)));
        assert_eq!(Message::decode(&rmp_serde::to_vec(&(99, "x")).unwrap()), Some(Message::Unknown(99)));
    }

    #[test]
    fn a_broken_message_is_refused() {
        let short_key = rmp_serde::to_vec(&(2, Bytes::new(&[1; 31]), 7)).unwrap();
        for broken in [&[][..], &[0x90], &[0x91, 0x03], &[0x92, 0x03, 0xff], &[0xff; 40], &short_key] {
            assert_eq!(Message::decode(broken), None);
        }
    }

    #[test]
    fn damaged_messages_are_refused() {
        let seeds = [Message::Keys(Offer { public: [7; 32], index: 9 }).encode(), Message::KeysUsed(1 << 20).encode()];
        fuzz("messages of a session", &seeds, |bytes| Message::decode(bytes).is_some());
    }
}
