//! Which connections stand: bounds per node, per address and in total, bans, and places that strangers cannot take from
//! the nodes that this node wants (FAULTS N1). It also turns away peers whose key makes them no node.
//!
//! It is a libp2p behaviour without a protocol of its own; it must be asked before all others.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::net::IpAddr;
use std::task::{Context, Poll};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint};
use libp2p::multiaddr::Protocol;
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure, ListenFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, THandler, THandlerInEvent, THandlerOutEvent,
    ToSwarm, dummy,
};
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::config::ConnectionLimits;
use super::identity::node_of;
use super::limits::BANS_MAX;

/// Why a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("too many connections are being opened")]
    Pending,
    #[error("too many connections from one address")]
    PerAddress,
    #[error("too many connections with one node")]
    PerPeer,
    #[error("too many connections opened by others")]
    Incoming,
    #[error("too many connections opened by this node")]
    Outgoing,
    #[error("the peer is banned for now")]
    Banned,
    #[error("the peer's key is not an Ed25519 key")]
    NotANode,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Direction {
    In,
    Out,
}

#[derive(Clone, Copy, Debug)]
struct Established {
    peer: PeerId,
    direction: Direction,
    origin: Option<IpAddr>,
}

/// The behaviour.
pub(crate) struct Admission {
    limits: ConnectionLimits,
    wanted: BTreeSet<PeerId>,
    bans: BTreeMap<PeerId, Instant>,
    pending_in: BTreeMap<ConnectionId, Option<IpAddr>>,
    pending_out: BTreeSet<ConnectionId>,
    established: BTreeMap<ConnectionId, Established>,
    per_peer: BTreeMap<PeerId, usize>,
    per_address: BTreeMap<IpAddr, usize>,
}

impl Admission {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            wanted: BTreeSet::new(),
            bans: BTreeMap::new(),
            pending_in: BTreeMap::new(),
            pending_out: BTreeSet::new(),
            established: BTreeMap::new(),
            per_peer: BTreeMap::new(),
            per_address: BTreeMap::new(),
        }
    }

    /// `peer` has a place of its own from now on.
    pub(crate) fn want(&mut self, peer: PeerId) {
        self.wanted.insert(peer);
    }

    /// `peer` is a stranger from now on.
    pub(crate) fn unwant(&mut self, peer: &PeerId) {
        self.wanted.remove(peer);
    }

    /// Refuses `peer` until `until`. The caller closes what stands.
    pub(crate) fn ban(&mut self, peer: PeerId, until: Instant) {
        if self.bans.len() >= BANS_MAX
            && let Some(first) = self.bans.iter().min_by_key(|(_, end)| **end).map(|(peer, _)| *peer)
        {
            self.bans.remove(&first);
        }
        self.bans.insert(peer, until);
    }

    /// How many more connections this node may be opening.
    pub(crate) fn dial_room(&self) -> usize {
        self.limits.pending_outgoing.saturating_sub(self.pending_out.len())
    }

    fn check_pending_in(&self, origin: Option<IpAddr>) -> Result<(), Refusal> {
        if self.pending_in.len() >= self.limits.pending_incoming {
            return Err(Refusal::Pending);
        }
        let Some(origin) = origin else { return Ok(()) };
        let pending = self.pending_in.values().filter(|other| **other == Some(origin)).count();
        if pending >= self.limits.per_address {
            return Err(Refusal::PerAddress);
        }
        Ok(())
    }

    fn check_established(
        &mut self,
        peer: &PeerId,
        direction: Direction,
        origin: Option<IpAddr>,
        now: Instant,
    ) -> Result<(), Refusal> {
        if node_of(peer).is_none() {
            return Err(Refusal::NotANode);
        }
        if self.is_banned(peer, now) {
            return Err(Refusal::Banned);
        }
        if self.per_peer.get(peer).is_some_and(|count| *count >= self.limits.per_peer) {
            return Err(Refusal::PerPeer);
        }
        if self.wanted.contains(peer) {
            return Ok(());
        }
        if let Some(origin) = origin
            && self.per_address.get(&origin).is_some_and(|count| *count >= self.limits.per_address)
        {
            return Err(Refusal::PerAddress);
        }
        // Only strangers count against these two, so that wanted nodes leave the strangers' places alone as well.
        let strangers = self
            .established
            .values()
            .filter(|other| other.direction == direction && !self.wanted.contains(&other.peer))
            .count();
        match direction {
            Direction::In if strangers >= self.limits.incoming => Err(Refusal::Incoming),
            Direction::Out if strangers >= self.limits.outgoing => Err(Refusal::Outgoing),
            Direction::In | Direction::Out => Ok(()),
        }
    }

    fn is_banned(&mut self, peer: &PeerId, now: Instant) -> bool {
        match self.bans.get(peer) {
            Some(until) if *until > now => true,
            Some(_) => {
                self.bans.remove(peer);
                false
            }
            None => false,
        }
    }

    fn on_established(&mut self, id: ConnectionId, peer: PeerId, endpoint: &ConnectedPoint) {
        let (direction, origin) = match endpoint {
            ConnectedPoint::Listener { send_back_addr, .. } => (Direction::In, origin_of(send_back_addr)),
            ConnectedPoint::Dialer { .. } => (Direction::Out, None),
        };
        self.established.insert(id, Established { peer, direction, origin });
        *self.per_peer.entry(peer).or_default() += 1;
        if let Some(origin) = origin {
            *self.per_address.entry(origin).or_default() += 1;
        }
    }

    fn on_closed(&mut self, id: ConnectionId) {
        let Some(connection) = self.established.remove(&id) else { return };
        decrement(&mut self.per_peer, &connection.peer);
        if let Some(origin) = connection.origin {
            decrement(&mut self.per_address, &origin);
        }
    }
}

