//! What validators gossip, and its bytes: a version byte, then the canonical encoding of an [`Envelope`].
//!
//! These types cannot say what must not be said: a round is a number, so the core's nil round cannot arrive; a
//! proposal's id is computed from its block. Decoding is bounded, canonical, and checks everything that needs no state.

use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_crypto::codec::{self, CodecError};
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_ledger::chain::{Vote, VoteKind};
use towpath_ledger::{Block, BlockId};

use crate::limits;
use crate::vote::ProposalClaim;

/// The version of all bytes of this crate.
pub const VERSION: u8 = 1;

/// A message and what tells its copies apart.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Envelope {
    /// Differs between copies of one message, so that a gossip layer that drops equal bytes lets a copy pass that is
    /// sent again on purpose. It means nothing else and is not signed; [`crate::Engine::on_gossip`] bounds the copies.
    pub copy: u64,
    /// The message.
    pub message: Message,
}

/// Anything that is gossiped.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Message {
    /// A block is proposed.
    Proposal(SignedProposal),
    /// A validator votes.
    Vote(SignedVote),
    /// A quorum prevoted for one block.
    Polka(PolkaCertificate),
    /// Enough validators are in a round to enter it.
    Round(RoundCertificate),
    /// What the sender has decided. For direct peers, never forwarded.
    Status(Status),
}

/// A vote and its voter.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct SignedVote {
    /// What is signed.
    pub vote: Vote,
    /// Whose it is.
    pub validator: PublicKey,
    /// Over the vote and the chain.
    pub signature: Signature,
}

/// A proposal with its block.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct SignedProposal {
    /// The round. The height is the block's.
    pub round: u32,
    /// The earlier round in which a quorum prevoted for this block, if any.
    pub pol_round: Option<u32>,
    /// The block.
    pub block: Arc<Block>,
    /// Whose it is.
    pub validator: PublicKey,
    /// Over the [`ProposalClaim`] and the chain.
    pub signature: Signature,
}

impl SignedProposal {
    /// What its signature covers.
    #[must_use]
    pub fn claim(&self) -> ProposalClaim {
        ProposalClaim {
            height: self.block.header.height,
            round: self.round,
            pol_round: self.pol_round,
            block: self.block.id(),
        }
    }
}

/// Prevotes of a quorum for one block in one round.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct PolkaCertificate {
    /// The height.
    pub height: u64,
    /// The round.
    pub round: u32,
    /// The block.
    pub block: BlockId,
    /// Who prevoted, each once.
    pub signatures: Vec<(PublicKey, Signature)>,
}

/// Why a round may be entered.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum RoundReason {
    /// A quorum precommitted in this round without agreeing: the next one begins.
    Precommits,
    /// More than a third of the power voted in this round: it has begun.
    Skip,
}

/// Votes that justify entering a round.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct RoundCertificate {
    /// The height.
    pub height: u64,
    /// The round of the votes.
    pub round: u32,
    /// What they justify.
    pub reason: RoundReason,
    /// The votes, each validator once.
    pub votes: Vec<RoundVote>,
}

/// One vote of a [`RoundCertificate`].
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct RoundVote {
    /// Prevote or precommit.
    pub kind: VoteKind,
    /// For which block, or none.
    pub block: Option<BlockId>,
    /// Whose it is.
    pub validator: PublicKey,
    /// Over the vote and the chain.
    pub signature: Signature,
}

/// The last block that a node applied.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Status {
    /// Its height.
    pub tip: u64,
    /// Its id. Two nodes that differ here at one height have found a fork, or a liar.
    pub block: BlockId,
}

/// Why bytes are no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Nothing, or a version that this node does not speak: not the sender's fault.
    #[error("unknown version; update this node")]
    Version,
    /// Not the one encoding of a value.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A value that no honest node sends.
    #[error("{0}")]
    Invalid(&'static str),
}

/// The bytes of a message.
#[must_use]
pub fn encode(copy: u64, message: Message) -> Vec<u8> {
    with_version(&Envelope { copy, message })
}

/// A message from a peer, checked as far as is possible without state.
///
/// # Errors
/// [`WireError`] says what is wrong; only [`WireError::Version`] may be an honest peer's.
pub fn decode(bytes: &[u8]) -> Result<Message, WireError> {
    let envelope: Envelope = without_version(bytes, limits::PROPOSAL_BYTES)?;
    let message = envelope.message;
    if !matches!(message, Message::Proposal(_)) && bytes.len() > limits::SMALL_MESSAGE_BYTES {
        return Err(WireError::Invalid("too large for what it is"));
    }
    check(&message)?;
    Ok(message)
}

pub(crate) fn with_version<T: Encode>(value: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend(codec::encode(value));
    bytes
}

pub(crate) fn without_version<T: Decode<()> + Encode>(bytes: &[u8], limit: usize) -> Result<T, WireError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(codec::decode(rest, limit)?),
        Some(_) | None => Err(WireError::Version),
    }
}

fn check(message: &Message) -> Result<(), WireError> {
    match message {
        Message::Proposal(proposal) => {
            check_round(proposal.round)?;
            if proposal.pol_round.is_some_and(|pol| pol >= proposal.round) {
                return Err(WireError::Invalid("a proposal must name an earlier round as its proof of lock"));
            }
            check_block(&proposal.block)
        }
        Message::Vote(vote) => check_round(vote.vote.round),
        Message::Polka(polka) => {
            check_round(polka.round)?;
            check_count(polka.signatures.len())
        }
        Message::Round(certificate) => {
            check_round(certificate.round)?;
            check_count(certificate.votes.len())
        }
        Message::Status(_) => Ok(()),
    }
}

pub(crate) fn check_round(round: u32) -> Result<(), WireError> {
    if round > limits::ROUND { Err(WireError::Invalid("no honest node is in such a round")) } else { Ok(()) }
}

pub(crate) fn check_count(signatures: usize) -> Result<(), WireError> {
    match signatures {
        0 => Err(WireError::Invalid("a certificate without signatures")),
        count if count > limits::VALIDATORS => Err(WireError::Invalid("more signatures than validators")),
        _ => Ok(()),
    }
}

/// A block's id covers its header only. Unless the body is bound to it here, one id would have two bodies, a vote for
/// one would count for the other, and two honest nodes could apply different blocks under one certificate (SPEC N-3).
pub(crate) fn check_block(block: &Block) -> Result<(), WireError> {
    if crate::body::root(&block.transactions) == block.header.transactions_root {
        Ok(())
    } else {
        Err(WireError::Invalid("the transactions are not those that the header commits to"))
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
pub(crate) mod tests;
