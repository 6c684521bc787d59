//! A validator that is not honest. It runs the real program, and what that says to the other validators is bent on the way
//! out: two votes for one round, two blocks, blocks that do not lead where they say, votes against others' blocks, silence.
//! It is one of four: whatever it does, the others agree on every block, and blocks go on.

use std::sync::Arc;

use towpath_consensus::wire::{self, Message, SignedProposal, SignedVote};
use towpath_crypto::Digest;
use towpath_ledger::BlockId;
use towpath_node::net::Topic;

use crate::plan::Vice;
use crate::rogue::Rogue;
use crate::tally::Fault;
use crate::violation::Violation;
use crate::world::World;

/// To whom something is said first; who hears it passes it on to all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Half {
    /// To all.
    Both,
    /// To those in even places.
    Even,
    /// To the others.
    Odd,
}

impl Half {
    /// Whether the node at `place` is among them.
    #[must_use]
    pub const fn contains(self, place: usize) -> bool {
        match self {
            Self::Both => true,
            Self::Even => place.is_multiple_of(2),
            Self::Odd => !place.is_multiple_of(2),
        }
    }
}

/// What is said, and to whom first.
type Said = Vec<(Vec<u8>, Half)>;

impl Rogue {
    /// Whether transactions of others are nothing to this node.
    #[must_use]
    pub fn ignores(&self, node: usize) -> bool {
        self.place == node && self.has(Vice::Censors)
    }
}

impl World {
    /// What a node publishes, as the others hear it. An honest validator is watched: it must never sign twice.
    ///
    /// # Errors
    /// When an honest one does.
    pub fn utter(&mut self, node: usize, topic: Topic, bytes: Vec<u8>) -> Result<Said, Violation> {
        if topic != Topic::Consensus {
            return Ok(vec![(bytes, Half::Both)]);
        }
        if self.rogue.as_ref().is_none_or(|rogue| rogue.place != node) {
            self.auditor.promises.hear_validator(node, &bytes)?;
            return Ok(vec![(bytes, Half::Both)]);
        }
        if self.is_calm {
            return Ok(vec![(bytes, Half::Both)]);
        }
        Ok(self.bend_word(node, bytes))
    }

    fn bend_word(&mut self, node: usize, bytes: Vec<u8>) -> Said {
        if self.rogue.as_ref().is_some_and(|rogue| rogue.is_silent && rogue.has(Vice::KeepsSilent)) {
            self.tally.fault(Fault::Silence);
            return Vec::new();
        }
        let own = self.stations[node].id;
        match wire::decode(&bytes) {
            Ok(Message::Vote(vote)) if vote.validator == own => self.bend_vote(node, vote, bytes),
            Ok(Message::Proposal(proposal)) if proposal.validator == own => {
                self.bend_proposal(node, proposal, bytes)
            }
            Ok(_) | Err(_) => vec![(bytes, Half::Both)],
        }
    }

    fn has_vice(&mut self, vice: Vice, per_mille: u64) -> bool {
        self.rogue.as_ref().is_some_and(|rogue| rogue.has(vice)) && self.rng.chance(per_mille)
    }

    fn bend_vote(&mut self, node: usize, mut vote: SignedVote, bytes: Vec<u8>) -> Said {
        let host = &self.stations[node].host;
        let (chain, key) = (host.genesis.chain_id(), host.seed.node_key());
        let was = vote.vote.block;
        if was.is_some() && self.has_vice(Vice::Censors, 500) {
            self.tally.fault(Fault::Censored);
            vote.vote.block = None;
            vote.signature = key.sign(&chain, &vote.vote);
            return vec![(wire::encode(u64::MAX, Message::Vote(vote)), Half::Both)];
        }
        if self.has_vice(Vice::VotesTwice, 500) {
            self.tally.fault(Fault::SecondVote);
            vote.vote.block = if was.is_some() { None } else { Some(BlockId(Digest([9; 32]))) };
            vote.signature = key.sign(&chain, &vote.vote);
            let second = wire::encode(u64::MAX, Message::Vote(vote));
            return vec![(second, Half::Even), (bytes, Half::Odd)];
        }
        vec![(bytes, Half::Both)]
    }

    fn bend_proposal(&mut self, node: usize, proposal: SignedProposal, bytes: Vec<u8>) -> Said {
        let host = &self.stations[node].host;
        let (chain, key) = (host.genesis.chain_id(), host.seed.node_key());
        let sign = |mut proposal: SignedProposal| {
            proposal.signature = key.sign(&chain, &proposal.claim());
            wire::encode(u64::MAX, Message::Proposal(proposal))
        };
        let mut block = (*proposal.block).clone();
        if self.has_vice(Vice::ProposesInvalid, 500) {
            self.tally.fault(Fault::InvalidBlock);
            block.header.state_root.0[31] ^= 1;
            return vec![(sign(SignedProposal { block: Arc::new(block), ..proposal }), Half::Both)];
        }
        if self.has_vice(Vice::ProposesTwice, 600) {
            self.tally.fault(Fault::SecondBlock);
            // Of an empty block this is another valid one.
            block.header.time = block.header.time.plus_ms(1);
            let second = sign(SignedProposal { block: Arc::new(block), ..proposal });
            return vec![(second, Half::Even), (bytes, Half::Odd)];
        }
        vec![(bytes, Half::Both)]
    }
}
