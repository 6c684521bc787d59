//! At the peers' port, as peers that libp2p lets in: broken handshakes and frames of channel sessions, streams of every other
//! protocol of the node, gossip. Each stranger is somebody new: one who tries too often is slowed down, and banned for lies.

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::Stream;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::session::{Handshake, Role};
use towpath_fuzz::{Random, mutate};
use towpath_protocol::Message;

use super::{BYTES_MAX, Storm, random, side_by_side};
use crate::kit::WAIT_MAX;
use crate::stranger::{Stranger, broken_off, content};

/// Strangers side by side, and how many come in a round after one another in each lane.
const LANES: u8 = 4;
const STRANGERS: u8 = 3;

/// What each of them does: together with the sessions, fewer attempts than one peer may make at once.
const HANDSHAKES: u64 = 5;
const FRAMES: u64 = 9;
const STREAMS: u64 = 8;

impl Storm {
    pub(super) async fn strangers(&self, seed: u64) {
        side_by_side(LANES, async |lane| {
            for number in 0..STRANGERS {
                let mut random = random("strangers", seed, lane * STRANGERS + number);
                let mut secret = [0; 32];
                secret[..8].copy_from_slice(&random.number().to_le_bytes());
                secret[8] = 1;
                let mut stranger = Stranger::dial(&self.node.p2p, self.chain, secret);
                stranger.hears_gossip();
                for _ in 0..HANDSHAKES {
                    self.handshake(&mut stranger, &secret, &mut random).await;
                }
                for _ in 0..FRAMES {
                    self.frame(&mut stranger, &mut random).await;
                }
                for _ in 0..STREAMS {
                    self.other_stream(&mut stranger, &mut random).await;
                }
                self.gossip(&mut stranger, &mut random).await;
                // Who claims to be on another chain is disconnected.
                self.who_it_is(&mut stranger, &mut random).await;
            }
        })
        .await;
    }

    /// The first message of a handshake, changed.
    async fn handshake(&self, stranger: &mut Stranger, secret: &[u8; 32], random: &mut Random) {
        let node = SecretKey::from_bytes(secret);
        let handshake = Handshake::new(Role::Initiator, &[0x5a; 32], &node, &self.chain);
        let message = handshake.expect("the system has randomness").write().expect("it is our turn");
        let mut bytes = framed(&message);
        let word = self.word(random);
        mutate(random, &mut bytes, &word, BYTES_MAX);
        end_with(stranger.open().await, &bytes).await;
        self.tally.add("broken handshakes of sessions", 1);
    }

    /// One frame of a session, wrong at one of its layers.
    async fn frame(&self, stranger: &mut Stranger, random: &mut Random) {
        let mut line = stranger.session().await;
        let word = self.word(random);
        let bytes = match random.below(6) {
            0 => [&(random.number() >> random.below(64)).to_le_bytes()[..4], &word].concat(),
            1 => framed(&word),
            2 => {
                let mut frame = line.sealed(&content(&[&word]));
                let place = random.below(frame.len());
                frame[place] ^= 1 << random.below(8);
                frame
            }
            3 => {
                let mut plain = content(&[&word, &word]);
                mutate(random, &mut plain, &word, BYTES_MAX);
                line.sealed(&plain)
            }
            4 => line.sealed(&content(&[&word])),
            _ => line.sealed(&content(&[&self.lie(random)])),
        };
        line.write(&bytes).await;
        line.broken_off().await;
        self.tally.add("frames of sessions", 1);
    }

    /// A message that means something, about a channel of others.
    fn lie(&self, random: &mut Random) -> Vec<u8> {
        let start = random.below(self.words.len());
        let known = self.words.iter().cycle().skip(start).take(self.words.len());
        let mut messages = known.filter_map(|word| Message::decode(word).ok());
        match messages.next().expect("some golden vectors are messages") {
            Message::Channel(_, message) => Message::Channel(self.channel, message).encode(),
            other @ (Message::Open(_)
            | Message::Accept(_)
            | Message::Decline(_)
            | Message::Tower(_)
            | Message::Hello(_)
            | Message::Stale(_)) => other.encode(),
        }
    }

