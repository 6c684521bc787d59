//! What a node counts is what happened: exactly so many payments, not about so many.

use towpath_api::{Code, EventBody, EventItem, EventQuery, StartStream, StreamState, Units};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, ended, metric, pay, quiet, until};

const AMOUNT: u64 = 1_000_000;
const THERE: u64 = 1_000;
const BACK: u64 = 700;
const SINGLE: u64 = 5;

#[tokio::test]
async fn after_n_payments_the_counters_say_exactly_n() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let [edge] = &net.open(AMOUNT).await[..] else { panic!("one channel") };
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    let stream =
        |amount, count| StartStream { amount: Units(amount), count, in_flight: 64, idempotency_key: None };
    let there = alice.start_stream(&edge.channel, &stream(3, THERE)).await.expect("a stream");
    let back = bob.start_stream(&edge.channel, &stream(2, BACK)).await.expect("a stream");
    for done in [ended(&alice, there).await, ended(&bob, back).await] {
        assert_eq!(done.state, StreamState::Done, "{done:?}");
    }
    for _ in 0..SINGLE {
        pay(&alice, &edge.channel, 10).await.expect("paid");
    }
    let refused = pay(&alice, &edge.channel, 2 * AMOUNT).await.expect_err("more than there is");
    assert_eq!(refused.code(), Some(Code::InsufficientBalance));
    quiet(&alice, &bob, &edge.channel).await;

    for (client, sent, received) in [(&alice, THERE + SINGLE, BACK), (&bob, BACK, THERE + SINGLE)] {
        assert_eq!(metric(client, "towpath_payments_sent_total").await, sent);
        assert_eq!(metric(client, "towpath_payments_received_total").await, received);
        assert_eq!(metric(client, "towpath_payments_failed_total").await, 0, "a refusal is no failure");
        assert_eq!(
            metric(client, "towpath_payment_latency_seconds_count").await,
            sent,
            "each was waited for"
        );
        let stats = client.stats().await.expect("statistics");
        assert_eq!(
            (stats.payments_sent, stats.payments_received, stats.payments_failed),
            (sent, received, 0)
        );
        assert_eq!(metric(client, "towpath_channels{state=\"active\"}").await, 1);
        assert_eq!(metric(client, "towpath_channels{state=\"damaged\"}").await, 0);
        assert_eq!(metric(client, "towpath_frames_rejected_total{reason=\"protocol\"}").await, 0);
        assert!(metric(client, "towpath_verified_signatures_sum").await > 0);
        let (groups, batches) = (
            metric(client, "towpath_write_group_seconds_count").await,
            metric(client, "towpath_write_group_batches_sum").await,
        );
        assert!(0 < groups && groups <= batches, "{groups} groups of {batches} batches");
    }
    // What one sent the other received; the last acknowledgements may still be on their way.
    for (from, to) in [(&alice, &bob), (&bob, &alice)] {
        until("all messages have arrived", async || {
            for name in ["messages{}_total", "messages{}_bytes_total", "frames{}_total"] {
                let sent = metric(from, &format!("towpath_{}", name.replace("{}", "_sent"))).await;
                let received = metric(to, &format!("towpath_{}", name.replace("{}", "_received"))).await;
                if sent != received || sent == 0 {
                    return None;
                }
            }
            Some(())
        })
        .await;
    }
    let blocks = alice.ledger().await.expect("a ledger").height;
    until("the blocks are counted", async || {
        (metric(&alice, "towpath_blocks_applied_total").await >= blocks).then_some(())
    })
    .await;
    assert!(metric(&alice, "towpath_transactions_applied_total").await >= 1, "the funding at least");

    own_payments_are_told_in_batches(&alice).await;
}

/// The events of own payments add up to all of them, and are far fewer than they.
async fn own_payments_are_told_in_batches(alice: &towpath_api::Client) {
    let query =
        EventQuery { types: Some("payment_sent".to_owned()), after: Some(0), ..EventQuery::default() };
    let mut events = alice.events(query).await.expect("events");
    assert_eq!(metric(alice, "towpath_event_listeners").await, 1);
    let (mut rows, mut payments, mut total) = (0, 0, 0);
    while payments < THERE + SINGLE {
        let EventItem::Event(event) = events.next().await.expect("an event") else { panic!("a gap") };
        let EventBody::PaymentSent { count, amount, .. } = event.body else { panic!("{event:?}") };
        rows += 1;
        payments += count;
        total += amount.0;
    }
    assert_eq!((payments, total), (THERE + SINGLE, 3 * THERE + 10 * SINGLE));
    assert!(2 * rows < payments, "{rows} events for {payments} payments");
}
