//! Signatures for volume: a keyed hash instead of a curve. The first half is the digest, so that an auditor can read
//! what was signed out of the signature.

use towpath_crypto::ed25519::{Check, PublicKey, Signature};
use towpath_crypto::hash::digest;
use towpath_crypto::{ChainId, Digest, Domain, Signable};
use towpath_ledger::{ChannelId, ChannelTag, CloseAnswer, CloseIntent, ResizeIntent, StateClaim};
use towpath_protocol::{StateSigner, Verifier};

pub struct FastSigner(pub PublicKey);

fn sign(key: &PublicKey, message: &Digest) -> Signature {
    let mac = digest(Domain::Test, &[&key.0, &message.0]);
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(&message.0);
    bytes[32..].copy_from_slice(&mac.0);
    Signature(bytes)
}

impl StateSigner for FastSigner {
    fn public(&self) -> PublicKey {
        self.0
    }

    fn tag(&self, peer: &PublicKey, channel: &ChannelId) -> Option<ChannelTag> {
        let (low, high) = (self.0.min(*peer), self.0.max(*peer));
        Some(ChannelTag(digest(Domain::Test, &[&low.0, &high.0, &channel.0.0])))
    }

    fn sign_state(&self, chain: &ChainId, claim: &StateClaim) -> Signature {
        sign(&self.0, &claim.signing_digest(chain))
    }

    fn sign_close_intent(&self, chain: &ChainId, intent: &CloseIntent) -> Signature {
        sign(&self.0, &intent.signing_digest(chain))
    }

    fn sign_answer(&self, chain: &ChainId, answer: &CloseAnswer) -> Signature {
        sign(&self.0, &answer.signing_digest(chain))
    }

    fn sign_resize(&self, chain: &ChainId, intent: &ResizeIntent) -> Signature {
        sign(&self.0, &intent.signing_digest(chain))
    }
}

/// Verifies fast signatures at once.
#[derive(Default)]
pub struct FastVerifier;

impl Verifier for FastVerifier {
    fn verify(&mut self, check: Check) -> bool {
        sign(&check.key, &check.digest) == check.signature
    }
}
