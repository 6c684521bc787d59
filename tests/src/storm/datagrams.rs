//! At the port for QUIC: datagrams that are no QUIC, and first datagrams of real handshakes, changed.

use std::net::SocketAddr;

use libp2p::futures::StreamExt as _;
use libp2p::swarm::dummy;
use libp2p::{Multiaddr, SwarmBuilder};
use tokio::net::UdpSocket;
use tokio::time::{interval, timeout};
use towpath_fuzz::mutate;

use super::{Storm, random};
use crate::kit::{LOOK_EVERY, WAIT_MAX};

/// Batches of a round, and datagrams of one, which are sent before the node is asked whether it has read them: fewer than what a
/// socket's buffer holds.
const BATCHES: usize = 5;
const BATCH: u64 = 20;

/// The smallest datagram that a connection can begin with, and the largest that is tried.
const FIRST_BYTES: usize = 1_200;
const BYTES_MAX: usize = 1_452;

/// Where a node listens for QUIC.
#[derive(Clone, Copy, Debug)]
pub struct QuicPort(pub u16);

impl QuicPort {
    fn address(self) -> SocketAddr {
        ([127, 0, 0, 1], self.0).into()
    }

    /// The same as libp2p writes it.
    #[must_use]
    pub fn multiaddr(self) -> String {
        format!("/ip4/127.0.0.1/udp/{}/quic-v1", self.0)
    }
}

impl Storm {
    pub(super) async fn datagrams(&self, seed: u64) {
        let mut random = random("datagrams", seed, 0);
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
        socket.connect(self.quic.address()).await.expect("an address");
        let first = first_datagram().await;
        for batch in (0..).take(BATCHES) {
            for _ in 0..BATCH {
                let mut bytes = if random.below(4) == 0 { self.word(&mut random) } else { first.clone() };
                // Whole, it would be the beginning of a connection.
                let place = random.below(bytes.len());
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= 1 << random.below(8);
                }
                let other = self.word(&mut random);
                mutate(&mut random, &mut bytes, &other, BYTES_MAX - 1);
                socket.send(&bytes).await.expect("it is sent");
            }
            has_read(&socket, batch).await;
            self.tally.add("datagrams", BATCH);
        }
    }
}

/// The first datagram with which libp2p begins a connection by QUIC.
async fn first_datagram() -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a socket");
    let port = socket.local_addr().expect("it is bound").port();
    let mut swarm = SwarmBuilder::with_new_identity()
        .with_tokio()
        .with_quic()
        .with_behaviour(|_| dummy::Behaviour)
        .expect("a behaviour")
        .build();
    let address: Multiaddr = QuicPort(port).multiaddr().parse().expect("an address");
    swarm.dial(address).expect("it can be dialled");
    let mut bytes = vec![0; 4 * BYTES_MAX];
    let received = async {
        tokio::select! {
            received = socket.recv(&mut bytes) => received.expect("a datagram"),
            () = async { while swarm.next().await.is_some() {} } => 0,
        }
    };
    let length = timeout(WAIT_MAX, received).await.expect("it begins with a datagram");
    assert!(length >= FIRST_BYTES, "a first datagram of {length} bytes");
    bytes.truncate(length);
    bytes
}

/// Waits until the node has read what was sent before: a first datagram of a version that nobody speaks is answered with those
/// that the node speaks, and datagrams of one sender to one socket arrive in their order.
async fn has_read(socket: &UdpSocket, batch: u8) {
    let mut probe = vec![0; FIRST_BYTES];
    // Long header, the version, and both connection ids with their lengths.
    probe[..7].copy_from_slice(&[0xc0, 0x1a, 0x2a, 0x3a, 0x4a, 8, 0x77]);
    probe[14] = 8;
    probe[15] = 0x78;
    probe[16] = batch;
    let mut answer = [0; BYTES_MAX];
    let asked = async {
        let mut ticks = interval(LOOK_EVERY);
        loop {
            tokio::select! {
                // A full buffer loses datagrams: the question as well.
                _ = ticks.tick() => drop(socket.send(&probe).await),
                received = socket.recv(&mut answer) => {
                    let length = received.expect("a datagram");
                    // Version zero marks the answer, which names our connection id as its receiver's.
                    if length > 15 && answer[1..5] == [0; 4] && answer[6..8] == [0x78, batch] {
                        return;
                    }
                }
            }
        }
    };
    timeout(WAIT_MAX, asked).await.expect("the node answers a datagram of an unknown version");
}