fn decrement<K: Ord>(counts: &mut BTreeMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Whose connection it is, as far as an address tells: an IPv4 address, or the /64 of an IPv6 address, since whoever has
/// one address of it has them all. None for loopback, where a whole testnet may live.
fn origin_of(address: &Multiaddr) -> Option<IpAddr> {
    let ip = address.iter().find_map(|part| match part {
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    })?;
    let ip = ip.to_canonical();
    match ip {
        _ if ip.is_loopback() => None,
        IpAddr::V4(_) => Some(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            Some(IpAddr::from([a, b, c, d, 0, 0, 0, 0]))
        }
    }
}

impl NetworkBehaviour for Admission {
    type ConnectionHandler = dummy::ConnectionHandler;
    type ToSwarm = Infallible;

    fn handle_pending_inbound_connection(
        &mut self,
        id: ConnectionId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let origin = origin_of(remote);
        self.check_pending_in(origin).map_err(ConnectionDenied::new)?;
        self.pending_in.insert(id, origin);
        Ok(())
    }

    fn handle_established_inbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending_in.remove(&id);
        self.check_established(&peer, Direction::In, origin_of(remote), Instant::now())
            .map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn handle_pending_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: Option<PeerId>,
        _: &[Multiaddr],
        _: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        if self.dial_room() == 0 {
            return Err(ConnectionDenied::new(Refusal::Pending));
        }
        if let Some(peer) = peer
            && self.is_banned(&peer, Instant::now())
        {
            return Err(ConnectionDenied::new(Refusal::Banned));
        }
        self.pending_out.insert(id);
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        id: ConnectionId,
        peer: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        self.pending_out.remove(&id);
        self.check_established(&peer, Direction::Out, None, Instant::now()).map_err(ConnectionDenied::new)?;
        Ok(dummy::ConnectionHandler)
    }

    fn on_swarm_event(&mut self, event: FromSwarm) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                connection_id,
                peer_id,
                endpoint,
                ..
            }) => self.on_established(connection_id, peer_id, endpoint),
            FromSwarm::ConnectionClosed(ConnectionClosed { connection_id, .. }) => {
                self.on_closed(connection_id)
            }
            FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.pending_out.remove(&connection_id);
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. }) => {
                self.pending_in.remove(&connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, _: PeerId, _: ConnectionId, event: THandlerOutEvent<Self>) {
        match event {}
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<ToSwarm<Self::ToSwarm, THandlerInEvent<Self>>> {
        Poll::Pending
    }
}

#[cfg(test)]
#[path = "tests/admission.rs"]
mod tests;
