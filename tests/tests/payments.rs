//! From an empty ledger to money back in the wallets, over two real processes.

use towpath_api::{
    ChannelState, Client, CloseChannel, CloseMode, CloseWait, Code, Direction, HistoryQuery, Lock,
    OpenChannel, OpenWait, Outcome, PageQuery, Pay, PayWait, StartStream, StreamState, TransactionStatus,
    Units, WalletSend,
};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, ended, quiet, until};

const AMOUNT: u64 = 1_000_000;

/// The newest payments come first, also where 9,999 is followed by 10,000.
async fn check_order(client: &Client, channel: &str) {
    let page = PageQuery { limit: Some(500), before: None };
    let payments = client.payments(channel, &page).await.expect("a page").payments;
    let sent = payments.iter().filter(|payment| payment.direction == Direction::Out);
    let numbers = sent.map(|payment| payment.id.rsplit('/').next().expect("a number"));
    let numbers: Vec<u64> = numbers.map(|number| number.parse().expect("a number")).collect();
    assert_eq!(numbers.first(), Some(&10_000));
    assert!(numbers.is_sorted_by(|newer, older| newer > older), "{numbers:?}");
}

#[tokio::test]
async fn ten_thousand_payments_each_way_and_a_close_to_the_unit() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(AMOUNT).await[..] else { panic!("one channel") };
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    let stream =
        |amount| StartStream { amount: Units(amount), count: 10_000, in_flight: 64, idempotency_key: None };
    let there = alice.start_stream(&edge.channel, &stream(3)).await.expect("a stream");
    let back = bob.start_stream(&edge.channel, &stream(2)).await.expect("a stream");
    for done in [ended(&alice, there).await, ended(&bob, back).await] {
        assert_eq!((done.state, done.settled, done.failed), (StreamState::Done, 10_000, 0), "{done:?}");
    }
    let (a, b) = quiet(&alice, &bob, &edge.channel).await;
    assert_eq!((a.balance, b.balance), (Units(AMOUNT - 10_000), Units(AMOUNT + 10_000)));
    assert_eq!((a.payments_sent, a.payments_received), (10_000, 10_000));
    check_order(&alice, &edge.channel).await;

    let before = (alice.wallet().await.expect("a wallet"), bob.wallet().await.expect("a wallet"));
    let request = CloseChannel {
        mode: CloseMode::Cooperative,
        force_after_ms: None,
        wait: CloseWait::Settled,
        timeout_ms: None,
    };
    let closed = alice.close_channel(&edge.channel, &request).await.expect("closed");
    assert_eq!(
        (closed.channel.state, closed.channel.outcome),
        (ChannelState::Settled, Some(Outcome::Cooperative))
    );
    let tx = closed.tx.or(closed.channel.settlement).expect("a transaction");
    let tx = until("the close is final everywhere", async || {
        let found = bob.transaction(&tx).await.ok()?;
        (found.status == TransactionStatus::Final).then_some(found)
    })
    .await;
    let mut lacking = 0;
    for (client, node, before, balance) in
        [(&alice, "alice", &before.0, a.balance), (&bob, "bob", &before.1, b.balance)]
    {
        let own = &net.network.state().node(node).expect("a node").address;
        let paid: u64 = tx
            .outputs
            .iter()
            .filter(|output| matches!(&output.lock, Lock::Wallet { address } if address == own))
            .map(|output| output.amount.0)
            .sum();
        lacking += balance.0.checked_sub(paid).expect("nobody gets more than the balance");
        until("the wallet has it", async || {
            let wallet = client.wallet().await.ok()?;
            (wallet.confirmed.0 == before.confirmed.0 + paid && wallet.in_channels.0 == 0).then_some(())
        })
        .await;
    }
    let outputs: u64 = tx.outputs.iter().map(|output| output.amount.0).sum();
    assert_eq!(lacking, 2 * AMOUNT - outputs, "what both lack is the fee");
}

#[tokio::test]
async fn a_repeated_call_is_one_payment_and_too_much_is_refused() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(AMOUNT).await[..] else { panic!("one channel") };
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    let pay = |amount| Pay {
        amount: Units(amount),
        memo: None,
        idempotency_key: Some("once".to_owned()),
        wait: PayWait::Settled,
        timeout_ms: None,
    };
    let first = alice.pay(&edge.channel, &pay(250)).await.expect("paid");
    let second = alice.pay(&edge.channel, &pay(250)).await.expect("the same payment");
    assert_eq!(first.id, second.id);
    let conflict = alice.pay(&edge.channel, &pay(251)).await.expect_err("another payment with the same word");
    assert_eq!(conflict.code(), Some(Code::IdempotencyConflict));
    let (a, _) = quiet(&alice, &bob, &edge.channel).await;
    assert_eq!((a.balance, a.payments_sent), (Units(AMOUNT - 250), 1));
    let above = Pay { idempotency_key: None, ..pay(AMOUNT) };
    let refused = alice.pay(&edge.channel, &above).await.expect_err("more than there is");
    assert_eq!(refused.code(), Some(Code::InsufficientBalance));
}

