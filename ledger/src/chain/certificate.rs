//! The proof that a quorum decided a block, and what two such proofs at one height say about their signers.

use std::collections::BTreeSet;

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{Check, PublicKey, Signature, verify_batch};
use towpath_crypto::{ChainId, Signable};

use super::validators::ValidatorSet;
use super::vote::Vote;
use crate::types::BlockId;

/// Proof that a quorum decided a block: precommits of one round.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct CommitCertificate {
    /// The height.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// Who signed [`CommitCertificate::vote`], each once.
    pub signatures: Vec<(PublicKey, Signature)>,
}

/// Why a certificate proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// A signer that is no validator of this set.
    #[error("signed by {0:?}, which is not a validator")]
    Stranger(PublicKey),
    /// A signer that is counted twice.
    #[error("signed by {0:?} twice")]
    Twice(PublicKey),
    /// Too few signers.
    #[error("signed by validators of power {power} of {total}; a decision needs more than two thirds")]
    NoQuorum {
        /// The signers' power.
        power: u64,
        /// The power of all.
        total: u64,
    },
    /// A signature that is not valid.
    #[error("a signature is not valid")]
    BadSignature,
}

impl CommitCertificate {
    /// What each signer signed.
    #[must_use]
    pub const fn vote(&self) -> Vote {
        Vote::precommit(self.height, self.round, self.block)
    }

    /// Checks that more than two thirds of the power of `validators` decided this block; every signature counts and is
    /// verified, after everything that is cheaper.
    ///
    /// # Errors
    /// [`CertificateError`] says why it proves nothing.
    pub fn verify(&self, chain: &ChainId, validators: &ValidatorSet) -> Result<(), CertificateError> {
        let mut seen = BTreeSet::new();
        let mut power = 0_u64;
        for (key, _) in &self.signatures {
            let weight = validators.power(key).ok_or(CertificateError::Stranger(*key))?;
            if !seen.insert(*key) {
                return Err(CertificateError::Twice(*key));
            }
            // Distinct members add up to the set's total at most.
            power = power.saturating_add(weight);
        }
        if !validators.is_quorum(power) {
            return Err(CertificateError::NoQuorum { power, total: validators.total_power() });
        }
        let digest = self.vote().signing_digest(chain);
        let check =
            |(key, signature): &(PublicKey, Signature)| Check { key: *key, digest, signature: *signature };
        let checks: Vec<Check> = self.signatures.iter().map(check).collect();
        if verify_batch(&checks) { Ok(()) } else { Err(CertificateError::BadSignature) }
    }
}

/// A vote with one signature on it: half of the evidence against its signer.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct SignedVote {
    /// The vote.
    pub vote: Vote,
    /// Over the vote.
    pub signature: Signature,
}

/// Who signed both of two valid certificates of one height for different blocks. At least a third of the power: that is
/// what a quorum for each of them takes. In one round the two votes alone convict a signer; across rounds the signer
/// may have been released from the first in between, which only the prevotes of the rounds between can tell.
#[must_use]
pub fn double_signers(
    a: &CommitCertificate,
    b: &CommitCertificate,
) -> Vec<(PublicKey, SignedVote, SignedVote)> {
    if a.height != b.height || a.block == b.block {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (key, first) in &a.signatures {
        for (_, second) in b.signatures.iter().filter(|(other, _)| other == key) {
            let one = SignedVote { vote: a.vote(), signature: *first };
            let two = SignedVote { vote: b.vote(), signature: *second };
            found.push((*key, one, two));
        }
    }
    found
}
