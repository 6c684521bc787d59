//! Peers that speak libp2p correctly and channel streams on purpose not.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, Stream, SwarmBuilder, identify, noise, tcp, yamux};
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::hash::ChainId;

use super::kit::{CHAIN, Node, OTHER_CHAIN, Via, id};
use crate::net::behaviour::{protocol, protocol_version};
use crate::net::channel::frame::Packer;
use crate::net::channel::secure::{HandshakeError, Keys, Opener, Sealer, handshake};
use crate::net::channel::slots::Side;
use crate::net::identity::{keypair, peer_of};
use crate::net::{DownReason, NodeId};

const LIMIT: Duration = Duration::from_secs(60);

#[derive(NetworkBehaviour)]
struct Raw {
    identify: identify::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// A peer without manners.
struct Hostile {
    seed: u8,
    control: libp2p_stream::Control,
}

impl Hostile {
    /// Connects to the node at `address` and keeps the connection going in the background.
    fn connect(seed: u8, address: Multiaddr) -> Self {
        let keypair = keypair(&[seed; 32]).unwrap();
        let config = identify::Config::new(protocol_version(&CHAIN), keypair.public())
            .with_agent_version("\u{1b}[2Jhostile\u{202e}".to_owned());
        let raw = Raw { identify: identify::Behaviour::new(config), stream: libp2p_stream::Behaviour::new() };
        let control = raw.stream.new_control();
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .unwrap()
            .with_behaviour(|_| raw)
            .unwrap()
            .with_swarm_config(|config| config.with_idle_connection_timeout(LIMIT))
            .build();
        swarm.dial(address).unwrap();
        tokio::spawn(async move { while swarm.next().await.is_some() {} });
        Self { seed, control }
    }

    async fn open(&mut self, to: PeerId) -> Stream {
        loop {
            // Refused until the dial is through.
            if let Ok(stream) = self.control.open_stream(to, protocol("channel", &CHAIN).unwrap()).await {
                return stream;
            }
        }
    }

    fn keys(&self) -> Keys {
        keys(self.seed, CHAIN)
    }

    /// A whole session.
    async fn session(&mut self, with: NodeId) -> (Stream, Sealer, Opener) {
        let mut stream = self.open(peer_of(&with).unwrap()).await;
        let (sealer, opener) = handshake(&mut stream, Side::Opener, &self.keys(), with, LIMIT).await.unwrap();
        (stream, sealer, opener)
    }
}

fn keys(seed: u8, chain: ChainId) -> Keys {
    Keys { node: SecretKey::from_bytes(&[seed; 32]), session: [seed + 100; 32], chain }
}

fn sealed(sealer: &mut Sealer, messages: &[&[u8]]) -> Vec<u8> {
    let mut packer = Packer::default();
    messages.iter().for_each(|message| packer.push(message));
    let mut wire = Vec::new();
    sealer.seal(packer.bytes(), &mut wire).unwrap();
    wire
}

/// A node with an honest peer, to see that it is left in peace.
async fn victim() -> (Node, Node) {
    let (mut node, mut honest) = (Node::new(1, Via::Tcp).await, Node::new(2, Via::Tcp).await);
    honest.want(&node).await;
    honest.session_up(node.id()).await;
    node.session_up(honest.id()).await;
    (node, honest)
}

async fn unaffected(node: &mut Node, honest: &mut Node) {
    honest.handle.send(node.id(), vec![b"hello".to_vec()]).unwrap();
    assert_eq!(node.messages(honest.id()).await, [b"hello".to_vec()]);
    node.handle.send(honest.id(), vec![b"hello".to_vec()]).unwrap();
    assert_eq!(honest.messages(node.id()).await, [b"hello".to_vec()]);
}

/// What a hostile peer sends in a session must end that session, as a violation, and nothing else.
async fn check(bytes: impl Fn(&mut Sealer) -> Vec<u8>) {
    let (mut node, mut honest) = victim().await;
    let mut hostile = Hostile::connect(9, node.address.clone());
    let (mut stream, mut sealer, _opener) = hostile.session(node.id()).await;
    node.session_up(id(9)).await;
    let good = sealed(&mut sealer, &[b"first"]);
    stream.write_all(&good).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(node.messages(id(9)).await, [b"first".to_vec()]);
    stream.write_all(&bytes(&mut sealer)).await.unwrap();
    stream.flush().await.unwrap();
    let reason = node.session_down(id(9)).await;
    assert!(matches!(reason, DownReason::Violation(_)), "{reason:?}");
    unaffected(&mut node, &mut honest).await;
}

#[tokio::test]
async fn n3_an_oversize_frame_ends_the_session() {
    check(|_| u32::MAX.to_le_bytes().to_vec()).await;
}

#[tokio::test]
async fn n3_a_frame_of_length_zero_ends_the_session() {
    check(|_| vec![0; 4]).await;
}

#[tokio::test]
async fn n4_a_garbage_frame_ends_the_session() {
    check(|_| [&100_u32.to_le_bytes()[..], &[0xab; 100]].concat()).await;
}

#[tokio::test]
async fn n4_a_frame_of_malformed_content_ends_the_session() {
    check(|sealer| {
        let mut wire = Vec::new();
        sealer.seal(&[9, 0, 0, 0, 1, 2], &mut wire).unwrap();
        wire
    })
    .await;
}

#[tokio::test]
async fn n8_a_replayed_frame_ends_the_session() {
    check(|sealer| sealed(sealer, &[b"twice"]).repeat(2)).await;
}

/// An attempt at a session with these keys must fail, on both sides.
async fn check_refused(attempt: impl Fn(&Hostile) -> Keys) {
    let (mut node, mut honest) = victim().await;
    let mut hostile = Hostile::connect(9, node.address.clone());
    let mut stream = hostile.open(peer_of(&node.id()).unwrap()).await;
    let keys = attempt(&hostile);
    // The caller may believe in the session until its first read: the node only sees the last message of the three.
    if handshake(&mut stream, Side::Opener, &keys, node.id(), LIMIT).await.is_ok() {
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or_default(), 0, "closed");
    }
    assert_eq!(node.handle.sessions(), [honest.id()]);
    unaffected(&mut node, &mut honest).await;
}

