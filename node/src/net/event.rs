//! What the network tells the node, and the receiving end of it.
//!
//! Two lanes, so that a flood of payments never displaces a consensus message: gossip, sync requests and notices in one,
//! channel sessions and their messages in the other. Within a session the order is: up, messages, down.

use std::sync::Arc;

use libp2p::{Multiaddr, PeerId, gossipsub};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::gossip::Topic;
use super::handle::SyncReply;
use super::identity::NodeId;

/// Names a gossip message and the peer that it came from, for the node's verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GossipId {
    pub(crate) id: gossipsub::MessageId,
    pub(crate) source: PeerId,
}

/// The node's verdict over a gossip message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Valid: forward it.
    Accept,
    /// Not useful, or not checkable now: don't forward, blame nobody.
    Ignore,
    /// Provably invalid: don't forward, and lower the score of who sent it.
    Reject,
}

/// What a channel message did that ends its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offence {
    /// It does not decode.
    Malformed,
    /// It breaks the channel protocol.
    Protocol,
}

/// Why a channel session ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// The peer closed the stream, or the connection broke.
    #[error("the connection was lost")]
    Lost,
    /// The peer opened a new session in its place.
    #[error("replaced by a new session")]
    Replaced,
    /// The peer broke the rules of the frame, or a frame failed to decrypt.
    #[error("the peer broke the protocol: {0}")]
    Violation(String),
    /// A frame or a write took too long.
    #[error("the peer was too slow")]
    TooSlow,
    /// More waited for the peer than the bound allows.
    #[error("the peer did not take what was sent to it")]
    QueueFull,
    /// This node no longer wants it, or shuts down.
    #[error("closed by this node")]
    Closed,
}

/// Taken with a frame of messages and dropped, with its clones, when the node is done with them. While a peer's are all taken, nothing
/// more is read from that peer, and from no other less.
#[derive(Clone, Debug)]
pub struct Credit {
    pub(crate) _permit: Arc<OwnedSemaphorePermit>,
}

/// What happens on the network.
#[derive(Debug)]
pub enum NetEvent {
    /// The node listens on this address.
    Listening {
        /// The address, with the port that the system chose.
        address: Multiaddr,
    },
    /// A node of this chain is connected.
    PeerUp {
        /// Who.
        node: NodeId,
        /// What it calls its software, cut and escaped.
        agent: String,
    },
    /// The last connection to a node is closed.
    PeerDown {
        /// Who.
        node: NodeId,
    },
    /// A peer was disconnected because it is on another chain.
    OtherChain {
        /// Who.
        node: NodeId,
        /// What it says about its chain, cut and escaped.
        theirs: String,
    },
    /// A gossip message; the node answers with [`super::NetHandle::report`].
    Gossip {
        /// Its topic.
        topic: Topic,
        /// Who passed it on, not who wrote it.
        from: NodeId,
        /// For the verdict.
        id: GossipId,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// A peer asks for blocks; dropping `reply` refuses.
    SyncRequest {
        /// Who.
        from: NodeId,
        /// The request.
        bytes: Vec<u8>,
        /// Where the answer goes.
        reply: SyncReply,
    },
    /// A channel session is up: messages can be sent.
    SessionUp {
        /// With whom; proven.
        node: NodeId,
        /// Which: for [`super::NetHandle::send_in`].
        session: SessionId,
    },
    /// A channel session is down. Messages that were sent may not have arrived.
    SessionDown {
        /// With whom.
        node: NodeId,
        /// Why.
        reason: DownReason,
    },
    /// Channel messages, in the order in which they were sent.
    Messages {
        /// From whom; proven.
        node: NodeId,
        /// The messages, at least one.
        messages: Vec<Vec<u8>>,
        /// Keep it until the messages are dealt with.
        credit: Credit,
    },
}

/// Names a channel session among all that this node had since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionId(pub u64);

/// The sending ends of both lanes.
#[derive(Clone, Debug)]
pub(crate) struct EventSenders {
    pub(crate) notices: mpsc::Sender<NetEvent>,
    pub(crate) channels: mpsc::Sender<NetEvent>,
}

/// The bounded stream of [`NetEvent`]s.
#[derive(Debug)]
pub struct NetEvents {
    notices: mpsc::Receiver<NetEvent>,
    channels: mpsc::Receiver<NetEvent>,
}

impl NetEvents {
    /// Both ends of the two lanes.
    pub(crate) fn lanes(notices_max: usize, channels_max: usize) -> (EventSenders, Self) {
        let (notices, notices_end) = mpsc::channel(notices_max);
        let (channels, channels_end) = mpsc::channel(channels_max);
        (EventSenders { notices, channels }, Self { notices: notices_end, channels: channels_end })
    }

    /// The next event; none when the network has shut down. Safe to cancel: no event is lost.
    pub async fn recv(&mut self) -> Option<NetEvent> {
        tokio::select! {
            Some(event) = self.notices.recv() => Some(event),
            Some(event) = self.channels.recv() => Some(event),
            else => None,
        }
    }

    /// The next event if one waits; notices first.
    pub fn try_recv(&mut self) -> Option<NetEvent> {
        self.notices.try_recv().or_else(|_| self.channels.try_recv()).ok()
    }
}
