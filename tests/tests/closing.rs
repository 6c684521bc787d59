//! Closing channels with real processes: together, alone, against a silent peer and against a cheat, across restarts;
//! and what is said of it afterwards.

use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use towpath_api::{
    Channel, ChannelState, Client, Close, CloseReason, CloseStage, EventBody, EventItem, EventQuery, Lock,
    Outcome, Pay, PayWait, SettledBy, Side, Transaction, TransactionStatus, Units,
};
use towpath_testnet::{Edge, Plan, Topology, advance};
use towpath_tests::kit::{Net, copy_folder, quiet, until};

const AMOUNT: u64 = 1_000_000;

/// The dispute window of these channels: so long that it never ends by itself while a test runs.
const WINDOW_MS: u64 = 3_600_000;

/// More than that.
const PAST_THE_WINDOW: Duration = Duration::from_secs(3_601);

async fn pay(client: &Client, channel: &str, amount: u64) {
    let request = Pay {
        amount: Units(amount),
        memo: None,
        idempotency_key: None,
        wait: PayWait::Settled,
        timeout_ms: None,
    };
    client.pay(channel, &request).await.expect("paid");
}

fn edge<'a>(edges: &'a [Edge], peer: &str) -> &'a Edge {
    edges.iter().find(|edge| edge.acceptor == peer).expect("a channel with that node")
}

/// Waits until the close of a channel is as far as this.
async fn reaches(client: &Client, channel: &str, stage: CloseStage) -> (Channel, Close) {
    until(&format!("{channel} is {stage:?}"), async || {
        let channel = client.channel(channel).await.ok()?;
        let close = channel.close.clone()?;
        (close.stage == stage).then_some((channel, close))
    })
    .await
}

/// The documents that a command printed, one a line; it must have ended well.
fn documents(output: &Output) -> Vec<Value> {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.lines().map(|line| serde_json::from_str(line).expect("a document a line")).collect()
}

async fn final_transaction(client: &Client, tx: &str) -> Transaction {
    until("the transaction is final", async || {
        client.transaction(tx).await.ok().filter(|found| found.status == TransactionStatus::Final)
    })
    .await
}

/// What a transaction pays to the wallet of a node.
fn paid_to(net: &Net, tx: &Transaction, node: &str) -> u64 {
    let own = &net.network.state().node(node).expect("a node").address;
    let outputs = tx.outputs.iter();
    let own = outputs.filter(|output| matches!(&output.lock, Lock::Wallet { address } if address == own));
    own.map(|output| output.amount.0).sum()
}

#[tokio::test]
async fn a_close_is_followed_to_its_end_and_both_sides_know_why() {
    let net = Net::up(&Plan::of(3, Topology::Star)).await;
    let edges = net.open_for(AMOUNT, WINDOW_MS).await;
    let (alice, bob, carol) = (net.client("alice"), net.client("bob"), net.client("carol"));
    let (with_bob, with_carol) = (&edge(&edges, "bob").channel, &edge(&edges, "carol").channel);
    pay(&alice, with_bob, 250_000).await;
    pay(&carol, with_carol, 40_000).await;

    let said = documents(&net.run(&["--node", "alice", "channel", "close", &with_bob[..20], "--force"]));
    let last = said.last().expect("a document");
    assert_eq!(
        (&last["channel"], &last["close"]["stage"]),
        (&Value::from(&with_bob[..]), &Value::from("settled"))
    );
    let (channel, close) = reaches(&alice, with_bob, CloseStage::Settled).await;
    assert_eq!(channel.outcome, Some(Outcome::Unilateral));
    assert_eq!(close.reason, CloseReason::AskedAlone);
    let settlement = close.settlement.expect("a settlement");
    assert_eq!(settlement.by, SettledBy::Answer, "the peer is there, so nobody waits for a window");
    assert_eq!(close.posted.as_ref().map(|posted| posted.by), Some(Side::Local));
    let tx = final_transaction(&bob, &settlement.tx).await;
    assert_eq!(settlement.paid, Units(paid_to(&net, &tx, "alice")));
    assert_eq!(settlement.paid_peer, Units(paid_to(&net, &tx, "bob")));
    assert_eq!(settlement.paid.0 + settlement.paid_peer.0 + settlement.fees.0, 2 * AMOUNT);
    assert!(
        settlement.paid.0 < AMOUNT - 250_000 && settlement.paid_peer.0 < AMOUNT + 250_000,
        "each bears a fee"
    );

    let (_, seen_by_bob) = reaches(&bob, with_bob, CloseStage::Settled).await;
    assert_eq!(seen_by_bob.reason, CloseReason::PeerAlone);
    assert_eq!(seen_by_bob.posted.as_ref().map(|posted| posted.by), Some(Side::Remote));
    let other_side = seen_by_bob.settlement.expect("a settlement");
    assert_eq!((other_side.paid, other_side.paid_peer), (settlement.paid_peer, settlement.paid));
    assert_eq!((other_side.tx, other_side.version), (settlement.tx, settlement.version));

    // The rest closes together.
    let said = documents(&net.run(&["--node", "alice", "channel", "close", "--all"]));
    assert!(said.iter().all(|document| document["channel"] == with_carol[..]), "{said:?}");
    let (channel, close) = reaches(&alice, with_carol, CloseStage::Settled).await;
    assert_eq!((channel.outcome, close.reason), (Some(Outcome::Cooperative), CloseReason::Asked));
    let settlement = close.settlement.expect("a settlement");
    assert_eq!((settlement.by, close.posted, close.penalty), (SettledBy::Together, None, None));
    let tx = final_transaction(&carol, &settlement.tx).await;
    assert_eq!(settlement.paid_peer, Units(paid_to(&net, &tx, "carol")));
    let (_, seen_by_carol) = reaches(&carol, with_carol, CloseStage::Settled).await;
    assert_eq!(seen_by_carol.reason, CloseReason::PeerAsked);

    let table = net.run(&["--node", "carol", "--table", "channel", "why", &with_carol[..20]]);
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    for part in ["the peer asked to close it", "by final balances that both signed", &settlement.tx] {
        assert!(text.contains(part), "no '{part}' in\n{text}");
    }
    let nothing = documents(&net.run(&["--node", "alice", "channel", "close", "--all"]));
    assert_eq!(nothing, Vec::<Value>::new(), "all are closed");
}

