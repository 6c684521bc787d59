//! What honest nodes have signed, as their peers heard it: nobody signs two contents for one version of a channel, or two
//! votes of one kind for one round (I4).
//!
//! Signatures are deterministic, so two different ones for the same version and the same `held` are two contents; and a
//! proposal that is made again is the same updates on the same base.

use std::collections::BTreeMap;

use towpath_consensus::wire;
use towpath_crypto::ed25519::Signature;
use towpath_crypto::hash::sha256;
use towpath_crypto::{Digest, codec};
use towpath_ledger::chain::VoteKind;
use towpath_ledger::{BlockId, ChannelId, StateSignature};
use towpath_protocol::{ChannelMessage, Message};

use crate::violation::{Violation, must};

/// See the module.
#[derive(Default)]
pub struct Promises {
    /// By node, channel, version and `held`.
    signed: BTreeMap<(usize, ChannelId, u64, u64), Signature>,
    /// By node, channel and version: base and updates.
    proposed: BTreeMap<(usize, ChannelId, u64), Digest>,
    /// By validator, kind, height and round: the block, and the round that it was locked in.
    voted: BTreeMap<(usize, &'static str, u64, u32), Ballot>,
}

/// What a validator signs for a round: a block or none, and of a proposal the earlier round that stands for it.
type Ballot = (Option<BlockId>, Option<u32>);

impl Promises {
    /// A node says these messages.
    ///
    /// # Errors
    /// When they contradict what it said before.
    pub fn hear(&mut self, node: usize, messages: &[Vec<u8>]) -> Result<(), Violation> {
        for bytes in messages {
            let message = Message::decode(bytes).map_err(|error| {
                Violation::new("an honest node speaks properly", format!("node {node}: {error}"))
            })?;
            let Message::Channel(channel, message) = message else { continue };
            match message {
                ChannelMessage::Propose(propose) => {
                    let content = sha256(&codec::encode(&(propose.base, &propose.updates)));
                    let known = *self.proposed.entry((node, channel, propose.version)).or_insert(content);
                    must(known == content, "I4 one content a version", || {
                        format!("node {node} proposes another version {} of {channel}", propose.version)
                    })?;
                    self.sign((node, channel, propose.version), &propose.signature)?;
                }
                ChannelMessage::Ack(ack) => self.sign((node, channel, ack.version), &ack.signature)?,
                ChannelMessage::Created(signature) => self.sign((node, channel, 1), &signature)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// A validator says something to the others.
    ///
    /// # Errors
    /// When it contradicts what it said before.
    pub fn hear_validator(&mut self, node: usize, bytes: &[u8]) -> Result<(), Violation> {
        let message = wire::decode(bytes).map_err(|error| {
            Violation::new("an honest node speaks properly", format!("node {node}: {error}"))
        })?;
        let (slot, ballot) = match message {
            wire::Message::Vote(vote) => {
                let kind = match vote.vote.kind {
                    VoteKind::Prevote => "prevote",
                    VoteKind::Precommit => "precommit",
                };
                ((node, kind, vote.vote.height, vote.vote.round), (vote.vote.block, None))
            }
            wire::Message::Proposal(proposal) => {
                let claim = proposal.claim();
                let slot = (node, "proposal", claim.height, claim.round);
                (slot, (Some(claim.block), claim.pol_round))
            }
            wire::Message::Polka(_) | wire::Message::Round(_) | wire::Message::Status(_) => return Ok(()),
        };
        let known = *self.voted.entry(slot).or_insert(ballot);
        must(known == ballot, "I4 one vote a round", || {
            format!("node {node} signs two of {} at height {}, round {}", slot.1, slot.2, slot.3)
        })
    }

    fn sign(&mut self, of: (usize, ChannelId, u64), by: &StateSignature) -> Result<(), Violation> {
        let (node, channel, version) = of;
        let known = *self.signed.entry((node, channel, version, by.held)).or_insert(by.signature);
        must(known == by.signature, "I4 one content a version", || {
            format!("node {node} signs two contents for version {version} of {channel}")
        })
    }
}
