//! Indexes of the ledger: outputs and history by wallet key, outputs by channel. They follow from the blocks and are not
//! part of what the ledger agrees on.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};
use towpath_crypto::schnorr::WalletKey;
use towpath_ledger::chain::{BlockEffects, TransactionResult};
use towpath_ledger::{Amount, AssetId, ChannelId, Entry, Header, Lock, OutPoint, Payout, Time, TxId};

use super::keys::{self, Stake, VERSION};
use crate::batch::Batch;
use crate::column::Column;
use crate::error::StoreError;
use crate::row;

/// What one transaction did to the outputs that a wallet key can spend, alone or with others.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct HistoryRow {
    /// The transaction; for the allocations of block 0, the id that stands in their outpoints.
    pub transaction: TxId,
    /// The block's height.
    pub height: u64,
    /// The transaction's place in the block.
    pub index: u32,
    /// The block's time.
    pub time: Time,
    /// What went and came, each asset once, ascending.
    pub movements: Vec<Movement>,
}

/// What went and came of one asset.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Movement {
    /// The asset.
    pub asset: AssetId,
    /// The sum of the outputs that were spent.
    pub spent: Amount,
    /// The sum of the outputs that were made.
    pub received: Amount,
}

/// Indexes the allocations of block 0.
pub(super) fn genesis(batch: &mut Batch, header: &Header, entries: &[(OutPoint, Entry)]) {
    put_created(batch, entries);
    let mut rows = Histories::default();
    for (_, entry) in entries {
        rows.add(entry, Side::Received);
    }
    rows.put(batch, &TxId(header.chain.0), (0, 0, header.time));
}

/// Indexes what a block changes.
pub(super) fn block(batch: &mut Batch, effects: &BlockEffects) -> Result<(), StoreError> {
    for (outpoint, entry) in &effects.spent {
        for (stake, key) in stakes(&entry.output.lock) {
            batch.delete(Column::WalletIndex, keys::stake(stake, &key, outpoint));
        }
        if let Some(channel) = channel_of(&entry.output.lock) {
            batch.delete(Column::WalletIndex, keys::channel(channel));
        }
    }
    // Behind the removals: the output of a channel that is closing takes the place of its open one.
    put_created(batch, &effects.created);
    for (index, result) in effects.transactions.iter().enumerate() {
        let index = u32::try_from(index)
            .map_err(|_| StoreError::OutOfOrder("a block has too many transactions".to_owned()))?;
        put_history(batch, result, (effects.height, index, effects.time));
    }
    Ok(())
}

fn put_created(batch: &mut Batch, created: &[(OutPoint, Entry)]) {
    for (outpoint, entry) in created {
        for (stake, key) in stakes(&entry.output.lock) {
            batch.put(Column::WalletIndex, keys::stake(stake, &key, outpoint), [VERSION]);
        }
        if let Some(channel) = channel_of(&entry.output.lock) {
            batch.put(Column::WalletIndex, keys::channel(channel), row::encode(VERSION, outpoint));
        }
    }
}

fn put_history(batch: &mut Batch, result: &TransactionResult, place: (u64, u32, Time)) {
    let mut rows = Histories::default();
    for (_, entry) in &result.changes.spent {
        rows.add(entry, Side::Spent);
    }
    for (_, entry) in &result.changes.created {
        rows.add(entry, Side::Received);
    }
    rows.put(batch, &result.id, place);
}

#[derive(Clone, Copy)]
enum Side {
    Spent,
    Received,
}

/// Sums of one transaction by wallet key and asset.
#[derive(Default)]
struct Histories(BTreeMap<WalletKey, BTreeMap<AssetId, (Amount, Amount)>>);

impl Histories {
    fn add(&mut self, entry: &Entry, side: Side) {
        let Lock::Wallet(payout) = &entry.output.lock else { return };
        for key in keys_of(payout) {
            let sums = self.0.entry(*key).or_default().entry(entry.output.asset).or_default();
            let sum = match side {
                Side::Spent => &mut sums.0,
                Side::Received => &mut sums.1,
            };
            // The outputs of one asset never add up past its supply, which fits.
            *sum = sum.checked_add(entry.output.amount).unwrap_or(Amount::MAX);
        }
    }

    fn put(self, batch: &mut Batch, transaction: &TxId, (height, index, time): (u64, u32, Time)) {
        for (key, sums) in self.0 {
            let movement = |(asset, (spent, received))| Movement { asset, spent, received };
            let movements = sums.into_iter().map(movement).collect();
            let row = HistoryRow { transaction: *transaction, height, index, time, movements };
            batch.put(Column::WalletIndex, keys::history(&key, height, index), row::encode(VERSION, &row));
        }
    }
}

/// What an output means to which wallet keys, each once.
fn stakes(lock: &Lock) -> BTreeSet<(Stake, WalletKey)> {
    match lock {
        Lock::Wallet(payout) => keys_of(payout).iter().map(|key| (Stake::Wallet, *key)).collect(),
        Lock::Channel(terms) => contract(&terms.payout_a, &terms.payout_b),
        Lock::Closing(closing) => contract(&closing.terms.payout_a, &closing.terms.payout_b),
        Lock::Conditional(conditional) => contract(&conditional.payee, &conditional.payer),
    }
}

fn contract(a: &Payout, b: &Payout) -> BTreeSet<(Stake, WalletKey)> {
    keys_of(a).iter().chain(keys_of(b)).map(|key| (Stake::Contract, *key)).collect()
}

/// The wallet keys of a payout lock.
pub(super) fn keys_of(payout: &Payout) -> &[WalletKey] {
    match payout {
        Payout::Key(key) => std::slice::from_ref(key),
        Payout::Multisig(multisig) => &multisig.keys,
        Payout::Timelock(timelock) => std::slice::from_ref(&timelock.key),
    }
}

fn channel_of(lock: &Lock) -> Option<&ChannelId> {
    match lock {
        Lock::Channel(terms) => Some(&terms.id),
        Lock::Closing(closing) => Some(&closing.terms.id),
        Lock::Wallet(_) | Lock::Conditional(_) => None,
    }
}
