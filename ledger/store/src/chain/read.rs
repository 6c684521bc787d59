//! Reading the ledger: by height, by id, by outpoint; and the ledger's own read traits.

use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_ledger::chain::CommitCertificate;
use towpath_ledger::limits::BLOCK_BYTES_MAX;
use towpath_ledger::proof::RecordedSecret;
use towpath_ledger::tree::{NodeSource, TreeError};
use towpath_ledger::{
    Block, BlockId, ChannelId, Digest, Entry, Header, OutPoint, Time, Transaction, TxId, View, ViewError,
};

use super::keys::{self, SECRETS_BY_TIME, VERSION};
use super::store::ChainStore;
use crate::column::Column;
use crate::error::StoreError;
use crate::limits::{ENTRY_BYTES_MAX, SMALL_ROW_BYTES_MAX};
use crate::row;
use crate::scan::Scan;
use crate::store::Store;

/// Where a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Place {
    /// The height of its block.
    pub height: u64,
    /// Its position in it.
    pub index: u32,
}

/// Outputs of channels, where they are.
type ChannelOutputs = Vec<(OutPoint, Entry)>;

impl<S: Store> ChainStore<S> {
    /// The header of a height.
    ///
    /// # Errors
    /// As [`Store::get`], like all reads here.
    pub fn header(&self, height: u64) -> Result<Option<Header>, StoreError> {
        self.row(Column::Blocks, &keys::header(height), "headers", SMALL_ROW_BYTES_MAX)
    }

