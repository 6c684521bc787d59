//! The event log as the API streams it.

use std::sync::Arc;

use futures::FutureExt;
use towpath_api::{EventItem, Gap};

use super::store_error;
use crate::api::{EventFeed, Reply};
use crate::journal::{Journal, Listener, Page};

/// A place in the log.
pub(super) struct Feed(Listener);

impl Feed {
    pub(super) fn new(journal: &Arc<Journal>, after: Option<u64>) -> Self {
        Self(journal.listen(after))
    }
}

impl EventFeed for Feed {
    fn place(&self) -> u64 {
        self.0.place()
    }

    fn next(&mut self) -> Reply<'_, Vec<EventItem>> {
        async move {
            match self.0.next().await.map_err(|error| store_error(&error))? {
                Page::Events(events) => Ok(events.into_iter().map(EventItem::Event).collect()),
                Page::Gap { after, resumed_after } => Ok(vec![EventItem::Gap(Gap { after, resumed_after })]),
            }
        }
        .boxed()
    }
}
