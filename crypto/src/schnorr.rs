//! secp256k1 BIP 340 signatures for wallet keys.

use bincode::{Decode, Encode};
use secp256k1::{Keypair, XOnlyPublicKey};

use crate::hash::{ChainId, Digest, Signable};
use crate::quick;

/// A wallet's x-only public key as it is sent and stored; it may not be a point.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct WalletKey(pub [u8; 32]);

/// A BIP 340 signature as it is sent and stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct WalletSignature(pub [u8; 64]);

impl std::fmt::Debug for WalletKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

impl std::fmt::Debug for WalletSignature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(&self.0[..6]))
    }
}

/// A wallet's secret key.
#[derive(Clone)]
pub struct WalletSecret(Keypair);

/// The secret bytes are not a scalar of the curve (probability 2⁻¹²⁸ for random bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a secp256k1 secret key")]
pub struct BadSecret;

impl WalletSecret {
    /// From the 32 secret bytes.
    ///
    /// # Errors
    /// [`BadSecret`] for zero and for values past the group order.
    pub fn from_bytes(bytes: [u8; 32]) -> Result<Self, BadSecret> {
        Keypair::from_secret_bytes(bytes).map(Self).map_err(|_| BadSecret)
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> WalletKey {
        WalletKey(self.0.x_only_public_key().0.to_byte_array())
    }

    /// Signs a typed value for one chain.
    #[must_use]
    pub fn sign<T: Signable>(&self, chain: &ChainId, value: &T) -> WalletSignature {
        self.sign_digest(&value.signing_digest(chain))
    }

    pub(crate) fn sign_digest(&self, digest: &Digest) -> WalletSignature {
        let real = || secp256k1::schnorr::sign_no_aux_rand(&digest.0, &self.0).to_byte_array();
        WalletSignature(quick::signature(&self.public().0, &digest.0).unwrap_or_else(real))
    }
}

impl Drop for WalletSecret {
    fn drop(&mut self) {
        self.0.non_secure_erase();
    }
}

impl std::fmt::Debug for WalletSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "WalletSecret(of {:?})", self.public())
    }
}

/// One signature to check: who is said to have signed which digest.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Check {
    /// The signer.
    pub key: WalletKey,
    /// What was signed.
    pub digest: Digest,
    /// The signature.
    pub signature: WalletSignature,
}

impl Check {
    /// Whether this signature is valid.
    #[must_use]
    pub fn verify(&self) -> bool {
        if let Some(verdict) = quick::verdict(&self.key.0, &self.digest.0, &self.signature.0) {
            return verdict;
        }
        let Ok(key) = XOnlyPublicKey::from_byte_array(self.key.0) else { return false };
        let signature = secp256k1::schnorr::Signature::from_byte_array(self.signature.0);
        secp256k1::schnorr::verify(&signature, &self.digest.0, &key).is_ok()
    }
}

/// Whether `signature` is `key`'s over the typed `value` on `chain`.
#[must_use]
pub fn verify<T: Signable>(key: &WalletKey, chain: &ChainId, value: &T, signature: &WalletSignature) -> bool {
    Check { key: *key, digest: value.signing_digest(chain), signature: *signature }.verify()
}

impl WalletKey {
    /// Whether this is a point of the curve, so that somebody can sign for it.
    #[must_use]
    pub fn is_valid(&self) -> bool {
        XOnlyPublicKey::from_byte_array(self.0).is_ok()
    }
}

#[cfg(test)]
#[path = "schnorr_tests.rs"]
mod tests;
