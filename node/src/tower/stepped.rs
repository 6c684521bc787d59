//! The tower without its thread: stepped by hand.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use towpath_protocol::tower::ShelfError;

use super::run::Thread;
use super::{Input, Parts, Settings, StartError, TowerHandle};
use crate::limits;

/// See the module.
pub struct SteppedTower {
    thread: Thread,
    inbox: mpsc::Receiver<Input>,
}

impl SteppedTower {
    /// Opens it, and looks at what the ledger shows.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn start(
        parts: Parts,
        settings: Settings,
        handle: &TowerHandle,
        inbox: mpsc::Receiver<Input>,
    ) -> Result<Self, StartError> {
        let (mailbox, stats) = (Arc::clone(&handle.mailbox), Arc::clone(&handle.stats));
        let mut thread = Thread::open(parts, settings, mailbox, stats)?;
        thread.want_all();
        thread.catch_up()?;
        Ok(Self { thread, inbox })
    }

    /// One turn; whether anything came in.
    ///
    /// # Errors
    /// When the database cannot be read or written.
    pub fn step(&mut self) -> Result<bool, ShelfError> {
        let mut inputs = Vec::new();
        while inputs.len() < limits::TOWER_TURN_INPUTS
            && let Ok(input) = self.inbox.try_recv()
        {
            inputs.push(input);
        }
        let is_any = !inputs.is_empty();
        self.thread.turn(inputs)?;
        Ok(is_any)
    }

    /// Until the next thing is due; none if nothing is.
    #[must_use]
    pub fn due_in(&self) -> Option<Duration> {
        self.thread.due_in()
    }
}
