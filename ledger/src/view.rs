//! How the rules read the ledger: the trait, a layer of changes over it, and a version in memory.
//!
//! Where outputs really are kept, and how they get there, is `towpath-store`'s.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules::Changes;
use crate::types::{Digest, Entry, OutPoint, Time};

/// The ledger could not be read. No verdict follows from it: whoever asked must not treat anything as valid or invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the ledger could not be read: {0}")]
pub struct ViewError(pub String);

/// The ledger after some block, as the rules see it.
pub trait View {
    /// The unspent output at `outpoint`; `None` if it is spent or never was.
    ///
    /// # Errors
    /// [`ViewError`] if the ledger could not be read.
    fn entry(&self, outpoint: &OutPoint) -> Result<Option<Entry>, ViewError>;

    /// The time of the block that recorded the secret of the condition with this key
    /// ([`Condition::key`](crate::types::Condition::key)); `None` if none is recorded.
    ///
    /// # Errors
    /// [`ViewError`] if the ledger could not be read.
    fn secret_time(&self, condition: &Digest) -> Result<Option<Time>, ViewError>;

    /// The secrets that were recorded at or before `time`, ascending by time and then by key, the first `limit` of
    /// them: those that a block forgets (SPEC B-18). Each node must give the same answer.
    ///
    /// # Errors
    /// [`ViewError`] if the ledger could not be read.
    fn secrets_until(&self, time: Time, limit: usize) -> Result<Vec<(Time, Digest)>, ViewError>;
}

impl<V: View + ?Sized> View for &V {
    fn entry(&self, outpoint: &OutPoint) -> Result<Option<Entry>, ViewError> {
        (**self).entry(outpoint)
    }

    fn secret_time(&self, condition: &Digest) -> Result<Option<Time>, ViewError> {
        (**self).secret_time(condition)
    }

    fn secrets_until(&self, time: Time, limit: usize) -> Result<Vec<(Time, Digest)>, ViewError> {
        (**self).secrets_until(time, limit)
    }
}

/// A view with the changes of earlier transactions of the same block on top.
#[derive(Debug)]
pub struct Overlay<'a, V: View + ?Sized> {
    base: &'a V,
    spent: BTreeSet<OutPoint>,
    created: BTreeMap<OutPoint, Entry>,
    secrets: BTreeMap<Digest, Time>,
}

impl<'a, V: View + ?Sized> Overlay<'a, V> {
    /// Nothing yet on top of `base`.
    #[must_use]
    pub const fn new(base: &'a V) -> Self {
        Self { base, spent: BTreeSet::new(), created: BTreeMap::new(), secrets: BTreeMap::new() }
    }

    /// Puts the changes of one more transaction on top.
    pub fn apply(&mut self, changes: &Changes) {
        for (outpoint, _) in &changes.spent {
            if self.created.remove(outpoint).is_none() {
                self.spent.insert(*outpoint);
            }
        }
        self.created.extend(changes.created.iter().cloned());
        self.secrets.extend(changes.secrets.iter().map(|(condition, time, _)| (*condition, *time)));
    }
}

impl<V: View + ?Sized> View for Overlay<'_, V> {
    fn entry(&self, outpoint: &OutPoint) -> Result<Option<Entry>, ViewError> {
        if self.spent.contains(outpoint) {
            return Ok(None);
        }
        match self.created.get(outpoint) {
            Some(entry) => Ok(Some(entry.clone())),
            None => self.base.entry(outpoint),
        }
    }

    fn secret_time(&self, condition: &Digest) -> Result<Option<Time>, ViewError> {
        match self.secrets.get(condition) {
            Some(time) => Ok(Some(*time)),
            None => self.base.secret_time(condition),
        }
    }

    /// Of the base alone: what this block records has its time, and nothing that young is forgotten.
    fn secrets_until(&self, time: Time, limit: usize) -> Result<Vec<(Time, Digest)>, ViewError> {
        self.base.secrets_until(time, limit)
    }
}

/// A whole ledger in memory: for tests and the simulator.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MemoryView {
    /// The unspent outputs.
    pub entries: BTreeMap<OutPoint, Entry>,
    /// When the secret of a condition was recorded, by the condition's key.
    pub secrets: BTreeMap<Digest, Time>,
}

impl MemoryView {
    /// Carries out the changes of one transaction.
    pub fn apply(&mut self, changes: &Changes) {
        for (outpoint, _) in &changes.spent {
            self.entries.remove(outpoint);
        }
        self.entries.extend(changes.created.iter().cloned());
        self.secrets.extend(changes.secrets.iter().map(|(condition, time, _)| (*condition, *time)));
    }
}

impl View for MemoryView {
    fn entry(&self, outpoint: &OutPoint) -> Result<Option<Entry>, ViewError> {
        Ok(self.entries.get(outpoint).cloned())
    }

    fn secret_time(&self, condition: &Digest) -> Result<Option<Time>, ViewError> {
        Ok(self.secrets.get(condition).copied())
    }

    fn secrets_until(&self, time: Time, limit: usize) -> Result<Vec<(Time, Digest)>, ViewError> {
        let old = self.secrets.iter().filter(|(_, recorded)| **recorded <= time);
        let mut found: Vec<(Time, Digest)> = old.map(|(key, recorded)| (*recorded, *key)).collect();
        found.sort_unstable();
        found.truncate(limit);
        Ok(found)
    }
}