#[tokio::test]
async fn a_channel_closed_by_one_side_alone_pays_both() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(AMOUNT).await[..] else { panic!("one channel") };
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    let pay = Pay {
        amount: Units(1_000),
        memo: None,
        idempotency_key: None,
        wait: PayWait::Settled,
        timeout_ms: None,
    };
    alice.pay(&edge.channel, &pay).await.expect("paid");
    let request = CloseChannel {
        mode: CloseMode::Force,
        force_after_ms: None,
        wait: CloseWait::Sent,
        timeout_ms: None,
    };
    alice.close_channel(&edge.channel, &request).await.expect("closing");
    for client in [&alice, &bob] {
        until("it is paid out", async || {
            let channel = client.channel(&edge.channel).await.ok()?;
            (channel.state == ChannelState::Settled).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn what_was_done_under_a_key_is_done_once_even_if_the_node_is_killed() {
    let mut net = Net::up(&Plan::of(2, Topology::Line)).await;
    let bob = net.node("bob").clone();
    let word = |word: &str| Some(word.to_owned());
    let open = |amount| OpenChannel {
        peer: bob.node.clone(),
        address: Some(bob.p2p.clone()),
        amount: Units(amount),
        peer_amount: None,
        dispute_window_ms: None,
        reserve: None,
        expires_ms: None,
        wait: OpenWait::Active,
        timeout_ms: Some(60_000),
        idempotency_key: word("open"),
    };
    let send =
        |amount| WalletSend { to: bob.address.clone(), amount: Units(amount), idempotency_key: word("send") };
    let pay = |amount| Pay {
        amount: Units(amount),
        memo: None,
        idempotency_key: word("pay"),
        wait: PayWait::Settled,
        timeout_ms: Some(60_000),
    };
    let stream =
        || StartStream { amount: Units(1), count: 10, in_flight: 4, idempotency_key: word("stream") };
    let alice = net.client("alice");
    let channel = alice.open_channel(&open(AMOUNT)).await.expect("it opens").id;
    let (sent, paid) = (
        alice.send(&send(70_000)).await.expect("sent").tx,
        alice.pay(&channel, &pay(250)).await.expect("paid").id,
    );
    let streamed = alice.start_stream(&channel, &stream()).await.expect("a stream");
    assert_eq!(ended(&alice, streamed).await.settled, 10);

    net.network.kill("alice").await.expect("killed");
    net.network.restart("alice").await.expect("it serves");
    let alice = net.client("alice");
    assert_eq!(alice.open_channel(&open(AMOUNT)).await.expect("the same").id, channel);
    assert_eq!(alice.send(&send(70_000)).await.expect("the same").tx, sent);
    assert_eq!(alice.pay(&channel, &pay(250)).await.expect("the same").id, paid);
    let over = alice.start_stream(&channel, &stream()).await.expect_err("it does not begin again");
    assert_eq!(over.code(), Some(Code::StreamNotFound));
    // What the command line says under that word is the same call.
    let amount = AMOUNT.to_string();
    let words = ["-n", "alice", "channel", "open", "bob", &amount, "--idempotency-key", "open"];
    let output = net.run(&words);
    let said: serde_json::Value = serde_json::from_slice(&output.stdout).expect("a document");
    assert_eq!(said["id"], channel, "{}", String::from_utf8_lossy(&output.stderr));
    let conflicts = [
        alice.open_channel(&open(AMOUNT + 1)).await.expect_err("another channel").code(),
        alice.send(&send(70_001)).await.expect_err("another send").code(),
        alice.pay(&channel, &pay(251)).await.expect_err("another payment").code(),
        alice
            .pay(&channel, &Pay { idempotency_key: word("send"), ..pay(1) })
            .await
            .expect_err("no send")
            .code(),
    ];
    assert_eq!(conflicts, [Some(Code::IdempotencyConflict); 4]);
    until("the send is final", async || {
        let found = alice.transaction(&sent).await.ok()?;
        (found.status == TransactionStatus::Final).then_some(())
    })
    .await;
    let history = alice.history(&HistoryQuery::default()).await.expect("a history").entries;
    assert_eq!(history.iter().filter(|entry| entry.tx == sent).count(), 1, "{history:?}");
    let (a, _) = quiet(&alice, &net.client("bob"), &channel).await;
    assert_eq!((a.balance, a.payments_sent), (Units(AMOUNT - 260), 11));
}