#[tokio::test]
async fn n7_a_peer_that_proves_another_node_than_its_connection_is_refused() {
    check_refused(|_| keys(7, CHAIN)).await;
}

#[tokio::test]
async fn n7_a_peer_that_proves_the_node_itself_is_refused() {
    check_refused(|_| keys(1, CHAIN)).await;
}

#[tokio::test]
async fn l3_a_session_for_another_chain_is_refused() {
    check_refused(|hostile| keys(hostile.seed, OTHER_CHAIN)).await;
}

#[tokio::test]
async fn n7_a_node_called_by_another_name_is_noticed_by_the_caller() {
    let node = Node::new(1, Via::Tcp).await;
    let mut hostile = Hostile::connect(9, node.address.clone());
    let mut stream = hostile.open(peer_of(&node.id()).unwrap()).await;
    let outcome = handshake(&mut stream, Side::Opener, &hostile.keys(), id(3), LIMIT).await;
    assert!(matches!(outcome, Err(HandshakeError::OtherNode { .. })));
}

#[tokio::test]
async fn n8_a_flood_of_session_attempts_is_slowed_down_and_hurts_nobody() {
    let (mut node, mut honest) = victim().await;
    let mut hostile = Hostile::connect(9, node.address.clone());
    let to = peer_of(&node.id()).unwrap();
    let before = node.handle.metrics().sessions_failed;
    while node.handle.metrics().sessions_failed < before + 10 {
        let mut stream = hostile.open(to).await;
        // A first message of a wrong length; or the node has closed the stream already.
        let _ = stream.write_all(&[3, 0, 0, 0, 1, 2, 3]).await;
        let _ = stream.flush().await;
        assert_eq!(stream.read(&mut [0; 1]).await.unwrap_or_default(), 0, "closed");
    }
    unaffected(&mut node, &mut honest).await;
}

#[tokio::test]
async fn n12_a_peers_name_is_escaped() {
    let mut node = Node::new(1, Via::Tcp).await;
    let _hostile = Hostile::connect(9, node.address.clone());
    node.peer_up(id(9)).await;
    assert_eq!(node.handle.peers()[&id(9)].agent, "\\u{1b}[2Jhostile\\u{202e}");
}

#[tokio::test]
async fn a_new_session_of_the_same_peer_replaces_the_old_one_in_order() {
    let mut node = Node::new(1, Via::Tcp).await;
    let mut hostile = Hostile::connect(9, node.address.clone());
    let _first = hostile.session(node.id()).await;
    node.session_up(id(9)).await;
    let (mut stream, mut sealer, _opener) = hostile.session(node.id()).await;
    assert_eq!(node.session_down(id(9)).await, DownReason::Replaced);
    node.session_up(id(9)).await;
    let wire = sealed(&mut sealer, &[b"new"]);
    stream.write_all(&wire).await.unwrap();
    stream.flush().await.unwrap();
    assert_eq!(node.messages(id(9)).await, [b"new".to_vec()]);
}