#[tokio::test]
async fn c12_silent_peers_have_their_time_and_then_the_node_closes_alone_and_pays_out_across_restarts() {
    let mut net = Net::up(&Plan { validators: 4, ..Plan::of(6, Topology::Star) }).await;
    let edges = net.open_for(AMOUNT, WINDOW_MS).await;
    let silent = ["erin", "frank"];
    let channels = silent.map(|peer| edge(&edges, peer).channel.clone());
    let alice = net.client("alice");
    for (channel, peer) in channels.iter().zip(silent) {
        pay(&alice, channel, 300_000).await;
        quiet(&alice, &net.client(peer), channel).await;
        net.network.kill(peer).await.expect("killed");
    }
    let [first, second] = &channels;
    let began = documents(&net.run(&[
        "--node",
        "alice",
        "channel",
        "close",
        first,
        second,
        "--force-after",
        "1h",
        "--no-wait",
    ]));
    assert_eq!(began.len(), 2);
    for channel in &channels {
        let (_, close) = reaches(&alice, channel, CloseStage::Asking).await;
        assert_eq!((close.reason, close.posted), (CloseReason::Asked, None));
        let patience = close.force_at_ms.expect("a time") - close.began_ms;
        assert!((3_600_000..3_700_000).contains(&patience), "{patience}");
    }

    // The node keeps to it, whatever happens to its process.
    net.network.kill("alice").await.expect("killed");
    net.network.restart("alice").await.expect("it serves");
    advance(net.network.state(), Duration::from_secs(3_601)).await.expect("it travels");
    let alice = net.client("alice");
    for channel in &channels {
        let (channel, close) = reaches(&alice, channel, CloseStage::Posted).await;
        assert!(matches!(close.reason, CloseReason::PeerUnresponsive { after_ms: 3_600_000.. }), "{close:?}");
        let posted = close.posted.expect("what was posted");
        assert_eq!((posted.by, posted.version, close.force_at_ms), (Side::Local, channel.version, None));
        assert_eq!(posted.deadline_ms - posted.time_ms, channel.dispute_window_ms);
    }

    // The window ends while the node is down; it pays out when it is back, both in one transaction.
    net.network.kill("alice").await.expect("killed");
    advance(net.network.state(), PAST_THE_WINDOW).await.expect("it travels");
    net.network.restart("alice").await.expect("it serves");
    let alice = net.client("alice");
    let mut settlements = Vec::new();
    for channel in &channels {
        let (channel, close) = reaches(&alice, channel, CloseStage::Settled).await;
        assert_eq!(channel.outcome, Some(Outcome::Unilateral));
        let settlement = close.settlement.expect("a settlement");
        assert_eq!((settlement.by, settlement.version), (SettledBy::Deadline, channel.version));
        assert_eq!(settlement.paid_peer, Units(AMOUNT + 300_000), "who closes alone bears the fees");
        settlements.push(settlement);
    }
    assert_eq!(settlements[0].tx, settlements[1].tx, "one transaction pays out both");
    let tx = final_transaction(&alice, &settlements[0].tx).await;
    assert_eq!(paid_to(&net, &tx, "alice"), settlements[0].paid.0 + settlements[1].paid.0);

    net.network.restart("erin").await.expect("it serves, and follows");
    let (channel, close) = reaches(&net.client("erin"), first, CloseStage::Settled).await;
    assert_eq!((channel.state, close.reason), (ChannelState::Settled, CloseReason::PeerAlone));
    let settlement = close.settlement.expect("a settlement");
    assert_eq!((settlement.paid, settlement.tx), (Units(AMOUNT + 300_000), settlements[0].tx.clone()));
}

