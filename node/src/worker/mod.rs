//! The workers: threads that own the channels. All channels with one peer belong to one worker, so that their messages
//! share frames, and an opening finds its channel (`docs/decisions/workers.md`).
//!
//! A turn: take what waits, step the machines in memory with signatures collected; check all signatures of the turn
//! as one batch; then let each machine sign, and write everything as one batch; release messages and answers when it
//! is durable. The next turn is computed while the last one is being synced.

mod accept;
mod board;
mod call;
mod calls;
mod carry;
mod closing;
mod confirm;
mod duties;
mod forget;
mod held;
mod hello;
mod history;
mod open;
mod open_many;
mod pay;
mod recovery;
mod release;
mod resize;
mod run;
mod start;
mod stats;
mod stepped;
mod stream_calls;
mod streams;
mod tally;
#[cfg(test)]
pub(crate) mod tests;
mod together;
mod turn;
mod view;
mod why;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::ChannelId;
use towpath_protocol::Message;
use towpath_protocol::tower::{Record, Sequence};

pub use accept::{FUNDING_MS_MAX, Policy};
pub use board::Board;
pub use call::{AskRequest, Call, CallError, OpenRequest, Opened, Paid, PayRequest, Risk, Signed, Wait};
pub use duties::Refused;
pub use history::{
    PaymentRow, Progress, Retention, log as channel_log, payment_id, payments, stored_bytes,
    view as payment_view,
};
pub(crate) use open::OWN_ROWS;
pub use open::{ChannelKeys, WalletAnswer};
pub use recovery::Searched;
pub use resize::ResizeRequest;
pub use run::Parts;
pub use start::{StartError, Started, Trust, start};
pub use stats::{WorkerStats, WorkerTotals};
pub use stepped::SteppedWorkers;
pub use streams::{Plan, stream_id};
pub use tally::Tally;
pub use view::{ChannelView, node_text, state_of};

use crate::ledger::Notice;
use crate::limits;
use crate::net::{Credit, SessionId};

/// How what is kept here is read.
pub(crate) fn decoders() -> Vec<towpath_crypto::codec::Readable> {
    [confirm::decoders(), held::decoders(), history::decoders(), why::decoders()].concat()
}

/// Something for a worker.
#[derive(Debug)]
pub enum Input {
    /// Channel messages of one peer, in order.
    Messages {
        /// From whom; proven.
        peer: PublicKey,
        /// What it said.
        messages: Vec<Message>,
        /// Dropped when the worker is done with them: until then little more is read from that peer.
        credit: Credit,
        /// What they cost to keep, and the room that they take of the inbox.
        load: Load,
    },
    /// A session with a peer began.
    SessionUp(PublicKey, SessionId),
    /// It ended.
    SessionDown(PublicKey),
    /// A block is applied.
    Block(Arc<Notice>),
    /// A caller wants something.
    Call(Box<Call>),
    /// The wallet's answer for an opening or a funding by both.
    Wallet(Box<WalletAnswer>),
    /// The ledger driver does not take what was handed in.
    Refused(Box<Refused>),
    /// From now on there are watchtowers to be given the newest state of every channel.
    Guard,
    /// As many watchtowers as are needed have a channel's state, up to here.
    Confirmed {
        /// The channel.
        channel: ChannelId,
        /// Up to here.
        sequence: Sequence,
    },
    /// A watchtower shows a state of a channel that this node does not know.
    Shown {
        /// The channel.
        channel: ChannelId,
        /// What it shows; nothing of it is verified yet.
        record: Box<Record>,
    },
    /// A record names the peer of a channel that waits for it, or it needs none.
    Claimed {
        /// The channel.
        channel: ChannelId,
        /// Its peer.
        peer: PublicKey,
    },
    /// A channel on the ledger waits for its peer, which may have spoken of it already.
    Unclaimed(ChannelId),
    /// The search for newer states of a channel came upon something, or is over.
    Searched {
        /// The channel.
        channel: ChannelId,
        /// What.
        what: Searched,
    },
    /// End, after this turn.
    Stop,
}

/// What the messages of a frame cost to keep, in bytes, and the room in the inbox that they hold until their turn is over.
#[derive(Debug)]
pub struct Load {
    cost: u32,
    room: Option<OwnedSemaphorePermit>,
}

impl Load {
    /// Of so many messages with so many bytes.
    #[must_use]
    pub fn of(messages: usize, bytes: usize) -> Self {
        let cost = bytes.saturating_add(messages.saturating_mul(limits::MESSAGE_COST));
        let cost = cost.min(limits::INBOX_COST);
        Self { cost: u32::try_from(cost).unwrap_or(u32::MAX), room: None }
    }
}

impl Input {
    /// What it costs to keep, beside its place in the inbox.
    pub(super) fn cost(&self) -> usize {
        match self {
            Self::Messages { load, .. } => usize::try_from(load.cost).unwrap_or(usize::MAX),
            _ => 0,
        }
    }
}

/// The bounded sending end of a worker's inbox: so many inputs, and messages of so many bytes.
#[derive(Debug)]
struct Inbox {
    inputs: mpsc::Sender<Input>,
    room: Arc<Semaphore>,
}

/// The sending ends of all workers' inboxes.
#[derive(Clone, Debug)]
pub struct Workers(Arc<[Inbox]>);

