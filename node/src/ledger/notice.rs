//! What a new block means to the rest of the node: which channel outputs came and went.

use towpath_ledger::chain::BlockEffects;
use towpath_ledger::{Block, BlockId, ChannelId, Closing, Entry, Lock, OutPoint, Time, TxId, Witness};

/// A block that is applied and durable.
#[derive(Clone, Debug)]
pub struct Notice {
    /// Its height.
    pub height: u64,
    /// Its id.
    pub block: BlockId,
    /// The ledger's time after it.
    pub time: Time,
    /// What happened to channels, in the order of the transactions.
    pub channels: Vec<ChannelChange>,
    /// Outpoints that it spends; for the wallet.
    pub transactions: Vec<TxId>,
}

/// One change of one channel's output.
#[derive(Clone, Debug)]
pub struct ChannelChange {
    /// The channel.
    pub channel: ChannelId,
    /// The transaction.
    pub transaction: TxId,
    /// What happened.
    pub what: Change,
}

/// What happened to a channel's output.
#[derive(Clone, Debug)]
pub enum Change {
    /// It exists.
    Funded {
        /// Where.
        outpoint: OutPoint,
        /// What.
        entry: Entry,
    },
    /// It is a closing now, or a newer one.
    Closing {
        /// Where.
        outpoint: OutPoint,
        /// What.
        entry: Entry,
        /// The closing in it.
        closing: Box<Closing>,
    },
    /// It is gone, and its value paid out.
    Gone {
        /// What it was.
        was: Lock,
        /// How it went.
        by: Witness,
    },
}

/// Reads off a block what it changed. Outputs that were made and spent within it are seen, too.
#[must_use]
pub fn notice(block: &Block, effects: &BlockEffects) -> Notice {
    let mut channels = Vec::new();
    for (transaction, result) in block.transactions.iter().zip(&effects.transactions) {
        let made: Vec<(ChannelId, &(OutPoint, Entry))> = result
            .changes
            .created
            .iter()
            .filter_map(|created| channel_of(&created.1.output.lock).map(|channel| (channel, created)))
            .collect();
        for ((_, entry), witness) in result.changes.spent.iter().zip(&transaction.witnesses) {
            let Some(channel) = channel_of(&entry.output.lock) else { continue };
            if !made.iter().any(|(other, _)| *other == channel) {
                let what = Change::Gone { was: entry.output.lock.clone(), by: witness.clone() };
                channels.push(ChannelChange { channel, transaction: result.id, what });
            }
        }
        for (channel, (outpoint, entry)) in made {
            let (outpoint, entry) = (*outpoint, entry.clone());
            let what = match &entry.output.lock {
                Lock::Closing(closing) => Change::Closing { outpoint, closing: closing.clone(), entry },
                Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => {
                    Change::Funded { outpoint, entry }
                }
            };
            channels.push(ChannelChange { channel, transaction: result.id, what });
        }
    }
    Notice {
        height: effects.height,
        block: block.id(),
        time: effects.time,
        channels,
        transactions: effects.transactions.iter().map(|result| result.id).collect(),
    }
}

/// The channel that a lock belongs to.
#[must_use]
pub fn channel_of(lock: &Lock) -> Option<ChannelId> {
    match lock {
        Lock::Channel(terms) => Some(terms.id),
        Lock::Closing(closing) => Some(closing.terms.id),
        Lock::Wallet(_) | Lock::Conditional(_) => None,
    }
}
