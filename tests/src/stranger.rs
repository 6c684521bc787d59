//! Peers without manners: they speak a node's protocols as far as they like, after `docs/format/network.md` and libp2p's
//! own specifications, with none of the node's code for framing.

use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::upgrade::OutboundConnectionUpgrade;
use libp2p::identity::Keypair;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::NetworkBehaviour;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder, identify, noise, ping, tcp, yamux};
use tokio::net::TcpStream;
use tokio::task::AbortHandle;
use towpath_crypto::ed25519::{PublicKey, SecretKey};
use towpath_crypto::hash::ChainId;
use towpath_crypto::session::{CHUNK_BYTES_MAX, Handshake, Role, Session};
use towpath_node::net::{NodeId, node_of};
use towpath_testnet::NodeState;

use crate::kit::{LOOK_EVERY, WAIT_MAX};

/// How long a node that closes a connection may take for it: as long as any test waits.
const CLOSE_MAX: Duration = WAIT_MAX;

/// Where a node listens for peers: socket, and who it must prove to be.
///
/// # Panics
/// When its address is not one of a local network.
#[must_use]
pub fn place(node: &NodeState) -> (String, PeerId) {
    let address: Multiaddr = node.p2p.parse().expect("an address");
    let mut parts = address.iter();
    let (Some(Protocol::Ip4(ip)), Some(Protocol::Tcp(port)), Some(Protocol::P2p(peer))) =
        (parts.next(), parts.next(), parts.next())
    else {
        panic!("{address} is not /ip4/tcp/p2p");
    };
    (format!("{ip}:{port}"), peer)
}

/// Connects to a node's peer port, and says nothing yet.
///
/// # Panics
/// When nobody listens.
pub async fn dial(node: &NodeState) -> TcpStream {
    TcpStream::connect(place(node).0).await.expect("the node listens for peers")
}

/// Waits until the node has closed the connection; what it said before that.
///
/// # Panics
/// When it leaves it open.
pub async fn closed(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Vec<u8> {
    let mut said = Vec::new();
    let read = async { tokio::io::AsyncReadExt::read_to_end(stream, &mut said).await };
    let ended = tokio::time::timeout(CLOSE_MAX, read).await;
    // A reset is an end, too.
    let _end_or_reset = ended.expect("the node closes the connection");
    said
}

/// A name, as libp2p's first negotiation writes it: its length with the line break, then both.
fn negotiation(name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len() + 1).expect("a short name");
    assert!(length < 0x80, "one byte holds the length");
    [&[length], name.as_bytes(), b"\n"].concat()
}

