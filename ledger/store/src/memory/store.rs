//! The memory store itself.

use super::disk::{Inner, MemoryDisk};
use crate::batch::Batch;
use crate::column::Column;
use crate::condition::{Anchored, Condition, Found, Mark, Sequence, Session, Tip, judge};
use crate::error::StoreError;
use crate::limits::UNACKNOWLEDGED_MAX;
use crate::scan::Scan;
use crate::store::{Opened, Row, Store};

/// A store on a [`MemoryDisk`].
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    session: Session,
    opening: u64,
}

impl MemoryStore {
    /// Opens what is on the disk; an older store on it is closed, as if its process had ended.
    ///
    /// # Errors
    /// None yet; the signature is that of [`crate::RocksStore::open`].
    pub fn open(disk: &MemoryDisk) -> Result<Opened<Self>, StoreError> {
        let mut inner = disk.inner();
        let session = inner.restart();
        let condition = inner.judge();
        if let Condition::Behind(behind) = condition
            && (inner.visible.unresolved != Some(behind)
                || inner.tip().mark.sequence < inner.newest().sequence)
        {
            let newest = inner.newest();
            let past = newest.sequence.max(inner.tip().mark.sequence).0.saturating_add(UNACKNOWLEDGED_MAX);
            inner.visible.unresolved = Some(behind);
            inner.visible.tip = Some(Tip {
                mark: Mark { sequence: Sequence(past), session },
                session_start: Sequence(past),
                previous_session: newest.session,
                counts: inner.tip().counts,
            });
        }
        inner.anchored = Anchored::Whole(inner.tip().mark);
        let opening = inner.openings;
        drop(inner);
        Ok(Opened { store: Self { disk: disk.clone(), session, opening }, condition })
    }

    /// A store on a new disk of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::open(&MemoryDisk::new()).expect("an empty disk opens").store
    }

    /// The disk that it is on.
    #[must_use]
    pub const fn disk(&self) -> &MemoryDisk {
        &self.disk
    }

    /// Declares the database recovered; see [`crate::RocksStore::resolve`].
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn resolve(&self) -> Result<(), StoreError> {
        let sequence = self.write(Batch::new())?;
        self.disk.inner().visible.unresolved = None;
        self.acknowledge(sequence)
    }

    fn refuse_if_closed(&self, inner: &Inner) -> Result<(), StoreError> {
        if inner.openings == self.opening { Ok(()) } else { Err(StoreError::Closed) }
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl Inner {
    fn tip(&self) -> Tip {
        self.visible.tip.unwrap_or_default()
    }

    fn newest(&self) -> Mark {
        match self.anchored {
            Anchored::Missing | Anchored::Unreadable => Mark::default(),
            Anchored::Whole(mark) | Anchored::Half(mark) => mark,
        }
    }

    fn judge(&self) -> Condition {
        let (tip, unresolved) = (self.visible.tip, self.visible.unresolved);
        let Tip { mark, counts, .. } = self.tip();
        judge(self.anchored, &Found { tip, count: mark.sequence.0, counts, unresolved })
    }

    fn anchor_up_to(&mut self, sequence: Sequence) -> Result<(), StoreError> {
        if self.newest().sequence >= sequence {
            return Ok(());
        }
        self.refuse_if_broken()?;
        let tip = self.tip();
        let sequence = sequence.min(tip.mark.sequence);
        self.anchor(Mark { sequence, session: tip.session_at(sequence) })
    }
}

impl Store for MemoryStore {
    fn get(&self, column: Column, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let mut inner = self.disk.inner();
        self.refuse_if_closed(&inner)?;
        inner.read()?;
        Ok(inner.visible.get(column, key))
    }

    fn scan(&self, column: Column, scan: &Scan) -> Result<Vec<Row>, StoreError> {
        let mut inner = self.disk.inner();
        self.refuse_if_closed(&inner)?;
        inner.read()?;
        Ok(inner.visible.scan(column, scan))
    }

    fn write(&self, batch: Batch) -> Result<Sequence, StoreError> {
        batch.check_keys()?;
        let mut inner = self.disk.inner();
        self.refuse_if_closed(&inner)?;
        inner.refuse_if_broken()?;
        let tip = inner.tip().next(self.session, |column| batch.touches(column));
        let oldest_allowed = tip.mark.sequence.0.saturating_sub(UNACKNOWLEDGED_MAX);
        inner.anchor_up_to(Sequence(oldest_allowed))?;
        inner.begin_write()?;
        inner.visible.apply(&batch, tip);
        inner.end_write()?;
        Ok(tip.mark.sequence)
    }

    fn acknowledge(&self, sequence: Sequence) -> Result<(), StoreError> {
        let mut inner = self.disk.inner();
        self.refuse_if_closed(&inner)?;
        inner.anchor_up_to(sequence)
    }

    fn sequence(&self) -> Sequence {
        self.disk.inner().tip().mark.sequence
    }
}
