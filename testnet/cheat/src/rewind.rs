//! Putting an old state back into a node, as one who restores an old copy by hand would.

use std::path::Path;

use towpath_store::{Batch, Column, RocksOptions, RocksStore, Scan, Store};

use crate::error::CheatError;
use crate::old::{OldCopy, STORE_FOLDER, channel_id};

/// Puts `channel` of the stopped node in `data_dir` back to what the copy has: when it starts again it believes that this
/// is the newest state. Everything else in the folder stays, above all what a validator has signed.
///
/// # Errors
/// [`CheatError`] when the copy has no such channel, or the node runs.
pub fn rewind(copy: &OldCopy, data_dir: &Path, channel: &str) -> Result<(), CheatError> {
    let id = channel_id(channel)?;
    // What does not make a channel is not put into a node.
    copy.channel(id)?;
    let store = RocksStore::open(&RocksOptions::new(data_dir.join(STORE_FOLDER)))?.healthy()?;
    let mut batch = Batch::new();
    for (key, _newer) in store.scan(Column::Channels, &Scan::prefix(&id.0.0))? {
        batch.delete(Column::Channels, key);
    }
    for (key, value) in copy.rows(id)? {
        batch.put(Column::Channels, key, value);
    }
    store.commit(batch)?;
    Ok(())
}
