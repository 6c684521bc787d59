//! The node's end of the network: commands in, answers back.
//!
//! Channel messages go from here straight into the queue of their session, past the driver, so that payments do not wait
//! behind gossip. Everything else is a command to the driver, in a bounded queue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use libp2p::{Multiaddr, PeerId, request_response};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::channel::outbox::{Batch, Outbox, OutboxError};
use super::error::NetError;
use super::event::{GossipId, Offence, SessionId, Verdict};
use super::gossip::Topic;
use super::identity::NodeId;
use super::limits::{MESSAGE_BYTES_MAX, SYNC_REQUEST_BYTES_MAX, SYNC_RESPONSE_BYTES_MAX};
use super::metrics::{Counters, NetMetrics};
use super::sync::Response;

/// What the driver is asked to do.
#[derive(Debug)]
pub(crate) enum Command {
    Want { node: NodeId, addresses: Vec<Multiaddr>, done: oneshot::Sender<Result<(), NetError>> },
    Unwant { node: NodeId },
    Publish { topic: Topic, bytes: Vec<u8> },
    Report { id: GossipId, verdict: Verdict },
    Request { node: NodeId, bytes: Vec<u8>, done: oneshot::Sender<Result<Vec<u8>, NetError>> },
    Respond { to: PeerId, channel: request_response::ResponseChannel<Response>, response: Response },
    Score { node: NodeId, done: oneshot::Sender<Option<f64>> },
    Shutdown,
}

/// Who opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// This node.
    ByUs,
    /// The peer.
    ByPeer,
}

/// A connected node. Where there are several connections, this tells of the oldest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerInfo {
    /// What it calls its software, cut and escaped.
    pub agent: String,
    /// Where it is connected from or to.
    pub address: Multiaddr,
    /// Who opened the connection.
    pub dialled: Dialled,
    /// Since when there is a connection without a break.
    pub since: Instant,
    /// How long the last ping took there and back; none before the first.
    pub round_trip: Option<Duration>,
}

/// What the driver and the handles share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) outboxes: RwLock<BTreeMap<NodeId, Outbox>>,
    pub(crate) peers: RwLock<BTreeMap<NodeId, PeerInfo>>,
    pub(crate) listening: RwLock<Vec<Multiaddr>>,
    pub(crate) counters: Arc<Counters>,
}

