//! Nodes on hosts of their own (`towpath_tests::hosts`): links that are slow, lossy, cut, and cut one way, between real processes
//! (FAULTS L18, N10, W4).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use towpath_api::{
    Channel, ChannelState, Client, CloseChannel, CloseMode, CloseWait, Lock, Outcome, Pay, PayWait,
    PaymentState, StartStream, StreamState, SubmitTransaction, TransactionStatus, Units, WalletSend,
};
use towpath_cheat::{OldCopy, stale_close};
use towpath_testnet::{Edge, Plan, Topology};
use towpath_tests::cheat;
use towpath_tests::hosts::switch::Link;
use towpath_tests::hosts::{Hosts, lacking};
use towpath_tests::kit::{ended, pay, quiet, until};

const AMOUNT: u64 = 1_000_000;

/// The round trip of a bad connection across an ocean, and more loss than any network should have.
const BAD: Link =
    Link { delay: Duration::from_millis(100), lost_per_mille: 50, bytes_per_second: None, is_cut: false };

/// Hosts for a plan; none where they cannot be made, which is said.
async fn hosts(plan: &Plan) -> Option<Hosts> {
    if let Some(why) = lacking() {
        eprintln!("SKIPPED: {why}");
        return None;
    }
    Some(Hosts::up(plan, 1).await)
}

/// Both parties close the channel: what both lack of their balances is the fee, and neither has more.
async fn closes_to_the_unit(hosts: &Hosts, edge: &Edge) {
    let (opener, acceptor) = (hosts.net.client(&edge.opener), hosts.net.client(&edge.acceptor));
    let (a, b) = quiet(&opener, &acceptor, &edge.channel).await;
    let request = CloseChannel {
        mode: CloseMode::Cooperative,
        force_after_ms: None,
        wait: CloseWait::Settled,
        timeout_ms: Some(100_000),
    };
    let closed = until("it closes", async || opener.close_channel(&edge.channel, &request).await.ok()).await;
    assert_eq!(closed.channel.outcome, Some(Outcome::Cooperative), "{:?}", closed.channel);
    let tx = closed.tx.or(closed.channel.settlement).expect("a transaction");
    let tx = until("the close is final on the other side", async || {
        acceptor.transaction(&tx).await.ok().filter(|found| found.status == TransactionStatus::Final)
    })
    .await;
    let mut lacking = 0;
    for (node, balance) in [(&edge.opener, a.balance), (&edge.acceptor, b.balance)] {
        let own = &hosts.net.node(node).address;
        let paid = tx
            .outputs
            .iter()
            .filter(|output| matches!(&output.lock, Lock::Wallet { address } if address == own));
        lacking += balance.0.checked_sub(paid.map(|output| output.amount.0).sum()).expect("nobody gets more");
    }
    let outputs: u64 = tx.outputs.iter().map(|output| output.amount.0).sum();
    assert_eq!(lacking, 2 * AMOUNT - outputs, "what both lack is the fee");
}

/// Sends money on the ledger; the transaction.
async fn send(from: &Client, to: &str) -> String {
    let request = WalletSend { to: to.to_owned(), amount: Units(1_000), idempotency_key: None };
    from.send(&request).await.expect("sent").tx
}

/// Waits until a node has it in a block; the block's height and id.
async fn is_final(client: &Client, tx: &str) -> (u64, String) {
    let found = until("it is final", async || {
        client.transaction(tx).await.ok().filter(|found| found.status == TransactionStatus::Final)
    })
    .await;
    let height = found.height.expect("a final transaction is in a block");
    (height, client.block(&height.to_string()).await.expect("the block").id)
}

#[tokio::test]
async fn n10_payments_over_slow_and_lossy_links_settle_exactly() {
    let Some(hosts) = hosts(&Plan::of(4, Topology::Ring)).await else { return };
    hosts.everywhere(BAD);
    let edges = hosts.net.open(AMOUNT).await;
    let stream =
        |amount| StartStream { amount: Units(amount), count: 200, in_flight: 32, idempotency_key: None };
    let mut streams = Vec::new();
    for edge in &edges {
        for (name, amount) in [(&edge.opener, 3), (&edge.acceptor, 2)] {
            let client = hosts.net.client(name);
            let stream = client.start_stream(&edge.channel, &stream(amount)).await.expect("a stream");
            streams.push((client, stream));
        }
    }
    for (client, stream) in streams {
        let done = ended(&client, stream).await;
        assert_eq!((done.state, done.settled, done.failed), (StreamState::Done, 200, 0), "{done:?}");
    }
    for edge in &edges {
        let (opener, acceptor) = (hosts.net.client(&edge.opener), hosts.net.client(&edge.acceptor));
        let (a, b) = quiet(&opener, &acceptor, &edge.channel).await;
        assert_eq!((a.balance, b.balance), (Units(AMOUNT - 200), Units(AMOUNT + 200)));
        assert_eq!((a.payments_sent, a.payments_received), (200, 200));
    }
    closes_to_the_unit(&hosts, &edges[0]).await;
    let counts = hosts.counts();
    assert!(counts.lost > 100 && counts.passed > 10 * counts.lost, "packets were lost: {counts:?}");
}

