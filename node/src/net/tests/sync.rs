//! Sync requests: answers, refusals, bounds.

use super::kit::{Node, Via, id, pair};
use crate::net::limits::{SYNC_ASKED_PER_PEER_MAX, SYNC_REQUEST_BYTES_MAX, SYNC_RESPONSE_BYTES_MAX};
use crate::net::{NetError, NetEvent, SyncReply};

async fn asked(node: &mut Node) -> (Vec<u8>, SyncReply) {
    node.wait("a request", |event| match event {
        NetEvent::SyncRequest { bytes, reply, .. } => Ok((bytes, reply)),
        other => Err(other),
    })
    .await
}

async fn exchange(a: &Node, b: &mut Node, answer: Vec<u8>) -> Result<Vec<u8>, NetError> {
    let to = b.id();
    let serve = async {
        let (bytes, reply) = asked(b).await;
        assert_eq!(bytes, b"which?");
        reply.send(answer).unwrap();
    };
    tokio::join!(a.handle.request(to, b"which?".to_vec()), serve).0
}

#[tokio::test]
async fn a_request_is_answered() {
    for via in [Via::Tcp, Via::Quic] {
        let (a, mut b) = pair(via).await;
        assert_eq!(exchange(&a, &mut b, b"these".to_vec()).await.unwrap(), b"these");
        assert_eq!(exchange(&a, &mut b, Vec::new()).await.unwrap(), b"");
    }
}

#[tokio::test]
async fn the_longest_answer_passes_and_a_longer_one_is_not_sent() {
    let (a, mut b) = pair(Via::Tcp).await;
    let longest = vec![3; SYNC_RESPONSE_BYTES_MAX];
    assert_eq!(exchange(&a, &mut b, longest.clone()).await.unwrap(), longest);
    let to = b.id();
    let refuse = async {
        let (_, reply) = asked(&mut b).await;
        let too_long = reply.send(vec![3; SYNC_RESPONSE_BYTES_MAX + 1]);
        assert!(matches!(too_long, Err(NetError::MessageLength { .. })));
    };
    let (answer, ()) = tokio::join!(a.handle.request(to, b"which?".to_vec()), refuse);
    assert!(matches!(answer, Err(NetError::Request { .. })));
}

#[tokio::test]
async fn refusals_are_told_apart() {
    let (a, mut b) = pair(Via::Tcp).await;
    let to = b.id();
    let stranger = a.handle.request(id(9), vec![1]).await;
    assert!(matches!(stranger, Err(NetError::NotConnected(_))));
    let long = a.handle.request(to, vec![0; SYNC_REQUEST_BYTES_MAX + 1]).await;
    assert!(matches!(long, Err(NetError::MessageLength { .. })));
    let busy = async { asked(&mut b).await.1.busy().unwrap() };
    let (answer, ()) = tokio::join!(a.handle.request(to, vec![1]), busy);
    assert!(matches!(answer, Err(NetError::PeerBusy(_))));
    let drop_it = async { drop(asked(&mut b).await.1) };
    let (answer, ()) = tokio::join!(a.handle.request(to, vec![1]), drop_it);
    assert!(matches!(answer, Err(NetError::Request { .. })));
}

#[tokio::test]
async fn n11_requests_to_one_node_are_bounded() {
    let (a, mut b) = pair(Via::Tcp).await;
    let to = b.id();
    let mut running = Vec::new();
    let mut held = Vec::new();
    for _ in 0..SYNC_ASKED_PER_PEER_MAX {
        let handle = a.handle.clone();
        running.push(tokio::spawn(async move { handle.request(to, vec![1]).await }));
        held.push(asked(&mut b).await.1);
    }
    assert!(matches!(a.handle.request(to, vec![1]).await, Err(NetError::PeerBusy(_))));
    for reply in held {
        reply.send(vec![2]).unwrap();
    }
    for request in running {
        assert_eq!(request.await.unwrap().unwrap(), [2]);
    }
    assert_eq!(exchange(&a, &mut b, vec![4]).await.unwrap(), [4]);
}
