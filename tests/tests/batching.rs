//! Closing very many channels alone at once: what it takes on the ledger, against one by one.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::{StreamExt, stream};
use towpath_api::{
    Channel, ChannelQuery, ChannelState, Client, ClientError, Code, OpenChannel, OpenWait, Outcome,
    SettledBy, Units,
};
use towpath_testnet::{Plan, Topology, advance};
use towpath_tests::kit::{Net, until};

/// What the peer of each channel has in it, and what this node has.
const AMOUNT: u64 = 100_000;

/// The dispute window of these channels: so long that it never ends by itself while a test runs.
const WINDOW_MS: u64 = 3_600_000;

/// More than that.
const PAST_THE_WINDOW: Duration = Duration::from_secs(3_601);

/// Openings that are under way at a time: a peer that is asked for more refuses.
const OPENINGS: usize = 4;

async fn open(net: &Net, count: usize) {
    let (alice, bob) = (net.client("alice"), net.node("bob"));
    let request = OpenChannel {
        peer: bob.node.clone(),
        address: Some(bob.p2p.clone()),
        amount: Units(AMOUNT),
        peer_amount: Some(Units(AMOUNT)),
        dispute_window_ms: Some(WINDOW_MS),
        reserve: None,
        expires_ms: None,
        wait: OpenWait::Active,
        timeout_ms: Some(60_000),
        idempotency_key: None,
    };
    let (alice, request) = (&alice, &request);
    let opened = stream::iter(0..count).map(|_| async move {
        until("a channel opens", async || match alice.open_channel(request).await {
            Ok(channel) => Some(channel.id),
            Err(ClientError::Api(error))
                if matches!(
                    error.code,
                    Code::PeerOffline | Code::TooManyRequests | Code::InsufficientFunds
                ) =>
            {
                None
            }
            Err(error) => panic!("{error}"),
        })
        .await
    });
    let opened: BTreeSet<String> = opened.buffer_unordered(OPENINGS).collect().await;
    assert_eq!(opened.len(), count);
}

async fn all(client: &Client) -> Vec<Channel> {
    let (mut channels, mut after) = (Vec::new(), None);
    loop {
        let query = ChannelQuery { limit: Some(500), after, ..ChannelQuery::default() };
        let page = client.channels(&query).await.expect("the node answers");
        channels.extend(page.channels);
        after = page.next;
        if after.is_none() {
            return channels;
        }
    }
}

/// The transactions with these ids: how many, their bytes, and those of the largest.
async fn weigh(client: &Client, ids: &BTreeSet<String>) -> (usize, u64, u64) {
    let mut sizes = Vec::new();
    for id in ids {
        sizes.push(client.transaction(id).await.expect("it is final").size_bytes);
    }
    (ids.len(), sizes.iter().sum(), sizes.iter().copied().max().unwrap_or(0))
}

/// Closes `count` channels alone by one command while their peer is away, and waits until all are paid out; says what it
/// took, and returns bytes and fees.
async fn close_alone(count: usize) -> (u64, u64, usize) {
    let coins = u32::try_from(count).expect("few") + 16;
    let mut net =
        Net::up(&Plan { validators: 1, coins, coin: 2 * AMOUNT, ..Plan::of(2, Topology::Line) }).await;
    open(&net, count).await;
    net.network.kill("bob").await.expect("killed");
    let output = net.run(&["-n", "alice", "channel", "close", "--all", "--force", "--no-wait"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let alice = net.client("alice");
    let posted = until("all are posted", async || {
        let channels = all(&alice).await;
        let posted = channels.iter().filter_map(|channel| channel.close.as_ref()?.posted.as_ref());
        let posted: BTreeSet<String> = posted.map(|posted| posted.tx.clone()).collect();
        let is_posted = |channel: &Channel| channel.deadline_ms.is_some();
        channels.iter().all(is_posted).then_some(posted)
    })
    .await;
    advance(net.network.state(), PAST_THE_WINDOW).await.expect("it travels");
    let ends = until("all are paid out", async || {
        let channels = all(&alice).await;
        channels.iter().all(|channel| channel.state == ChannelState::Settled).then_some(channels)
    })
    .await;
    let (mut paid, mut fees, mut payouts) = (0, 0, BTreeSet::new());
    for channel in &ends {
        let close = channel.close.as_ref().expect("why");
        let end = close.settlement.as_ref().expect("a settlement");
        assert_eq!((channel.outcome, end.by), (Some(Outcome::Unilateral), SettledBy::Deadline));
        assert_eq!(end.paid.0 + end.paid_peer.0 + end.fees.0, 2 * AMOUNT);
        assert_eq!(end.paid_peer, Units(AMOUNT), "who closes alone bears the fees");
        paid += end.paid.0;
        fees += end.fees.0;
        payouts.insert(end.tx.clone());
    }
    let (closes, payouts) = (weigh(&alice, &posted).await, weigh(&alice, &payouts).await);
    println!(
        "{count} closed alone: {} closes of {} bytes, {} payouts of {} bytes (the largest {}), fees {fees}, paid {paid}",
        closes.0, closes.1, payouts.0, payouts.1, payouts.2
    );
    // Each pays for its own bytes, outputs that come together included.
    let bytes = closes.1 + payouts.1;
    assert!(if count == 1 { fees == bytes } else { fees > bytes }, "{fees} for {bytes} bytes");
    (closes.1 + payouts.1, fees, payouts.0)
}

#[tokio::test]
async fn c12_closes_alone_of_one_command_are_paid_out_together() {
    let (one, few) = (close_alone(1).await, close_alone(12).await);
    assert_eq!((one.2, few.2), (1, 1), "one payout for all");
    assert!(few.1 < 12 * one.1, "{few:?} for twelve, {one:?} for one");
}

#[tokio::test]
#[ignore = "five hundred channels; docs/reports/batching.md has its figures"]
async fn large_c12_five_hundred_closes_alone_are_paid_out_together() {
    let (one, many) = (close_alone(1).await, close_alone(500).await);
    assert!(many.2 <= 8, "{} payouts", many.2);
    assert!(many.1 < 500 * one.1, "{many:?} for all, {one:?} for one");
}
