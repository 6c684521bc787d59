//! Which messages were let through since the last status tick, so that a copy is forwarded once a tick and no more.
//!
//! Only verified messages are remembered: otherwise a forgery could keep the real one out.

use std::collections::BTreeSet;

use towpath_crypto::ed25519::Signature;
use towpath_ledger::BlockId;

use crate::limits;
use crate::wire::{Message, RoundReason};

/// What a message is, however often it is sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Name {
    Signed(Signature),
    Polka { height: u64, round: u32, block: BlockId },
    Round { height: u64, round: u32, reason: RoundReason },
}

/// The messages let through.
#[derive(Debug, Default)]
pub struct Seen(BTreeSet<Name>);

impl Seen {
    /// Whether it was let through.
    pub fn contains(&self, message: &Message) -> bool {
        name(message).is_some_and(|name| self.0.contains(&name))
    }

    /// It is let through.
    pub fn insert(&mut self, message: &Message) {
        if self.0.len() >= limits::SEEN {
            self.0.clear();
        }
        self.0.extend(name(message));
    }

    /// Copies may pass once more.
    pub fn forget(&mut self) {
        self.0.clear();
    }
}

fn name(message: &Message) -> Option<Name> {
    match message {
        Message::Proposal(proposal) => Some(Name::Signed(proposal.signature)),
        Message::Vote(vote) => Some(Name::Signed(vote.signature)),
        Message::Polka(polka) => {
            Some(Name::Polka { height: polka.height, round: polka.round, block: polka.block })
        }
        Message::Round(certificate) => Some(Name::Round {
            height: certificate.height,
            round: certificate.round,
            reason: certificate.reason,
        }),
        Message::Status(_) => None,
    }
}
