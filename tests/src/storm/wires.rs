//! At the peers' port, below any protocol of ours: beginnings of connections, bytes behind a secured handshake, and
//! connections that stall.

use futures::AsyncWriteExt as _;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use towpath_fuzz::{Random, mutate};

use super::{BYTES_MAX, Storm, random, side_by_side};
use crate::stranger::{Line, Stranger, beginnings, broken_off, closed, dial, secured};

/// Those who begin connections side by side, and connections of each in a round.
const BEGINNERS: u8 = 4;
const BEGINNINGS: u64 = 50;

/// Those who shake hands first, and connections of each in a round.
const SECURED: u8 = 2;
const FRAMES: u64 = 20;

/// Connections of each kind that stall: together with all that is being opened, fewer than a node lets begin at once.
const STALLED: u8 = 8;

/// The most that the node says to somebody who has proven nothing: its half of a handshake.
const SAID_MAX: usize = 1_000;

impl Storm {
    pub(super) async fn beginnings(&self, seed: u64) {
        let known = beginnings();
        side_by_side(BEGINNERS, async |lane| {
            let mut random = random("beginnings", seed, lane);
            for _ in 0..BEGINNINGS {
                let (_, mut bytes) = random.pick(&known).cloned().unwrap_or_default();
                let (_, other) = random.pick(&known).cloned().unwrap_or_default();
                mutate(&mut random, &mut bytes, &other, 2 * BYTES_MAX);
                let mut stream = dial(&self.node).await;
                let _closed_early = stream.write_all(&bytes).await;
                let _closed_early = stream.shutdown().await;
                let said = closed(&mut stream).await;
                assert!(said.len() < SAID_MAX, "the node said {} bytes to {bytes:02x?}", said.len());
                self.tally.add("beginnings of connections", 1);
            }
        })
        .await;
    }

    pub(super) async fn behind_a_secured_handshake(&self, seed: u64) {
        side_by_side(SECURED, async |lane| {
            let mut random = random("multiplexer", seed, lane);
            for _ in 0..FRAMES {
                let mut bytes = frames(&mut random);
                mutate(&mut random, &mut bytes, &[0, 0, 0, 1, 0, 0, 0, 3, 0xff, 0xff, 0xff, 0xff], BYTES_MAX);
                let mut stream = secured(&self.node, 0x80 + lane).await;
                let _closed_early = stream.write_all(&bytes).await;
                broken_off(&mut stream).await;
                self.tally.add("bytes behind a secured handshake", 1);
            }
        })
        .await;
    }
}

/// A few frames of Yamux: version, type, flags (2), stream (4), length (4), big-endian, and data.
fn frames(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..=random.below(6) {
        let (kind, flags) = (random.number() % 4, random.number() % 16);
        let length = if random.below(3) == 0 { u64::MAX >> random.below(64) } else { random.number() % 64 };
        let stream = 1 + random.number() % 4;
        bytes.extend([0, kind.to_le_bytes()[0], 0, flags.to_le_bytes()[0]]);
        bytes.extend(&stream.to_be_bytes()[4..]);
        bytes.extend(&length.to_be_bytes()[4..]);
        if kind == 0 {
            bytes.extend((0..length.min(64)).map(|_| random.number().to_le_bytes()[0]));
        }
    }
    bytes
}

/// Connections and sessions that said half of something and then nothing.
pub struct Stalled {
    plain: Vec<TcpStream>,
    sessions: Vec<(Stranger, Line)>,
}

impl Stalled {
    /// Begins them; each counts as an input.
    ///
    /// # Panics
    /// When the node does not let them begin.
    pub async fn begin(storm: &Storm) -> Self {
        let mut plain = Vec::new();
        for (what, bytes) in beginnings() {
            // Those that the node hangs up on by itself stall nothing.
            if what.contains("silence") || what.contains("half") || what == "nothing" {
                for _ in 0..STALLED {
                    let mut stream = dial(&storm.node).await;
                    stream.write_all(&bytes).await.expect("the node listens");
                    plain.push(stream);
                }
            }
        }
        let head = format!("POST /v1/channels HTTP/1.1\r\nhost: {}\r\n", storm.api.address);
        let whole = format!("{head}authorization: {}\r\ncontent-length: 100\r\n\r\n{{", storm.api.bearer());
        for text in [head, whole] {
            for _ in 0..STALLED {
                let mut stream = storm.api.connect().await;
                stream.write_all(text.as_bytes()).await.expect("the API listens");
                plain.push(stream);
            }
        }
        let mut sessions = Vec::new();
        for number in 0..STALLED {
            let mut stranger = Stranger::dial(&storm.node.p2p, storm.chain, [0x40 + number; 32]);
            let mut line = stranger.session().await;
            line.write(&[100, 0, 0, 0, 7]).await;
            sessions.push((stranger, line));
        }
        let count = u64::try_from(plain.len() + sessions.len()).unwrap_or(0);
        storm.tally.add("connections that stall", count);
        Self { plain, sessions }
    }

    /// Waits until the node has hung up on each of them.
    ///
    /// # Panics
    /// When it leaves one open.
    pub async fn are_hung_up(self) {
        let plain = self.plain.into_iter().map(|mut stream| async move {
            closed(&mut stream).await;
        });
        let sessions = self.sessions.into_iter().map(|(stranger, line)| async move {
            line.closed().await;
            drop(stranger);
        });
        tokio::join!(futures::future::join_all(plain), futures::future::join_all(sessions));
    }
}
