//! Channel messages: order, batches, bounds, back-pressure.

use super::kit::{Node, Via, pair};
use crate::net::limits::{FRAME_MESSAGES_MAX, FRAMES_UNFINISHED_MAX, MESSAGE_BYTES_MAX, OUTBOX_BYTES_MAX};
use crate::net::{DownReason, NetError, NetEvent};

/// Lets two nodes speak until both hear each other in the session that stays.
pub(super) async fn converge(a: &mut Node, b: &mut Node) {
    loop {
        let sent = a.handle.send(b.id(), vec![b"ping".to_vec()]);
        let heard = b
            .wait("a message or the end of a session", |event| match event {
                NetEvent::Messages { .. } => Ok(true),
                NetEvent::SessionUp { .. } | NetEvent::SessionDown { .. } => Ok(false),
                other => Err(other),
            })
            .await;
        if sent.is_ok() && heard && b.handle.send(a.id(), vec![b"pong".to_vec()]).is_ok() {
            a.wait("an answer", |event| match event {
                NetEvent::Messages { .. } => Ok(()),
                other => Err(other),
            })
            .await;
            return;
        }
    }
}

fn numbered(from: u32, count: u32) -> Vec<Vec<u8>> {
    (from..from + count).map(|number| number.to_le_bytes().to_vec()).collect()
}

async fn expect_numbers(node: &mut Node, from: crate::net::NodeId, count: u32) {
    let mut next = 0;
    while next < count {
        for message in node.messages(from).await {
            assert_eq!(message, next.to_le_bytes(), "in order, none lost, none twice");
            next += 1;
        }
    }
}

#[tokio::test]
async fn ten_thousand_messages_arrive_in_order_both_ways() {
    for via in [Via::Tcp, Via::Quic] {
        let (mut a, mut b) = pair(via).await;
        const COUNT: u32 = 10_000;
        for (turn, size) in [1_u32, 9, 90, 900, 9_000].into_iter().enumerate() {
            // 1 + 9 + 90 + 900 + 9,000 = 10,000 messages, in batches of growing size.
            let from: u32 = [1_u32, 9, 90, 900, 9_000][..turn].iter().sum();
            a.handle.send(b.id(), numbered(from, size)).unwrap();
            b.handle.send(a.id(), numbered(from, size)).unwrap();
        }
        let (a_id, b_id) = (a.id(), b.id());
        tokio::join!(expect_numbers(&mut a, b_id, COUNT), expect_numbers(&mut b, a_id, COUNT));
        let metrics = a.handle.metrics();
        assert_eq!((metrics.messages_sent, metrics.messages_received), (10_000, 10_000));
        assert!(metrics.frames_sent < 1_000, "batches share frames");
    }
}

#[tokio::test]
async fn a_batch_beyond_one_frame_is_cut_and_stays_in_order() {
    let (a, mut b) = pair(Via::Tcp).await;
    let mut batch = numbered(0, u32::try_from(FRAME_MESSAGES_MAX).unwrap() + 10);
    batch.push(vec![7; MESSAGE_BYTES_MAX]);
    batch.push(vec![8; MESSAGE_BYTES_MAX]);
    a.handle.send(b.id(), batch.clone()).unwrap();
    let mut received = Vec::new();
    while received.len() < batch.len() {
        received.extend(b.messages(a.id()).await);
    }
    assert_eq!(received, batch);
}

#[tokio::test]
async fn messages_of_wrong_length_are_refused_before_anything_is_sent() {
    let (a, mut b) = pair(Via::Tcp).await;
    let refused = |batch| matches!(a.handle.send(b.id(), batch), Err(NetError::MessageLength { .. }));
    assert!(refused(vec![vec![1], Vec::new()]));
    assert!(refused(vec![vec![1], vec![0; MESSAGE_BYTES_MAX + 1]]));
    a.handle.send(b.id(), Vec::new()).unwrap();
    a.handle.send(b.id(), vec![vec![2]]).unwrap();
    assert_eq!(b.messages(a.id()).await, [vec![2]]);
}

