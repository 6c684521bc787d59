//! Ed25519 for nodes, validators and channels, verified by one rule everywhere: ZIP 215 (FAULTS L10, F17).
//!
//! `S` must be canonical; `A` and `R` are decompressed leniently; the equation is the cofactored one,
//! `[8](R + [k]A − [S]B) = 0`. Only so do single and batched verification agree on every input.

mod batch;

use bincode::{Decode, Encode};
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity;
use ed25519_dalek::Signer as _;
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

use self::batch::{Batch, Claim};
use crate::hash::{ChainId, Digest, Domain, Hasher, Signable};
use crate::quick;

/// An Ed25519 public key as it is sent and stored; it may not be a point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct PublicKey(pub [u8; 32]);

/// An Ed25519 signature as it is sent and stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Signature(pub [u8; 64]);

impl PublicKey {
    /// Whether no honest party can have this key: not a point, not the one encoding of its point, or a point of small
    /// order, for which anybody can sign. Refused wherever a key is registered (FAULTS L10).
    #[must_use]
    pub fn is_weak(&self) -> bool {
        CompressedEdwardsY(self.0)
            .decompress()
            .is_none_or(|point| point.is_small_order() || point.compress().0 != self.0)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

/// A secret key. It signs typed values only, with the public key that it derives itself (FAULTS C26).
#[derive(Clone)]
pub struct SecretKey(ed25519_dalek::SigningKey);

impl SecretKey {
    /// From the 32 secret bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(bytes))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// Signs a typed value for one chain.
    #[must_use]
    pub fn sign<T: Signable>(&self, chain: &ChainId, value: &T) -> Signature {
        self.sign_digest(&value.signing_digest(chain))
    }

    /// What this key and `other` share and nobody else can compute, hashed in `domain` with `context`, parts of fixed
    /// size: X25519 (RFC 7748) of the two keys in Montgomery form. Both sides get the same; `None` for a weak key.
    ///
    /// An Ed25519 key may serve X25519 too: what signing reveals about it says nothing about the shared secret, nor the
    /// other way round (Thormarker, "On using the same key pair for Ed25519 and an X25519 based KEM", 2021). Only the
    /// hash leaves this function.
    #[must_use]
    pub fn shared_digest(&self, other: &PublicKey, domain: Domain, context: &[&[u8]]) -> Option<Digest> {
        if other.is_weak() {
            return None;
        }
        let point = CompressedEdwardsY(other.0).decompress()?.to_montgomery();
        // Clamping makes the scalar a multiple of eight, so a part of small order in the other key has no effect.
        let scalar = Zeroizing::new(self.0.to_scalar_bytes());
        let secret = Zeroizing::new(point.mul_clamped(*scalar).to_bytes());
        let mut hasher = Hasher::new(domain);
        hasher.update(&*secret);
        context.iter().for_each(|part| hasher.update(part));
        Some(hasher.finish())
    }

    pub(crate) fn sign_digest(&self, digest: &Digest) -> Signature {
        let quick = quick::signature(&self.public().0, &digest.0);
        Signature(quick.unwrap_or_else(|| self.0.sign(&digest.0).to_bytes()))
    }
}

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SecretKey(of {:?})", self.public())
    }
}

/// One signature to check: who is said to have signed which digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Check {
    /// The signer.
    pub key: PublicKey,
    /// What was signed.
    pub digest: Digest,
    /// The signature.
    pub signature: Signature,
}

impl Check {
    /// Whether this signature is valid.
    #[must_use]
    pub fn verify(&self) -> bool {
        verify_bytes(&self.key, &self.digest.0, &self.signature)
    }

    fn claim(&self) -> Claim<'_> {
        Claim { key: &self.key, message: &self.digest.0, signature: &self.signature }
    }
}

/// Whether `signature` is `key`'s over the typed `value` on `chain`.
#[must_use]
pub fn verify<T: Signable>(key: &PublicKey, chain: &ChainId, value: &T, signature: &Signature) -> bool {
    verify_bytes(key, &value.signing_digest(chain).0, signature)
}

fn verify_bytes(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
    if let Some(verdict) = quick::verdict(&key.0, message, &signature.0) {
        return verdict;
    }
    let (r_bytes, s_bytes) = split(signature);
    let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s_bytes)) else { return false };
    let Some(a) = CompressedEdwardsY(key.0).decompress() else { return false };
    let Some(r) = CompressedEdwardsY(r_bytes).decompress() else { return false };
    let k = challenge(&r_bytes, key, message);
    let expected_r = EdwardsPoint::vartime_double_scalar_mul_basepoint(&k, &-a, &s);
    (r - expected_r).mul_by_cofactor().is_identity()
}

fn split(signature: &Signature) -> ([u8; 32], [u8; 32]) {
    let (mut r, mut s) = ([0; 32], [0; 32]);
    r.copy_from_slice(&signature.0[..32]);
    s.copy_from_slice(&signature.0[32..]);
    (r, s)
}

fn challenge(r: &[u8; 32], key: &PublicKey, message: &[u8]) -> Scalar {
    let hash = Sha512::new().chain_update(r).chain_update(key.0).chain_update(message).finalize();
    Scalar::from_bytes_mod_order_wide(&hash.into())
}

/// Whether all of `checks` are valid; the same verdict as checking each alone, at about three fifths of the cost from
/// 64 on, and at a third if they share a key.
#[must_use]
pub fn verify_batch(checks: &[Check]) -> bool {
    match checks {
        [one] => one.verify(),
        many if quick::is_on() => many.iter().all(Check::verify),
        many => Batch::new(many.iter().map(Check::claim)).verify(),
    }
}

/// Which of `checks` are valid, in their order: one sum if all are, else the sum is split to find the invalid ones, so
/// that one bad signature does not spoil the others. If all are bad it costs about twice what singles cost.
#[must_use]
pub fn verify_each(checks: &[Check]) -> Vec<bool> {
    if quick::is_on() {
        return checks.iter().map(Check::verify).collect();
    }
    Batch::new(checks.iter().map(Check::claim)).verify_each()
}

#[cfg(test)]
#[path = "ed25519/shared_tests.rs"]
mod shared_tests;
