//! The node as a watchtower, and as a client of others: one thread that owns both machines of `towpath_protocol::tower`.
//! It brings them rows, blocks, messages and time, and carries out what they ask for; it decides nothing itself.
//!
//! Channels' newest states come through a mailbox that keeps only the newest of each, so that no burst of payments can
//! make anybody wait, or anything grow.

mod call;
mod calls;
mod contest;
mod fetch;
mod list;
mod mailbox;
mod peers;
mod run;
mod shelf;
mod sight;
mod stats;
mod stepped;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod thread_tests;

use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{mpsc, oneshot};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{ChannelTag, Party};
use towpath_protocol::tower::{Record, ShelfError, Slot, TowerMessage};
use towpath_store::StoreError;

pub use call::{Call, CallError, Kept, OwnTower, OwnTowers, Version};
pub use list::Listed;
pub use mailbox::{Mailbox, Offered};
pub use run::{Parts, Settings};
pub use stats::{TowerStats, TowerTotals};
pub use stepped::SteppedTower;

use crate::ledger::Notice;
use crate::limits;
use crate::net::Credit;

/// How what is kept here is read.
pub(crate) fn decoders() -> Vec<towpath_crypto::codec::Readable> {
    list::decoders()
}

/// Something for the tower's thread.
#[derive(Debug)]
pub enum Input {
    /// A message of a tower, or of a client of this one.
    Message {
        /// From whom; proven.
        peer: PublicKey,
        /// What it said.
        message: TowerMessage,
        /// Dropped when it is dealt with.
        credit: Credit,
    },
    /// A session with a node began.
    SessionUp(PublicKey),
    /// It ended.
    SessionDown(PublicKey),
    /// A block is applied.
    Block(Arc<Notice>),
    /// Something lies in the mailbox.
    Mail,
    /// A caller wants something.
    Call(Call),
    /// End.
    Stop,
}

/// Why there is no tower.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The database cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The tower's rows are not its own.
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    /// The system gives no thread.
    #[error("cannot start the tower's thread: {0}")]
    Thread(std::io::Error),
}

/// The sending end of the tower's inbox, and its mailbox.
#[derive(Clone)]
pub struct TowerHandle {
    inbox: mpsc::Sender<Input>,
    mailbox: Arc<Mailbox>,
    stats: Arc<TowerStats>,
}

impl TowerHandle {
    /// An inbox.
    #[must_use]
    pub fn inbox() -> (Self, mpsc::Receiver<Input>) {
        let (inbox, receiver) = mpsc::channel(limits::TOWER_INBOX);
        (Self { inbox, mailbox: Arc::default(), stats: Arc::default() }, receiver)
    }

    /// Hands over without waiting; whether there was room.
    pub fn offer(&self, input: Input) -> bool {
        self.inbox.try_send(input).is_ok()
    }

    /// Whether there is room for one input more.
    pub(crate) fn has_room(&self) -> bool {
        self.inbox.capacity() > 0
    }

    /// Hands over a message of a peer, if there is room beyond what blocks and sessions need: peers say again what is lost.
    pub fn hear(&self, peer: PublicKey, message: TowerMessage, credit: Credit) -> bool {
        let room = self.inbox.capacity() > limits::TOWER_INBOX / 4;
        room && self.offer(Input::Message { peer, message, credit })
    }

    /// Hands over what must not be lost, waiting while the inbox is full.
    pub async fn push(&self, input: Input) {
        // It ends only with the node.
        let _ = self.inbox.send(input).await;
    }

    /// Hands over a block, from a thread that may wait.
    pub fn push_block(&self, notice: &Arc<Notice>) {
        let _ = self.inbox.blocking_send(Input::Block(Arc::clone(notice)));
    }

    /// Whether channels' newest states are wanted at all.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        self.mailbox.is_wanted()
    }

    /// Channels' newest states, durable: given to all towers. Never waits.
    pub fn guard(&self, offered: Vec<Offered>) {
        if !offered.is_empty() && self.mailbox.put(offered) {
            // A full inbox wakes the thread by itself.
            let _ = self.inbox.try_send(Input::Mail);
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`CallError::Busy`] when the inbox is full or the node is stopping.
    pub async fn ask<T>(
        &self,
        make: impl FnOnce(oneshot::Sender<Result<T, CallError>>) -> Call,
    ) -> Result<T, CallError> {
        let (sender, receiver) = oneshot::channel();
        if !self.offer(Input::Call(make(sender))) {
            return Err(CallError::Busy);
        }
        receiver.await.map_err(|_| CallError::Busy)?
    }

    /// What all of this node's towers keep of a channel for `party`, newest or not: each has ten seconds to answer. With
    /// `tower.peers` that is how long it takes, since everybody who comes in that time is asked, too. Only the seal is checked;
    /// whoever asks checks the signatures ([`Record::holds`]).
    ///
    /// # Errors
    /// [`CallError::Busy`] when the node is stopping, or asks for too many at once.
    pub async fn fetch(&self, tag: &ChannelTag, party: Party) -> Result<Vec<Record>, CallError> {
        let slot = Box::new(Slot::new(tag, party));
        self.ask(|reply| Call::Fetch { slot, reply }).await
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> &Arc<TowerStats> {
        &self.stats
    }
}

/// Starts the thread. `fatal` ends the node if the thread cannot go on: a tower that is gone without a word answers nothing,
/// and its node's channels get no records to others.
///
/// # Errors
/// [`StartError`].
pub fn start(
    parts: Parts,
    settings: Settings,
    handle: &TowerHandle,
    inbox: mpsc::Receiver<Input>,
    fatal: impl FnOnce(String) + Send + 'static,
) -> Result<JoinHandle<()>, StartError> {
    let thread = run::Thread::open(parts, settings, Arc::clone(&handle.mailbox), Arc::clone(&handle.stats))?;
    let spawned = std::thread::Builder::new().name("tower".to_owned()).spawn(move || {
        if let Err(error) = thread.run(inbox) {
            fatal(format!("the tower stops: {error}"));
        }
    });
    spawned.map_err(StartError::Thread)
}
