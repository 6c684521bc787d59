//! What is still to be done after a loss of data: one row, so that a node which is stopped in the middle goes on.

use bincode::{Decode, Encode};
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::readable;
use towpath_store::{Batch, Column, Store, StoreError};

/// The row of `Meta`.
const ROW: &[u8] = b"recovery/pending";

/// Bytes of the row, at most.
const ROW_BYTES_MAX: usize = 256;

/// Why the node's data is not known to be the newest.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Cause {
    /// It was made anew from the seed words.
    Seed,
    /// It was restored from a backup.
    Backup,
    /// The database is behind its anchor.
    Behind,
    /// It turned out to be an old copy: another process of this node went on with another one.
    Copy,
}

impl Cause {
    /// In words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Seed => "restored from the seed words",
            Self::Backup => "restored from a backup",
            Self::Behind => "the database missed what was acknowledged",
            Self::Copy => "an old copy: another process of this node went on with newer data",
        }
    }
}

/// What is still to be done. The row goes when all of it is; what single channels wait for is in their own rows.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Pending {
    /// The version of this layout.
    version: u8,
    /// Why.
    pub cause: Cause,
    /// The channels' rows are not distrusted yet.
    pub distrust: bool,
    /// The ledger was not searched yet for channels and payments of this node.
    pub search: bool,
    /// Channels wait for their peers: the ledger is searched again at each start.
    pub unclaimed: bool,
    /// Until this ledger time, in milliseconds, a channel of before can still appear on the ledger.
    pub watch_until_ms: u64,
    /// The consensus log may miss votes: this node decides no block before the chain is past this height.
    pub votes_after: u64,
}

impl Pending {
    /// Everything is to be done.
    #[must_use]
    pub const fn new(cause: Cause) -> Self {
        Self {
            version: 1,
            cause,
            distrust: true,
            search: true,
            unclaimed: false,
            watch_until_ms: u64::MAX,
            votes_after: u64::MAX,
        }
    }

    /// Rows of a channel cannot be read: the ledger is searched for it, and nothing else is doubted.
    #[must_use]
    pub const fn damaged() -> Self {
        Self {
            version: 1,
            cause: Cause::Behind,
            distrust: false,
            search: false,
            unclaimed: true,
            watch_until_ms: 0,
            votes_after: 0,
        }
    }

    /// What the database says; none if nothing is to be done.
    ///
    /// # Errors
    /// When it cannot be read, or says something that this program does not know: then nothing may be signed.
    pub fn read(store: &dyn Store) -> Result<Option<Self>, StoreError> {
        let Some(row) = store.get(Column::Meta, ROW)? else { return Ok(None) };
        let pending: Self = codec::decode(&row, ROW_BYTES_MAX)
            .map_err(|error| StoreError::corrupt_row("what is to be recovered", error))?;
        if pending.version != 1 {
            return Err(StoreError::corrupt_row("what is to be recovered", "another version"));
        }
        Ok(Some(pending))
    }

    /// Puts the row as it is to be.
    pub fn put(self, batch: &mut Batch) {
        if self.is_done() {
            batch.delete(Column::Meta, ROW);
        } else {
            batch.put(Column::Meta, ROW, codec::encode(&self));
        }
    }

    /// Whether nothing is left to do.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        !self.distrust && !self.search && !self.unclaimed && self.watch_until_ms == 0 && self.votes_after == 0
    }
}

/// How its row is read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![ROW_BYTES_MAX => Pending]
}

#[cfg(test)]
mod tests {
    use towpath_store::MemoryStore;

    use super::*;

    #[test]
    fn what_is_to_be_done_is_found_again_until_it_is_done() {
        let store = MemoryStore::new();
        assert_eq!(Pending::read(&store), Ok(None));
        let mut pending = Pending::new(Cause::Backup);
        let write = |pending: Pending| {
            let mut batch = Batch::new();
            pending.put(&mut batch);
            store.commit(batch).expect("written");
        };
        write(pending);
        assert_eq!(Pending::read(&store), Ok(Some(pending)));
        (pending.distrust, pending.search) = (false, false);
        write(pending);
        assert_eq!(
            Pending::read(&store),
            Ok(Some(pending)),
            "a late channel, and votes, are still waited for"
        );
        (pending.watch_until_ms, pending.votes_after) = (0, 0);
        write(pending);
        assert_eq!(Pending::read(&store), Ok(None));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_no_clean_bill() {
        let store = MemoryStore::new();
        for row in [vec![], vec![9; 40], codec::encode(&Pending { version: 2, ..Pending::new(Cause::Seed) })]
        {
            let mut batch = Batch::new();
            batch.put(Column::Meta, ROW, row);
            store.commit(batch).expect("written");
            assert!(Pending::read(&store).is_err());
        }
    }
}