/// Pays 1, 2, 3, ..., each under a key of its own until it is known to be settled.
async fn pays(client: &Client, channel: &str, count: u64, settled: &AtomicU64) {
    for number in 1..=count {
        let request = Pay {
            amount: Units(number),
            memo: None,
            idempotency_key: Some(format!("payment-{number}")),
            wait: PayWait::Settled,
            timeout_ms: Some(2_000),
        };
        until("a payment is settled", async || {
            let payment = client.pay(channel, &request).await.ok()?;
            (payment.state == PaymentState::Settled).then_some(())
        })
        .await;
        settled.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_online(channel: &Channel) -> bool {
    assert_eq!(channel.state, ChannelState::Active, "nobody closes it");
    channel.online
}

#[tokio::test]
async fn n10_a_cut_between_payer_and_payee_in_the_middle_costs_nothing() {
    let Some(hosts) = hosts(&Plan::of(4, Topology::Line)).await else { return };
    let edges = hosts.net.open(AMOUNT).await;
    let edge = &edges[0];
    let (alice, bob) = (hosts.net.client(&edge.opener), hosts.net.client(&edge.acceptor));
    let (there, back, count) = (AtomicU64::new(0), AtomicU64::new(0), 300);
    let trouble = async {
        until("payments flow both ways", async || {
            (there.load(Ordering::Relaxed) > 20 && back.load(Ordering::Relaxed) > 20).then_some(())
        })
        .await;
        hosts.cut(&edge.opener, &edge.acceptor);
        for client in [&alice, &bob] {
            until("the other is seen to be gone", async || {
                (!is_online(&client.channel(&edge.channel).await.ok()?)).then_some(())
            })
            .await;
        }
        let stopped = (there.load(Ordering::Relaxed), back.load(Ordering::Relaxed));
        assert!(stopped.0 < count && stopped.1 < count, "the cut came in the middle: {stopped:?}");
        hosts.everywhere(Link::default());
    };
    tokio::join!(
        trouble,
        pays(&alice, &edge.channel, count, &there),
        pays(&bob, &edge.channel, count, &back)
    );
    let (a, b) = quiet(&alice, &bob, &edge.channel).await;
    assert_eq!((a.payments_sent, a.payments_received), (count, count), "each of them once");
    assert_eq!((a.balance, b.balance), (Units(AMOUNT), Units(AMOUNT)));
    assert!(is_online(&a) && is_online(&b) && hosts.counts().stopped > 0);
}

#[tokio::test]
async fn n10_links_that_are_cut_one_way_stop_no_ledger_and_cost_nothing() {
    let Some(hosts) = hosts(&Plan::of(4, Topology::Line)).await else { return };
    let edges = hosts.net.open(AMOUNT).await;
    let (alice, bob) = (hosts.net.client("alice"), hosts.net.client("bob"));
    pay(&alice, &edges[0].channel, 1).await.expect("paid");
    hosts.cut_one_way("alice", "bob");
    // The two are validators, and each hears the ledger from the others.
    let tx = send(&hosts.net.client("carol"), &hosts.net.node("dave").address).await;
    let mut blocks = Vec::new();
    for name in ["alice", "bob", "carol", "dave"] {
        blocks.push(is_final(&hosts.net.client(name), &tx).await);
    }
    assert!(blocks.iter().all(|block| *block == blocks[0]), "{blocks:?}");
    until("neither takes the other for reachable", async || {
        let (a, b) =
            (alice.channel(&edges[0].channel).await.ok()?, bob.channel(&edges[0].channel).await.ok()?);
        (!is_online(&a) && !is_online(&b)).then_some(())
    })
    .await;
    hosts.everywhere(Link::default());
    for (from, amount) in [(&alice, 5), (&bob, 3)] {
        until("payments go on", async || pay(from, &edges[0].channel, amount).await.ok().map(|_| ())).await;
    }
    let (a, b) = quiet(&alice, &bob, &edges[0].channel).await;
    assert_eq!(a.balance.0 + b.balance.0, 2 * AMOUNT);
    assert!(is_online(&a) && is_online(&b));
}

#[tokio::test]
async fn n10_one_validator_of_four_that_was_cut_off_catches_up() {
    let Some(hosts) = hosts(&Plan::of(4, Topology::Line)).await else { return };
    let dave = hosts.net.client("dave");
    let before = dave.ledger().await.expect("a ledger").height;
    hosts.around(&["dave"], Link::CUT);
    let mut sent = Vec::new();
    for _ in 0..3 {
        let tx = send(&hosts.net.client("alice"), &hosts.net.node("bob").address).await;
        let block = is_final(&hosts.net.client("carol"), &tx).await;
        sent.push((tx, block));
    }
    for (tx, (height, _)) in &sent {
        assert!(*height > before);
        assert!(dave.transaction(tx).await.is_err(), "what did not reach it is not known to it");
    }
    hosts.everywhere(Link::default());
    for (tx, block) in &sent {
        assert_eq!(is_final(&dave, tx).await, *block, "the same ledger");
    }
    // It is one of them again: without bob and carol's votes being enough, its own counts.
    let tx = send(&dave, &hosts.net.node("alice").address).await;
    let blocks = (is_final(&dave, &tx).await, is_final(&hosts.net.client("bob"), &tx).await);
    assert_eq!(blocks.0, blocks.1);
}

#[tokio::test]
async fn l18_a_ledger_that_is_cut_in_halves_halts_and_resumes_by_itself() {
    let Some(hosts) = hosts(&Plan::of(4, Topology::Line)).await else { return };
    let names = ["alice", "bob", "carol", "dave"];
    hosts.around(&["alice", "bob"], Link::CUT);
    for name in names {
        let client = hosts.net.client(name);
        until("half of the others are gone", async || (client.info().await.ok()?.peers == 1).then_some(()))
            .await;
    }
    let heights = async || {
        let mut heights = Vec::new();
        for name in names {
            heights.push(hosts.net.client(name).ledger().await.expect("it answers").height);
        }
        heights
    };
    let halted = heights().await;
    let sent = [
        send(&hosts.net.client("alice"), &hosts.net.node("carol").address).await,
        send(&hosts.net.client("dave"), &hosts.net.node("bob").address).await,
    ];
    // Each half goes on looking for the other.
    let before = hosts.counts().stopped;
    until("packets are stopped", async || (hosts.counts().stopped > before + 100).then_some(())).await;
    assert_eq!(heights().await, halted, "no half decides anything");
    hosts.everywhere(Link::default());
    for tx in &sent {
        let mut blocks = Vec::new();
        for name in names {
            blocks.push(is_final(&hosts.net.client(name), tx).await);
        }
        assert!(blocks.iter().all(|block| *block == blocks[0]), "{blocks:?}");
    }
}

#[tokio::test]
async fn c3_f12_a_victim_behind_a_link_that_loses_a_third_answers_a_lie_in_its_window() {
    let plan = Plan { validators: 4, ..Plan::of(5, Topology::Line) };
    let Some(mut hosts) = hosts(&plan).await else { return };
    let edges = hosts.net.open(AMOUNT).await;
    let edge = edges.iter().find(|edge| edge.acceptor == "erin").expect("dave and erin").clone();
    let (dave, erin) = (hosts.net.client("dave"), hosts.net.client("erin"));
    pay(&erin, &edge.channel, 1_000).await.expect("paid");
    quiet(&dave, &erin, &edge.channel).await;
    hosts.net.network.stop("erin").await.expect("stopped");
    let old = hosts.net.dir.path().join("old");
    cheat::copy(&hosts.net.node("erin").data_dir, &old);
    hosts.net.start("erin").await;
    until("the channel is online again", async || pay(&erin, &edge.channel, 700_000).await.ok()).await;
    for _ in 0..3 {
        pay(&dave, &edge.channel, 10).await.expect("paid");
    }
    let (truth, _) = quiet(&dave, &erin, &edge.channel).await;
    hosts.net.network.kill("erin").await.expect("killed");

    hosts.around(&["dave"], Link { lost_per_mille: 300, ..BAD });
    let copy = OldCopy::open(&old, "erin").expect("a copy");
    let lie = stale_close(&copy, &hosts.net.network.state().genesis, &edge.channel).expect("it closes");
    assert!(lie.version < truth.version);
    let bob = hosts.net.client("bob");
    bob.submit_transaction(&SubmitTransaction { hex: lie.hex }).await.expect("the ledger takes it");
    let end = until("it is paid out", async || {
        dave.channel(&edge.channel).await.ok().filter(|channel| channel.state == ChannelState::Settled)
    })
    .await;
    assert_eq!(end.outcome, Some(Outcome::Penalized), "{end:?}");
    let paid = end.close.expect("why it was closed").settlement.expect("a settlement").paid;
    assert!(paid > truth.balance, "its own share, and a part of the liar's: {paid} of {}", truth.balance);
    assert!(hosts.counts().lost > 0);
}
