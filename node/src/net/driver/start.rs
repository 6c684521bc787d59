//! Builds the driver from its configuration and starts it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use libp2p::TransportError;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Swarm};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use towpath_crypto::ed25519::SecretKey;

use super::core::Driver;
use super::sync::Exchanges;
use crate::net::behaviour::{Towpath, over_carrier, over_sockets, protocol_version};
use crate::net::budget::Budgets;
use crate::net::carrier::Carrier;
use crate::net::channel::secure::Keys;
use crate::net::channel::slots::Slots;
use crate::net::config::NetConfig;
use crate::net::dialer::{Dialer, Purpose};
use crate::net::error::NetError;
use crate::net::event::NetEvents;
use crate::net::gossip::Topics;
use crate::net::handle::{NetHandle, Shared};
use crate::net::identity::keypair;
use crate::net::limits::{
    ATTEMPTS_BURST, ATTEMPTS_PER_SECOND, BUDGETS_MAX, CHANNEL_EVENTS_MAX, COMMANDS_MAX, EVENTS_MAX,
    WANTED_MAX,
};
use crate::net::schedule::Schedule;

/// Starts the network in the current tokio runtime: commands go into the handle, events come out of the receiver.
///
/// # Errors
/// [`NetError`] if a key or an address is unusable, or the system refuses a socket.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn(config: NetConfig) -> Result<(NetHandle, NetEvents), NetError> {
    let swarm = over_sockets(&config, keypair(&config.identity)?)?;
    start(config, swarm)
}

/// The same over a carrier in place of sockets, for simulations.
///
/// # Errors
/// [`NetError`] if a key or an address is unusable.
///
/// # Panics
/// Outside a tokio runtime.
pub fn spawn_over(config: NetConfig, carrier: Carrier) -> Result<(NetHandle, NetEvents), NetError> {
    let swarm = over_carrier(&config, keypair(&config.identity)?, carrier)?;
    start(config, swarm)
}

fn start(config: NetConfig, mut swarm: Swarm<Towpath>) -> Result<(NetHandle, NetEvents), NetError> {
    let now = Instant::now();
    let node = SecretKey::from_bytes(&config.identity);
    let local = node.public();
    for address in &config.listen {
        swarm
            .listen_on(address.clone())
            .map_err(|error| NetError::Address { address: address.clone(), reason: reason(error) })?;
    }
    let mut dialer = Dialer::new(config.seed);
    for address in &config.bootstrap {
        let (peer, address) = with_peer(address)?;
        if peer == *swarm.local_peer_id() {
            continue;
        }
        swarm.behaviour_mut().kademlia.add_address(&peer, address.clone());
        dialer
            .add(peer, Purpose::Bootstrap, vec![address], now)
            .map_err(|_| NetError::TooManyWanted { limit: WANTED_MAX })?;
    }
    let shared = Arc::new(Shared::default());
    let (commands_sender, commands) = mpsc::channel(COMMANDS_MAX);
    let (senders, events) = NetEvents::lanes(EVENTS_MAX, CHANNEL_EVENTS_MAX);
    let driver = Driver {
        local,
        version: protocol_version(&config.chain),
        swarm,
        commands,
        commands_sender: commands_sender.downgrade(),
        events: senders,
        counters: Arc::clone(&shared.counters),
        shared: Arc::clone(&shared),
        keys: Arc::new(Keys { node, session: config.session_key, chain: config.chain }),
        dialer,
        topics: Topics::new(&config.chain),
        slots: Slots::new(local, config.seed),
        opening: BTreeMap::new(),
        connected: BTreeMap::new(),
        partings: Schedule::new(),
        unsubscribed: Schedule::new(),
        subscribe_timeout: config.subscribe_timeout,
        lookups: 0,
        attempts: Budgets::new(ATTEMPTS_BURST, ATTEMPTS_PER_SECOND, BUDGETS_MAX),
        exchanges: Exchanges::new(),
        tasks: JoinSet::new(),
        shutdown: CancellationToken::new(),
    };
    let task = tokio::spawn(driver.run());
    Ok((NetHandle::new(local, commands_sender, shared, task), events))
}

/// What the transport says: its own text leaves out the system's.
fn reason(error: TransportError<io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "no transport for this kind of address".to_owned(),
        TransportError::Other(error) => error.to_string(),
    }
}

/// The peer that a bootstrap address names, and the address without it.
fn with_peer(address: &Multiaddr) -> Result<(PeerId, Multiaddr), NetError> {
    let mut rest = address.clone();
    match rest.pop() {
        Some(Protocol::P2p(peer)) => Ok((peer, rest)),
        _ => Err(NetError::BootstrapWithoutPeer(address.clone())),
    }
}
