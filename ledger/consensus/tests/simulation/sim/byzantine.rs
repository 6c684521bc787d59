//! What cheats do to their own messages on the way out.

use std::sync::Arc;

use towpath_consensus::wire::{self, Message, SignedProposal};
use towpath_crypto::Digest;
use towpath_crypto::ed25519::SecretKey;
use towpath_ledger::BlockId;

use super::disk::CHAIN;

/// How a node behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Behaviour {
    /// By the rules.
    Honest,
    /// Says nothing, hears everything.
    Silent,
    /// Signs a second vote beside each, and a second block beside each proposal.
    Equivocator,
    /// Runs by the rules, beside another node with the same key.
    Twin,
}

/// A message that contradicts this one, signed by the same validator; none if it cannot be contradicted.
pub fn contradict(bytes: &[u8], secret: &SecretKey) -> Option<Vec<u8>> {
    let message = match wire::decode(bytes).ok()? {
        Message::Vote(mut signed) if signed.validator == secret.public() => {
            signed.vote.block = match signed.vote.block {
                None => Some(BlockId(Digest([9; 32]))),
                Some(_) => None,
            };
            signed.signature = secret.sign(&CHAIN, &signed.vote);
            Message::Vote(signed)
        }
        Message::Proposal(signed) if signed.validator == secret.public() => {
            let mut block = (*signed.block).clone();
            block.header.state_root.0[31] ^= 1;
            let mut other = SignedProposal { block: Arc::new(block), ..signed };
            other.signature = secret.sign(&CHAIN, &other.claim());
            Message::Proposal(other)
        }
        _ => return None,
    };
    Some(wire::encode(u64::MAX, message))
}