    /// A stream of another protocol: what is said on it is changed, cut or overlong.
    async fn other_stream(&self, stranger: &mut Stranger, random: &mut Random) {
        let word = self.word(random);
        let (name, mut bytes) = match random.below(8) {
            0..4 => (stranger.protocol("sync"), framed(&word)),
            4..7 => {
                let find = [&[8, (random.number() % 6).to_le_bytes()[0]][..], &field(2, &word)].concat();
                (stranger.protocol("kad"), delimited(&find))
            }
            _ => ("/ipfs/ping/1.0.0".to_owned(), word.clone()),
        };
        if random.below(4) > 0 {
            mutate(random, &mut bytes, &word, BYTES_MAX);
        }
        let mut stream = stranger.stream(name).await;
        let _closed_early = stream.write_all(&bytes).await;
        let _closed_early = stream.close().await;
        echo(stranger).await;
        self.tally.add("streams of other protocols", 1);
    }

    /// Two words of gossip that mean nothing, and a third that is none: fewer than what gets a stranger banned, so that all of them
    /// are read.
    async fn gossip(&self, stranger: &mut Stranger, random: &mut Random) {
        let chain = self.chain.0;
        let mut said = Vec::new();
        for topic in ["transactions", "consensus"] {
            let topic = format!("/towpath/{chain}/{topic}/1").into_bytes();
            let data = [vec![0], self.word(random)].concat();
            let message = [field(2, &data), field(4, &topic)].concat();
            let control = field(3, &[field(3, &field(1, &topic)), field(2, &field(1, &data))].concat());
            said.extend(delimited(&[field(2, &message), control].concat()));
        }
        let mut last = delimited(&field(3, &self.word(random)));
        mutate(random, &mut last, &said, BYTES_MAX);
        said.extend(last);
        end_with(stranger.stream(stranger.gossip()).await, &said).await;
        self.tally.add("words of gossip", 3);
    }

    /// What it says of itself, anew and wrong.
    async fn who_it_is(&self, stranger: &mut Stranger, random: &mut Random) {
        let word = self.word(random);
        let fields = (1..7).map(|number| field(number, &word)).collect::<Vec<_>>().concat();
        let mut bytes = delimited(&fields);
        if random.below(2) == 0 {
            mutate(random, &mut bytes, &word, 2 * BYTES_MAX);
        }
        let mut stream = stranger.stream("/ipfs/id/push/1.0.0".to_owned()).await;
        let _closed_early = stream.write_all(&bytes).await;
        let _closed_early = stream.close().await;
        echo(stranger).await;
        self.tally.add("streams of other protocols", 1);
    }
}

/// Writes bytes as they are, and ends the stream.
async fn end_with(mut stream: Stream, bytes: &[u8]) {
    let _closed_early = stream.write_all(bytes).await;
    broken_off(&mut stream).await;
}

/// Has a ping answered, so that what was sent before on the same connection has reached its stream: libp2p's own protocols leave
/// some streams open after they were told that no more comes.
async fn echo(stranger: &mut Stranger) {
    let (said, mut heard) = ([0x5a; 32], [0; 32]);
    let mut stream = stranger.stream("/ipfs/ping/1.0.0".to_owned()).await;
    let asked = async {
        stream.write_all(&said).await?;
        stream.flush().await?;
        stream.read_exact(&mut heard).await
    };
    let answered = tokio::time::timeout(WAIT_MAX, asked).await.expect("the node answers a ping");
    answered.expect("the connection stands");
    assert_eq!(heard, said, "a ping comes back as it was");
}

/// Bytes behind their length, as our protocols write it.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("short").to_le_bytes();
    [&length[..], bytes].concat()
}

/// A number as Protocol Buffers write it.
fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number % 0x80).to_le_bytes()[0] | 0x80);
        number /= 0x80;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

/// Bytes behind their length, as libp2p's protocols write it.
fn delimited(bytes: &[u8]) -> Vec<u8> {
    [varint(bytes.len()), bytes.to_vec()].concat()
}

/// A field of a Protocol Buffers message that holds bytes.
fn field(number: usize, bytes: &[u8]) -> Vec<u8> {
    [varint(number * 8 + 2), delimited(bytes)].concat()
}
