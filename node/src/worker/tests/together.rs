//! Cooperative closes share transactions, and none waits for another's peer for long.

use tokio::sync::oneshot;
use towpath_ledger::{ChannelId, Witness};
use towpath_protocol::{Life, Settlement};

use super::super::{Call, Input};
use super::town::{POLICY, Town};
use crate::limits;

const COUNT: usize = 6;

async fn channels(town: &mut Town) -> Vec<ChannelId> {
    let mut channels = Vec::new();
    for _ in 0..COUNT {
        channels.push(town.open(0, 1, 1_000_000).await);
    }
    channels
}

fn ask_to_close(channel: &ChannelId) -> Input {
    // Nobody waits for the answer.
    let (reply, _) = oneshot::channel();
    Input::Call(Box::new(Call::Close { channel: *channel, force_after_ms: None, reply }))
}

/// How many channels each transaction that this node handed in since closes together.
fn closed_by(town: &Town, node: usize, since: usize) -> Vec<usize> {
    let together = |witness: &&Witness| matches!(witness, Witness::Cooperative { .. });
    town.nodes[node].ledger.handed_in[since..]
        .iter()
        .map(|transaction| transaction.witnesses.iter().filter(together).count())
        .collect()
}

fn all_are(town: &Town, channels: &[ChannelId], life: Life) {
    for (node, channel) in (0..2).flat_map(|node| channels.iter().map(move |channel| (node, channel))) {
        assert_eq!(town.nodes[node].life(channel), Some(life));
    }
}

#[tokio::test]
async fn closes_that_come_together_share_a_transaction() {
    let mut town = Town::new(2, 16, POLICY);
    let channels = channels(&mut town).await;
    let since = [0, 1].map(|node| town.nodes[node].ledger.handed_in.len());
    town.nodes[0].turn(channels.iter().map(ask_to_close).collect());
    town.settle().await;
    assert_eq!(closed_by(&town, 0, since[0]), [COUNT]);
    assert!(closed_by(&town, 1, since[1]).is_empty(), "the side that did not ask leaves it to the other");
    town.block().await;
    all_are(&town, &channels, Life::Settled(Settlement::Cooperative));
}

#[tokio::test]
async fn a_peer_that_is_away_holds_up_nobody() {
    let mut town = Town::new(3, 16, POLICY);
    let channels = channels(&mut town).await;
    let silent = town.open(0, 2, 1_000_000).await;
    let since = town.nodes[0].ledger.handed_in.len();
    let peer = town.nodes[2].id;
    town.nodes[0].turn(vec![Input::SessionDown(peer)]);
    town.nodes[0].turn(channels.iter().chain([&silent]).map(ask_to_close).collect());
    let asked_ms = town.nodes[0].clock_ms;
    town.settle().await;
    assert_eq!(closed_by(&town, 0, since), [COUNT]);
    assert!(town.nodes[0].clock_ms <= asked_ms + limits::CLOSE_GATHER_MS_MAX);
    town.block().await;
    all_are(&town, &channels, Life::Settled(Settlement::Cooperative));
}

#[tokio::test]
async fn the_other_side_posts_what_the_asking_one_does_not() {
    let mut town = Town::new(2, 16, POLICY);
    let channels = channels(&mut town).await;
    town.nodes[0].ledger.is_full = true;
    town.nodes[0].turn(channels.iter().map(ask_to_close).collect());
    town.settle().await;
    for _ in 0..=limits::CLOSE_AGAIN_BLOCKS {
        town.block().await;
    }
    all_are(&town, &channels, Life::Settled(Settlement::Cooperative));
}

#[tokio::test]
async fn c3_a_restart_before_the_shared_transaction_owes_all_of_it() {
    let mut town = Town::new(2, 16, POLICY);
    let channels = channels(&mut town).await;
    for node in &mut town.nodes {
        node.ledger.is_full = true;
    }
    town.nodes[0].turn(channels.iter().map(ask_to_close).collect());
    town.settle().await;
    for node in &mut town.nodes {
        node.restart();
        node.ledger.is_full = false;
    }
    let since = town.nodes[0].ledger.handed_in.len();
    town.settle().await;
    assert_eq!(closed_by(&town, 0, since), [COUNT], "again in one");
    town.block().await;
    all_are(&town, &channels, Life::Settled(Settlement::Cooperative));
}
