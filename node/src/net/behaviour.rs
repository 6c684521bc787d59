//! The libp2p behaviours put together, the names of their protocols, and the swarm on its transports.
//!
//! Every protocol but identify and ping carries the chain id in its name, so that nodes of two chains have nothing to
//! talk about; identify's version tells them why.

use std::num::NonZeroUsize;
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::Boxed;
use libp2p::core::upgrade::Version;
use libp2p::identity::Keypair;
use libp2p::kad::store::{MemoryStore, MemoryStoreConfig};
use libp2p::swarm::NetworkBehaviour;
use libp2p::swarm::behaviour::toggle::Toggle;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder, Transport, identify, kad, mdns, noise, ping, swarm, tcp,
    yamux,
};
use towpath_crypto::hash::ChainId;

use super::admission::Admission;
use super::carrier::Carrier;
use super::channel::streams::Streams;
use super::closing::InTime;
use super::config::{Mdns, NetConfig};
use super::error::NetError;
use super::gossip::{self, Gossipsub};
use super::limits::{
    CLOSE_TIMEOUT, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT, QUIC_CONNECTION_BYTES, QUIC_STREAM_BYTES,
    STREAMS_PER_CONNECTION_MAX,
};
use super::sync::{self, Sync};

/// Everything that the swarm does. Admission stands first: what it refuses, the others never see.
#[derive(NetworkBehaviour)]
pub(crate) struct Towpath {
    pub(crate) admission: Admission,
    pub(crate) identify: identify::Behaviour,
    pub(crate) ping: ping::Behaviour,
    pub(crate) kademlia: kad::Behaviour<MemoryStore>,
    pub(crate) mdns: Toggle<mdns::tokio::Behaviour>,
    pub(crate) gossip: Gossipsub,
    pub(crate) sync: Sync,
    pub(crate) streams: Streams,
}

/// What a node says about its chain when it is asked who it is.
pub(crate) fn protocol_version(chain: &ChainId) -> String {
    format!("towpath/1/{}", chain.0)
}

/// The name of one of our protocols on one chain; part of the format.
pub(crate) fn protocol(name: &str, chain: &ChainId) -> Result<StreamProtocol, NetError> {
    StreamProtocol::try_from_owned(format!("/towpath/{name}/1/{}", chain.0))
        .map_err(|error| NetError::Configuration(error.to_string()))
}

fn kademlia(local: PeerId, chain: &ChainId) -> Result<kad::Behaviour<MemoryStore>, NetError> {
    // Only peers are looked up: no record and no provider of anybody is stored.
    let nothing = MemoryStoreConfig {
        max_records: 0,
        max_value_bytes: 0,
        max_providers_per_key: 0,
        max_provided_keys: 0,
    };
    let mut config = kad::Config::new(protocol("kad", chain)?);
    config
        .set_record_filtering(kad::StoreInserts::FilterBoth)
        // A peer gets into the table when it has identified itself on this chain, not before.
        .set_kbucket_inserts(kad::BucketInserts::Manual)
        .set_caching(kad::Caching::Disabled)
        .set_replication_interval(None)
        .set_publication_interval(None)
        .set_provider_publication_interval(None)
        .set_query_timeout(Duration::from_secs(30))
        .set_periodic_bootstrap_interval(Some(Duration::from_secs(300)))
        .set_parallelism(NonZeroUsize::new(3).expect("three is not zero"));
    let store = MemoryStore::with_config(local, nothing);
    let mut kademlia = kad::Behaviour::with_config(local, store, config);
    kademlia.set_mode(Some(kad::Mode::Server));
    Ok(kademlia)
}

