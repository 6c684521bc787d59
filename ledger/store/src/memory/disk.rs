//! The disk under a memory store: what would be found after a crash, and which faults wait to happen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::State;
use crate::condition::{Anchored, Mark, Session};
use crate::error::StoreError;

/// Where the machine stops.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// Before the n-th write from now (the next is one) reaches the disk.
    BeforeWrite(u64),
    /// After it reached the disk, before it is anchored.
    AfterWrite(u64),
    /// After the anchor that covers it was synced, before anyone is told.
    AfterAnchor(u64),
}

/// A disk in memory; clones are the same disk. It outlives the stores that are opened on it.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk(Arc<Mutex<Inner>>);

/// A backup of a disk.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemoryImage {
    state: State,
    anchored: Anchored,
}

#[derive(Debug)]
pub(super) struct Inner {
    /// What reads see.
    pub(super) visible: State,
    /// What a crash leaves, while syncs lie; otherwise it is what reads see.
    durable: Option<State>,
    pub(super) anchored: Anchored,
    pub(super) openings: u64,
    pub(super) broken: Option<String>,
    writes: u64,
    reads: u64,
    fail_write_at: Option<(u64, StoreError)>,
    fail_read_at: Option<(u64, StoreError)>,
    crash_at: Option<CrashPoint>,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            visible: State::default(),
            durable: None,
            anchored: Anchored::Missing,
            openings: 0,
            broken: None,
            writes: 0,
            reads: 0,
            fail_write_at: None,
            fail_read_at: None,
            crash_at: None,
        }
    }
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The `nth` write from now (the next is one) fails with `error`, and nothing of it is stored.
    pub fn fail_write(&self, nth: u64, error: StoreError) {
        let mut inner = self.inner();
        inner.fail_write_at = Some((inner.writes.saturating_add(nth), error));
    }

    /// The `nth` read from now (the next is one) fails with `error`.
    pub fn fail_read(&self, nth: u64, error: StoreError) {
        let mut inner = self.inner();
        inner.fail_read_at = Some((inner.reads.saturating_add(nth), error));
    }

    /// The machine stops at `point`: from there on everything fails until a store is opened anew.
    pub fn crash_at(&self, point: CrashPoint) {
        let mut inner = self.inner();
        let from = inner.writes;
        inner.crash_at = Some(match point {
            CrashPoint::BeforeWrite(nth) => CrashPoint::BeforeWrite(from.saturating_add(nth)),
            CrashPoint::AfterWrite(nth) => CrashPoint::AfterWrite(from.saturating_add(nth)),
            CrashPoint::AfterAnchor(nth) => CrashPoint::AfterAnchor(from.saturating_add(nth)),
        });
    }

    /// From now on syncs of the database lie: a crash loses what was written since. The anchor's do not.
    pub fn lie_about_syncs(&self) {
        let mut inner = self.inner();
        if inner.durable.is_none() {
            inner.durable = Some(inner.visible.clone());
        }
    }

    /// Everything written so far is on the disk, and syncs are honest again.
    pub fn tell_the_truth(&self) {
        self.inner().durable = None;
    }

    /// How many writes were tried so far.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.inner().writes
    }

    /// A backup of the database and its anchor, as a crash would leave them now.
    #[must_use]
    pub fn image(&self) -> MemoryImage {
        let inner = self.inner();
        let state = inner.durable.as_ref().unwrap_or(&inner.visible).clone();
        MemoryImage { state, anchored: inner.anchored }
    }

    /// Puts the database back as it was in `image`; the anchor stays (FAULTS S10). Takes effect at the next opening.
    pub fn restore_database(&self, image: &MemoryImage) {
        let mut inner = self.inner();
        inner.durable = Some(image.state.clone());
        inner.broken = Some("the database was replaced".to_owned());
    }

    /// Puts back both; nothing on this disk can then tell (SPEC S-7). Takes effect at the next opening.
    pub fn restore(&self, image: &MemoryImage) {
        self.restore_database(image);
        self.inner().anchored = image.anchored;
    }

    /// Removes the database; the anchor stays (FAULTS S5). Takes effect at the next opening.
    pub fn remove_database(&self) {
        self.restore_database(&MemoryImage { state: State::default(), anchored: Anchored::Missing });
    }

    /// Removes the anchor; the database stays (FAULTS S5).
    pub fn remove_anchor(&self) {
        self.inner().anchored = Anchored::Missing;
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics while it holds the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// What a crash leaves, and a new session on it.
    pub(super) fn restart(&mut self) -> Session {
        if let Some(durable) = self.durable.take() {
            self.visible = durable;
        }
        self.broken = None;
        self.crash_at = None;
        self.fail_write_at = None;
        self.fail_read_at = None;
        self.openings += 1;
        let mut session = Session::default();
        session.0[..8].copy_from_slice(&self.openings.to_le_bytes());
        session
    }

    /// Counts a read, which may fail.
    pub(super) fn read(&mut self) -> Result<(), StoreError> {
        self.reads += 1;
        match &self.fail_read_at {
            Some((at, error)) if *at == self.reads => Err(error.clone()),
            Some(_) | None => Ok(()),
        }
    }

    /// Counts a write, which may fail or find the machine stopped.
    pub(super) fn begin_write(&mut self) -> Result<(), StoreError> {
        self.refuse_if_broken()?;
        self.writes += 1;
        if let Some((at, error)) = &self.fail_write_at
            && *at == self.writes
        {
            let error = error.clone();
            self.broken = Some(error.to_string());
            return Err(error);
        }
        self.crash_if(CrashPoint::BeforeWrite(self.writes))
    }

    /// The write is on the disk, or the disk says so.
    pub(super) fn end_write(&mut self) -> Result<(), StoreError> {
        self.crash_if(CrashPoint::AfterWrite(self.writes))
    }

    /// The anchor says `mark`.
    pub(super) fn anchor(&mut self, mark: Mark) -> Result<(), StoreError> {
        self.anchored = Anchored::Whole(mark);
        self.crash_if(CrashPoint::AfterAnchor(self.writes))
    }

    pub(super) fn refuse_if_broken(&self) -> Result<(), StoreError> {
        match &self.broken {
            Some(cause) => Err(StoreError::Poisoned { cause: cause.clone() }),
            None => Ok(()),
        }
    }

    fn crash_if(&mut self, point: CrashPoint) -> Result<(), StoreError> {
        if self.crash_at == Some(point) {
            self.broken = Some(format!("the machine stopped: {point:?}"));
        }
        self.refuse_if_broken()
    }
}