/// What peers without manners begin a connection with, each by its name.
#[must_use]
pub fn beginnings() -> Vec<(&'static str, Vec<u8>)> {
    let multistream = negotiation("/multistream/1.0.0");
    let noise = [multistream.clone(), negotiation("/noise")].concat();
    vec![
        ("nothing", Vec::new()),
        ("one byte", vec![0x13]),
        ("zeros", vec![0; 100_000]),
        ("ones", vec![0xff; 100_000]),
        ("HTTP", b"GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_vec()),
        ("TLS", [&[22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[7; 500]].concat()),
        ("a negotiation of a lying length", vec![0xff, 0xff, 0xff, 0xff, 0x0f, b'/']),
        ("half a negotiation", multistream[..7].to_vec()),
        ("a negotiation and silence", multistream.clone()),
        ("an unknown protocol", [multistream, negotiation("/none/9.9.9")].concat()),
        ("Noise and silence", noise.clone()),
        ("Noise of length zero", [&noise[..], &[0, 0]].concat()),
        ("Noise of the largest length", [&noise[..], &[0xff, 0xff], &[9; 70_000]].concat()),
        ("half a Noise message", [&noise[..], &[0, 32], &[1; 7]].concat()),
        ("Noise with a weak key", [&noise[..], &[0, 32], &[0; 32]].concat()),
        ("Noise with another's key, then garbage", [&noise[..], &[0, 32], &[9; 32], &[0xab; 300]].concat()),
    ]
}

/// A connection that is secured by libp2p's Noise and agreed to be multiplexed by Yamux: what follows is up to the caller.
///
/// # Panics
/// When the node does not take part.
pub async fn secured(node: &NodeState, seed: u8) -> noise::Output<tcp::tokio::TcpStream> {
    let mut stream = tcp::tokio::TcpStream(dial(node).await);
    agree(&mut stream, "/noise").await;
    let noise = noise::Config::new(&keypair([seed; 32])).expect("a key");
    let (peer, mut stream) = noise.upgrade_outbound(stream, "/noise").await.expect("the node proves itself");
    assert_eq!(peer, place(node).1);
    agree(&mut stream, "/yamux/1.0.0").await;
    stream
}

/// Agrees on a protocol, as the one who calls.
async fn agree(stream: &mut (impl futures::AsyncRead + futures::AsyncWrite + Unpin), name: &str) {
    let asked = [negotiation("/multistream/1.0.0"), negotiation(name)].concat();
    stream.write_all(&asked).await.expect("the node reads");
    stream.flush().await.expect("the node reads");
    let mut answered = vec![0; asked.len()];
    stream.read_exact(&mut answered).await.expect("the node answers");
    assert_eq!(answered, asked, "the node agrees");
}

fn keypair(secret: [u8; 32]) -> Keypair {
    Keypair::ed25519_from_bytes(secret).expect("a key")
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    /// Who does not answer pings is not answered either.
    ping: ping::Behaviour,
    stream: libp2p_stream::Behaviour,
}

/// A peer that speaks libp2p well, and channel streams as it likes.
pub struct Stranger {
    secret: [u8; 32],
    chain: ChainId,
    node: NodeId,
    peer: PeerId,
    control: libp2p_stream::Control,
    swarm: AbortHandle,
}

impl Stranger {
    /// Connects to a node of a chain, and stays connected until it is dropped.
    ///
    /// # Panics
    /// When the node's address cannot be dialled.
    #[must_use]
    pub fn connect(node: &NodeState, chain: ChainId) -> Self {
        let id = node_of(&place(node).1).expect("a node's key");
        Self::dial(&node.p2p, chain, [lower_than(&id); 32])
    }

    /// The same as whoever has this secret, by TCP or QUIC; the address ends in `/p2p/..`.
    ///
    /// # Panics
    /// When the address cannot be dialled.
    #[must_use]
    pub fn dial(address: &str, chain: ChainId, secret: [u8; 32]) -> Self {
        let address: Multiaddr = address.parse().expect("an address");
        let Some(Protocol::P2p(peer)) = address.iter().last() else { panic!("{address} names no peer") };
        let id = node_of(&peer).expect("a node's key");
        let keypair = keypair(secret);
        let version = format!("towpath/1/{}", chain.0);
        let config = identify::Config::new(version, keypair.public())
            .with_agent_version("\u{1b}[2Jstranger\u{202e}".to_owned());
        let behaviour = Behaviour {
            identify: identify::Behaviour::new(config),
            ping: ping::Behaviour::new(ping::Config::new().with_interval(WAIT_MAX)),
            stream: libp2p_stream::Behaviour::new(),
        };
        let control = behaviour.stream.new_control();
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_quic()
            .with_behaviour(|_| behaviour)
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(WAIT_MAX))
            .build();
        swarm.dial(address).expect("it can be dialled");
        let swarm = tokio::spawn(async move { while swarm.next().await.is_some() {} }).abort_handle();
        Self { secret, chain, node: id, peer, control, swarm }
    }

    /// Its own id.
    #[must_use]
    pub fn id(&self) -> PublicKey {
        SecretKey::from_bytes(&self.secret).public()
    }

    /// Opens a channel stream, on which nothing was said yet.
    ///
    /// # Panics
    /// When the node takes none.
    pub async fn open(&mut self) -> Stream {
        let name = self.protocol("channel");
        self.stream(name).await
    }

    /// The name of one of the nodes' protocols on this chain.
    #[must_use]
    pub fn protocol(&self, name: &str) -> String {
        format!("/towpath/{name}/1/{}", self.chain.0)
    }

    /// Opens a stream of any protocol.
    ///
    /// # Panics
    /// When the node takes none.
    pub async fn stream(&mut self, name: String) -> Stream {
        let protocol = StreamProtocol::try_from_owned(name).expect("a name");
        let open = async {
            let mut ticks = tokio::time::interval(LOOK_EVERY);
            loop {
                // Refused until the dial is through.
                if let Ok(stream) = self.control.open_stream(self.peer, protocol.clone()).await {
                    return stream;
                }
                ticks.tick().await;
            }
        };
        let opened = tokio::time::timeout(WAIT_MAX, open).await;
        opened.unwrap_or_else(|_| panic!("the node takes no stream of {protocol}"))
    }

    /// Takes the node's gossip and throws it away. To whom it can't open a stream for gossip the node does not listen either; so
    /// this comes before anything is waited for.
    ///
    /// # Panics
    /// When it is said twice.
    pub fn hears_gossip(&mut self) {
        let protocol = StreamProtocol::try_from_owned(self.gossip()).expect("a name");
        let mut streams = self.control.accept(protocol).expect("said once");
        tokio::spawn(async move {
            while let Some((_, stream)) = streams.next().await {
                tokio::spawn(async move { futures::io::copy(stream, &mut futures::io::sink()).await });
            }
        });
    }

    /// The name of the protocol for gossip on this chain.
    #[must_use]
    pub fn gossip(&self) -> String {
        format!("/towpath/gossip/{}/1.1.0", self.chain.0)
    }

    /// A session with the node, as itself.
    ///
    /// # Panics
    /// When the node does not shake hands.
    pub async fn session(&mut self) -> Line {
        let deadline = tokio::time::Instant::now() + WAIT_MAX;
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        loop {
            let stream = self.open().await;
            let node = SecretKey::from_bytes(&self.secret);
            if let Some(line) = Line::shake_hands(stream, &node, &self.chain).await {
                assert_eq!(line.session.peer(), self.node);
                return line;
            }
            // The node was opening a stream of its own; or it slows down one who asks too often.
            assert!(tokio::time::Instant::now() < deadline, "the node shakes no hands");
            ticks.tick().await;
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

/// A seed whose node's id is below `other`: of two nodes that open streams to each other, the stream of the lower one
/// stands (SPEC N-15), so that this one's is not refused by chance.
fn lower_than(other: &NodeId) -> u8 {
    let lower = |seed: &u8| SecretKey::from_bytes(&[*seed; 32]).public() < *other;
    (1..=u8::MAX).find(lower).expect("one of 255 random ids is below another")
}

/// A channel session, spoken by hand.
pub struct Line {
    stream: Stream,
    session: Session,
    /// Everything that was written on the stream, from the handshake's first byte.
    pub written: Vec<u8>,
}

impl Line {
    async fn shake_hands(mut stream: Stream, node: &SecretKey, chain: &ChainId) -> Option<Self> {
        let mut handshake =
            Handshake::new(Role::Initiator, &[0x5a; 32], node, chain).expect("the system has randomness");
        let mut written = Vec::new();
        while !handshake.is_done() {
            if handshake.is_my_turn() {
                let message = handshake.write().expect("it is our turn");
                let length = u32::try_from(message.len()).expect("short").to_le_bytes();
                written.extend([&length[..], &message].concat());
                let sent = [&length[..], &message].concat();
                stream.write_all(&sent).await.ok()?;
                stream.flush().await.ok()?;
            } else {
                let mut length = [0; 4];
                stream.read_exact(&mut length).await.ok()?;
                let mut message = vec![0; usize::try_from(u32::from_le_bytes(length)).expect("a length")];
                stream.read_exact(&mut message).await.ok()?;
                handshake.read(&message).expect("an honest node shakes hands by the rules");
            }
        }
        let session = handshake.finish().expect("the handshake is done");
        Some(Self { stream, session, written })
    }

    /// The bytes of a frame with this content.
    ///
    /// # Panics
    /// When the session is over.
    pub fn sealed(&mut self, content: &[u8]) -> Vec<u8> {
        let mut sealed = Vec::new();
        for chunk in content.chunks(CHUNK_BYTES_MAX) {
            self.session.seal(chunk, &mut sealed).expect("the session goes on");
        }
        let length = u32::try_from(sealed.len()).expect("short").to_le_bytes();
        [&length[..], &sealed].concat()
    }

    /// Writes bytes as they are. Whether the node still reads them shows later.
    pub async fn write(&mut self, bytes: &[u8]) {
        self.written.extend(bytes);
        let _closed_early = self.stream.write_all(bytes).await;
        let _closed_early = self.stream.flush().await;
    }

    /// Sends messages in one frame.
    pub async fn send(&mut self, messages: &[&[u8]]) {
        let frame = self.sealed(&content(messages));
        self.write(&frame).await;
    }

    /// Says no more, and waits until the node, which has then read everything, has ended the session.
    ///
    /// # Panics
    /// When it does not.
    pub async fn broken_off(mut self) {
        broken_off(&mut self.stream).await;
    }

    /// Waits until the node has ended the session.
    ///
    /// # Panics
    /// When it does not.
    pub async fn closed(mut self) {
        ended(&mut self.stream).await;
    }
}

/// Ends the own half of a stream, and waits until the node, which has then read everything, has closed the other.
///
/// # Panics
/// When it does not.
pub async fn broken_off(stream: &mut (impl futures::AsyncRead + futures::AsyncWrite + Unpin)) {
    let _closed_early = stream.close().await;
    ended(stream).await;
}

/// Waits until the node has closed a stream.
///
/// # Panics
/// When it does not.
pub async fn ended(stream: &mut (impl futures::AsyncRead + Unpin)) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(CLOSE_MAX, stream.read_to_end(&mut rest)).await;
    let _end_or_reset = read.expect("the node closes the stream");
}

/// The content of a frame with these messages.
///
/// # Panics
/// For a message that is too long to count.
#[must_use]
pub fn content(messages: &[&[u8]]) -> Vec<u8> {
    let one = |message: &&[u8]| {
        let length = u32::try_from(message.len()).expect("short").to_le_bytes();
        [&length[..], message].concat()
    };
    messages.iter().flat_map(one).collect()
}
