//! Gossip among four nodes: it reaches all, and what is rejected goes no further.

use std::time::Duration;

use futures::StreamExt;
use libp2p::core::transport::MemoryTransport;
use libp2p::core::upgrade::Version;
use libp2p::gossipsub::{Behaviour, ConfigBuilder, MessageAuthenticity, ValidationMode};
use libp2p::swarm::SwarmEvent;
use libp2p::{Swarm, SwarmBuilder, Transport, noise, yamux};

use super::kit::{CHAIN, Node, Via, config};
use crate::net::identity::keypair;
use crate::net::{GossipId, NetConfig, NetError, NetEvent, NodeId, Topic, Verdict};

/// A chain of nodes, each connected with the next only, so that the last hears of the first through the others.
async fn line(count: u8) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for seed in 1..=count {
        let mut node = Node::new(seed, Via::Tcp).await;
        if let Some(previous) = nodes.last_mut() {
            node.want(previous).await;
            node.peer_up(previous.id()).await;
            previous.peer_up(node.id()).await;
        }
        nodes.push(node);
    }
    nodes
}

async fn next(node: &mut Node) -> (Topic, NodeId, GossipId, Vec<u8>) {
    node.wait("gossip", |event| match event {
        NetEvent::Gossip { topic, from, id, bytes } => Ok((topic, from, id, bytes)),
        other => Err(other),
    })
    .await
}

