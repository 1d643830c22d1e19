//! One AEAD key, sealing and opening in place.
//!
//! Invariant: the nonce is four zero bytes and the 64-bit counter, big-endian; nothing else ever feeds it.

use ring::aead::{AES_128_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Bytes a seal adds behind what it seals.
pub const TAG: usize = 16;

/// The two ciphers of records and hop headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// Where both CPUs have AES instructions. Its key is the first 16 bytes of the secret.
    Aes128Gcm,
    /// Everywhere else: a third of the speed there, and constant-time without special instructions.
    ChaCha20Poly1305,
}

/// A key for one direction.
#[derive(Debug)]
pub struct Key(LessSafeKey);

impl Key {
    /// The key `cipher` makes of a 32-byte secret that came out of HKDF or a TLS exporter.
    pub fn new(secret: &[u8; 32], cipher: Cipher) -> Self {
        let algorithm = match cipher {
            Cipher::Aes128Gcm => &AES_128_GCM,
            Cipher::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        };
        let Ok(key) = UnboundKey::new(algorithm, &secret[..algorithm.key_len()]) else {
            unreachable!("the key is cut to the length the algorithm names");
        };
        Self(LessSafeKey::new(key))
    }

    /// Seal all but the last 16 bytes of `buffer` in place; the tag goes into those.
    pub fn seal(&self, counter: u64, aad: &[u8], buffer: &mut [u8]) {
        let (plain, tag) = buffer.split_at_mut(buffer.len() - TAG);
        let Ok(sealed) = self.0.seal_in_place_separate_tag(nonce(counter), Aad::from(aad), plain) else {
            unreachable!("only gigabytes are too long for one seal");
        };
        tag.copy_from_slice(sealed.as_ref());
    }

    /// Open `buffer` (sealed bytes and tag) in place: the plain bytes, or none if a single bit differs.
    pub fn open<'a>(&self, counter: u64, aad: &[u8], buffer: &'a mut [u8]) -> Option<&'a mut [u8]> {
        self.0.open_in_place(nonce(counter), Aad::from(aad), buffer).ok()
    }
}

fn nonce(counter: u64) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[4..].copy_from_slice(&counter.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

/// True if this CPU runs AES-GCM fast and in constant time.
pub fn hardware_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    return std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    return false;
}

#[cfg(test)]
mod tests {
    use super::*;

    const CIPHERS: [Cipher; 2] = [Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305];

    #[test]
    fn what_was_sealed_opens() {
        for cipher in CIPHERS {
            let key = Key::new(&[7; 32], cipher);
            let mut buffer = [5; 100];
            key.seal(3, b"header", &mut buffer);
            assert_eq!(key.open(3, b"header", &mut buffer).as_deref(), Some(&mut [5_u8; 84][..]).as_deref());
        }
    }

    #[test]
    fn another_counter_header_key_or_bit_does_not_open() {
        for cipher in CIPHERS {
            let key = Key::new(&[7; 32], cipher);
            let mut sealed = [5; 100];
            key.seal(3, b"header", &mut sealed);
            assert!(key.open(4, b"header", &mut sealed.clone()).is_none());
            assert!(key.open(3, b"Header", &mut sealed.clone()).is_none());
            assert!(Key::new(&[8; 32], cipher).open(3, b"header", &mut sealed.clone()).is_none());
            sealed[99] ^= 1;
            assert!(key.open(3, b"header", &mut sealed).is_none());
        }
    }

    #[test]
    fn bytes_shorter_than_a_tag_do_not_open() {
        assert!(Key::new(&[7; 32], Cipher::Aes128Gcm).open(0, b"", &mut [0; 15]).is_none());
    }
}