/// Commands the network; cheap to clone. The network stops when the last handle is dropped, or on
/// [`NetHandle::shutdown`].
#[derive(Clone, Debug)]
pub struct NetHandle {
    local: NodeId,
    commands: mpsc::Sender<Command>,
    shared: Arc<Shared>,
    task: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl NetHandle {
    pub(crate) fn new(
        local: NodeId,
        commands: mpsc::Sender<Command>,
        shared: Arc<Shared>,
        task: JoinHandle<()>,
    ) -> Self {
        Self { local, commands, shared, task: Arc::new(Mutex::new(Some(task))) }
    }

    /// A handle of a network that is carried by hand ([`super::SteppedNet`]), and the network's ends of what it shares.
    pub(crate) fn by_hand(local: NodeId) -> (Self, mpsc::Receiver<Command>, Arc<Shared>) {
        let (commands, receiver) = mpsc::channel(super::limits::COMMANDS_MAX);
        let shared = Arc::new(Shared::default());
        let handle = Self { local, commands, shared: Arc::clone(&shared), task: Arc::default() };
        (handle, receiver, shared)
    }

    /// A handle of a network that is not there: nothing reaches anybody.
    #[cfg(test)]
    pub(crate) fn silent(local: NodeId) -> Self {
        let (commands, _closed) = mpsc::channel(1);
        Self { local, commands, shared: Arc::default(), task: Arc::default() }
    }

    /// This node's id.
    #[must_use]
    pub fn local(&self) -> NodeId {
        self.local
    }

    fn command(&self, command: Command) -> Result<(), NetError> {
        self.commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NetError::Busy,
            mpsc::error::TrySendError::Closed(_) => NetError::Closed,
        })
    }

    async fn ask<T>(&self, command: Command, answer: oneshot::Receiver<T>) -> Result<T, NetError> {
        self.commands.send(command).await.map_err(|_| NetError::Closed)?;
        answer.await.map_err(|_| NetError::Closed)
    }

    /// Keeps `node` connected, with a channel session, from now on; more addresses may be added by calling it again.
    ///
    /// # Errors
    /// [`NetError::NotANode`], [`NetError::TooManyWanted`], [`NetError::Closed`].
    pub async fn want(&self, node: NodeId, addresses: Vec<Multiaddr>) -> Result<(), NetError> {
        let (done, answer) = oneshot::channel();
        self.ask(Command::Want { node, addresses, done }, answer).await?
    }

    /// Ends the session with `node` and stops dialling it.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn unwant(&self, node: NodeId) -> Result<(), NetError> {
        self.commands.send(Command::Unwant { node }).await.map_err(|_| NetError::Closed)
    }

    /// Sends channel messages to `node`, together and in order. They are sent in the session that is up now, or not at
    /// all; [`super::NetEvent::SessionDown`] says that some may be lost.
    ///
    /// # Errors
    /// [`NetError::NoSession`]; [`NetError::QueueFull`], which also ends the session; [`NetError::MessageLength`], which
    /// sends none of them.
    pub fn send(&self, node: NodeId, messages: Batch) -> Result<(), NetError> {
        self.send_if(node, messages, |_any| true)
    }

    fn send_if(
        &self,
        node: NodeId,
        messages: Batch,
        is_meant: impl Fn(&Outbox) -> bool,
    ) -> Result<(), NetError> {
        if let Some(wrong) = messages.iter().find(|message| !(1..=MESSAGE_BYTES_MAX).contains(&message.len()))
        {
            return Err(NetError::MessageLength { length: wrong.len(), limit: MESSAGE_BYTES_MAX });
        }
        if messages.is_empty() {
            return Ok(());
        }
        let outboxes = self.shared.outboxes.read().unwrap_or_else(PoisonError::into_inner);
        let outbox =
            outboxes.get(&node).filter(|outbox| is_meant(outbox)).ok_or(NetError::NoSession(node))?;
        outbox.push(messages).map_err(|error| match error {
            OutboxError::Full => NetError::QueueFull(node),
            OutboxError::Closed => NetError::NoSession(node),
        })
    }

    /// Sends channel messages like [`Self::send`], but only in this very session: what was meant for an earlier one, and
    /// comes late, has no place in the one that followed.
    ///
    /// # Errors
    /// As [`Self::send`]; [`NetError::NoSession`] when another session is up by now.
    pub fn send_in(&self, node: NodeId, session: SessionId, messages: Batch) -> Result<(), NetError> {
        self.send_if(node, messages, |outbox| outbox.session() == session)
    }

    /// Ends the session with `node` for what a message of it did; it may begin a new one.
    pub fn end_session(&self, node: NodeId, offence: Offence) {
        let counters = &self.shared.counters;
        match offence {
            Offence::Malformed => counters.messages_malformed.add(1),
            Offence::Protocol => counters.messages_refused.add(1),
        }
        let outboxes = self.shared.outboxes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(outbox) = outboxes.get(&node) {
            outbox.end();
        }
    }

    /// Publishes a gossip message to all peers that listen. That nobody does is no error: gossip promises nothing.
    ///
    /// # Errors
    /// [`NetError::MessageLength`], [`NetError::Busy`], [`NetError::Closed`].
    pub fn publish(&self, topic: Topic, bytes: Vec<u8>) -> Result<(), NetError> {
        if !(1..=topic.bytes_max()).contains(&bytes.len()) {
            return Err(NetError::MessageLength { length: bytes.len(), limit: topic.bytes_max() });
        }
        self.command(Command::Publish { topic, bytes })
    }

    /// The verdict over a gossip message, once, within a few seconds of its arrival.
    ///
    /// # Errors
    /// [`NetError::Busy`], [`NetError::Closed`].
    pub fn report(&self, id: GossipId, verdict: Verdict) -> Result<(), NetError> {
        self.command(Command::Report { id, verdict })
    }

    /// Asks `node`, which must be connected, for blocks.
    ///
    /// # Errors
    /// [`NetError::NotConnected`], [`NetError::Timeout`], [`NetError::PeerBusy`], [`NetError::Request`],
    /// [`NetError::MessageLength`], [`NetError::Closed`].
    pub async fn request(&self, node: NodeId, bytes: Vec<u8>) -> Result<Vec<u8>, NetError> {
        if bytes.len() > SYNC_REQUEST_BYTES_MAX {
            return Err(NetError::MessageLength { length: bytes.len(), limit: SYNC_REQUEST_BYTES_MAX });
        }
        let (done, answer) = oneshot::channel();
        self.ask(Command::Request { node, bytes, done }, answer).await?
    }

    /// The gossip score of a connected node: what it gained or lost by its messages.
    ///
    /// # Errors
    /// [`NetError::Closed`].
    pub async fn score(&self, node: NodeId) -> Result<Option<f64>, NetError> {
        let (done, answer) = oneshot::channel();
        self.ask(Command::Score { node, done }, answer).await
    }

    /// The connected nodes of this chain.
    #[must_use]
    pub fn peers(&self) -> BTreeMap<NodeId, PeerInfo> {
        self.shared.peers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who they are.
    #[must_use]
    pub fn peer_ids(&self) -> BTreeSet<NodeId> {
        self.shared.peers.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The nodes with which a channel session is up.
    #[must_use]
    pub fn sessions(&self) -> Vec<NodeId> {
        self.shared.outboxes.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The addresses that this node listens on.
    #[must_use]
    pub fn listening(&self) -> Vec<Multiaddr> {
        self.shared.listening.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The counters.
    #[must_use]
    pub fn metrics(&self) -> NetMetrics {
        self.shared.counters.snapshot()
    }

    /// Bytes of channel messages that wait to be written to peers.
    #[must_use]
    pub fn unsent_bytes(&self) -> u64 {
        let outboxes = self.shared.outboxes.read().unwrap_or_else(PoisonError::into_inner);
        outboxes.values().fold(0, |sum, outbox| sum.saturating_add(outbox.waiting_bytes()))
    }

    /// Commands that wait for the driver.
    #[must_use]
    pub fn waiting_commands(&self) -> u64 {
        let waiting = self.commands.max_capacity().saturating_sub(self.commands.capacity());
        u64::try_from(waiting).unwrap_or(u64::MAX)
    }

    /// Stops the network and waits until all its tasks have ended.
    pub async fn shutdown(&self) {
        // A closed queue means that it has stopped already.
        let _ = self.commands.send(Command::Shutdown).await;
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
            && error.is_panic()
        {
            std::panic::resume_unwind(error.into_panic());
        }
    }
}

/// Where the answer to a sync request goes. Dropping it refuses the request.
#[derive(Debug)]
pub struct SyncReply {
    pub(crate) to: PeerId,
    pub(crate) channel: request_response::ResponseChannel<Response>,
    pub(crate) commands: mpsc::WeakSender<Command>,
}

impl SyncReply {
    /// Answers.
    ///
    /// # Errors
    /// [`NetError::MessageLength`], [`NetError::Busy`], [`NetError::Closed`]; the peer then gets no answer.
    pub fn send(self, bytes: Vec<u8>) -> Result<(), NetError> {
        if bytes.len() > SYNC_RESPONSE_BYTES_MAX {
            return Err(NetError::MessageLength { length: bytes.len(), limit: SYNC_RESPONSE_BYTES_MAX });
        }
        self.respond(Response::Answer(bytes))
    }

    /// Says that this node has no time; the peer asks another.
    ///
    /// # Errors
    /// [`NetError::Busy`], [`NetError::Closed`]; the peer then gets no answer.
    pub fn busy(self) -> Result<(), NetError> {
        self.respond(Response::Busy)
    }

    fn respond(self, response: Response) -> Result<(), NetError> {
        let commands = self.commands.upgrade().ok_or(NetError::Closed)?;
        let command = Command::Respond { to: self.to, channel: self.channel, response };
        commands.try_send(command).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NetError::Busy,
            mpsc::error::TrySendError::Closed(_) => NetError::Closed,
        })
    }
}
