//! Connections: who is connected, who is dialled again, who is on another chain, and where peers say they are.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use libp2p::core::ConnectedPoint;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError, SwarmEvent};
use libp2p::{Multiaddr, PeerId, identify, kad, mdns, ping};
use tokio::time::Instant;

use super::core::Driver;
use crate::net::behaviour::TowpathEvent;
use crate::net::dialer::Purpose;
use crate::net::error::NetError;
use crate::net::event::NetEvent;
use crate::net::handle::{Dialled, PeerInfo};
use crate::net::identity::{NodeId, node_of, peer_of};
use crate::net::limits::{
    ADDRESSES_PER_PEER_MAX, BAN_OTHER_CHAIN, DIALS_AT_ONCE_MAX, FOREIGN_GRACE, LOOKUPS_MAX, WANTED_MAX,
};
use crate::net::text::shown;

/// A peer with at least one connection.
#[derive(Debug)]
pub(crate) struct Connected {
    /// Its end of each connection, and who opened it; at most as many as one node may have. Ids only rise, so the
    /// first is the oldest.
    connections: BTreeMap<ConnectionId, (Multiaddr, Dialled)>,
    /// Since when there is one.
    since: Instant,
    /// What the last ping said.
    round_trip: Option<Duration>,
    /// Whether it is of another chain; then it is sent away once it has had time to learn why.
    is_foreign: bool,
}

impl Connected {
    /// What readers see of it.
    fn info(&self, agent: String) -> Option<PeerInfo> {
        let (address, dialled) = self.connections.values().next()?.clone();
        Some(PeerInfo { agent, address, dialled, since: self.since, round_trip: self.round_trip })
    }
}