/// Publishes until somebody listens: a subscription arrives a moment after the connection.
async fn publish(node: &Node, topic: Topic, bytes: &[u8]) {
    let before = node.handle.metrics().gossip_published;
    loop {
        let tried = node.handle.metrics();
        node.handle.publish(topic, bytes.to_vec()).unwrap();
        loop {
            let now = node.handle.metrics();
            if now.gossip_published > before {
                return;
            }
            if now.gossip_unpublished > tried.gossip_unpublished {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_reaches_all_of_four_nodes_through_each_other() {
    let mut nodes = line(4).await;
    for (topic, bytes) in
        [(Topic::Transactions, b"tx"), (Topic::Consensus, b"vo"), (Topic::ChannelAnnouncements, b"ca")]
    {
        publish(&nodes[0], topic, bytes).await;
        for index in 1..nodes.len() {
            let previous = nodes[index - 1].id();
            let (heard, from, id, content) = next(&mut nodes[index]).await;
            assert_eq!((heard, from, content.as_slice()), (topic, previous, bytes.as_slice()));
            nodes[index].handle.report(id, Verdict::Accept).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_consensus_message_is_delivered_again() {
    let mut nodes = line(2).await;
    for _ in 0..3 {
        publish(&nodes[0], Topic::Consensus, b"vote").await;
        assert_eq!(next(&mut nodes[1]).await.3, b"vote");
    }
}

/// L20: an answer that came before the block that it answers is not lost for as long as gossip remembers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l20_a_transaction_that_came_too_early_is_delivered_again_and_passed_on_when_it_is_handed_in_again() {
    let mut nodes = line(3).await;
    publish(&nodes[0], Topic::Transactions, b"tx").await;
    let (.., id, _) = next(&mut nodes[1]).await;
    nodes[1].handle.report(id, Verdict::Ignore).unwrap();
    // It is published anew as soon as the clock's next step makes another message of it.
    publish(&nodes[0], Topic::Transactions, b"tx").await;
    let (.., id, content) = next(&mut nodes[1]).await;
    assert_eq!(content, b"tx");
    nodes[1].handle.report(id, Verdict::Accept).unwrap();
    assert_eq!(next(&mut nodes[2]).await.3, b"tx");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n5_a_rejected_message_goes_no_further_and_lowers_the_score() {
    let mut nodes = line(3).await;
    let first = nodes[0].id();
    publish(&nodes[0], Topic::Transactions, b"bad").await;
    let (.., id, _) = next(&mut nodes[1]).await;
    let before = nodes[1].handle.score(first).await.unwrap().unwrap();
    nodes[1].handle.report(id, Verdict::Reject).unwrap();
    assert!(nodes[1].handle.score(first).await.unwrap().unwrap() < before - 5.0);
    publish(&nodes[0], Topic::Transactions, b"good").await;
    let (.., id, content) = next(&mut nodes[1]).await;
    assert_eq!(content, b"good");
    nodes[1].handle.report(id, Verdict::Accept).unwrap();
    assert_eq!(next(&mut nodes[2]).await.3, b"good", "the bad one never came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn n5_a_stranger_that_keeps_sending_rejected_messages_is_thrown_out() {
    let mut nodes = line(2).await;
    let first = nodes[0].id();
    for number in 0..3_u8 {
        publish(&nodes[1], Topic::Transactions, &[number]).await;
        let (.., id, _) = next(&mut nodes[0]).await;
        nodes[0].handle.report(id, Verdict::Reject).unwrap();
    }
    let second = nodes[1].id();
    nodes[0].peer_down(second).await;
    nodes[1].peer_down(first).await;
    assert_eq!(nodes[0].handle.score(second).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_of_the_largest_size_passes_and_more_is_refused() {
    let mut nodes = line(2).await;
    let block = vec![7; Topic::Consensus.bytes_max()];
    publish(&nodes[0], Topic::Consensus, &block).await;
    assert_eq!(next(&mut nodes[1]).await.3, block);
    for topic in Topic::ALL {
        let long = nodes[0].handle.publish(topic, vec![0; topic.bytes_max() + 1]);
        assert!(matches!(long, Err(NetError::MessageLength { .. })));
        assert!(matches!(nodes[0].handle.publish(topic, Vec::new()), Err(NetError::MessageLength { .. })));
    }
}

/// A peer that speaks this gossip and never says what it listens to: so is one that still counts a connection which the node
/// has lost, and takes this one for a further one.
fn mute(seed: u8, prefix: &str) -> Swarm<Behaviour> {
    let keys = keypair(&[seed; 32]).unwrap();
    let encryption = noise::Config::new(&keys).unwrap();
    let mut config = ConfigBuilder::default();
    let config = config
        .protocol_id_prefix(prefix.to_owned())
        .validation_mode(ValidationMode::Anonymous)
        .build()
        .unwrap();
    let gossip = Behaviour::new(MessageAuthenticity::Anonymous, config).unwrap();
    SwarmBuilder::with_existing_identity(keys)
        .with_tokio()
        .with_other_transport(|_| {
            let transport = MemoryTransport::default().upgrade(Version::V1Lazy);
            transport.authenticate(encryption).multiplex(yamux::Config::default())
        })
        .unwrap()
        .with_behaviour(|_| gossip)
        .unwrap()
        .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(3_600)))
        .build()
}

/// The next event of a peer's that is a beginning or an end of a connection.
async fn is_connected(peer: &mut Swarm<Behaviour>) -> bool {
    loop {
        match peer.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return true,
            SwarmEvent::ConnectionClosed { .. } => return false,
            _other => {}
        }
    }
}

#[tokio::test]
async fn n10_a_peer_that_takes_the_connection_for_a_further_one_is_connected_anew() {
    let subscribe_timeout = Duration::from_secs(3);
    let config = NetConfig { subscribe_timeout, ..config(1, "/memory/0".parse().unwrap()) };
    let node = Node::in_memory(config).await;
    let (mut other, mut silent) =
        (mute(9, "/another/gossip"), mute(8, &format!("/towpath/gossip/{}", CHAIN.0)));
    for peer in [&mut other, &mut silent] {
        peer.dial(node.address.clone()).unwrap();
        assert!(is_connected(peer).await);
    }
    // Of a peer that speaks no gossip nothing is expected: its time was over first.
    tokio::select! {
        biased;
        is_connected = is_connected(&mut other) => panic!("sent away: {}", !is_connected),
        is_connected = is_connected(&mut silent) => assert!(!is_connected),
    }
}
