//! A session against peers that stall (FAULTS N2) and streams that lie about lengths (FAULTS N3), without a network.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::io::Cursor;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::hash::{ChainId, Digest};

use super::*;
use crate::net::channel::outbox::outbox;
use crate::net::channel::secure::{HandshakeError, Keys, SEALED_BYTES_MAX, SEALED_BYTES_MIN, handshake};
use crate::net::channel::slots::Side;

const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_secs(60);

/// Gives the bytes that it has and then nothing more, for ever; takes nothing.
struct Stuck(Cursor<Vec<u8>>);

impl AsyncRead for Stuck {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.0).poll_read(cx, buffer) {
            Poll::Ready(Ok(0)) => Poll::Pending,
            other => other,
        }
    }
}

impl AsyncWrite for Stuck {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Pending
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

fn keys(seed: u8) -> Keys {
    Keys {
        node: SecretKey::from_bytes(&[seed; 32]),
        session: [seed + 100; 32],
        chain: ChainId(Digest([1; 32])),
    }
}

/// Two ends of a session, by hand.
fn ends() -> ((Sealer, Opener), (Sealer, Opener)) {
    crate::net::channel::secure::pair(&keys(1), &keys(2))
}

#[tokio::test]
async fn n2_a_handshake_that_stalls_is_given_up() {
    for side in [Side::Opener, Side::Accepter] {
        let mut stream = Stuck(Cursor::new(vec![32, 0, 0]));
        let outcome = handshake(&mut stream, side, &keys(1), keys(2).node.public(), SHORT).await;
        assert!(matches!(outcome, Err(HandshakeError::TooSlow)));
    }
}

#[tokio::test]
async fn n3_a_handshake_message_of_a_lying_length_is_refused() {
    for length in [0, 1_025, u32::MAX] {
        let mut stream = Stuck(Cursor::new(length.to_le_bytes().to_vec()));
        let outcome = handshake(&mut stream, Side::Accepter, &keys(1), keys(2).node.public(), LONG).await;
        assert!(matches!(outcome, Err(HandshakeError::Length(_))), "{length}");
    }
}

#[tokio::test]
async fn n2_a_frame_that_begins_and_does_not_end_is_given_up() {
    let mut reader = FrameReader::new(Stuck(Cursor::new(vec![100, 0, 0, 0, 1, 2, 3])));
    assert_eq!(reader.next(SHORT).await, Err(DownReason::TooSlow));
}

#[tokio::test]
async fn n3_lying_frame_lengths_are_refused_before_anything_is_read() {
    for length in
        [0, SEALED_BYTES_MIN - 1, SEALED_BYTES_MAX + 1, 1 << 16 << 8, usize::try_from(u32::MAX).unwrap()]
    {
        let prefix = u32::try_from(length).unwrap().to_le_bytes().to_vec();
        let mut reader = FrameReader::new(Stuck(Cursor::new(prefix)));
        let refused = reader.next(LONG).await;
        assert!(matches!(refused, Err(DownReason::Violation(_))), "{length}");
    }
}

#[tokio::test]
async fn frames_of_every_size_come_out_as_they_went_in() {
    let mut wire = Vec::new();
    let sizes = [SEALED_BYTES_MIN, 100, 8_000, 9_000, 70_000, SEALED_BYTES_MAX, 30, 8_188, 8_192];
    for (number, size) in sizes.iter().enumerate() {
        wire.extend(u32::try_from(*size).unwrap().to_le_bytes());
        wire.extend(vec![u8::try_from(number).unwrap(); *size]);
    }
    let mut reader = FrameReader::new(Cursor::new(wire));
    for (number, size) in sizes.iter().enumerate() {
        let frame = reader.next(LONG).await.unwrap();
        assert!(frame.len() == *size && frame.iter().all(|byte| usize::from(*byte) == number), "{size}");
    }
    assert_eq!(reader.next(LONG).await, Err(DownReason::Lost));
}

/// A session over a stream that neither gives nor takes, and what it tells.
fn stuck(gone: CancellationToken, outbox: OutboxReader) -> (Session<Stuck>, mpsc::Receiver<NetEvent>, Stop) {
    let ((sealer, opener), _) = ends();
    let (events, received) = mpsc::channel(4);
    let (stop, stopped) = oneshot::channel();
    let session = Session {
        id: SessionId(1),
        node: keys(2).node.public(),
        stream: Stuck(Cursor::new(Vec::new())),
        sealer,
        opener,
        outbox,
        events,
        stop: stopped,
        gone,
        shutdown: CancellationToken::new(),
        counters: Arc::default(),
        patience: Patience { frame: LONG, write: SHORT },
    };
    (session, received, stop)
}

type Stop = oneshot::Sender<DownReason>;

#[tokio::test]
async fn n2_a_peer_that_does_not_read_is_given_up() {
    let (sender, queue) = outbox(SessionId(1));
    let (session, mut received, _stop) = stuck(CancellationToken::new(), queue);
    sender.push(vec![vec![1]]).unwrap();
    assert_eq!(session.run().await, DownReason::TooSlow);
    assert!(matches!(received.recv().await, Some(NetEvent::SessionUp { .. })));
    assert!(matches!(received.recv().await, Some(NetEvent::SessionDown { reason: DownReason::TooSlow, .. })));
}

#[tokio::test]
async fn n10_a_session_that_only_waits_ends_with_its_connection() {
    let (gone, (_sender, queue)) = (CancellationToken::new(), outbox(SessionId(1)));
    let (session, mut received, _stop) = stuck(gone.clone(), queue);
    let session = tokio::spawn(session.run());
    assert!(matches!(received.recv().await, Some(NetEvent::SessionUp { .. })));
    gone.cancel();
    assert!(matches!(received.recv().await, Some(NetEvent::SessionDown { reason: DownReason::Lost, .. })));
    assert_eq!(session.await.unwrap(), DownReason::Lost);
}

#[test]
fn n8_frames_are_opened_once_and_in_order_only() {
    let ((mut sealer, _), (_, mut opener)) = ends();
    let mut wires = Vec::new();
    for content in [&b"one"[..], &[7; 200_000], b"three"] {
        let mut wire = Vec::new();
        sealer.seal(content, &mut wire).unwrap();
        let mut plain = Vec::new();
        opener.open(&wire[4..], &mut plain).unwrap();
        assert_eq!(plain, content);
        wires.push(wire);
    }
    assert!(opener.open(&wires[2][4..], &mut Vec::new()).is_err(), "replayed");
    let mut wire = Vec::new();
    sealer.seal(b"four", &mut wire).unwrap();
    assert!(opener.open(&wire[4..], &mut Vec::new()).is_err(), "the session is over");
}
