//! A network that is carried by hand: for whoever steps whole nodes without sockets or threads (the simulator). The node
//! has the same handle, with the same bounded queues, as over libp2p; what it sends is taken out here and brought to
//! others, or not.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};

use libp2p::Multiaddr;
use libp2p::gossipsub::MessageId;
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::channel::outbox::{OutboxReader, outbox};
use super::error::NetError;
use super::event::{Credit, GossipId, SessionId, Verdict};
use super::gossip::Topic;
use super::handle::{Command, Dialled, NetHandle, PeerInfo, Shared};
use super::identity::{NodeId, peer_of};

/// Something that the node wants of its network.
#[derive(Debug)]
pub enum Sent {
    /// Channel messages that go together, in the session that is up.
    Messages {
        /// To whom.
        to: NodeId,
        /// They.
        messages: Vec<Vec<u8>>,
    },
    /// The node ends the session with this one.
    Ended(NodeId),
    /// A gossip message.
    Published {
        /// Its topic.
        topic: Topic,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// The verdict over the gossip message with this number.
    Judged {
        /// Its number.
        number: u64,
        /// The verdict.
        verdict: Verdict,
    },
    /// Blocks are asked for.
    Asked {
        /// Of whom.
        node: NodeId,
        /// The request.
        bytes: Vec<u8>,
        /// Where the answer goes; dropped, there is none.
        done: oneshot::Sender<Result<Vec<u8>, NetError>>,
    },
    /// A session with this node is to be kept from now on.
    Wanted(NodeId),
}

/// See the module.
#[derive(Debug)]
pub struct SteppedNet {
    commands: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    sessions: BTreeMap<NodeId, OutboxReader>,
    last_session: u64,
}

impl SteppedNet {
    /// The node's handle, and the network behind it.
    #[must_use]
    pub fn new(local: NodeId) -> (NetHandle, Self) {
        let (handle, commands, shared) = NetHandle::by_hand(local);
        (handle, Self { commands, shared, sessions: BTreeMap::new(), last_session: 0 })
    }

    /// A session with `node` begins, in place of any before.
    pub fn open(&mut self, node: NodeId) -> SessionId {
        self.last_session += 1;
        let session = SessionId(self.last_session);
        let (sender, reader) = outbox(session);
        self.sessions.insert(node, reader);
        self.shared.outboxes.write().unwrap_or_else(PoisonError::into_inner).insert(node, sender);
        session
    }

    /// The session with `node` ends; what was not taken out of it is lost.
    pub fn close(&mut self, node: &NodeId) {
        self.sessions.remove(node);
        self.shared.outboxes.write().unwrap_or_else(PoisonError::into_inner).remove(node);
    }

    /// These nodes are connected, and no others.
    pub fn connect(&self, nodes: &BTreeSet<NodeId>) {
        let info = || PeerInfo {
            agent: String::new(),
            address: Multiaddr::empty(),
            dialled: Dialled::ByUs,
            since: tokio::time::Instant::now(),
            round_trip: None,
        };
        let peers = nodes.iter().map(|node| (*node, info())).collect();
        *self.shared.peers.write().unwrap_or_else(PoisonError::into_inner) = peers;
    }

    /// Everything that the node wants by now, in an order that depends on nothing else.
    pub fn take(&mut self) -> Vec<Sent> {
        let mut sent = Vec::new();
        while let Ok(command) = self.commands.try_recv() {
            sent.extend(wish(command));
        }
        for (node, reader) in &mut self.sessions {
            while let Some(messages) = reader.try_take() {
                sent.push(Sent::Messages { to: *node, messages });
            }
            if reader.overflow().is_cancelled() {
                sent.push(Sent::Ended(*node));
            }
        }
        sent
    }

    /// What channel messages are handed over with; they are never held back for want of it.
    #[must_use]
    pub fn credit() -> Option<Credit> {
        let permits = Arc::new(Semaphore::new(1));
        permits.try_acquire_owned().ok().map(|permit| Credit { _permit: Arc::new(permit) })
    }

    /// Names a gossip message that `from` passed on; none if `from` is no node.
    #[must_use]
    pub fn name(number: u64, from: &NodeId) -> Option<GossipId> {
        let source = peer_of(from).ok()?;
        Some(GossipId { id: MessageId::new(&number.to_be_bytes()), source })
    }
}

fn wish(command: Command) -> Option<Sent> {
    match command {
        Command::Want { node, addresses: _, done } => {
            // Whoever asked may have gone.
            let _ = done.send(Ok(()));
            Some(Sent::Wanted(node))
        }
        Command::Publish { topic, bytes } => Some(Sent::Published { topic, bytes }),
        Command::Report { id, verdict } => {
            let number = id.id.0.as_slice().try_into().map(u64::from_be_bytes).ok()?;
            Some(Sent::Judged { number, verdict })
        }
        Command::Request { node, bytes, done } => Some(Sent::Asked { node, bytes, done }),
        Command::Unwant { .. } | Command::Respond { .. } | Command::Score { .. } | Command::Shutdown => None,
    }
}
