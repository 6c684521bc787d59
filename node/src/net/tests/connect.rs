//! Who gets connected, who does not, and who comes back.

use super::kit::{CHAIN, Node, OTHER_CHAIN, Via, config, id, pair};
use crate::net::behaviour::protocol_version;
use crate::net::identity::peer_of;
use crate::net::{ConnectionLimits, DownReason, NetError, NetEvent, spawn};

#[tokio::test]
async fn nodes_connect_by_tcp() {
    let (mut a, mut b) = pair(Via::Tcp).await;
    a.peer_up(b.id()).await;
    b.peer_up(a.id()).await;
    let peers = a.handle.peers();
    assert_eq!(peers[&b.id()].agent, concat!("towpath/", env!("CARGO_PKG_VERSION")));
    assert_eq!(a.handle.metrics().sessions, 1);
}

#[tokio::test]
async fn nodes_connect_by_quic() {
    let (mut a, b) = pair(Via::Quic).await;
    a.peer_up(b.id()).await;
    assert!(b.handle.listening()[0].to_string().contains("quic-v1"));
}

#[tokio::test]
async fn nodes_that_dial_each_other_at_once_get_one_session() {
    for via in [Via::Tcp, Via::Quic] {
        let (mut a, mut b) = (Node::new(1, via).await, Node::new(2, via).await);
        tokio::join!(a.want(&b), b.want(&a));
        a.session_up(b.id()).await;
        b.session_up(a.id()).await;
        // Whatever was replaced on the way, both speak to each other in the end.
        super::channels::converge(&mut a, &mut b).await;
        assert_eq!((a.handle.sessions(), b.handle.sessions()), (vec![b.id()], vec![a.id()]));
    }
}

#[tokio::test]
async fn l3_a_peer_of_another_chain_is_refused_with_the_reason() {
    let mut a = Node::new(1, Via::Tcp).await;
    let mut other = config(2, Via::Tcp.any_port());
    other.chain = OTHER_CHAIN;
    let mut b = Node::start(other).await;
    a.want(&b).await;
    let refused = |event| match event {
        NetEvent::OtherChain { node, theirs } => Ok((node, theirs)),
        other => Err(other),
    };
    let (node, theirs) = a.wait("refusal", refused).await;
    assert_eq!(node, b.id());
    assert!(protocol_version(&OTHER_CHAIN).starts_with(theirs.trim_end_matches("...")));
    assert!(!protocol_version(&CHAIN).starts_with(theirs.trim_end_matches("...")));
    assert_eq!(b.wait("refusal", refused).await.0, a.id());
    assert!(a.handle.peers().is_empty() && a.handle.sessions().is_empty());
    assert!(a.handle.metrics().other_chain > 0);
}

#[tokio::test]
async fn n7_a_node_at_another_nodes_address_is_not_taken_for_it() {
    let mut a = Node::new(1, Via::Tcp).await;
    let b = Node::new(2, Via::Tcp).await;
    // The address of 2, said to be 3's.
    a.handle.want(id(3), vec![b.address.clone()]).await.unwrap();
    a.want(&b).await;
    a.session_up(b.id()).await;
    assert_eq!(a.handle.sessions(), [b.id()]);
}

#[tokio::test]
async fn n1_strangers_beyond_the_bound_are_refused_and_wanted_nodes_are_not() {
    let mut full = config(1, Via::Tcp.any_port());
    full.limits = ConnectionLimits { incoming: 1, ..ConnectionLimits::default() };
    let mut a = Node::start(full).await;
    let (b, mut c) = (Node::new(2, Via::Tcp).await, Node::new(3, Via::Tcp).await);
    b.want(&a).await;
    a.session_up(b.id()).await;
    c.want(&a).await;
    // C's connection is closed as soon as A knows who it is. A wants it, so C gets in when it tries again.
    a.handle.want(c.id(), Vec::new()).await.unwrap();
    c.session_up(a.id()).await;
    a.session_up(c.id()).await;
    assert_eq!(a.handle.sessions().len(), 2);
}

#[tokio::test]
async fn a_node_reconnects_when_its_peer_restarts_on_the_same_port() {
    for via in [Via::Tcp, Via::Quic] {
        let (mut a, b) = pair(via).await;
        let (address, node) = (b.address.clone(), b.id());
        b.handle.shutdown().await;
        drop(b);
        assert_eq!(a.session_down(node).await, DownReason::Lost);
        let mut b = Node::restart(config(2, address)).await;
        a.session_up(node).await;
        b.session_up(a.id()).await;
        a.handle.send(node, vec![b"again".to_vec()]).unwrap();
        assert_eq!(b.messages(a.id()).await, [b"again".to_vec()]);
    }
}

#[tokio::test]
async fn a_node_finds_others_through_a_bootstrap_node() {
    let mut hub = Node::new(1, Via::Tcp).await;
    let mut b = Node::new(2, Via::Tcp).await;
    b.want(&hub).await;
    hub.peer_up(b.id()).await;
    b.peer_up(hub.id()).await;
    let mut third = config(3, Via::Tcp.any_port());
    let peer = libp2p::multiaddr::Protocol::P2p(peer_of(&hub.id()).unwrap());
    third.bootstrap = vec![hub.address.clone().with(peer)];
    let mut c = Node::start(third).await;
    hub.peer_up(c.id()).await;
    c.peer_up(hub.id()).await;
    // No address: the hub knows one.
    c.handle.want(b.id(), Vec::new()).await.unwrap();
    c.session_up(b.id()).await;
    b.session_up(c.id()).await;
}

#[tokio::test]
async fn an_unwanted_nodes_session_ends() {
    let (mut a, mut b) = pair(Via::Tcp).await;
    a.handle.unwant(b.id()).await.unwrap();
    assert_eq!(a.session_down(b.id()).await, DownReason::Closed);
    assert_eq!(b.session_down(a.id()).await, DownReason::Lost);
    assert!(matches!(a.handle.send(b.id(), vec![vec![1]]), Err(NetError::NoSession(_))));
}

#[tokio::test]
async fn a_shut_down_network_says_so_and_its_peers_notice() {
    let (mut a, mut b) = pair(Via::Tcp).await;
    a.peer_up(b.id()).await;
    b.peer_up(a.id()).await;
    b.handle.shutdown().await;
    assert!(matches!(b.handle.want(a.id(), Vec::new()).await, Err(NetError::Closed)));
    assert!(matches!(b.handle.request(a.id(), vec![1]).await, Err(NetError::Closed)));
    a.peer_down(b.id()).await;
    b.handle.shutdown().await; // a second time is nothing
}

#[tokio::test]
async fn unusable_configurations_are_refused() {
    let (a, _events) = spawn(config(1, Via::Tcp.any_port())).unwrap();
    assert!(matches!(a.want(id(1), Vec::new()).await, Err(NetError::NotANode(_))), "itself");
    let mut nowhere = config(2, "/memory/1".parse().unwrap());
    assert!(matches!(spawn(nowhere.clone()), Err(NetError::Address { .. })));
    nowhere.listen = Vec::new();
    nowhere.bootstrap = vec!["/ip4/1.2.3.4/tcp/1".parse().unwrap()];
    assert!(matches!(spawn(nowhere), Err(NetError::BootstrapWithoutPeer(_))));
}
