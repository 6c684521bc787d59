//! Peers that mean harm against a running node: connections dropped, the node alive, honest payments going on
//! (FAULTS N2, N3, N4, N7, N8, N9, N12).

use std::sync::atomic::{AtomicBool, Ordering};

use futures::{AsyncReadExt, AsyncWriteExt};
use tokio::io::AsyncWriteExt as _;
use towpath_api::Client;
use towpath_crypto::hash::{ChainId, Digest};
use towpath_node::devnet;
use towpath_node::net::{self, ConnectionLimits, Mdns, NetConfig};
use towpath_protocol::{ChannelMessage, Message};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, metric, pay, quiet, until};
use towpath_tests::stranger::{Stranger, beginnings, closed, content, dial, ended, secured};

/// A network of two with a channel, and payments over it that must go on whatever a stranger does.
struct Honest {
    net: Net,
    channel: String,
}

impl Honest {
    async fn up() -> Self {
        let net = Net::up(&Plan::of(2, Topology::Line)).await;
        let [edge] = &net.open(1_000_000).await[..] else { panic!("one channel") };
        Self { channel: edge.channel.clone(), net }
    }

    fn alice(&self) -> Client {
        self.net.client("alice")
    }

    fn chain(&self) -> ChainId {
        let text = std::fs::read_to_string(&self.net.network.state().genesis).expect("a genesis");
        towpath_ledger::genesis::Genesis::parse(&text).expect("a genesis").chain_id()
    }

    /// Pays back and forth until `done`: each payment must settle, and at the end both must agree to the unit.
    async fn pays_while<T>(&self, harm: impl Future<Output = T>) -> T {
        let (alice, bob) = (self.alice(), self.net.client("bob"));
        let over = AtomicBool::new(false);
        let payments = async {
            let mut count = 0_u64;
            while !over.load(Ordering::Relaxed) {
                pay(&alice, &self.channel, 2).await.expect("an honest payment");
                pay(&bob, &self.channel, 1).await.expect("an honest payment");
                count += 1;
            }
            count
        };
        let harm = async {
            let outcome = harm.await;
            over.store(true, Ordering::Relaxed);
            outcome
        };
        let before = alice.channel(&self.channel).await.expect("a channel");
        let (outcome, count) = tokio::join!(harm, payments);
        assert!(count > 0, "payments went on meanwhile");
        let (after, _) = quiet(&alice, &bob, &self.channel).await;
        assert_eq!(before.balance.0 - after.balance.0, count, "each payment counts once");
        outcome
    }

    async fn rejected(&self, reason: &str) -> u64 {
        metric(&self.alice(), &format!("towpath_frames_rejected_total{{reason=\"{reason}\"}}")).await
    }
}

#[tokio::test]
async fn n2_n3_n4_garbage_and_half_handshakes_at_the_peer_port_are_dropped() {
    let honest = Honest::up().await;
    let node = honest.net.node("alice").clone();
    honest
        .pays_while(async {
            // All at once: one that is left hanging keeps no other waiting.
            let dropped = beginnings().into_iter().map(|(what, bytes)| {
                let node = node.clone();
                async move {
                    let mut stream = dial(&node).await;
                    // The node may close before it has all.
                    let _closed_early = stream.write_all(&bytes).await;
                    let said = closed(&mut stream).await;
                    assert!(said.len() < 1_000, "{what}: the node said {} bytes to a stranger", said.len());
                }
            });
            futures::future::join_all(dropped).await;
        })
        .await;
}

