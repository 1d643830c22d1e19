//! What two nodes say first on a link or session, and how messages stand on a stream.
//!
//! A message is its length (u32, big-endian) and that many bytes, at most `MESSAGE_MAX`.
//! Invariant: nothing is allocated for a length that was not checked first.

use std::io;

use ring::rand::{SecureRandom, SystemRandom};
use serde::de::{Error as _, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_bytes::ByteArray;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::seal::{Cipher, hardware_aes};

/// The protocol version we speak.
pub const VERSION: u8 = 1;

/// Feature bit: this CPU computes AES in hardware. Both ends have it: AES-128-GCM, else ChaCha20-Poly1305.
pub const FEATURE_AES: u64 = 1;

/// Feature bit: takes parity over records, and sends it where records get lost. Both ends of a session need it.
pub const FEATURE_FEC: u64 = 2;

/// Longest control message.
pub const MESSAGE_MAX: usize = 64 * 1024;

/// Lists in lists that a message may hold: none of ours has more than three, and a later release has room.
const DEEPEST: usize = 32;

const TAG: u8 = 1;

/// The last second that a clock can show, as Python has it: of the year 9999.
const LATEST: f64 = 253_402_300_799.0;

/// The first message both ways: `[1, version, boot, index, replaces, clock, revocations, features]` in msgpack.
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// Protocol version of the sender.
    pub version: u8,
    /// Random, drawn at start: another one is another life of the same node.
    pub boot: [u8; 16],
    /// The index under which the sender receives.
    pub index: u32,
    /// The sender's own index of the link this one replaces, or 0.
    pub replaces: u32,
    /// The sender's wall clock, in seconds since 1970.
    pub clock: f64,
    /// SHA-256 of the sender's set of revoked ids, sorted and joined.
    pub revocations: [u8; 32],
    /// Feature bits; unknown ones are ignored.
    pub features: u64,
}

impl Hello {
    /// The bytes of this hello.
    pub fn encode(&self) -> io::Result<Vec<u8>> {
        let (boot, revocations) = (ByteArray::new(self.boot), ByteArray::new(self.revocations));
        let fields = (TAG, self.version, boot, self.index, self.replaces, self.clock, revocations, self.features);
        rmp_serde::to_vec(&fields).map_err(io::Error::other)
    }

    /// The hello in `bytes`; fields a later version appended are ignored.
    pub fn decode(bytes: &[u8]) -> io::Result<Self> {
        unpack(bytes).map_err(|error| malformed(format!("undecodable hello: {error}")))
    }

    /// True if both ends take parity.
    pub fn takes_parity(&self, other: &Self) -> bool {
        self.features & other.features & FEATURE_FEC != 0
    }

    /// The cipher that suits both ends.
    pub fn cipher(&self, other: &Self) -> Cipher {
        if self.features & other.features & FEATURE_AES != 0 { Cipher::Aes128Gcm } else { Cipher::ChaCha20Poly1305 }
    }
}

/// The features of this machine.
pub fn features() -> u64 {
    if hardware_aes() { FEATURE_AES } else { 0 }
}

impl<'de> Deserialize<'de> for Hello {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Fields)
    }
}

struct Fields;

impl<'de> Visitor<'de> for Fields {
    type Value = Hello;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an array of at least seven fields")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<Hello, A::Error> {
        if next::<u8, A>(&mut fields)? != TAG {
            return Err(A::Error::custom("not a hello"));
        }
        let hello = Hello {
            version: next(&mut fields)?,
            boot: next::<ByteArray<16>, A>(&mut fields)?.into_array(),
            index: next(&mut fields)?,
            replaces: next(&mut fields)?,
            clock: next(&mut fields)?,
            revocations: next::<ByteArray<32>, A>(&mut fields)?.into_array(),
            features: fields.next_element()?.unwrap_or(0),
        };
        while fields.next_element::<IgnoredAny>()?.is_some() {}
        if (0.0..=LATEST).contains(&hello.clock) {
            Ok(hello)
        } else {
            Err(A::Error::custom("its clock is out of range"))
        }
    }
}

fn next<'de, T: Deserialize<'de>, A: SeqAccess<'de>>(fields: &mut A) -> Result<T, A::Error> {
    fields.next_element()?.ok_or_else(|| A::Error::custom("too few fields"))
}

/// What `bytes` say in msgpack. What they nest more deeply than any message does is none: it would cost stack, and a
/// stack that is used up ends the process.
pub(crate) fn unpack<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, rmp_serde::decode::Error> {
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEEPEST);
    T::deserialize(&mut deserializer)
}

/// Write one message; longer than `MESSAGE_MAX` is an error.
pub async fn write_message<W: AsyncWrite + Unpin>(stream: &mut W, payload: &[u8]) -> io::Result<()> {
    if payload.len() > MESSAGE_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a message is longer than 64 KiB"));
    }
    let mut framed = Vec::with_capacity(4 + payload.len());
    framed.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes());
    framed.extend_from_slice(payload);
    stream.write_all(&framed).await
}

