//! The libp2p behaviour that opens and accepts channel streams and hands them to the driver as events.
//!
//! `libp2p-stream` does the same through shared locks; its table of connections is never cleared, and an inbound stream
//! that meets a busy acceptor is dropped. Here both are bounded by the life of a connection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::{Context, Poll, Waker};

use libp2p::core::Endpoint;
use libp2p::core::transport::PortUse;
use libp2p::core::upgrade::ReadyUpgrade;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished};
use libp2p::swarm::handler::{
    ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound,
};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionHandlerEvent, ConnectionId, FromSwarm, NetworkBehaviour,
    NotifyHandler, SubstreamProtocol, THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::net::limits::{HANDSHAKE_TIMEOUT, STREAMS_WAITING_MAX};

/// Names one attempt to open a stream.
pub(crate) type OpenId = u64;

/// A stream, and word of the end of its connection. The multiplexer wakes no reader of a stream when its connection is
/// closed by this side: whoever only waits for the peer would wait for ever.
#[derive(Debug)]
pub(crate) struct Attached {
    pub(crate) stream: Stream,
    /// Fires when the connection is closed, or begins to be.
    pub(crate) gone: CancellationToken,
}

/// What happened to a stream.
#[derive(Debug)]
pub(crate) enum StreamEvent {
    /// The peer opened one.
    Inbound { peer: PeerId, stream: Attached },
    /// One that the driver asked for is open.
    Opened { peer: PeerId, open: OpenId, stream: Attached },
    /// One that the driver asked for could not be opened.
    Failed { peer: PeerId, open: OpenId, reason: String },
}

/// The behaviour.
pub(crate) struct Streams {
    protocol: StreamProtocol,
    connections: BTreeMap<PeerId, BTreeSet<ConnectionId>>,
    asked: BTreeMap<OpenId, (PeerId, ConnectionId)>,
    events: VecDeque<ToSwarm<StreamEvent, FromBehaviour>>,
    waker: Option<Waker>,
}

impl Streams {
    pub(crate) fn new(protocol: StreamProtocol) -> Self {
        Self {
            protocol,
            connections: BTreeMap::new(),
            asked: BTreeMap::new(),
            events: VecDeque::new(),
            waker: None,
        }
    }

    /// Opens a stream to a connected peer; an event tells how it went. The driver has one attempt a peer at a time.
    pub(crate) fn open(&mut self, peer: PeerId, open: OpenId) {
        let newest = self.connections.get(&peer).and_then(BTreeSet::last).copied();
        let event = match newest {
            Some(connection) => {
                self.asked.insert(open, (peer, connection));
                ToSwarm::NotifyHandler {
                    peer_id: peer,
                    handler: NotifyHandler::One(connection),
                    event: FromBehaviour { open },
                }
            }
            None => {
                let reason = "not connected".to_owned();
                ToSwarm::GenerateEvent(StreamEvent::Failed { peer, open, reason })
            }
        };
        self.push(event);
    }

    fn push(&mut self, event: ToSwarm<StreamEvent, FromBehaviour>) {
        self.events.push_back(event);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn handler(&self) -> Handler {
        let gone = CancellationToken::new();
        Handler {
            protocol: self.protocol.clone(),
            gone: gone.clone(),
            _end: gone.drop_guard(),
            asked: VecDeque::new(),
            events: VecDeque::new(),
            waiting: 0,
        }
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(connections) = self.connections.get_mut(&peer) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.connections.remove(&peer);
            }
        }
        let lost: Vec<OpenId> = self
            .asked
            .iter()
            .filter(|(_, asked)| **asked == (peer, connection))
            .map(|(open, _)| *open)
            .collect();
        for open in lost {
            self.asked.remove(&open);
            let reason = "the connection closed".to_owned();
            self.push(ToSwarm::GenerateEvent(StreamEvent::Failed { peer, open, reason }));
        }
    }
}

impl NetworkBehaviour for Streams {
    type ConnectionHandler = Handler;
    type ToSwarm = StreamEvent;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(self.handler())
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                self.connections.entry(peer_id).or_default().insert(connection_id);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.on_closed(peer_id, connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        let event = match event {
            ToBehaviour::Inbound(stream) => StreamEvent::Inbound { peer, stream },
            ToBehaviour::Opened(open, stream) => {
                self.asked.remove(&open);
                StreamEvent::Opened { peer, open, stream }
            }
            ToBehaviour::Failed(open, reason) => {
                self.asked.remove(&open);
                StreamEvent::Failed { peer, open, reason }
            }
        };
        self.push(ToSwarm::GenerateEvent(event));
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        if let Some(event) = self.events.pop_front() {
            return Poll::Ready(event);
        }
        self.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

/// Open a stream.
#[derive(Debug)]
pub(crate) struct FromBehaviour {
    open: OpenId,
}

/// What a connection tells the behaviour.
#[derive(Debug)]
pub(crate) enum ToBehaviour {
    Inbound(Attached),
    Opened(OpenId, Attached),
    Failed(OpenId, String),
}

/// One connection's part.
pub(crate) struct Handler {
    protocol: StreamProtocol,
    gone: CancellationToken,
    /// The handler ends with its connection.
    _end: DropGuard,
    asked: VecDeque<OpenId>,
    events: VecDeque<ToBehaviour>,
    waiting: usize,
}

impl Handler {
    fn upgrade(&self) -> ReadyUpgrade<StreamProtocol> {
        ReadyUpgrade::new(self.protocol.clone())
    }

    fn attached(&self, stream: Stream) -> Attached {
        Attached { stream, gone: self.gone.clone() }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = FromBehaviour;
    type ToBehaviour = ToBehaviour;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = OpenId;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(self.upgrade(), ()).with_timeout(HANDSHAKE_TIMEOUT)
    }

    fn poll(
        &mut self,
        _: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Self::OutboundProtocol, OpenId, Self::ToBehaviour>> {
        // The connection polls its handler again after every event that it hands over, so no waker is needed.
        if let Some(event) = self.events.pop_front() {
            if matches!(event, ToBehaviour::Inbound(_)) {
                self.waiting -= 1;
            }
            return Poll::Ready(ConnectionHandlerEvent::NotifyBehaviour(event));
        }
        if let Some(open) = self.asked.pop_front() {
            let protocol = SubstreamProtocol::new(self.upgrade(), open).with_timeout(HANDSHAKE_TIMEOUT);
            return Poll::Ready(ConnectionHandlerEvent::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_behaviour_event(&mut self, event: FromBehaviour) {
        self.asked.push_back(event.open);
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<Self::InboundProtocol, Self::OutboundProtocol, (), OpenId>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol: stream, .. }) => {
                if self.waiting < STREAMS_WAITING_MAX {
                    self.waiting += 1;
                    let stream = self.attached(stream);
                    self.events.push_back(ToBehaviour::Inbound(stream));
                }
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol: stream, info }) => {
                let stream = self.attached(stream);
                self.events.push_back(ToBehaviour::Opened(info, stream));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.events.push_back(ToBehaviour::Failed(info, error.to_string()));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
#[path = "../tests/streams.rs"]
mod tests;