    /// The block of a height; none if it is not reached, or pruned.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn block(&self, height: u64) -> Result<Option<Block>, StoreError> {
        self.row(Column::Blocks, &keys::block(height), "blocks", bytes(BLOCK_BYTES_MAX))
    }

    /// The certificate of a height; none for block 0, which nobody decided.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn certificate(&self, height: u64) -> Result<Option<CommitCertificate>, StoreError> {
        self.row(Column::Blocks, &keys::certificate(height), "certificates", SMALL_ROW_BYTES_MAX)
    }

    /// A block with its certificate: what another node needs to apply it.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn decided(&self, height: u64) -> Result<Option<(Arc<Block>, CommitCertificate)>, StoreError> {
        Ok(self.block(height)?.map(Arc::new).zip(self.certificate(height)?))
    }

    /// The height of a block.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn height_of(&self, block: &BlockId) -> Result<Option<u64>, StoreError> {
        self.row(Column::Blocks, &keys::height_of(block), "block ids", SMALL_ROW_BYTES_MAX)
    }

    /// Where a transaction is; none if it was never applied, or its block is pruned.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn transaction_place(&self, id: &TxId) -> Result<Option<Place>, StoreError> {
        self.row(Column::TxIndex, &keys::transaction(id), "the transaction index", SMALL_ROW_BYTES_MAX)
    }

    /// A transaction and where it is.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn transaction(&self, id: &TxId) -> Result<Option<(Place, Transaction)>, StoreError> {
        let Some(place) = self.transaction_place(id)? else { return Ok(None) };
        let Some(block) = self.block(place.height)? else { return Ok(None) };
        let found = usize::try_from(place.index)
            .ok()
            .and_then(|index| block.transactions.into_iter().nth(index))
            .filter(|transaction| transaction.id() == *id);
        match found {
            Some(transaction) => Ok(Some((place, transaction))),
            None => Err(StoreError::corrupt_row("the transaction index", "it names another transaction")),
        }
    }

    /// The unspent output at `outpoint`.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn output(&self, outpoint: &OutPoint) -> Result<Option<Entry>, StoreError> {
        let epoch = match self.cache().find(outpoint) {
            Ok(entry) => return Ok(Some(entry)),
            Err(epoch) => epoch,
        };
        let found: Option<Entry> =
            self.row(Column::Outputs, &keys::outpoint(outpoint), "outputs", ENTRY_BYTES_MAX)?;
        if let Some(entry) = &found {
            self.cache().fill(epoch, *outpoint, entry.clone());
        }
        Ok(found)
    }

    /// The secret of a condition, if it is recorded.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn secret(&self, condition: &Digest) -> Result<Option<RecordedSecret>, StoreError> {
        self.row(Column::Secrets, &keys::secret(condition), "secrets", SMALL_ROW_BYTES_MAX)
    }

    /// The output of a channel: open, or closing. None before it is opened and after it is settled.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn channel_output(&self, channel: &ChannelId) -> Result<Option<(OutPoint, Entry)>, StoreError> {
        let key = keys::channel(channel);
        let found: Option<OutPoint> =
            self.row(Column::WalletIndex, &key, "the channel index", SMALL_ROW_BYTES_MAX)?;
        let Some(outpoint) = found else { return Ok(None) };
        // It may have been spent between the two reads.
        Ok(self.output(&outpoint)?.map(|entry| (outpoint, entry)))
    }

    /// The outputs of channels, open or closing, ascending by channel and behind `after`: those among the next `limit`
    /// channels that are still unspent, and the last of these channels, to go on from; none at the end.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn channel_outputs(
        &self,
        after: Option<&ChannelId>,
        limit: usize,
    ) -> Result<(ChannelOutputs, Option<ChannelId>), StoreError> {
        let mut scan = Scan::prefix(&[keys::CHANNELS]).limit(limit);
        if let Some(after) = after {
            scan = scan.after(&keys::channel(after));
        }
        let rows = self.store.scan(Column::WalletIndex, &scan)?;
        let mut found = Vec::with_capacity(rows.len());
        for (_, row) in &rows {
            let outpoint = row::decode("the channel index", VERSION, row, SMALL_ROW_BYTES_MAX)?;
            found.extend(self.output(&outpoint)?.map(|entry| (outpoint, entry)));
        }
        let last = rows.last().map(|(key, _)| keys::channel_of_key(key)).transpose()?;
        Ok((found, last))
    }

    /// A row of [`Column::Meta`], which belongs to the node.
    ///
    /// # Errors
    /// As [`Store::get`].
    pub fn meta(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.get(Column::Meta, key)
    }

    pub(super) fn row<T: Encode + Decode<()>>(
        &self,
        column: Column,
        key: &[u8],
        kind: &'static str,
        limit: usize,
    ) -> Result<Option<T>, StoreError> {
        let bytes = self.store.get(column, key)?;
        bytes.map(|bytes| row::decode(kind, VERSION, &bytes, limit)).transpose()
    }
}

fn bytes(limit: u32) -> usize {
    usize::try_from(limit).unwrap_or(usize::MAX)
}

impl<S: Store> View for ChainStore<S> {
    fn entry(&self, outpoint: &OutPoint) -> Result<Option<Entry>, ViewError> {
        self.output(outpoint).map_err(unreadable)
    }

    fn secret_time(&self, condition: &Digest) -> Result<Option<Time>, ViewError> {
        Ok(self.secret(condition).map_err(unreadable)?.map(|recorded| recorded.time))
    }

    fn secrets_until(&self, time: Time, limit: usize) -> Result<Vec<(Time, Digest)>, ViewError> {
        let from = [SECRETS_BY_TIME];
        // Nothing is recorded at the last time that there is.
        let to = keys::secret_by_time(Time(time.0.saturating_add(1)), &Digest::ZERO);
        let rows =
            self.store.scan(Column::Secrets, &Scan::range(from, to).limit(limit)).map_err(unreadable)?;
        rows.iter().map(|(key, _)| keys::secret_of_key(key).map_err(unreadable)).collect()
    }
}

fn unreadable(error: StoreError) -> ViewError {
    ViewError(error.to_string())
}

impl<S: Store> NodeSource for ChainStore<S> {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.store.get(Column::StateTree, key).map_err(|error| TreeError::Storage(error.to_string()))
    }
}
