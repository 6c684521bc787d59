//! The queues: which one a transaction belongs to, how much each holds, and in which order they go into blocks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::pool::Source;
use crate::chain::ChainParams;
use crate::limits;
use crate::rules::{Changes, Lane};
use crate::types::{Payload, Transaction, TxId, Witness};

/// What a transaction waits as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Queue {
    /// It settles or answers a closing: each needs a closing of its own, so there are never more than those.
    Dispute,
    /// It reveals secrets.
    Reveal,
    /// It closes channels.
    Close,
    /// Anything else.
    General,
}

impl Queue {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Dispute, Self::Reveal, Self::Close, Self::General];
    /// Those of the reserved lane. Each has its share of it, so that none can be crowded out by another.
    pub const RESERVED: [Self; 3] = [Self::Dispute, Self::Reveal, Self::Close];

    /// The queue of a valid transaction.
    #[must_use]
    pub fn of(transaction: &Transaction, changes: &Changes) -> Self {
        match changes.lane {
            Lane::General => Self::General,
            Lane::Reserved if transaction.witnesses.iter().any(is_dispute) => Self::Dispute,
            Lane::Reserved => match &transaction.body.payload {
                Some(Payload::Reveal(_)) => Self::Reveal,
                Some(Payload::Issue { .. } | Payload::Anchor(_)) | None => Self::Close,
            },
        }
    }

    /// What to do when it is full.
    pub(super) const fn hint_when_full(self) -> &'static str {
        match self {
            Self::Dispute | Self::Reveal | Self::Close => "send it again after the next block",
            Self::General => "pay a higher fee, or send it again later",
        }
    }
}

impl std::fmt::Display for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Dispute => "disputes",
            Self::Reveal => "reveals",
            Self::Close => "closes",
            Self::General => "ordinary transactions",
        })
    }
}

const fn is_dispute(witness: &Witness) -> bool {
    match witness {
        Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Answer { .. }
        | Witness::Finalize { .. } => true,
        Witness::Wallet(_)
        | Witness::Cooperative { .. }
        | Witness::Unilateral { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => false,
    }
}

/// How much each queue holds, in bytes as `cost` counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Each queue of the reserved lane.
    pub reserved_bytes: u64,
    /// The queue of all else.
    pub general_bytes: u64,
}

impl PoolLimits {
    /// So many blocks' worth of each: what gets in is decided within as many blocks of honest proposers.
    #[must_use]
    pub fn for_chain(params: &ChainParams) -> Self {
        let transaction = u64::from(params.rules.transaction_bytes_max) + limits::POOL_OVERHEAD_BYTES;
        let reserved = params.blocks.reserved_bytes() / 3 * limits::POOL_BLOCKS;
        Self {
            // One source must be able to place the largest transaction.
            reserved_bytes: reserved.max(transaction * limits::POOL_SOURCE_SHARE),
            general_bytes: (params.blocks.general_bytes_max() * limits::POOL_BLOCKS)
                .max(transaction * limits::POOL_SOURCE_SHARE),
        }
    }

    pub(super) const fn of(&self, queue: Queue) -> u64 {
        match queue {
            Queue::Dispute | Queue::Reveal | Queue::Close => self.reserved_bytes,
            Queue::General => self.general_bytes,
        }
    }
}

/// What a transaction of `bytes` takes up: its encoding and what is kept beside it.
pub(super) const fn cost(bytes: u64) -> u64 {
    bytes.saturating_add(limits::POOL_OVERHEAD_BYTES)
}

/// Where a transaction stands in its queue: by fee rate where that counts, then by arrival.
pub(super) type Rank = (Reverse<u128>, u64, TxId);

/// Fee for each byte, in 2⁻³² base units.
pub(super) fn fee_rate(fee: u64, bytes: u64) -> u128 {
    (u128::from(fee) << 32) / u128::from(bytes.max(1))
}

/// One queue.
#[derive(Debug, Clone, Default)]
pub(super) struct Line {
    /// The transactions, first to go first.
    pub(super) order: BTreeSet<Rank>,
    /// Their cost.
    pub(super) bytes: u64,
    by_source: BTreeMap<Source, u64>,
}

impl Line {
    /// The cost of what came from `source`.
    pub(super) fn used_by(&self, source: &Source) -> u64 {
        self.by_source.get(source).copied().unwrap_or(0)
    }

    pub(super) fn insert(&mut self, rank: Rank, source: Source, cost: u64) {
        if self.order.insert(rank) {
            self.bytes += cost;
            *self.by_source.entry(source).or_default() += cost;
        }
    }

    pub(super) fn remove(&mut self, rank: &Rank, source: &Source, cost: u64) {
        if !self.order.remove(rank) {
            return;
        }
        self.bytes -= cost;
        if let Some(used) = self.by_source.get_mut(source) {
            *used -= cost;
            if *used == 0 {
                self.by_source.remove(source);
            }
        }
    }
}
