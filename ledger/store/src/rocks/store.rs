//! Reading and writing: one writer at a time, each write synced and counted, none after a failure.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{ColumnFamily, DB, Direction as RocksDirection, IteratorMode, ReadOptions, WriteBatch};

use super::errors::translate;
use super::options::{self, OWN_FAMILY};
use super::own::{COUNT_KEY, OwnRows, TIP_KEY, family, read_own, write_own};
use crate::anchor::AnchorFile;
use crate::batch::{Batch, Change};
use crate::column::Column;
use crate::condition::{Mark, Sequence, Session, Tip};
use crate::error::StoreError;
use crate::faults::{Faults, WritePoint};
use crate::folder::Folder;
use crate::limits::{KEY_END, UNACKNOWLEDGED_MAX};
use crate::scan::{Direction, Scan};
use crate::store::{Row, Store};

/// The store on disk.
pub struct RocksStore {
    // Dropped in this order: the database is closed before its folder is given up.
    database: DB,
    // One writer at a time; held while the disk works.
    writing: Mutex<()>,
    // The newest synced write; held for a copy only, so that the anchor can be written while the next write is.
    written: Mutex<Tip>,
    anchor: Mutex<Anchor>,
    session: Session,
    poison: OnceLock<String>,
    faults: Option<Arc<dyn Faults>>,
    folder: Folder,
}

struct Anchor {
    file: AnchorFile,
    mark: Mark,
}

/// What an opened store is made of.
pub(super) struct Parts {
    pub database: DB,
    pub tip: Tip,
    pub session: Session,
    pub anchor: AnchorFile,
    pub folder: Folder,
    pub faults: Option<Arc<dyn Faults>>,
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksStore").field("folder", &self.folder.path()).finish_non_exhaustive()
    }
}

impl RocksStore {
    pub(super) fn assemble(parts: Parts) -> Self {
        Self {
            database: parts.database,
            writing: Mutex::new(()),
            written: Mutex::new(parts.tip),
            anchor: Mutex::new(Anchor { file: parts.anchor, mark: parts.tip.mark }),
            session: parts.session,
            poison: OnceLock::new(),
            faults: parts.faults,
            folder: parts.folder,
        }
    }

    /// The id of this opening, for whoever wants to tell two copies of one folder from each other (FAULTS S11).
    #[must_use]
    pub const fn session(&self) -> Session {
        self.session
    }