#[tokio::test]
async fn n2_a_peer_whose_messages_are_not_dealt_with_blocks_no_other() {
    let (mut a, mut slow) = pair(Via::Tcp).await;
    let mut quick = Node::new(3, Via::Tcp).await;
    quick.want(&a).await;
    quick.session_up(a.id()).await;
    a.session_up(quick.id()).await;
    // A keeps the credits of what comes from `slow`: after so many frames nothing more of it is read.
    let mut held = Vec::new();
    for number in 0..FRAMES_UNFINISHED_MAX {
        slow.handle.send(a.id(), vec![vec![1]]).unwrap();
        let from = slow.id();
        let credit = a.wait("a frame", |event| match event {
            NetEvent::Messages { node, credit, .. } if node == from => Ok(credit),
            other => Err(other),
        });
        held.push(credit.await);
        assert_eq!(held.len(), number + 1);
    }
    slow.handle.send(a.id(), vec![b"waits".to_vec()]).unwrap();
    quick.handle.send(a.id(), vec![b"quick".to_vec()]).unwrap();
    let (slow_id, quick_id) = (slow.id(), quick.id());
    let first = a
        .wait("messages", |event| match event {
            NetEvent::Messages { node, messages, .. } => Ok((node, messages)),
            other => Err(other),
        })
        .await;
    assert_eq!(first, (quick_id, vec![b"quick".to_vec()]));
    // The other way is open all the time.
    a.handle.send(slow_id, vec![b"still heard".to_vec()]).unwrap();
    assert_eq!(slow.messages(a.id()).await, [b"still heard".to_vec()]);
    held.clear();
    assert_eq!(a.messages(slow_id).await, [b"waits".to_vec()]);
}

#[tokio::test]
async fn n2_an_outbox_that_overflows_ends_the_session_and_a_new_one_comes() {
    let (mut a, mut b) = pair(Via::Tcp).await;
    let b_id = b.id();
    // B takes frames but never lets go of them.
    let mut held = Vec::new();
    let megabytes = |count: usize| vec![vec![1; MESSAGE_BYTES_MAX]; 2 * count];
    let full = loop {
        match a.handle.send(b_id, megabytes(1)) {
            Ok(()) => {}
            Err(error) => break error,
        }
        while let Some(event) = b.events.try_recv() {
            held.push(event);
        }
        assert!(held.len() < OUTBOX_BYTES_MAX, "it must fill up");
        tokio::task::yield_now().await;
    };
    assert!(matches!(full, NetError::QueueFull(node) if node == b_id));
    assert_eq!(a.session_down(b_id).await, DownReason::QueueFull);
    drop(held);
    a.session_up(b_id).await;
    a.handle.send(b_id, vec![b"fresh".to_vec()]).unwrap();
    while b.messages(a.id()).await != [b"fresh".to_vec()] {}
}

#[tokio::test]
async fn sending_without_a_session_is_refused() {
    let (a, b) = (Node::new(1, Via::Tcp).await, Node::new(2, Via::Tcp).await);
    assert!(matches!(a.handle.send(b.id(), vec![vec![1]]), Err(NetError::NoSession(_))));
}

#[tokio::test]
async fn c8_what_was_meant_for_one_session_is_never_sent_in_the_next() {
    let (mut a, mut b) = (Node::new(1, Via::Tcp).await, Node::new(2, Via::Tcp).await);
    // Only one of them opens sessions, so none gives way to another.
    a.handle.want(b.id(), vec![b.address.clone()]).await.unwrap();
    let first = a.session_up(b.id()).await;
    a.handle.end_session(b.id(), crate::net::Offence::Protocol);
    a.session_down(b.id()).await;
    let second = a.session_up(b.id()).await;
    assert_ne!(first, second);
    let late = a.handle.send_in(b.id(), first, vec![b"late".to_vec()]);
    assert!(matches!(late, Err(NetError::NoSession(_))), "{late:?}");
    a.handle.send_in(b.id(), second, vec![b"now".to_vec()]).unwrap();
    assert_eq!(b.messages(a.id()).await, [b"now".to_vec()]);
}