/// The worker's inbox is full, or it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the node is busy; try again")]
pub struct Busy;

impl Workers {
    /// Inboxes for so many workers.
    #[must_use]
    pub fn inboxes(count: usize) -> (Self, Vec<mpsc::Receiver<Input>>) {
        let inbox = |_| {
            let (inputs, receiver) = mpsc::channel(limits::INBOX);
            (Inbox { inputs, room: Arc::new(Semaphore::new(limits::INBOX_COST)) }, receiver)
        };
        let (senders, receivers): (Vec<_>, Vec<_>) = (0..count.max(1)).map(inbox).unzip();
        (Self(senders.into()), receivers)
    }

    /// Which worker owns the channels with `peer`, of so many.
    #[must_use]
    pub fn place(peer: &PublicKey, count: usize) -> usize {
        let mut start = [0; 8];
        start.copy_from_slice(&peer.0[..8]);
        let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
        usize::try_from(u64::from_le_bytes(start) % count).unwrap_or(0)
    }

    /// How many workers there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn count_u64(&self) -> u64 {
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    /// Inputs that wait for all workers together.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let inputs = self.0.iter().map(|inbox| &inbox.inputs);
        let waiting = inputs.map(|inputs| inputs.max_capacity().saturating_sub(inputs.capacity()));
        u64::try_from(waiting.sum::<usize>()).unwrap_or(u64::MAX)
    }

    fn of(&self, peer: &PublicKey) -> &Inbox {
        &self.0[Self::place(peer, self.0.len())]
    }

    /// Hands over, waiting while the inbox is full.
    pub async fn push(&self, peer: &PublicKey, mut input: Input) {
        let inbox = self.of(peer);
        if let Input::Messages { load, .. } = &mut input {
            load.room = Arc::clone(&inbox.room).acquire_many_owned(load.cost).await.ok();
        }
        // A worker ends only with the node.
        let _ = inbox.inputs.send(input).await;
    }

    /// Hands over to the worker at `place`, waiting while its inbox is full.
    pub(crate) async fn push_to(&self, place: usize, input: Input) {
        if let Some(worker) = self.0.get(place) {
            // A worker ends only with the node.
            let _ = worker.inputs.send(input).await;
        }
    }

    /// Hands a block to every worker, from a thread that may wait.
    pub fn push_block(&self, notice: &Arc<Notice>) {
        for worker in self.0.iter() {
            let _ = worker.inputs.blocking_send(Input::Block(Arc::clone(notice)));
        }
    }

    /// Whether each of them has room for one input more.
    pub(crate) fn has_room(&self) -> bool {
        self.0.iter().all(|inbox| inbox.inputs.capacity() > 0)
    }

    /// Hands a block to every worker that has room for it.
    pub(crate) fn offer_block(&self, notice: &Arc<Notice>) {
        for worker in self.0.iter() {
            let _ = worker.inputs.try_send(Input::Block(Arc::clone(notice)));
        }
    }

    /// Asks every worker for its channels' newest states, from a thread that may wait.
    pub fn push_guard(&self) {
        for worker in self.0.iter() {
            let _ = worker.inputs.blocking_send(Input::Guard);
        }
    }

    /// Hands over without waiting.
    ///
    /// # Errors
    /// [`Busy`]; the input is lost.
    pub fn offer(&self, peer: &PublicKey, input: Input) -> Result<(), Busy> {
        self.of(peer).inputs.try_send(input).map_err(|_| Busy)
    }

    /// Asks the worker of `peer`, and waits for the answer.
    ///
    /// # Errors
    /// [`Busy`] when the inbox is full or the node is stopping.
    pub async fn ask<T>(
        &self,
        peer: &PublicKey,
        make: impl FnOnce(oneshot::Sender<T>) -> Call,
    ) -> Result<T, Busy> {
        let (sender, receiver) = oneshot::channel();
        self.offer(peer, Input::Call(Box::new(make(sender))))?;
        receiver.await.map_err(|_| Busy)
    }

    /// The same for what must not be lost because the worker is busy: waits for room in its inbox.
    ///
    /// # Errors
    /// [`Busy`] when the node is stopping.
    pub async fn ask_patiently<T>(
        &self,
        peer: &PublicKey,
        make: impl FnOnce(oneshot::Sender<T>) -> Call,
    ) -> Result<T, Busy> {
        let (sender, receiver) = oneshot::channel();
        self.push(peer, Input::Call(Box::new(make(sender)))).await;
        receiver.await.map_err(|_| Busy)
    }

    /// Asks the worker that numbered stream `id`.
    ///
    /// # Errors
    /// [`Busy`] when the inbox is full or the node is stopping.
    pub async fn ask_of<T>(&self, id: u64, make: impl FnOnce(oneshot::Sender<T>) -> Call) -> Result<T, Busy> {
        let place = usize::try_from(id % self.count_u64()).unwrap_or(0);
        let worker = self.0.get(place).ok_or(Busy)?;
        let (sender, receiver) = oneshot::channel();
        worker.inputs.try_send(Input::Call(Box::new(make(sender)))).map_err(|_| Busy)?;
        receiver.await.map_err(|_| Busy)
    }

    /// Asks all workers to end.
    pub async fn stop(&self) {
        for worker in self.0.iter() {
            let _ = worker.inputs.send(Input::Stop).await;
        }
    }
}