    /// Declares the database recovered: from its peers, or because the operator accepts the loss. From the next
    /// opening on it is healthy.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn resolve(&self) -> Result<(), StoreError> {
        let writing = self.writing();
        let mut tip = self.next_tip(|_| false)?;
        tip.counts = read_own(&self.database)?.counts;
        write_own(&self.database, &OwnRows::resolved(tip)).map_err(|error| self.poisoned_by(error))?;
        self.set_written(tip);
        drop(writing);
        self.acknowledge(tip.mark.sequence)
    }

    /// Makes a consistent copy of the database in `folder`, which must not exist: hard links where it can be (FAULTS
    /// S12). The copy has no anchor, so a node that opens it notices that it is a copy.
    ///
    /// # Errors
    /// [`StoreError::Io`] or [`StoreError::DiskFull`]; the store itself is not affected.
    pub fn checkpoint(&self, folder: &std::path::Path) -> Result<(), StoreError> {
        Checkpoint::new(&self.database)
            .and_then(|checkpoint| checkpoint.create_checkpoint(folder))
            .map_err(|error| translate("copying the database", &error))
    }

    /// Reads every block of every table and checks its checksum.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] says where.
    pub fn verify(&self) -> Result<(), StoreError> {
        for name in Column::ALL.map(Column::name).into_iter().chain([OWN_FAMILY]) {
            let family = family(&self.database, name)?;
            for row in self.database.iterator_cf_opt(family, read_once(), IteratorMode::Start) {
                row.map_err(|error| translate("verifying the database", &error))?;
            }
        }
        Ok(())
    }

    fn family(&self, column: Column) -> Result<&ColumnFamily, StoreError> {
        family(&self.database, column.name())
    }

    // No code panics while it holds one of these locks, so what they guard is whole even if a thread died.
    fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn written(&self) -> Tip {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_written(&self, tip: Tip) {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = tip;
    }

    /// The tip of the next write, which must be alone; anchors first what is too far back.
    fn next_tip(&self, touched: impl Fn(Column) -> bool) -> Result<Tip, StoreError> {
        self.refuse_if_poisoned()?;
        let tip = self.written().next(self.session, touched);
        let oldest_allowed = tip.mark.sequence.0.saturating_sub(UNACKNOWLEDGED_MAX);
        self.anchor_up_to(Sequence(oldest_allowed))?;
        Ok(tip)
    }

    fn anchor(&self) -> MutexGuard<'_, Anchor> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse_if_poisoned(&self) -> Result<(), StoreError> {
        match self.poison.get() {
            Some(cause) => Err(StoreError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn poisoned_by(&self, error: StoreError) -> StoreError {
        // The first failure is the cause; a later one follows from it.
        let _already = self.poison.set(error.to_string());
        error
    }

    fn at(&self, point: WritePoint) -> Result<(), StoreError> {
        self.faults.as_ref().map_or(Ok(()), |faults| faults.at(point))
    }

    fn write_database(&self, batch: &Batch, tip: &Tip) -> Result<(), StoreError> {
        let mut write = WriteBatch::with_capacity_bytes(batch.size_bytes() + 512);
        for change in batch.changes() {
            match change {
                Change::Put { column, key, value } => write.put_cf(self.family(*column)?, key, value),
                Change::Delete { column, key } => write.delete_cf(self.family(*column)?, key),
                Change::DeleteRange { column, from, to } => {
                    write.delete_range_cf(self.family(*column)?, from, to);
                }
            }
        }
        let own = family(&self.database, OWN_FAMILY)?;
        write.put_cf(own, TIP_KEY, tip.encode());
        write.merge_cf(own, COUNT_KEY, 1_u64.to_le_bytes());
        for column in Column::ALL.into_iter().filter(|column| batch.touches(*column)) {
            write.merge_cf(self.family(column)?, COUNT_KEY, 1_u64.to_le_bytes());
        }
        self.at(WritePoint::Write)?;
        self.database
            .write_opt(write, &options::synced())
            .map_err(|error| translate("writing to the database", &error))?;
        self.at(WritePoint::Written)
    }

    /// Anchors `sequence` unless it is: everything that was written is synced, and nothing past it is ever anchored.
    fn anchor_up_to(&self, sequence: Sequence) -> Result<(), StoreError> {
        let mut anchor = self.anchor();
        if anchor.mark.sequence >= sequence {
            return Ok(());
        }
        self.refuse_if_poisoned()?;
        let written = self.written();
        let sequence = sequence.min(written.mark.sequence);
        let mark = Mark { sequence, session: written.session_at(sequence) };
        self.write_anchor(&mut anchor, mark).map_err(|error| self.poisoned_by(error))
    }

    fn write_anchor(&self, anchor: &mut Anchor, mark: Mark) -> Result<(), StoreError> {
        self.at(WritePoint::Anchor)?;
        anchor.file.write(&mark)?;
        anchor.mark = mark;
        self.at(WritePoint::Anchored)
    }
}

impl Store for RocksStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if key >= KEY_END {
            return Ok(None);
        }
        self.database
            .get_cf(self.family(column)?, key)
            .map_err(|error| translate("reading from the database", &error))
    }

    fn scan(&self, column: Column, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        if scan.is_empty() || scan.from.as_slice() >= KEY_END {
            return Ok(Vec::new());
        }
        // The bound keeps iterators off the column's count, and off the many additions to it.
        let to = scan.to.as_deref().map_or(KEY_END, |to| to.min(KEY_END));
        let mut bounds = ReadOptions::default();
        bounds.set_iterate_lower_bound(scan.from.as_slice());
        bounds.set_iterate_upper_bound(to);
        let mode = match scan.direction {
            Direction::Forward => IteratorMode::From(&scan.from, RocksDirection::Forward),
            Direction::Backward => IteratorMode::From(to, RocksDirection::Reverse),
        };
        self.database
            .iterator_cf_opt(self.family(column)?, bounds, mode)
            .take(scan.limit)
            .map(|row| match row {
                Ok((key, value)) => Ok((key.into_vec(), value.into_vec())),
                Err(error) => Err(translate("reading from the database", &error)),
            })
            .collect()
    }

    fn write(&self, batch: Batch) -> Result<Sequence, StoreError> {
        batch.check_keys()?;
        let _writing = self.writing();
        let tip = self.next_tip(|column| batch.touches(column))?;
        self.write_database(&batch, &tip).map_err(|error| self.poisoned_by(error))?;
        self.set_written(tip);
        Ok(tip.mark.sequence)
    }

    fn acknowledge(&self, sequence: Sequence) -> Result<(), StoreError> {
        self.anchor_up_to(sequence)
    }

    fn sequence(&self) -> Sequence {
        self.written().mark.sequence
    }
}

/// A full pass must not push everything else out of the cache.
fn read_once() -> ReadOptions {
    let mut options = ReadOptions::default();
    options.fill_cache(false);
    options.set_readahead_size(2 << 20);
    options
}
