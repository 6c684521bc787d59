//! Streams over a real multiplexer, in memory.

use futures::StreamExt;
use libp2p::core::transport::MemoryTransport;
use libp2p::core::upgrade::Version;
use libp2p::swarm::SwarmEvent;
use libp2p::{Swarm, SwarmBuilder, Transport, noise, yamux};

use super::*;
use crate::net::identity::keypair;

fn swarm(seed: u8) -> Swarm<Streams> {
    let keys = keypair(&[seed; 32]).unwrap();
    let encryption = noise::Config::new(&keys).unwrap();
    SwarmBuilder::with_existing_identity(keys)
        .with_tokio()
        .with_other_transport(|_| {
            MemoryTransport::default()
                .upgrade(Version::V1Lazy)
                .authenticate(encryption)
                .multiplex(yamux::Config::default())
        })
        .unwrap()
        .with_behaviour(|_| Streams::new(StreamProtocol::new("/test")))
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(std::time::Duration::from_secs(600)))
        .build()
}

/// A closed connection wakes no reader of its streams on the side that closes it, so the streams' owners are told.
#[tokio::test]
async fn n10_the_owner_of_a_stream_is_told_when_this_side_closes_the_connection() {
    let (mut one, mut other) = (swarm(1), swarm(2));
    other.listen_on("/memory/0".parse().unwrap()).unwrap();
    let address = loop {
        if let SwarmEvent::NewListenAddr { address, .. } = other.select_next_some().await {
            break address;
        }
    };
    let peer = *other.local_peer_id();
    tokio::spawn(async move {
        // Streams that it is given stay open.
        let mut kept = Vec::new();
        loop {
            kept.push(other.select_next_some().await);
        }
    });
    one.dial(address).unwrap();
    let attached = loop {
        match one.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => one.behaviour_mut().open(peer, 1),
            SwarmEvent::Behaviour(StreamEvent::Opened { stream, .. }) => break stream,
            _ => {}
        }
    };
    assert!(!attached.gone.is_cancelled());
    one.disconnect_peer_id(peer).unwrap();
    while !matches!(one.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
    assert!(attached.gone.is_cancelled());
}
