//! A second, simpler look at the whole ledger: does the supply add up, is each channel what it says?
//!
//! It shares no arithmetic with the rules, so that a mistake there shows here (FAULTS I1, I2). For tests and simulation,
//! after every step; it reads everything, so a node does not run it.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules::Changes;
use crate::types::{AssetId, ChannelId, Entry, Lock, OutPoint, Payload, Transaction};
use crate::view::MemoryView;

/// What should exist: everything issued, less the fees.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supply {
    issued: BTreeMap<AssetId, u128>,
    fees: u128,
}

/// What does not add up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuditError {
    /// More, or less, exists than was issued.
    #[error("of {asset} {exists} exist, but {expected} should")]
    Supply {
        /// The asset.
        asset: AssetId,
        /// What the outputs add up to.
        exists: u128,
        /// What was issued, less the fees.
        expected: u128,
    },
    /// An output of nothing.
    #[error("{0} is of nothing")]
    Zero(OutPoint),
    /// Two outputs of one channel.
    #[error("{0} exists twice")]
    TwoOutputs(ChannelId),
    /// A closing whose amount, fees, state and capacity contradict each other.
    #[error("the closing {0} does not add up")]
    Closing(OutPoint),
}

impl Supply {
    /// What exists at genesis.
    #[must_use]
    pub fn at_genesis(view: &MemoryView) -> Self {
        Self { issued: existing(view), fees: 0 }
    }

    /// Takes note of an applied transaction.
    pub fn record(&mut self, transaction: &Transaction, changes: &Changes) {
        self.fees += u128::from(changes.fee.units());
        let first = transaction.body.inputs.first();
        if let (Some(Payload::Issue { amount, .. }), Some(first)) = (&transaction.body.payload, first) {
            let asset = AssetId::issued_by(&transaction.body.chain, first);
            *self.issued.entry(asset).or_default() += u128::from(amount.units());
        }
    }

    /// Checks the whole ledger.
    ///
    /// # Errors
    /// [`AuditError`] names the first thing that does not add up.
    pub fn check(&self, view: &MemoryView) -> Result<(), AuditError> {
        let existing = existing(view);
        for asset in self.issued.keys().chain(existing.keys()) {
            let exists = existing.get(asset).copied().unwrap_or_default();
            let issued = self.issued.get(asset).copied().unwrap_or_default();
            let fees = if *asset == AssetId::NATIVE { self.fees } else { 0 };
            let expected = issued.saturating_sub(fees);
            if exists != expected {
                return Err(AuditError::Supply { asset: *asset, exists, expected });
            }
        }
        let mut channels = BTreeSet::new();
        view.entries.iter().try_for_each(|(outpoint, entry)| check_entry(outpoint, entry, &mut channels))
    }
}

fn existing(view: &MemoryView) -> BTreeMap<AssetId, u128> {
    let mut existing = BTreeMap::new();
    for entry in view.entries.values() {
        *existing.entry(entry.output.asset).or_default() += u128::from(entry.output.amount.units());
    }
    existing
}

fn check_entry(
    outpoint: &OutPoint,
    entry: &Entry,
    channels: &mut BTreeSet<ChannelId>,
) -> Result<(), AuditError> {
    let amount = u128::from(entry.output.amount.units());
    if amount == 0 {
        return Err(AuditError::Zero(*outpoint));
    }
    let channel = match &entry.output.lock {
        Lock::Wallet(_) | Lock::Conditional(_) => return Ok(()),
        Lock::Channel(terms) => terms.id,
        Lock::Closing(closing) => {
            let units = [closing.state.balance_a, closing.state.balance_b, closing.state.pending_total];
            let state: u128 = units.into_iter().map(|part| u128::from(part.units())).sum();
            let fees = u128::from(closing.author_fees.units()) + u128::from(closing.other_fees.units());
            let capacity = u128::from(closing.capacity.units());
            if state != capacity || amount + fees != capacity {
                return Err(AuditError::Closing(*outpoint));
            }
            closing.terms.id
        }
    };
    if channels.insert(channel) { Ok(()) } else { Err(AuditError::TwoOutputs(channel)) }
}
