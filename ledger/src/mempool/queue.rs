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
    /// Those of the reserved lane. Each has its part of it, in bytes, so that none can be crowded out by another.
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

    /// How many quarters of the reserved lane, and of what the pool holds for it, belong to the queue. Disputes have
    /// more than closes, so that what a crowd of closes calls for is decided faster than the crowd (FAULTS L20).
    pub(super) const fn quarters(self) -> u64 {
        match self {
            Self::Dispute => 2,
            Self::Reveal | Self::Close => 1,
            Self::General => 0,
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

/// How much the queues hold, in bytes as `cost` counts them, and what they are emptied into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// The reserved lane of a block.
    pub lane_bytes: u64,
    /// All queues of the reserved lane, each its quarters.
    pub reserved_bytes: u64,
    /// The queue of all else.
    pub general_bytes: u64,
}

impl PoolLimits {
    /// So many blocks' worth of each: what gets in is decided within as many blocks of honest proposers.
    #[must_use]
    pub fn for_chain(params: &ChainParams) -> Self {
        let transaction = u64::from(params.rules.transaction_bytes_max) + limits::POOL_OVERHEAD_BYTES;
        let lane_bytes = params.blocks.reserved_bytes();
        Self {
            lane_bytes,
            // One source must be able to place the largest transaction, in the smallest queue.
            reserved_bytes: (lane_bytes * limits::POOL_BLOCKS)
                .max(4 * transaction * limits::POOL_SOURCE_SHARE),
            general_bytes: (params.blocks.general_bytes_max() * limits::POOL_BLOCKS)
                .max(transaction * limits::POOL_SOURCE_SHARE),
        }
    }

    /// What of the reserved lane belongs to `queue`.
    pub(super) const fn lane_part(&self, queue: Queue) -> u64 {
        self.lane_bytes / 4 * queue.quarters()
    }

    pub(super) const fn of(&self, queue: Queue) -> u64 {
        match queue {
            Queue::Dispute | Queue::Reveal | Queue::Close => self.reserved_bytes / 4 * queue.quarters(),
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
