//! What validators sign, and the set that they belong to. Each type here has one encoding and one domain tag, and its
//! signature covers the chain id, so that no signature means anything else, anywhere else.

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::{Domain, Signable};
use towpath_ledger::BlockId;

/// The two votes of a round.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum VoteKind {
    /// "This proposal is valid and I am not bound to another."
    Prevote,
    /// "A quorum prevoted for this; I am bound to it." A quorum of these is a decision.
    Precommit,
}

/// One vote, as it is signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Vote {
    /// Which of the two.
    pub kind: VoteKind,
    /// The height of the block.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The block, or none for a vote against all of this round.
    pub block: Option<BlockId>,
}

impl Signable for Vote {
    const DOMAIN: Domain = Domain::Vote;
}

/// One proposal, as it is signed: the block by its id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct ProposalClaim {
    /// The height of the block.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The earlier round in which a quorum prevoted for this block, if any.
    pub pol_round: Option<u32>,
    /// The block.
    pub block: BlockId,
}

impl Signable for ProposalClaim {
    const DOMAIN: Domain = Domain::Proposal;
}

/// Proof that a quorum decided a block: precommits of one round.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct CommitCertificate {
    /// The height.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// Who signed the precommit, each once.
    pub signatures: Vec<(PublicKey, Signature)>,
}

/// One validator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Validator {
    /// Its key, which is also its name.
    pub key: PublicKey,
    /// Its weight.
    pub power: u64,
}
