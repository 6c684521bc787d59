//! The last word before a signature: one content for each kind and round of the height being decided (FAULTS L15).
//!
//! The core derives its messages from the log and so never asks for a second one; this is the second lock on that door.

use std::collections::BTreeMap;

use crate::error::{Fault, Signed};
use crate::vote::ProposalClaim;
use towpath_ledger::chain::Vote;

/// What was signed at one height.
#[derive(Debug)]
pub struct Guard {
    height: u64,
    votes: BTreeMap<(Signed, u32), Vote>,
    proposals: BTreeMap<u32, ProposalClaim>,
}

impl Guard {
    /// For `height`; nothing is signed for any other.
    pub const fn new(height: u64) -> Self {
        Self { height, votes: BTreeMap::new(), proposals: BTreeMap::new() }
    }

    /// Consents to a vote, and remembers it.
    pub fn vote(&mut self, vote: &Vote) -> Result<(), Fault> {
        let kind = Signed::Vote(vote.kind);
        let first = *self.votes.entry((kind, vote.round)).or_insert(*vote);
        self.consent(first == *vote && vote.height == self.height, kind, vote.height, vote.round)
    }

    /// Consents to a proposal, and remembers it.
    pub fn proposal(&mut self, claim: &ProposalClaim) -> Result<(), Fault> {
        let first = *self.proposals.entry(claim.round).or_insert(*claim);
        let same = first == *claim && claim.height == self.height;
        self.consent(same, Signed::Proposal, claim.height, claim.round)
    }

    /// Whether a proposal was signed in `round`.
    pub fn has_proposed(&self, round: u32) -> bool {
        self.proposals.contains_key(&round)
    }

    /// Whether this very vote was signed.
    pub fn knows_vote(&self, vote: &Vote) -> bool {
        self.votes.get(&(Signed::Vote(vote.kind), vote.round)) == Some(vote)
    }

    /// Whether this very proposal was signed.
    pub fn knows_proposal(&self, claim: &ProposalClaim) -> bool {
        self.proposals.get(&claim.round) == Some(claim)
    }

    const fn consent(&self, consents: bool, kind: Signed, height: u64, round: u32) -> Result<(), Fault> {
        if consents { Ok(()) } else { Err(Fault::DoubleSign { kind, height, round }) }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
