//! The auditor: a second, simpler opinion on everything that leaves a node. It sees forks, double signatures by
//! validators that are meant to be honest, and honest messages that honest nodes reject.

use std::collections::{BTreeMap, BTreeSet};

use towpath_consensus::wire::{self, Message};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::BlockId;
use towpath_ledger::chain::VoteKind;

/// What one validator may sign once: kind, height, round.
type Slot = (PublicKey, &'static str, u64, u32);

/// What was seen.
#[derive(Default)]
pub struct Audit {
    signed: BTreeMap<Slot, BTreeSet<String>>,
    /// The first block that any honest node applied at a height.
    decided: BTreeMap<u64, BlockId>,
    /// Heights at which two honest nodes applied two blocks.
    pub forks: BTreeSet<u64>,
    /// Honest messages that an honest node called dishonest.
    pub rejected: u64,
    /// How often each round decided.
    pub rounds: BTreeMap<u32, u64>,
}

impl Audit {
    /// An honest node publishes.
    pub fn published(&mut self, bytes: &[u8]) {
        let message = wire::decode(bytes).expect("an engine publishes what it would accept");
        let (slot, content) = match &message {
            Message::Vote(v) => (
                (
                    v.validator,
                    match v.vote.kind {
                        VoteKind::Prevote => "prevote",
                        VoteKind::Precommit => "precommit",
                    },
                    v.vote.height,
                    v.vote.round,
                ),
                format!("{:?}", v.vote.block),
            ),
            Message::Proposal(p) => {
                let claim = p.claim();
                (
                    (p.validator, "proposal", claim.height, claim.round),
                    format!("{:?} {:?}", claim.block, claim.pol_round),
                )
            }
            Message::Polka(_) | Message::Round(_) | Message::Status(_) => return,
        };
        self.signed.entry(slot).or_default().insert(content);
    }

    /// An honest node applied a block.
    pub fn committed(&mut self, height: u64, round: u32, block: BlockId) {
        *self.rounds.entry(round).or_default() += 1;
        if *self.decided.entry(height).or_insert(block) != block {
            self.forks.insert(height);
        }
    }

    /// How many slots hold two contents.
    pub fn double_signs(&self) -> usize {
        self.signed.values().filter(|contents| contents.len() > 1).count()
    }

    /// The highest round that decided.
    pub fn round_max(&self) -> u32 {
        self.rounds.keys().next_back().copied().unwrap_or(0)
    }
}
