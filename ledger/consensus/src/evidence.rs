//! Proof that a validator signed two contents where it may sign one.

use bincode::{Decode, Encode};
use towpath_crypto::ChainId;
use towpath_crypto::ed25519::{self, PublicKey, Signature};

use crate::context::Ctx;
use crate::convert;
use crate::vote::ProposalClaim;
use crate::wire::SignedVote;

/// A proposal without its block.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct SignedClaim {
    /// What is signed.
    pub claim: ProposalClaim,
    /// Whose it is.
    pub validator: PublicKey,
    /// Over the claim and the chain.
    pub signature: Signature,
}

/// Two signatures that no honest validator gives.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum Evidence {
    /// Two votes of a kind in one round.
    Votes(SignedVote, SignedVote),
    /// Two proposals in one round.
    Proposals(SignedClaim, SignedClaim),
}

/// Why evidence proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// Two validators, two rounds, or two kinds.
    #[error("the two messages may both be signed")]
    NotConflicting,
    /// One of them is not signed by whom it names.
    #[error("a signature is invalid")]
    Signature,
}

impl Evidence {
    /// Who is guilty.
    #[must_use]
    pub const fn culprit(&self) -> PublicKey {
        match self {
            Self::Votes(first, _) => first.validator,
            Self::Proposals(first, _) => first.validator,
        }
    }

    /// At which height.
    #[must_use]
    pub const fn height(&self) -> u64 {
        match self {
            Self::Votes(first, _) => first.vote.height,
            Self::Proposals(first, _) => first.claim.height,
        }
    }

    /// Whether this proves that [`Self::culprit`] cheated on `chain`. That it was a validator is for the caller to
    /// check, against the set of [`Self::height`].
    ///
    /// # Errors
    /// [`EvidenceError`] says why not.
    pub fn verify(&self, chain: &ChainId) -> Result<(), EvidenceError> {
        let (conflicting, signed) = match self {
            Self::Votes(a, b) => {
                let slot = |v: &SignedVote| (v.validator, v.vote.kind, v.vote.height, v.vote.round);
                let signed = |v: &SignedVote| ed25519::verify(&v.validator, chain, &v.vote, &v.signature);
                (slot(a) == slot(b) && a.vote != b.vote, signed(a) && signed(b))
            }
            Self::Proposals(a, b) => {
                let slot = |c: &SignedClaim| (c.validator, c.claim.height, c.claim.round);
                let signed = |c: &SignedClaim| ed25519::verify(&c.validator, chain, &c.claim, &c.signature);
                (slot(a) == slot(b) && a.claim != b.claim, signed(a) && signed(b))
            }
        };
        match (conflicting, signed) {
            (false, _) => Err(EvidenceError::NotConflicting),
            (true, false) => Err(EvidenceError::Signature),
            (true, true) => Ok(()),
        }
    }
}

/// What the core collected at a height, at most three pairs of a kind for a validator.
pub fn from_core(proposals: &arc_malachitebft_core_consensus::MisbehaviorEvidence<Ctx>) -> Vec<Evidence> {
    let votes = proposals.votes.iter().flat_map(|(_, pairs)| pairs).filter_map(|(first, second)| {
        Some(Evidence::Votes(convert::vote_from_core(first)?, convert::vote_from_core(second)?))
    });
    let claims = proposals.proposals.iter().flat_map(|(_, pairs)| pairs).filter_map(|(first, second)| {
        let claim = |proposal: &arc_malachitebft_core_types::SignedProposal<Ctx>| {
            Some(SignedClaim {
                claim: convert::claim_of(&proposal.message)?,
                validator: proposal.message.proposer.0,
                signature: proposal.signature,
            })
        };
        Some(Evidence::Proposals(claim(first)?, claim(second)?))
    });
    votes.chain(claims).collect()
}
