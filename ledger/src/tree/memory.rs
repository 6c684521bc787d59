//! A tree in memory, for tests, the simulator and block 0.

use std::collections::BTreeMap;

use super::prune::PrunePlan;
use super::source::{NodeSource, TreeError};
use super::update::TreeBatch;

/// Rows in a map.
#[derive(Clone, Default, Debug)]
pub struct MemoryNodes(BTreeMap<Vec<u8>, Vec<u8>>);

impl MemoryNodes {
    /// Without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Writes what a version adds.
    pub fn apply(&mut self, batch: TreeBatch) {
        self.0.extend(batch.rows);
    }

    /// Deletes what is pruned.
    pub fn prune(&mut self, plan: &PrunePlan) {
        for key in &plan.delete {
            self.0.remove(key);
        }
    }

    /// All rows.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0.iter().map(|(key, row)| (key.as_slice(), row.as_slice()))
    }
}

impl NodeSource for MemoryNodes {
    fn node(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        Ok(self.0.get(key).cloned())
    }
}
