//! Nodes for tests: started on free ports, watched through their events.

use std::collections::VecDeque;
use std::time::Duration;

use libp2p::core::transport::MemoryTransport;
use libp2p::{Multiaddr, Transport};
use tokio::time::timeout;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::hash::{ChainId, Digest};

use crate::net::limits::SUBSCRIBE_TIMEOUT;
use crate::net::{
    ConnectionLimits, Line, Mdns, NetConfig, NetEvent, NetEvents, NetHandle, NodeId, spawn, spawn_over,
};

/// How long a test waits for an event before it fails: far longer than any takes, on a busy machine too.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const CHAIN: ChainId = ChainId(Digest([1; 32]));
pub(super) const OTHER_CHAIN: ChainId = ChainId(Digest([2; 32]));

/// Which transport a node listens on.
#[derive(Clone, Copy)]
pub(super) enum Via {
    Tcp,
    Quic,
}

impl Via {
    pub(super) fn any_port(self) -> Multiaddr {
        let text = match self {
            Self::Tcp => "/ip4/127.0.0.1/tcp/0",
            Self::Quic => "/ip4/127.0.0.1/udp/0/quic-v1",
        };
        text.parse().unwrap()
    }
}

pub(super) fn config(seed: u8, listen: Multiaddr) -> NetConfig {
    NetConfig {
        identity: [seed; 32],
        session_key: [seed ^ 0x55; 32],
        chain: CHAIN,
        listen: vec![listen],
        bootstrap: Vec::new(),
        mdns: Mdns::Off,
        limits: ConnectionLimits::default(),
        subscribe_timeout: SUBSCRIBE_TIMEOUT,
        seed: u64::from(seed),
    }
}

pub(super) fn id(seed: u8) -> NodeId {
    SecretKey::from_bytes(&[seed; 32]).public()
}

/// A node, its events, and those that a test has not asked for yet.
pub(super) struct Node {
    pub(super) handle: NetHandle,
    pub(super) events: NetEvents,
    kept: VecDeque<NetEvent>,
    pub(super) address: Multiaddr,
}

impl Node {
    pub(super) async fn start(config: NetConfig) -> Self {
        Self::running(spawn(config).unwrap()).await
    }

    /// Starts on a port that the system may not have set free yet.
    pub(super) async fn restart(config: NetConfig) -> Self {
        loop {
            match spawn(config.clone()) {
                Err(crate::net::NetError::Address { .. }) => tokio::task::yield_now().await,
                started => return Self::running(started.unwrap()).await,
            }
        }
    }

    /// In memory, without sockets.
    pub(super) async fn in_memory(config: NetConfig) -> Self {
        let carrier = MemoryTransport::default().map(|channel, _| -> Line { Box::pin(channel) }).boxed();
        Self::running(spawn_over(config, carrier).unwrap()).await
    }

    async fn running((handle, events): (NetHandle, NetEvents)) -> Self {
        let mut node = Self { handle, events, kept: VecDeque::new(), address: Multiaddr::empty() };
        node.address = node
            .wait("listening", |event| match event {
                NetEvent::Listening { address } => Ok(address),
                other => Err(other),
            })
            .await;
        node
    }

    pub(super) async fn new(seed: u8, via: Via) -> Self {
        Self::start(config(seed, via.any_port())).await
    }

    pub(super) fn id(&self) -> NodeId {
        self.handle.local()
    }

    /// Waits for the first event that `pick` takes; the others are kept in order.
    pub(super) async fn wait<T>(&mut self, what: &str, pick: impl Fn(NetEvent) -> Result<T, NetEvent>) -> T {
        for _ in 0..self.kept.len() {
            let Some(event) = self.kept.pop_front() else { break };
            match pick(event) {
                Ok(picked) => return picked,
                Err(event) => self.kept.push_back(event),
            }
        }
        loop {
            let event = timeout(PATIENCE, self.events.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("no {what} in time")).expect("the network runs");
            match pick(event) {
                Ok(picked) => return picked,
                Err(event) => self.kept.push_back(event),
            }
        }
    }

    pub(super) async fn peer_up(&mut self, peer: NodeId) {
        self.wait("peer up", |event| match event {
            NetEvent::PeerUp { node, .. } if node == peer => Ok(()),
            other => Err(other),
        })
        .await;
    }

    pub(super) async fn peer_down(&mut self, peer: NodeId) {
        self.wait("peer down", |event| match event {
            NetEvent::PeerDown { node } if node == peer => Ok(()),
            other => Err(other),
        })
        .await;
    }

    pub(super) async fn session_up(&mut self, peer: NodeId) -> crate::net::SessionId {
        self.wait("session up", |event| match event {
            NetEvent::SessionUp { node, session } if node == peer => Ok(session),
            other => Err(other),
        })
        .await
    }

    pub(super) async fn session_down(&mut self, peer: NodeId) -> crate::net::DownReason {
        self.wait("session down", |event| match event {
            NetEvent::SessionDown { node, reason } if node == peer => Ok(reason),
            other => Err(other),
        })
        .await
    }

    /// The next messages of `peer`.
    pub(super) async fn messages(&mut self, peer: NodeId) -> Vec<Vec<u8>> {
        self.wait("messages", |event| match event {
            NetEvent::Messages { node, messages, .. } if node == peer => Ok(messages),
            other => Err(other),
        })
        .await
    }

    pub(super) async fn want(&self, other: &Self) {
        self.handle.want(other.id(), vec![other.address.clone()]).await.unwrap();
    }
}

/// Two nodes with a session.
pub(super) async fn pair(via: Via) -> (Node, Node) {
    let (mut a, mut b) = (Node::new(1, via).await, Node::new(2, via).await);
    a.want(&b).await;
    a.session_up(b.id()).await;
    b.session_up(a.id()).await;
    (a, b)
}
