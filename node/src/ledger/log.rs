//! The consensus engine's log in the node's one database, written through the journal like everything else.

use std::sync::Arc;

use towpath_consensus::{LogError, Wal};
use towpath_store::{ConsensusLog, Store, consensus_log_batch};

use crate::journal::{Entry, Journal};

/// See the module.
pub(super) struct EngineLog {
    journal: Arc<Journal>,
    rows: ConsensusLog<Arc<dyn Store>>,
}

impl EngineLog {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        let rows = ConsensusLog::new(Arc::clone(journal.store()));
        Self { journal, rows }
    }
}

impl Wal for EngineLog {
    fn append(&mut self, height: u64, first: u64, records: &[Vec<u8>]) -> Result<(), LogError> {
        let entry = Entry { batch: consensus_log_batch(height, first, records), events: Vec::new() };
        self.journal.commit(entry, 0).map_err(|error| LogError(error.to_string()))
    }

    fn load(&self, height: u64) -> Result<Vec<Vec<u8>>, LogError> {
        self.rows.load(height).map_err(|error| LogError(error.to_string()))
    }
}
