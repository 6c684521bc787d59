//! Finding what is known by a part of its id alone: a stretch of each index, in the order of the ids.

use towpath_ledger::{BlockId, Digest, OutPoint, TxId};

use super::keys;
use super::store::ChainStore;
use crate::column::Column;
use crate::error::StoreError;
use crate::scan::Scan;
use crate::store::Store;

impl<S: Store> ChainStore<S> {
    /// The applied transactions with ids from `low` up to and with `high`, at most `limit`.
    ///
    /// # Errors
    /// As [`Store::scan`], like all reads here.
    pub fn transactions_between(
        &self,
        (low, high): (&Digest, &Digest),
        limit: usize,
    ) -> Result<Vec<TxId>, StoreError> {
        let (from, to) = (keys::transaction(&TxId(*low)), keys::transaction(&TxId(*high)));
        let found = self.keys_between(Column::TxIndex, from, to, limit)?;
        found.iter().map(|key| Ok(TxId(digest_of(key)?))).collect()
    }

    /// The blocks with ids from `low` up to and with `high`, at most `limit`.
    ///
    /// # Errors
    /// As [`Store::scan`].
    pub fn blocks_between(
        &self,
        (low, high): (&Digest, &Digest),
        limit: usize,
    ) -> Result<Vec<BlockId>, StoreError> {
        let (from, to) = (keys::height_of(&BlockId(*low)), keys::height_of(&BlockId(*high)));
        let found = self.keys_between(Column::Blocks, from, to, limit)?;
        found.iter().map(|key| Ok(BlockId(digest_of(key.get(1..).unwrap_or_default())?))).collect()
    }

    /// The unspent outputs of transactions with ids from `low` up to and with `high`, at most `limit`.
    ///
    /// # Errors
    /// As [`Store::scan`].
    pub fn outputs_between(
        &self,
        (low, high): (&Digest, &Digest),
        limit: usize,
    ) -> Result<Vec<OutPoint>, StoreError> {
        let from = keys::outpoint(&OutPoint { tx: TxId(*low), index: 0 });
        let to = keys::outpoint(&OutPoint { tx: TxId(*high), index: u32::MAX });
        let found = self.keys_between(Column::Outputs, from, to, limit)?;
        found.iter().map(|key| keys::outpoint_from_end(key)).collect()
    }

    fn keys_between(
        &self,
        column: Column,
        from: Vec<u8>,
        mut to: Vec<u8>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StoreError> {
        // A scan ends before its upper bound: this is the lowest key past it.
        to.push(0);
        let rows = self.store().scan(column, &Scan::range(from, to).limit(limit))?;
        Ok(rows.into_iter().map(|(key, _)| key).collect())
    }
}

fn digest_of(key: &[u8]) -> Result<Digest, StoreError> {
    let bytes = key.try_into().map_err(|_| StoreError::corrupt_row("an index", "a key of another length"))?;
    Ok(Digest(bytes))
}