impl Driver {
    pub(super) fn on_swarm_event(&mut self, event: SwarmEvent<TowpathEvent>) {
        match event {
            SwarmEvent::Behaviour(event) => self.on_behaviour_event(event),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                self.on_connected(&peer_id, connection_id, &endpoint);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                self.on_disconnected(&peer_id)
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, .. } => {
                self.on_one_less(&peer_id, &connection_id);
            }
            SwarmEvent::IncomingConnectionError { error, send_back_addr, .. } => {
                self.counters.connections_refused.add(1);
                tracing::debug!(from = %send_back_addr, error = %shown(&error.to_string()), "refused a connection");
            }
            SwarmEvent::OutgoingConnectionError { peer_id, error, .. } => {
                self.on_dial_failed(peer_id, &error)
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                self.shared.listening.write().unwrap_or_else(PoisonError::into_inner).push(address.clone());
                self.notify(NetEvent::Listening { address });
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                let mut listening = self.shared.listening.write().unwrap_or_else(PoisonError::into_inner);
                listening.retain(|other| *other != address);
            }
            SwarmEvent::ListenerClosed { addresses, reason: Err(error), .. } => {
                tracing::error!(?addresses, %error, "no longer listening");
            }
            _ => {}
        }
    }

    fn on_behaviour_event(&mut self, event: TowpathEvent) {
        match event {
            TowpathEvent::Identify(identify::Event::Received { peer_id, info, .. }) => {
                self.on_identified(peer_id, info);
            }
            TowpathEvent::Identify(_) => {}
            TowpathEvent::Ping(ping::Event { peer, connection, result: Err(error) }) => match error {
                ping::Failure::Unsupported => {}
                ping::Failure::Timeout | ping::Failure::Other { .. } => {
                    tracing::debug!(%peer, "no answer to pings: closing the connection");
                    self.swarm.close_connection(connection);
                }
            },
            TowpathEvent::Ping(ping::Event { peer, result: Ok(round_trip), .. }) => {
                if let Some(connected) = self.connected.get_mut(&peer) {
                    connected.round_trip = Some(round_trip);
                    self.show(&peer);
                }
            }
            TowpathEvent::Kademlia(event) => self.on_kademlia(event),
            TowpathEvent::Mdns(mdns::Event::Discovered(found)) => {
                for (peer, address) in found {
                    self.dial_found(peer, address);
                }
            }
            TowpathEvent::Mdns(mdns::Event::Expired(_)) => {}
            TowpathEvent::Gossip(event) => self.on_gossip(event),
            TowpathEvent::Sync(event) => self.on_sync(event),
            TowpathEvent::Streams(event) => self.on_stream(event),
        }
    }

    /// Tells the node, unless it has fallen far behind; then the state can still be read from the handle.
    pub(super) fn notify(&self, event: NetEvent) {
        // A full lane: the node reads `peers()` when it catches up. A closed one: it no longer listens.
        let _ = self.events.notices.try_send(event);
    }

    pub(super) fn want(&mut self, node: NodeId, addresses: Vec<Multiaddr>) -> Result<(), NetError> {
        let peer = peer_of(&node)?;
        if node == self.local {
            return Err(NetError::NotANode(node));
        }
        let now = Instant::now();
        let addresses = addresses.into_iter().map(|address| without_peer(address, &peer)).collect();
        self.dialer
            .add(peer, Purpose::Wanted, addresses, now)
            .map_err(|_| NetError::TooManyWanted { limit: WANTED_MAX })?;
        self.swarm.behaviour_mut().admission.want(peer);
        if self.swarm.is_connected(&peer) {
            self.dialer.on_connected(&peer, now);
            self.open_session(node);
        } else {
            self.dial_due(now);
        }
        Ok(())
    }

    pub(super) fn unwant(&mut self, node: &NodeId) {
        if let Ok(peer) = peer_of(node) {
            self.dialer.unwant(&peer);
            self.swarm.behaviour_mut().admission.unwant(&peer);
            self.slots.close(node);
        }
    }

    pub(super) fn dial_due(&mut self, now: Instant) {
        let room = self.swarm.behaviour().admission.dial_room().min(DIALS_AT_ONCE_MAX);
        for (peer, addresses) in self.dialer.due(room, now) {
            if self.swarm.is_connected(&peer) {
                self.dialer.on_connected(&peer, now);
                continue;
            }
            let options = DialOpts::peer_id(peer)
                .condition(PeerCondition::DisconnectedAndNotDialing)
                .addresses(addresses)
                .extend_addresses_through_behaviour()
                .build();
            match self.swarm.dial(options) {
                // A dial by another behaviour is under way: its outcome is reported like ours.
                Ok(()) | Err(DialError::DialPeerConditionFalse(_)) => {}
                Err(error) => self.on_dial_failed(Some(peer), &error),
            }
        }
    }

    fn dial_found(&mut self, peer: PeerId, address: Multiaddr) {
        if self.swarm.is_connected(&peer) || self.swarm.behaviour().admission.dial_room() == 0 {
            return;
        }
        let options = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(vec![address])
            .build();
        // What cannot be dialled is found again.
        let _ = self.swarm.dial(options);
    }

    fn on_dial_failed(&mut self, peer: Option<PeerId>, error: &DialError) {
        self.counters.dials_failed.add(1);
        let Some(peer) = peer else { return };
        tracing::debug!(%peer, error = %shown(&error.to_string()), "cannot reach a node");
        // Only for a dial of our own, which comes again after ever longer delays: a lookup dials as well, and one lookup for each
        // of those would be a storm of them at a node that is down.
        if self.dialer.on_dial_failed(&peer, Instant::now())
            && matches!(
                error,
                DialError::NoAddresses | DialError::Transport(_) | DialError::WrongPeerId { .. }
            )
            && self.is_wanted(&peer)
            && self.lookups < LOOKUPS_MAX
        {
            // Others may know where it is now.
            self.swarm.behaviour_mut().kademlia.get_closest_peers(peer);
            self.lookups += 1;
        }
    }

    fn on_connected(&mut self, peer: &PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let now = Instant::now();
        let address = without_peer(endpoint.get_remote_address().clone(), peer);
        let dialled = if endpoint.is_dialer() { Dialled::ByUs } else { Dialled::ByPeer };
        tracing::debug!(%peer, %address, ?dialled, "connected");
        if let Some(connected) = self.connected.get_mut(peer) {
            connected.connections.insert(connection, (address, dialled));
            return;
        }
        self.dialer.on_connected(peer, now);
        self.unsubscribed.set(*peer, now + self.subscribe_timeout);
        let connections = BTreeMap::from([(connection, (address, dialled))]);
        let connected = Connected { connections, since: now, round_trip: None, is_foreign: false };
        self.connected.insert(*peer, connected);
        if let Some(node) = node_of(peer)
            && self.is_wanted(peer)
        {
            self.open_session(node);
        }
    }

    /// One connection of several is closed.
    fn on_one_less(&mut self, peer: &PeerId, connection: &ConnectionId) {
        if let Some(connected) = self.connected.get_mut(peer) {
            connected.connections.remove(connection);
            self.show(peer);
        }
    }

    /// Shows readers what is known of a connected node now.
    fn show(&self, peer: &PeerId) {
        let (Some(node), Some(connected)) = (node_of(peer), self.connected.get(peer)) else { return };
        let mut peers = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
        // One that has not identified itself on this chain is not shown.
        if let Some(shown) = peers.get_mut(&node)
            && let Some(info) = connected.info(shown.agent.clone())
        {
            *shown = info;
        }
    }

    fn on_disconnected(&mut self, peer: &PeerId) {
        let now = Instant::now();
        self.dialer.on_disconnected(peer, now);
        self.connected.remove(peer);
        self.partings.clear(peer);
        self.unsubscribed.clear(peer);
        let Some(node) = node_of(peer) else { return };
        let known = {
            let mut peers = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
            let known = peers.remove(&node).is_some();
            self.counters.peers.set(peers.len());
            known
        };
        if known {
            self.notify(NetEvent::PeerDown { node });
        }
        self.slots.tidy(&node);
    }

    fn on_identified(&mut self, peer: PeerId, info: identify::Info) {
        let (Some(node), Some(connected)) = (node_of(&peer), self.connected.get(&peer)) else { return };
        let agent = shown(&info.agent_version);
        let Some(described) = connected.info(agent.clone()) else { return };
        if info.protocol_version != self.version {
            self.refuse_other_chain(peer, node, &info.protocol_version);
            return;
        }
        for address in usable(&peer, &described.address, info.listen_addrs) {
            self.swarm.behaviour_mut().kademlia.add_address(&peer, address.clone());
            self.dialer.learn(&peer, vec![address]);
        }
        let is_new = {
            let mut peers = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
            let known = peers.insert(node, described).is_some();
            self.counters.peers.set(peers.len());
            !known
        };
        if is_new {
            self.notify(NetEvent::PeerUp { node, agent });
        }
    }

    fn refuse_other_chain(&mut self, peer: PeerId, node: NodeId, version: &str) {
        let theirs = shown(version);
        let Some(connected) = self.connected.get_mut(&peer).filter(|connected| !connected.is_foreign) else {
            return;
        };
        connected.is_foreign = true;
        tracing::warn!(%peer, %theirs, ours = %self.version, "refused a peer of another chain: compare the genesis files");
        self.counters.other_chain.add(1);
        self.swarm.behaviour_mut().kademlia.remove_peer(&peer);
        self.notify(NetEvent::OtherChain { node, theirs });
        // It comes back no sooner than this, but is not cut off yet: what it is told may still be on its way to it.
        let now = Instant::now();
        self.swarm.behaviour_mut().admission.ban(peer, now + BAN_OTHER_CHAIN);
        self.partings.set(peer, now + FOREIGN_GRACE);
    }

    /// Sends the peers of other chains away that have had their time.
    pub(super) fn part_with_foreign(&mut self, now: Instant) {
        while let Some(peer) = self.partings.pop_due(now) {
            if self.connected.get(&peer).is_some_and(|connected| connected.is_foreign) {
                // It was connected a moment ago; if it is not any more, so much the better.
                let _ = self.swarm.disconnect_peer_id(peer);
            }
        }
    }

    fn on_kademlia(&mut self, event: kad::Event) {
        let kad::Event::OutboundQueryProgressed {
            result: kad::QueryResult::GetClosestPeers(result),
            step,
            ..
        } = event
        else {
            return;
        };
        if step.last {
            self.lookups = self.lookups.saturating_sub(1);
        }
        let peers = match result {
            Ok(found) => found.peers,
            Err(kad::GetClosestPeersError::Timeout { peers, .. }) => peers,
        };
        for info in peers {
            self.dialer.learn(&info.peer_id, info.addrs.into_iter().filter(is_dialable).collect());
        }
    }
}

