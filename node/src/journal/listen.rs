//! Reading the event log, and waiting for what comes: straight from the database, so that no listener can make the
//! node remember anything for it.

use std::sync::Arc;

use tokio::sync::watch;
use towpath_api::Event;
use towpath_store::{Column, Scan, Store, StoreError};

use super::{Journal, index_of};

/// Events that are read at once.
const PAGE: usize = 256;

/// A place in the event log.
pub struct Listener {
    journal: Arc<Journal>,
    durable: watch::Receiver<u64>,
    after: u64,
    /// Where the listener believed to be, if that is past the log's end.
    ahead: Option<u64>,
}

/// What comes after a place.
#[derive(Debug)]
pub enum Page {
    /// These events; at least one.
    Events(Vec<Event>),
    /// There are no events for the listener between these indices: they are no longer kept; or, if it goes on before
    /// where it was, the log is not the one that it has read.
    Gap {
        /// Where the listener was.
        after: u64,
        /// Where it goes on.
        resumed_after: u64,
    },
}

impl Journal {
    /// Listens from `after` on; from now on if there is none. A listener that is past the end has read another log,
    /// such as the one before a restored backup: it is told so, and goes on from the end.
    #[must_use]
    pub fn listen(self: &Arc<Self>, after: Option<u64>) -> Listener {
        let durable = self.durable.subscribe();
        let newest = *durable.borrow();
        let ahead = after.filter(|after| *after > newest);
        let after = after.map_or(newest, |after| after.min(newest));
        Listener { journal: Arc::clone(self), durable, after, ahead }
    }

    /// The index of the newest event that is durable.
    #[must_use]
    pub fn newest_event(&self) -> u64 {
        *self.durable.borrow()
    }
}

impl Listener {
    /// The index up to which everything was given out.
    #[must_use]
    pub const fn place(&self) -> u64 {
        self.after
    }

    /// The next events, as soon as there are some.
    ///
    /// # Errors
    /// When the log cannot be read, or the node stops.
    pub async fn next(&mut self) -> Result<Page, StoreError> {
        if let Some(after) = self.ahead.take() {
            return Ok(Page::Gap { after, resumed_after: self.after });
        }
        loop {
            let newest = *self.durable.borrow_and_update();
            if newest > self.after {
                return self.read(newest);
            }
            self.durable.changed().await.map_err(|_| StoreError::Closed)?;
        }
    }

    fn read(&mut self, newest: u64) -> Result<Page, StoreError> {
        let from = (self.after + 1).to_be_bytes();
        let to = (newest + 1).to_be_bytes();
        let rows = self.journal.store.scan(Column::Events, &Scan::range(from, to).limit(PAGE))?;
        let first = rows.first().and_then(|(key, _)| index_of(key)).unwrap_or(newest + 1);
        if first > self.after + 1 {
            let gap = Page::Gap { after: self.after, resumed_after: first - 1 };
            self.after = first - 1;
            return Ok(gap);
        }
        // A row that does not parse was written by another version: it is skipped, its index stays.
        let events: Vec<Event> =
            rows.iter().filter_map(|(_, value)| serde_json::from_slice(value).ok()).collect();
        self.after = rows.last().and_then(|(key, _)| index_of(key)).unwrap_or(newest);
        Ok(Page::Events(events))
    }
}
