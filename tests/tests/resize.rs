//! Resizing channels of real processes: payments run through it, and either side may die in the middle.

use towpath_api::{
    Change, Channel, ChannelState, Client, CloseChannel, CloseMode, CloseWait, Code, Lock, Outcome,
    ResizeChannel, ResizeState, ResizeWait, Resized, StartStream, StreamState, Units,
};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, ended, pay, quiet, until};

const AMOUNT: u64 = 1_000_000;

fn resize(change: Change) -> ResizeChannel {
    ResizeChannel { change, wait: ResizeWait::Final, timeout_ms: Some(110_000), idempotency_key: None }
}

async fn resized(client: &Client, channel: &str, change: Change) -> Resized {
    let done = client.resize_channel(channel, &resize(change)).await.expect("resized");
    assert_eq!(done.state, ResizeState::Final, "{done:?}");
    done
}

/// What a transaction pays to a node's own address.
async fn paid_by(net: &Net, node: &str, tx: &str) -> u64 {
    let own = &net.node(node).address;
    let tx = until("the transaction is known", async || net.client(node).transaction(tx).await.ok()).await;
    let to_own = |lock: &Lock| matches!(lock, Lock::Wallet { address } if address == own);
    tx.outputs.iter().filter(|output| to_own(&output.lock)).map(|output| output.amount.0).sum()
}

async fn close(first: &Client, second: &Client, channel: &str) {
    let request = CloseChannel {
        mode: CloseMode::Cooperative,
        force_after_ms: None,
        wait: CloseWait::Settled,
        timeout_ms: Some(110_000),
    };
    let closed = first.close_channel(channel, &request).await.expect("closed");
    assert_eq!(closed.channel.outcome, Some(Outcome::Cooperative));
    until("the other knows", async || {
        let theirs = second.channel(channel).await.ok()?;
        (theirs.state == ChannelState::Settled).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_channel_grows_and_shrinks_while_payments_run_through_it() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(AMOUNT).await[..] else { panic!("one channel") };
    let (alice, bob, id) = (net.client("alice"), net.client("bob"), &edge.channel);
    let plan =
        |amount| StartStream { amount: Units(amount), count: 20_000, in_flight: 64, idempotency_key: None };
    let there = alice.start_stream(id, &plan(3)).await.expect("a stream");
    let back = bob.start_stream(id, &plan(2)).await.expect("a stream");

    resized(&alice, id, Change::Add(Units(500_000))).await;
    let out = resized(&bob, id, Change::PayOut(Units(300_000))).await;
    for done in [ended(&alice, there).await, ended(&bob, back).await] {
        assert_eq!((done.state, done.settled, done.failed), (StreamState::Done, 20_000, 0), "{done:?}");
    }
    let (a, b) = quiet(&alice, &bob, id).await;
    assert_eq!((a.generation, b.generation), (2, 2));
    assert_eq!((a.capacity, b.capacity), (Units(2_200_000), Units(2_200_000)));
    assert_eq!((a.balance, b.balance), (Units(1_480_000), Units(720_000)));
    let paid_out = paid_by(&net, "bob", &out.tx).await;
    assert!((290_000..300_000).contains(&paid_out), "all but the fee: {paid_out}");

    // More than alice ever had before.
    pay(&alice, id, 1_400_000).await.expect("paid");
    let refused = alice.resize_channel(id, &resize(Change::PayOut(Units(80_001)))).await;
    assert_eq!(refused.expect_err("more than there is").code(), Some(Code::InsufficientBalance));
    let again =
        ResizeChannel { idempotency_key: Some("once".to_owned()), ..resize(Change::PayOut(Units(70_000))) };
    let first = alice.resize_channel(id, &again).await.expect("resized");
    let second = alice.resize_channel(id, &again).await.expect("the same");
    assert_eq!((first.tx, first.state), (second.tx, second.state));
    let (a, b) = quiet(&alice, &bob, id).await;
    assert_eq!((a.generation, a.balance, b.balance), (3, Units(10_000), Units(2_120_000)));
    close(&alice, &bob, id).await;
    let settlement = bob.channel(id).await.expect("a channel").settlement.expect("it is settled");
    let paid = paid_by(&net, "bob", &settlement).await;
    assert!(paid <= 2_120_000 && paid > 2_100_000, "the balance, less a fee at most: {paid}");
}

/// Both sides once the ledger has decided, and they speak again.
async fn decided(first: &Client, second: &Client, channel: &str) -> (Channel, Channel) {
    until("the ledger decides", async || {
        let (a, b) = (first.channel(channel).await.ok()?, second.channel(channel).await.ok()?);
        let decided = a.resizing.is_none() && b.resizing.is_none() && a.online && b.online;
        (decided && a.generation == b.generation).then_some(())
    })
    .await;
    quiet(first, second, channel).await
}

#[tokio::test]
async fn s12_either_side_may_be_killed_in_the_middle() {
    // The ledger's three validators go on.
    let plan = Plan { nodes: 5, validators: 3, topology: Topology::Line, coins: 16, coin: 1_000_000_000 };
    let mut net = Net::up(&plan).await;
    let edges = net.open(AMOUNT).await;
    let edge = edges.iter().find(|edge| edge.opener == "dave").expect("dave has a channel with erin");
    let id = edge.channel.clone();
    let mut expected = (AMOUNT, AMOUNT, 0);
    for (victim, change) in [
        ("erin", Change::Add(Units(40_000))),
        ("dave", Change::Add(Units(50_000))),
        ("dave", Change::PayOut(Units(30_000))),
    ] {
        let request = ResizeChannel { wait: ResizeWait::Proposed, ..resize(change) };
        let asked = net.client("dave").resize_channel(&id, &request).await.expect("proposed");
        net.network.kill(victim).await.expect("killed");
        net.network.restart(victim).await.expect("it serves again");
        let (dave, erin) = (net.client("dave"), net.client("erin"));
        let (a, b) = decided(&dave, &erin, &id).await;
        let is_final = dave.transaction(&asked.tx).await.is_ok_and(|tx| tx.height.is_some());
        if is_final {
            expected.2 += 1;
            match change {
                Change::Add(amount) => expected.0 += amount.0,
                Change::PayOut(amount) => expected.0 -= amount.0,
            }
        }
        assert_eq!((a.balance.0, b.balance.0, a.generation), expected, "final: {is_final}");
        assert_eq!(a.capacity, b.capacity);
        pay(&dave, &id, 100).await.expect("paid");
        pay(&erin, &id, 300).await.expect("paid");
        (expected.0, expected.1) = (expected.0 + 200, expected.1 - 200);
        let (a, b) = quiet(&dave, &erin, &id).await;
        assert_eq!((a.balance.0, b.balance.0), (expected.0, expected.1));
    }
    close(&net.client("dave"), &net.client("erin"), &id).await;
}
