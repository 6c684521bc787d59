//! Malformed inputs by the thousand at one running node, over all its ports, each counted when the node has read it (FAULTS
//! F10). A round is a thousand of them: requests to the API, from the node's own OpenAPI document, and bytes that are no
//! requests; at the peers' port beginnings of connections, bytes behind a secured handshake, handshakes and frames of channel
//! sessions, streams of every other protocol, gossip; datagrams for QUIC.
//!
//! Whoever sends one then says that no more comes and waits until the node hangs up, so that nothing counts which was only
//! left in a buffer. Datagrams are counted behind one that the node must answer.

mod callers;
mod datagrams;
mod strangers;
mod wires;

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokio::sync::Notify;
use towpath_crypto::hash::ChainId;
use towpath_fuzz::{Random, golden, mutate};
use towpath_ledger::ChannelId;
use towpath_testnet::NodeState;

use crate::http::Api;
use crate::requests::{Operation, operations};

pub use datagrams::QuicPort;
pub use wires::Stalled;

/// Inputs of one round, about.
pub const ROUND: u64 = 1_000;

/// The longest input of one kind that is made by changing another, in bytes.
const BYTES_MAX: usize = 4_096;

/// A node under a storm.
pub struct Storm {
    node: NodeState,
    chain: ChainId,
    quic: QuicPort,
    api: Api,
    document: Value,
    operations: Vec<Operation>,
    /// Ids that requests may name: what becomes of these is nobody's loss.
    known: Vec<String>,
    /// A channel that honest work goes through, which strangers lie about.
    channel: ChannelId,
    /// What the crates' golden vectors hold: what strangers' words begin as.
    words: Vec<Vec<u8>>,
    /// What was sent and read so far.
    pub tally: Tally,
}

impl Storm {
    /// On this node, which listens for QUIC there.
    ///
    /// # Panics
    /// When the node has no token, or its document names fewer operations than there are.
    #[must_use]
    pub fn new(
        node: &NodeState,
        chain: ChainId,
        quic: QuicPort,
        document: Value,
        (known, channel): (Vec<String>, ChannelId),
    ) -> Self {
        let operations = operations(&document);
        assert!(operations.len() >= 28, "{} operations", operations.len());
        Self {
            node: node.clone(),
            chain,
            quic,
            api: Api::of(node),
            document,
            operations,
            known,
            channel,
            words: golden(),
            tally: Tally::default(),
        }
    }

    /// A round from a seed, everything at once.
    ///
    /// # Panics
    /// When the node does not do with an input what it must.
    pub async fn round(&self, seed: u64) {
        tokio::join!(
            self.requests(seed),
            self.no_requests(seed),
            self.beginnings(seed),
            self.behind_a_secured_handshake(seed),
            self.strangers(seed),
            self.datagrams(seed),
        );
    }

    /// A golden vector, mostly changed.
    fn word(&self, random: &mut Random) -> Vec<u8> {
        let mut word = random.pick(&self.words).cloned().unwrap_or_default();
        if random.below(8) > 0 {
            let other = random.pick(&self.words).cloned().unwrap_or_default();
            mutate(random, &mut word, &other, BYTES_MAX);
        }
        word
    }
}

/// Counts of inputs by their kind.
#[derive(Default)]
pub struct Tally {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    more: Notify,
}

impl Tally {
    fn add(&self, kind: &'static str, count: u64) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind).or_default() += count;
        self.more.notify_one();
    }

    /// All, by kind.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.counts().values().sum()
    }

    /// Waits until there are so many.
    pub async fn reaches(&self, total: u64) {
        while self.total() < total {
            self.more.notified().await;
        }
    }
}

/// A sequence of its own for each kind, round and lane.
fn random(kind: &str, seed: u64, lane: u8) -> Random {
    Random::new(seed.wrapping_mul(0x100).wrapping_add(u64::from(lane)), kind)
}

/// Runs lanes side by side.
async fn side_by_side(lanes: u8, lane: impl AsyncFn(u8)) {
    futures::future::join_all((0..lanes).map(|number| lane(number))).await;
}