/// What of a peer's claims about its addresses is worth remembering: a few, of kinds that can be dialled, and loopback
/// only if it is on this machine, as the address shows that it is connected at.
fn usable(peer: &PeerId, at: &Multiaddr, addresses: Vec<Multiaddr>) -> Vec<Multiaddr> {
    let is_here = is_loopback(at);
    addresses
        .into_iter()
        .map(|address| without_peer(address, peer))
        .filter(|address| is_dialable(address) && (is_here || !is_loopback(address)))
        .take(ADDRESSES_PER_PEER_MAX)
        .collect()
}

/// An address without the `/p2p/..` of `peer` at its end.
fn without_peer(mut address: Multiaddr, peer: &PeerId) -> Multiaddr {
    if let Some(Protocol::P2p(named)) = address.iter().last()
        && named == *peer
    {
        address.pop();
    }
    address
}

/// An IP address with a port, by TCP or QUIC, and nothing else.
fn is_dialable(address: &Multiaddr) -> bool {
    let parts: Vec<Protocol<'_>> = address.iter().collect();
    let ip = match parts.first() {
        Some(Protocol::Ip4(ip)) => !ip.is_unspecified() && !ip.is_multicast() && !ip.is_broadcast(),
        Some(Protocol::Ip6(ip)) => !ip.is_unspecified() && !ip.is_multicast(),
        _ => false,
    };
    let transport = match parts.get(1..) {
        Some([Protocol::Tcp(port)] | [Protocol::Udp(port), Protocol::QuicV1]) => *port != 0,
        _ => false,
    };
    ip && transport
}

fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.to_canonical().is_loopback(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn n7_only_plain_ip_addresses_are_dialled() {
        let check = |text: &str| is_dialable(&text.parse().unwrap());
        assert!(check("/ip4/1.2.3.4/tcp/1"));
        assert!(check("/ip6/2001:db8::1/udp/1/quic-v1"));
        assert!(!check("/ip4/0.0.0.0/tcp/1"));
        assert!(!check("/ip4/224.0.0.1/tcp/1"));
        assert!(!check("/ip4/1.2.3.4/tcp/0"));
        assert!(!check("/ip4/1.2.3.4/udp/1"));
        assert!(!check("/ip4/1.2.3.4/tcp/1/ws"));
        assert!(!check("/dns4/evil.example/tcp/1"));
        assert!(!check("/memory/1"));
    }

    #[test]
    fn n7_a_peers_claims_about_its_addresses_are_cut_and_loopback_is_its_own_only() {
        let peer = crate::net::identity::keypair(&[1; 32]).unwrap().public().to_peer_id();
        let claims =
            |count: u8| (1..=count).map(|last| format!("/ip4/1.1.1.{last}/tcp/1").parse().unwrap()).collect();
        let (here, there) = ("/ip4/127.0.0.1/tcp/9".parse().unwrap(), "/ip4/8.8.8.8/tcp/9".parse().unwrap());
        assert_eq!(usable(&peer, &there, claims(100)).len(), ADDRESSES_PER_PEER_MAX);
        let loopback: Vec<Multiaddr> = vec![format!("/ip4/127.0.0.1/tcp/1/p2p/{peer}").parse().unwrap()];
        assert!(usable(&peer, &there, loopback.clone()).is_empty());
        assert_eq!(usable(&peer, &here, loopback), ["/ip4/127.0.0.1/tcp/1".parse().unwrap()]);
    }

    #[test]
    fn loopback_is_recognised_in_both_families() {
        let check = |text: &str| is_loopback(&text.parse().unwrap());
        assert!(check("/ip4/127.9.0.1/tcp/1"));
        assert!(check("/ip6/::1/tcp/1"));
        assert!(check("/ip6/::ffff:127.0.0.1/tcp/1"));
        assert!(!check("/ip4/10.0.0.1/tcp/1"));
    }
}
