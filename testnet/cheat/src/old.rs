//! An old copy of a node's data.

use std::path::Path;
use std::sync::Arc;

use towpath_crypto::id::{self, Kind};
use towpath_ledger::{ChannelId, Digest};
use towpath_node::devnet;
use towpath_protocol::{Channel, KeySigner};
use towpath_store::{Column, RocksOptions, RocksStore, Row, Scan, Store};

use crate::error::CheatError;

/// The folder of the database inside of a data folder.
pub(crate) const STORE_FOLDER: &str = "store";

/// Bytes of a channel's id, with which each of its rows begins.
const ID_BYTES: usize = 32;

/// The node's own rows stand beside the machine's, behind this byte.
const OWN_ROWS: u8 = b'~';

/// The data of a node as it was when the copy was taken: a copied data folder, or one that was restored from a backup.
#[derive(Debug)]
pub struct OldCopy {
    name: String,
    store: RocksStore,
}

impl OldCopy {
    /// Opens the copy `folder` of the data of `name`.
    ///
    /// # Errors
    /// [`CheatError::UnknownName`] if its keys are not well known, [`CheatError::Store`].
    pub fn open(folder: &Path, name: &str) -> Result<Self, CheatError> {
        if !devnet::NAMES.contains(&name) {
            return Err(CheatError::UnknownName(name.to_owned()));
        }
        let opened = RocksStore::open(&RocksOptions::new(folder.join(STORE_FOLDER)))?;
        Ok(Self { name: name.to_owned(), store: opened.healthy()? })
    }

    /// Every row of a channel.
    pub(crate) fn rows(&self, channel: ChannelId) -> Result<Vec<Row>, CheatError> {
        Ok(self.store.scan(Column::Channels, &Scan::prefix(&channel.0.0))?)
    }

    /// The channel's machine, with the node's own key.
    pub(crate) fn channel(&self, channel: ChannelId) -> Result<Channel, CheatError> {
        let rows = self.rows(channel)?;
        let parts = || {
            let suffixes = rows.iter().map(|(key, value)| (&key[ID_BYTES..], value.as_slice()));
            suffixes.filter(|(suffix, _)| suffix.first() != Some(&OWN_ROWS))
        };
        let index = Channel::key_index_of(parts())?;
        let signer = KeySigner::new(devnet::seed(&self.name).channel_key(index));
        Ok(Channel::restore(parts(), Arc::new(signer))?)
    }
}

/// A channel by its text.
pub(crate) fn channel_id(text: &str) -> Result<ChannelId, CheatError> {
    let bytes = id::decode_array(Kind::Channel, text);
    bytes
        .map(|bytes| ChannelId(Digest(bytes)))
        .map_err(|source| CheatError::Id { text: text.to_owned(), source })
}