#[tokio::test]
async fn n4_garbage_behind_a_secured_handshake_closes_the_connection() {
    let honest = Honest::up().await;
    let node = honest.net.node("alice").clone();
    // Yamux frames: version, type, flags (2), stream (4), length (4), big-endian.
    let frame = |head: [u8; 4], stream: u32, length: u32| {
        [&head[..], &stream.to_be_bytes(), &length.to_be_bytes()].concat()
    };
    let harms: Vec<(&str, Vec<u8>)> = vec![
        ("noise", vec![0xab; 4_096]),
        ("another version", frame([9, 0, 0, 0], 1, 0)),
        ("another type", frame([0, 9, 0, 0], 1, 0)),
        ("data on a stream that is not open, of the largest length", frame([0, 0, 0, 0], 7, u32::MAX)),
        ("a new stream with more data than it may send", frame([0, 0, 0, 1], 1, 0x7fff_ffff)),
        (
            "a window that overflows",
            [frame([0, 1, 0, 1], 1, u32::MAX), frame([0, 1, 0, 0], 1, u32::MAX)].concat(),
        ),
        ("a stream of the other side's number", frame([0, 1, 0, 1], 2, 0)),
        ("a good-bye of an unknown kind", frame([0, 3, 0, 0], 0, 77)),
    ];
    honest
        .pays_while(async {
            for (seed, (what, bytes)) in (1..).zip(harms) {
                let mut stream = secured(&node, seed).await;
                let _closed_early = stream.write_all(&bytes).await;
                let _closed_early = stream.flush().await;
                let mut said = Vec::new();
                // Whatever it makes of them, a connection without a stream that lives is closed.
                let read = stream.read_to_end(&mut said);
                let ended = tokio::time::timeout(towpath_tests::kit::WAIT_MAX, read).await;
                assert!(ended.is_ok(), "{what}: the connection stays open");
            }
        })
        .await;
}

#[tokio::test]
async fn n3_n4_n8_what_breaks_a_session_ends_it_and_is_counted_by_its_reason() {
    let honest = Honest::up().await;
    let node = honest.net.node("alice").clone();
    let mut stranger = Stranger::connect(&node, honest.chain());
    let unknown = [2, 9, 9, 9];
    let truncated =
        Message::Channel(towpath_ledger::ChannelId(Digest([3; 32])), ChannelMessage::Resend(5)).encode();
    let truncated = &truncated[..truncated.len() - 1];
    let far = [truncated, &[0_u8; 600][..]].concat();
    honest
        .pays_while(async {
            for length in [0, 1, 20, 600_000, u32::MAX] {
                let before = honest.rejected("length").await;
                let mut line = stranger.session().await;
                line.write(&length.to_le_bytes()).await;
                line.closed().await;
                assert_eq!(honest.rejected("length").await, before + 1, "a frame of {length} bytes");
            }
            // Garbage; a frame twice; two frames in the other order; one changed bit.
            for change in 0..4 {
                let before = honest.rejected("decryption").await;
                let mut line = stranger.session().await;
                let plain = content(&[&Message::Channel(
                    towpath_ledger::ChannelId(Digest([3; 32])),
                    ChannelMessage::Resend(5),
                )
                .encode()]);
                let (first, second) = (line.sealed(&plain), line.sealed(&plain));
                let mut bent = first.clone();
                if let Some(last) = bent.last_mut() {
                    *last ^= 1;
                }
                let bytes = match change {
                    0 => [&100_u32.to_le_bytes()[..], &[0xab; 100]].concat(),
                    1 => [first.clone(), first].concat(),
                    2 => [second, first].concat(),
                    _ => bent,
                };
                line.write(&bytes).await;
                line.closed().await;
                assert_eq!(honest.rejected("decryption").await, before + 1, "change {change}");
            }
            for plain in [
                vec![0, 0, 0, 0, 1],
                vec![9, 0, 0, 0, 1, 2],
                vec![0xff, 0xff, 0xff, 0xff, 9],
                vec![1, 0, 0, 0, 9, 7],
                [1, 0, 0, 0, 9].repeat(4_097),
            ] {
                let before = honest.rejected("content").await;
                let mut line = stranger.session().await;
                let frame = line.sealed(&plain);
                line.write(&frame).await;
                line.closed().await;
                assert_eq!(honest.rejected("content").await, before + 1);
            }
            // N9: a version and a kind that nobody speaks; then good kinds, cut and overlong.
            for message in [&unknown[..], &[1, 77, 0, 0, 0], &[1], truncated, &far] {
                let before = honest.rejected("message").await;
                let mut line = stranger.session().await;
                line.send(&[message]).await;
                line.closed().await;
                assert_eq!(honest.rejected("message").await, before + 1, "{message:?}");
            }
        })
        .await;
}

