//! Reading the indexes by wallet key, page by page: anyone can pay to a key, so nobody may have to read all at once.

use towpath_crypto::schnorr::WalletKey;
use towpath_ledger::{Entry, Lock, OutPoint, Payout};

use super::index::{HistoryRow, keys_of};
use super::keys::{self, Stake, VERSION};
use super::store::ChainStore;
use crate::column::Column;
use crate::error::StoreError;
use crate::limits::{OUTPUTS_READ_MAX, SMALL_ROW_BYTES_MAX, SWEEP_ROWS};
use crate::row;
use crate::scan::{Direction, Scan};
use crate::store::Store;

/// A place in a history; what comes before it is older.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Position {
    /// The block's height.
    pub height: u64,
    /// The transaction's place in the block.
    pub index: u32,
}

/// A part of a history, newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryPage {
    /// The rows.
    pub rows: Vec<HistoryRow>,
    /// Where to go on; none if there is nothing older.
    pub older: Option<Position>,
}

impl<S: Store> ChainStore<S> {
    /// The unspent outputs under exactly this payout lock, the first [`OUTPUTS_READ_MAX`] by outpoint.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn outputs_of(&self, payout: &Payout) -> Result<Vec<(OutPoint, Entry)>, StoreError> {
        let Some(key) = keys_of(payout).first() else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self.outputs_of_key(key, after.as_ref(), SWEEP_ROWS)?;
            let Some((last, _)) = page.last() else { return Ok(found) };
            after = Some(*last);
            let exact = |(_, entry): &(OutPoint, Entry)| entry.output.lock == Lock::Wallet(payout.clone());
            found.extend(page.into_iter().filter(exact));
            if found.len() >= OUTPUTS_READ_MAX {
                found.truncate(OUTPUTS_READ_MAX);
                return Ok(found);
            }
        }
    }

    /// The unspent outputs that a wallet key can spend, alone, with others, or later: at most `limit` of them, by
    /// outpoint, behind `after`. None are left if the page is empty.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn outputs_of_key(
        &self,
        key: &WalletKey,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, Entry)>, StoreError> {
        self.stakes(Stake::Wallet, key, after, limit)
    }

    /// The unspent outputs that may come to pay a wallet key: channels, closings and conditional payments. As above.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn contracts_of_key(
        &self,
        key: &WalletKey,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, Entry)>, StoreError> {
        self.stakes(Stake::Contract, key, after, limit)
    }

    /// What happened to the outputs of a wallet key, newest first: at most `limit` rows that are older than `before`.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn history(
        &self,
        key: &WalletKey,
        before: Option<Position>,
        limit: usize,
    ) -> Result<HistoryPage, StoreError> {
        let mut scan = Scan::prefix(&keys::history_of(key)).backward().limit(limit);
        if let Some(Position { height, index }) = before {
            scan.to = Some(keys::history(key, height, index));
        }
        let found = self.store.scan(Column::WalletIndex, &scan)?;
        let is_full = found.len() == scan.limit;
        let decode = |(_, bytes): &(Vec<u8>, Vec<u8>)| -> Result<HistoryRow, StoreError> {
            row::decode("the wallet history", VERSION, bytes, SMALL_ROW_BYTES_MAX)
        };
        let rows: Vec<HistoryRow> = found.iter().map(decode).collect::<Result<_, _>>()?;
        let last = rows.last().map(|row| Position { height: row.height, index: row.index });
        Ok(HistoryPage { rows, older: last.filter(|_| is_full) })
    }

    fn stakes(
        &self,
        stake: Stake,
        key: &WalletKey,
        after: Option<&OutPoint>,
        limit: usize,
    ) -> Result<Vec<(OutPoint, Entry)>, StoreError> {
        let mut scan = Scan::prefix(&keys::stakes_of(stake, key)).limit(limit);
        debug_assert_eq!(scan.direction, Direction::Forward);
        if let Some(after) = after {
            scan = scan.after(&keys::stake(stake, key, after));
        }
        // An output that is spent between the two reads ends its page early, so read on until one is found.
        loop {
            let rows = self.store.scan(Column::WalletIndex, &scan)?;
            let Some((last, _)) = rows.last() else { return Ok(Vec::new()) };
            let mut found = Vec::with_capacity(rows.len());
            for (key, _) in &rows {
                let outpoint = keys::outpoint_from_end(key)?;
                found.extend(self.output(&outpoint)?.map(|entry| (outpoint, entry)));
            }
            if !found.is_empty() {
                return Ok(found);
            }
            scan = scan.after(last);
        }
    }
}
