//! Content that others keep for its owner: sealed so that they learn its size and nothing else, and opened again by
//! whoever has the key (SPEC K-26).
//!
//! `nonce (24) ‖ XChaCha20-Poly1305(key, nonce, content) ‖ tag (16)`. The nonce is a keyed hash of the content, so that no
//! nonce ever serves two contents under one key: neither a crash, nor a restored backup, nor a clock, nor a bad source of
//! randomness can repeat one, since there is nothing to repeat. Sealing is therefore deterministic, and all that shows is
//! whether two sealed contents are equal.

use chacha20poly1305::aead::Aead;
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::hash::{Digest, Domain, digest};

const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;

/// By how much sealing makes content longer, in bytes.
pub const SEALED_OVERHEAD_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// A key that seals.
#[derive(Clone)]
pub struct SealKey(Zeroizing<[u8; 32]>);

/// Hides the key.
impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(..)")
    }
}

impl SealKey {
    /// The key of `secret`, a digest that only those know who may open; one for each purpose.
    #[must_use]
    pub fn new(secret: &Digest) -> Self {
        Self(Zeroizing::new(secret.0))
    }

    /// Seals `content`; always to the same bytes.
    #[must_use]
    pub fn seal(&self, content: &[u8]) -> Vec<u8> {
        let nonce = self.nonce(content);
        let sealed = self
            .cipher()
            .encrypt(&nonce.into(), content)
            .expect("only more content than memory can hold is refused");
        [nonce.as_slice(), &sealed].concat()
    }

    /// The content, if `sealed` was sealed with this key and is unchanged.
    #[must_use]
    pub fn open(&self, sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        self.cipher().decrypt(&XNonce::from(*nonce), sealed).ok().map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.0).into())
    }

    /// Hashed first, so that what is hashed with the key has a fixed size.
    fn nonce(&self, content: &[u8]) -> [u8; NONCE_BYTES] {
        let content = digest(Domain::SealNonce, &[content]);
        let hash = digest(Domain::SealNonce, &[&*self.0, &content.0]);
        let mut nonce = [0; NONCE_BYTES];
        nonce.copy_from_slice(&hash.0[..NONCE_BYTES]);
        nonce
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> SealKey {
        SealKey::new(&Digest([byte; 32]))
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_alone() {
        let sealed = key(1).seal(b"content");
        assert_eq!(sealed.len(), 7 + SEALED_OVERHEAD_BYTES);
        assert_eq!(key(1).open(&sealed).unwrap().as_slice(), b"content");
        assert!(key(2).open(&sealed).is_none());
    }

    #[test]
    fn a_change_of_any_bit_is_noticed() {
        let sealed = key(1).seal(&[7; 40]);
        for position in 0..sealed.len() * 8 {
            let mut other = sealed.clone();
            other[position / 8] ^= 1 << (position % 8);
            assert!(key(1).open(&other).is_none(), "bit {position}");
        }
        for length in 0..sealed.len() {
            assert!(key(1).open(&sealed[..length]).is_none(), "{length} bytes");
        }
    }

    /// A nonce that served two contents would give both away.
    #[test]
    fn no_nonce_serves_two_contents() {
        let mut nonces = std::collections::BTreeSet::new();
        for content in 0..1_000_u64 {
            for byte in [1, 2] {
                assert!(nonces.insert(key(byte).seal(&content.to_le_bytes())[..NONCE_BYTES].to_vec()));
            }
        }
    }

    #[test]
    fn the_bytes_are_settled() {
        assert_eq!(key(1).seal(b"content"), key(1).seal(b"content"));
        let bytes =
            "313db4efc3d99d1eec5627409f974a739330728750c32dc68a647705b8b979e363a5a32a96fcc89ba46a83911e4cfd";
        assert_eq!(hex::encode(key(1).seal(b"content")), bytes);
    }
}
