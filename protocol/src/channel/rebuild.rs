//! A channel of which nothing is left but what the ledger shows, and the seed: found, and not recovered yet (SPEC P-50).

use std::collections::VecDeque;
use std::sync::Arc;

use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::{Amount, ChainId};
use towpath_ledger::{Lock, OutPoint, Output, Party, StateSignature, Time};

use super::machine::Channel;
use super::outgoing::Outgoing;
use super::state::{Fixed, Held, Memory, Plan};
use crate::error::RestoreError;
use crate::event::Now;
use crate::journal::Journal;
use crate::life::Life;
use crate::message::OpenId;
use crate::row::Key;
use crate::signer::{Guard, Mark, StateSigner};
use crate::update::Content;

/// A channel's output as this node's own replica shows it, and what the node knows besides.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The ledger.
    pub chain: ChainId,
    /// Where the output is.
    pub outpoint: OutPoint,
    /// The output: a channel, or one that is being closed.
    pub output: Output,
    /// The peer's node.
    pub peer: PublicKey,
    /// Which of the node's channel keys is in it.
    pub key_index: u32,
}

impl Channel {
    /// The channel of an output of which this node has nothing. It counts nothing as its own until somebody shows a state
    /// with both signatures. It writes itself at the end of its first turn; if the output is a closing, report that too.
    ///
    /// # Errors
    /// [`RestoreError`] if the output is no channel's, or `keys` is the key of neither party.
    pub fn rebuild(origin: Origin, keys: Arc<dyn StateSigner>, now: Now) -> Result<Self, RestoreError> {
        let Origin { chain, outpoint, output, peer, key_index } = origin;
        let (terms, capacity, funding) = match output.lock {
            Lock::Channel(terms) => (*terms, output.amount, Some(outpoint)),
            Lock::Closing(closing) => (closing.terms, closing.capacity, None),
            Lock::Wallet(_) | Lock::Conditional(_) => return Err(RestoreError::Missing("terms")),
        };
        let me = [Party::A, Party::B].into_iter().find(|party| *terms.key(*party) == keys.public());
        let me = me.ok_or(RestoreError::Key)?;
        let (a, b) = match me {
            Party::A => (Amount::ZERO, capacity),
            Party::B => (capacity, Amount::ZERO),
        };
        let tag = keys.tag(terms.key(me.other()), &terms.id).ok_or(RestoreError::Key)?;
        let mut first = Content::first(&terms, tag, (a, b), Party::A);
        first.state.version = 0;
        let nobody = StateSignature { held: 0, signature: Signature([0; 64]) };
        let held = Held { content: first.clone(), theirs: nobody, mine: Some(nobody) };
        let mark = Mark { generation: terms.generation, ..Mark::NONE };
        let fixed = Fixed {
            open: OpenId([0; 32]),
            chain,
            asset: output.asset,
            capacity,
            terms,
            first,
            me,
            peer,
            key_index,
            plan: Plan::Found,
            funding_deadline: Time(0),
        };
        let mut channel = Self {
            guard: Guard::new(keys, mark),
            life: Life::Active,
            funding,
            witnesses: Arc::default(),
            held,
            seen: 0,
            next_number: 1,
            posted: None,
            lost: None,
            journal: Journal::default(),
            open: VecDeque::new(),
            outgoing: Outgoing::default(),
            resize: None,
            memory: Memory { now, expected: 1, ..Memory::default() },
            fixed: Arc::new(fixed),
        };
        let fixed = Arc::clone(&channel.fixed);
        channel.put(Key::Fixed, fixed.as_ref());
        channel.lose(0);
        Ok(channel)
    }
}
