//! What validators sign to decide a block. Here, and not with the consensus engine, because a light client checks it.

use bincode::{Decode, Encode};
use towpath_crypto::{Domain, Signable};

use crate::types::BlockId;

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

impl Vote {
    /// The vote that decides `block`, once a quorum signs it.
    #[must_use]
    pub const fn precommit(height: u64, round: u32, block: BlockId) -> Self {
        Self { kind: VoteKind::Precommit, height, round, block: Some(block) }
    }
}

impl Signable for Vote {
    const DOMAIN: Domain = Domain::Vote;
}