/// Copies a folder with everything in it.

#[tokio::test]
async fn c3_a_close_with_an_old_copy_is_answered_with_the_newest_state_and_the_penalty() {
    let mut net = Net::up(&Plan { validators: 4, ..Plan::of(5, Topology::Star) }).await;
    let edges = net.open_for(AMOUNT, WINDOW_MS).await;
    let channel = &edge(&edges, "erin").channel;
    let (alice, erin) = (net.client("alice"), net.client("erin"));
    let (before, _) = quiet(&alice, &erin, channel).await;

    // Erin keeps a copy of everything, pays, and comes back as the copy while alice is away.
    let data = net.network.state().node("erin").expect("a node").data_dir.clone();
    let kept = net.dir.path().join("copy-of-erin");
    net.network.stop("erin").await.expect("stopped");
    copy_folder(&data, &kept);
    net.network.restart("erin").await.expect("it serves");
    let erin = net.client("erin");
    until("payments can flow", async || erin.channel(channel).await.ok().filter(|channel| channel.online))
        .await;
    for _ in 0..5 {
        pay(&erin, channel, 100_000).await;
    }
    let (newest, _) = quiet(&alice, &erin, channel).await;
    assert!(newest.version > before.version && newest.balance == Units(AMOUNT + 500_000));
    net.network.kill("alice").await.expect("killed");
    net.network.kill("erin").await.expect("killed");
    std::fs::remove_dir_all(&data).expect("removed");
    copy_folder(&kept, &data);
    net.network.restart("erin").await.expect("it serves");
    documents(&net.run(&["--node", "erin", "channel", "close", channel, "--force", "--no-wait"]));
    let (_, posted) = reaches(&net.client("erin"), channel, CloseStage::Posted).await;
    assert_eq!(posted.posted.expect("what was posted").version, before.version, "the old state");

    // Alice comes back within the window, and needs nobody to tell her what to do.
    net.network.restart("alice").await.expect("it serves");
    let alice = net.client("alice");
    let (channel_now, close) = reaches(&alice, channel, CloseStage::Settled).await;
    assert_eq!(channel_now.outcome, Some(Outcome::Penalized));
    let CloseReason::PeerCheated { posted, held } = close.reason else { panic!("{close:?}") };
    assert!(posted == before.version && held > posted, "{close:?}");
    let settlement = close.settlement.expect("a settlement");
    let penalty = close.penalty.expect("a penalty");
    assert_eq!((settlement.by, settlement.version), (SettledBy::Answer, newest.version));
    assert_eq!(
        (penalty.by, penalty.amount),
        (Side::Remote, Some(Units(250_000))),
        "half of what erin had left"
    );
    let tx = final_transaction(&alice, &settlement.tx).await;
    assert_eq!(settlement.paid, Units(paid_to(&net, &tx, "alice")));
    assert!(settlement.paid > Units(AMOUNT + 500_000), "more than without the cheat, all fees included");

    let mut events =
        alice.events(EventQuery { after: Some(0), ..EventQuery::default() }).await.expect("events");
    loop {
        let EventItem::Event(event) = events.next().await.expect("an event") else { continue };
        if let EventBody::Cheat { channel: of, posted: shown, tx, .. } = event.body {
            assert_eq!((&of, shown, tx), (channel, posted, settlement.tx));
            break;
        }
    }
    let (_, own) = reaches(&net.client("erin"), channel, CloseStage::Settled).await;
    assert_eq!(own.penalty.map(|penalty| penalty.by), Some(Side::Local), "it is told what it lost by");
}