#[tokio::test]
async fn n8_recorded_traffic_that_is_played_again_says_nothing() {
    let honest = Honest::up().await;
    let node = honest.net.node("alice").clone();
    let mut stranger = Stranger::connect(&node, honest.chain());
    let resend = Message::Channel(towpath_ledger::ChannelId(Digest([3; 32])), ChannelMessage::Resend(5));
    honest
        .pays_while(async {
            // A session with a message that is taken (and means nothing: there is no such channel), recorded whole.
            let mut line = stranger.session().await;
            let before = metric(&honest.alice(), "towpath_messages_received_total").await;
            line.send(&[&resend.encode()]).await;
            until("the message arrives", async || {
                (metric(&honest.alice(), "towpath_messages_received_total").await > before).then_some(())
            })
            .await;
            let record = line.written.clone();
            let failed = metric(&honest.alice(), "towpath_sessions_failed_total").await;
            // The same bytes on a new stream: the handshake belongs to another one, so it fails.
            let mut stream = stranger.open().await;
            let _closed_early = stream.write_all(&record).await;
            let _closed_early = stream.flush().await;
            ended(&mut stream).await;
            until("the attempt counts as failed", async || {
                (metric(&honest.alice(), "towpath_sessions_failed_total").await > failed).then_some(())
            })
            .await;
        })
        .await;
}

#[tokio::test]
async fn n9_a_peer_of_another_chain_is_turned_away_and_told_why() {
    let honest = Honest::up().await;
    let node = honest.net.node("alice").clone();
    // The keys of somebody who would be welcome here, on another chain.
    let seed = devnet::seed("carol");
    let config = NetConfig {
        identity: *seed.node_secret(),
        session_key: *seed.session_key(),
        chain: ChainId(Digest([0x77; 32])),
        listen: vec!["/ip4/127.0.0.1/tcp/0".parse().expect("an address")],
        bootstrap: Vec::new(),
        mdns: Mdns::Off,
        limits: ConnectionLimits::default(),
        subscribe_timeout: net::limits::SUBSCRIBE_TIMEOUT,
        seed: 7,
    };
    let (handle, mut events) = net::spawn(config).expect("the network starts");
    let alice = towpath_tests::stranger::place(&node).1;
    let alice_id = net::node_of(&alice).expect("a node");
    handle.want(alice_id, vec![node.p2p.parse().expect("an address")]).await.expect("it can be dialled");
    honest
        .pays_while(async {
            let told = async {
                while let Some(event) = events.recv().await {
                    if let net::NetEvent::OtherChain { node, theirs } = event {
                        assert_eq!(node, alice_id);
                        return theirs;
                    }
                }
                panic!("the network ended");
            };
            let told = tokio::time::timeout(towpath_tests::kit::WAIT_MAX, told);
            assert!(told.await.expect("both are told").starts_with("towpath/1/"));
            until("it is counted", async || {
                let turned_away = metric(&honest.alice(), "towpath_peers_of_other_chains_total").await;
                (turned_away > 0).then_some(())
            })
            .await;
        })
        .await;
    let peers = honest.alice().peers().await.expect("peers").peers;
    let carol = towpath_node::worker::node_text(&seed.node_key().public());
    assert!(peers.iter().all(|peer| peer.node != carol), "it is no peer: {peers:?}");
    handle.shutdown().await;
}

#[tokio::test]
async fn n12_what_a_stranger_calls_itself_cannot_fool_a_terminal() {
    let honest = Honest::up().await;
    let node = honest.net.node("alice").clone();
    let mut stranger = Stranger::connect(&node, honest.chain());
    let _line = stranger.session().await;
    let id = towpath_node::worker::node_text(&stranger.id());
    let agent = until("the stranger is listed", async || {
        let peers = honest.alice().peers().await.ok()?.peers;
        peers.into_iter().find(|peer| peer.node == id)?.agent
    })
    .await;
    assert_eq!(agent, "\\u{1b}[2Jstranger\\u{202e}");
    let listed = honest.net.run(&["--node", "alice", "peer", "list"]);
    assert!(listed.status.success() && !listed.stdout.contains(&0x1b), "{listed:?}");
}
