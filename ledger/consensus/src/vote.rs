//! What a proposer signs. What validators sign when they vote is the ledger's, since light clients verify it:
//! [`towpath_ledger::chain::Vote`].

use bincode::{Decode, Encode};
use towpath_crypto::{Domain, Signable};
use towpath_ledger::BlockId;

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