/// Read one message; `None` at a clean end of the stream.
pub async fn read_message<R: AsyncRead + Unpin>(stream: &mut R) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; 4];
    match stream.read_exact(&mut head[..1]).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        result => result?,
    };
    stream.read_exact(&mut head[1..]).await?;
    let length = usize::try_from(u32::from_be_bytes(head)).unwrap_or(usize::MAX);
    if length > MESSAGE_MAX {
        return Err(malformed("a message is longer than 64 KiB"));
    }
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).await?;
    Ok(Some(payload))
}

/// Random bytes from the operating system.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| io::Error::other("no randomness from the operating system"))?;
    Ok(bytes)
}

fn malformed(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text.into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hello() -> Hello {
        Hello {
            version: 1,
            boot: [7; 16],
            index: 0x0102_0304,
            replaces: 0,
            clock: 1.5e9,
            revocations: [9; 32],
            features: 1,
        }
    }

    #[test]
    fn a_hello_survives_the_wire() {
        assert_eq!(Hello::decode(&hello().encode().unwrap()).unwrap(), hello());
    }

    #[test]
    fn a_later_version_may_append_fields() {
        let mut bytes = hello().encode().unwrap();
        assert_eq!(bytes[0], 0x98);
        bytes[0] = 0x99;
        bytes.extend_from_slice(&[0x93, 1, 2, 3]);
        assert_eq!(Hello::decode(&bytes).unwrap(), hello());
    }

    #[test]
    fn a_hello_is_the_bytes_that_python_pins() {
        let pinned = include_str!("../../../tests/vectors/messages.json");
        let hex = pinned.split('"').skip_while(|word| *word != "hello").nth(2).unwrap();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect();
        let hello = Hello::decode(&bytes).unwrap();
        assert_eq!((hello.version, hello.index, hello.features), (1, 0x0102_0304, 3));
        assert_eq!(hello.encode().unwrap(), bytes);
    }

    #[test]
    fn what_is_no_hello_is_refused() {
        let whole = hello().encode().unwrap();
        for cut in 0..whole.len() {
            assert!(Hello::decode(&whole[..cut]).is_err());
        }
        let mut other_tag = whole.clone();
        other_tag[1] = 2;
        assert!(Hello::decode(&other_tag).is_err());
        let endless = Hello { clock: f64::NAN, ..hello() };
        assert!(Hello::decode(&endless.encode().unwrap()).is_err());
    }

    #[test]
    fn what_nests_without_end_is_refused_and_costs_no_stack() {
        let mut bytes = hello().encode().unwrap();
        bytes[0] = 0x99;
        let whole = [&bytes[..], &[0x91; DEEPEST - 2], &[0]].concat();
        assert!(Hello::decode(&whole).is_ok());
        for depth in [DEEPEST + 1, MESSAGE_MAX] {
            assert!(Hello::decode(&[&bytes[..], &vec![0x91; depth], &[0]].concat()).is_err());
        }
    }

    /// As Python judged them (`tests/test_hello_vectors.py`).
    #[test]
    fn spoiled_hellos_are_taken_and_refused_as_python_does() {
        let lines = include_str!("../../../tests/vectors/spoiled_hellos.txt").lines();
        let wrong: Vec<&str> = lines
            .filter(|line| {
                let (hex, verdict) = line.split_once(' ').unwrap();
                let digits = hex.trim_matches('-');
                let pairs = (0..digits.len()).step_by(2).map(|place| &digits[place..place + 2]);
                let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
                Hello::decode(&bytes).is_ok() != (verdict == "taken")
            })
            .collect();
        assert!(wrong.is_empty(), "{} differ: {wrong:#?}", wrong.len());
    }

    #[test]
    fn aes_is_used_only_if_both_ends_have_it() {
        let without = Hello { features: 0, ..hello() };
        assert!(matches!(hello().cipher(&hello()), Cipher::Aes128Gcm));
        assert!(matches!(hello().cipher(&without), Cipher::ChaCha20Poly1305));
    }

    #[tokio::test]
    async fn messages_keep_their_borders_and_end_cleanly() {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        write_message(&mut near, b"one").await.unwrap();
        write_message(&mut near, b"").await.unwrap();
        drop(near);
        assert_eq!(read_message(&mut far).await.unwrap().unwrap(), b"one");
        assert_eq!(read_message(&mut far).await.unwrap().unwrap(), b"");
        assert_eq!(read_message(&mut far).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_message_over_64_kib_is_refused_both_ways() {
        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        assert!(write_message(&mut near, &vec![0; MESSAGE_MAX + 1]).await.is_err());
        near.write_all(&[0, 1, 0, 1]).await.unwrap();
        assert!(read_message(&mut far).await.is_err());
    }

    #[tokio::test]
    async fn a_message_cut_short_is_an_error() {
        let (mut near, mut far) = tokio::io::duplex(64);
        near.write_all(&[0, 0, 0, 9, 1]).await.unwrap();
        drop(near);
        assert!(read_message(&mut far).await.is_err());
    }
}