fn behaviour(config: &NetConfig, keypair: &Keypair) -> Result<Towpath, NetError> {
    let local = keypair.public().to_peer_id();
    let identify = identify::Config::new(protocol_version(&config.chain), keypair.public())
        .with_agent_version(concat!("towpath/", env!("CARGO_PKG_VERSION")).to_owned())
        .with_push_listen_addr_updates(true)
        .with_cache_size(0);
    let mdns = match config.mdns {
        Mdns::Off => None,
        Mdns::On => Some(mdns::tokio::Behaviour::new(mdns::Config::default(), local)?),
    };
    Ok(Towpath {
        admission: Admission::new(config.limits),
        identify: identify::Behaviour::new(identify),
        ping: ping::Behaviour::new(
            ping::Config::new().with_interval(Duration::from_secs(15)).with_timeout(Duration::from_secs(20)),
        ),
        kademlia: kademlia(local, &config.chain)?,
        mdns: Toggle::from(mdns),
        gossip: gossip::behaviour(&config.chain)?,
        sync: sync::behaviour(protocol("sync", &config.chain)?),
        streams: Streams::new(protocol("channel", &config.chain)?),
    })
}

fn multiplexer() -> yamux::Config {
    let mut config = yamux::Config::default();
    config.set_max_num_streams(STREAMS_PER_CONNECTION_MAX);
    config
}

fn settings(config: swarm::Config) -> swarm::Config {
    config.with_idle_connection_timeout(IDLE_TIMEOUT).with_max_negotiating_inbound_streams(32)
}

fn refused(error: &dyn std::fmt::Display) -> NetError {
    NetError::Configuration(error.to_string())
}

/// Connections over a transport of plain streams: encrypted, multiplexed, and closed in time.
fn over_streams<T>(transport: T, encryption: noise::Config) -> Boxed<(PeerId, InTime<StreamMuxerBox>)>
where
    T: Transport<
            Output: AsyncRead + AsyncWrite + Send + Unpin + 'static,
            Error: Send + std::marker::Sync + 'static,
            ListenerUpgrade: Send + 'static,
            Dial: Send + 'static,
        > + Send
        + Unpin
        + 'static,
{
    transport
        .upgrade(Version::V1Lazy)
        .authenticate(encryption)
        .multiplex(multiplexer())
        .map(|(peer, muxer), _| (peer, InTime::new(StreamMuxerBox::new(muxer), CLOSE_TIMEOUT)))
        .boxed()
}

/// The swarm, listening nowhere yet.
///
/// # Errors
/// [`NetError`] if the system or a library refuses its configuration.
pub(crate) fn over_sockets(config: &NetConfig, keypair: Keypair) -> Result<Swarm<Towpath>, NetError> {
    let behaviour = behaviour(config, &keypair)?;
    let encryption = noise::Config::new(&keypair).map_err(|error| refused(&error))?;
    let tcp = tcp::tokio::Transport::new(tcp::Config::default().nodelay(true));
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_quic_config(|mut quic| {
            quic.handshake_timeout = HANDSHAKE_TIMEOUT;
            quic.max_concurrent_stream_limit = u32::try_from(STREAMS_PER_CONNECTION_MAX).unwrap_or(u32::MAX);
            quic.max_connection_data = QUIC_CONNECTION_BYTES;
            quic.max_stream_data = QUIC_STREAM_BYTES;
            quic
        })
        .with_other_transport(|_| over_streams(tcp, encryption))
        .map_err(|error| refused(&error))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| refused(&error))?
        .with_swarm_config(settings)
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}

/// The same over a carrier in place of TCP and QUIC: encrypted and multiplexed as TCP is.
///
/// # Errors
/// [`NetError`] if a library refuses its configuration.
pub(crate) fn over_carrier(
    config: &NetConfig,
    keypair: Keypair,
    carrier: Carrier,
) -> Result<Swarm<Towpath>, NetError> {
    let behaviour = behaviour(config, &keypair)?;
    let encryption = noise::Config::new(&keypair).map_err(|error| refused(&error))?;
    let swarm = SwarmBuilder::with_existing_identity(keypair)
        .with_tokio()
        .with_other_transport(|_| over_streams(carrier, encryption))
        .map_err(|error| refused(&error))?
        .with_behaviour(|_| behaviour)
        .map_err(|error| refused(&error))?
        .with_swarm_config(settings)
        .with_connection_timeout(HANDSHAKE_TIMEOUT)
        .build();
    Ok(swarm)
}
