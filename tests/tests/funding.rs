//! A channel is worth nothing before this node's own replica shows exactly the funding that was agreed (FAULTS C1).

use towpath_api::{ChannelState, Client, Code, TransactionStatus, Units};
use towpath_ledger::{Amount, Party};
use towpath_testnet::{Plan, Topology};
use towpath_tests::impostor::{Fake, Impostor, submit};
use towpath_tests::kit::{Net, metric, pay, until};

const AMOUNT: u64 = 1_000_000;
const PRESENT: u64 = 400_000;

async fn becomes_final(client: &Client, tx: &str) {
    until("the transaction is final", async || {
        let found = client.transaction(tx).await.ok()?;
        (found.status == TransactionStatus::Final).then_some(())
    })
    .await;
}

fn id(fake: &Fake) -> String {
    fake.channel.id().to_string()
}

#[tokio::test]
async fn c1_nothing_counts_that_is_not_funded_as_agreed() {
    let mut net = Net::prepared(&Plan { validators: 1, ..Plan::of(2, Topology::Line) });
    net.start("alice").await;
    let alice = net.client("alice");
    let mut bob = Impostor::connect("bob", net.node("alice"), &net.network.state().genesis).await;
    bob.look(&alice).await;

    // Never funded at all.
    let mut ghost = bob.open(AMOUNT, PRESENT).await;
    bob.pay_unfunded(&mut ghost, 7).await;

    // Funded with less than agreed; everything else is as it should be.
    let mut small = bob.open(AMOUNT, PRESENT).await;
    let tx = submit(&alice, &bob.funding(&small, Amount(AMOUNT), small.channel.terms().clone())).await;
    becomes_final(&alice, &tx).await;
    bob.pay_unfunded(&mut small, 7).await;

    // The right id and amount; but the ledger is to pay the victim's part to somebody else.
    let mut turned = bob.open(AMOUNT, PRESENT).await;
    let mut terms = turned.channel.terms().clone();
    terms.payout_b = terms.payout(Party::A).clone();
    let tx = submit(&alice, &bob.funding(&turned, turned.channel.capacity(), terms)).await;
    becomes_final(&alice, &tx).await;
    bob.pay_unfunded(&mut turned, 7).await;

    // The right id with other keys: the ledger itself refuses.
    let mut honest = bob.open(AMOUNT, PRESENT).await;
    let mut terms = honest.channel.terms().clone();
    terms.key_b = terms.key_a;
    let forged = bob.funding(&honest, honest.channel.capacity(), terms);
    let hex = towpath_crypto::codec::encode(&forged).iter().map(|byte| format!("{byte:02x}")).collect();
    let refused = alice.submit_transaction(&towpath_api::SubmitTransaction { hex }).await;
    assert_eq!(
        refused.expect_err("keys that the id was not made of").code(),
        Some(Code::TransactionRejected)
    );

    // Paid before the funding is final; then funded as agreed, and the same proposal again: now it counts.
    let messages = bob.pay_unfunded(&mut honest, 7).await;
    let funding = bob.funding(&honest, honest.channel.capacity(), honest.channel.terms().clone());
    assert_eq!(alice.wallet().await.expect("a wallet").in_channels, Units(0), "no promise counts");
    becomes_final(&alice, &submit(&alice, &funding).await).await;
    until("the channel is active", async || {
        let channel = alice.channel(&id(&honest)).await.ok()?;
        (channel.state == ChannelState::Active).then_some(())
    })
    .await;
    assert_eq!(metric(&alice, "towpath_payments_received_total").await, 0, "nothing counted before");
    bob.repeat(messages).await;
    let paid = until("the payment arrives", async || {
        let channel = alice.channel(&id(&honest)).await.ok()?;
        (channel.payments_received > 0).then_some(channel)
    })
    .await;
    assert_eq!((paid.payments_received, paid.balance), (1, Units(PRESENT + 7)));

    // One worker has all channels with one peer, in the order of blocks: it has seen the others' funding before.
    for fake in [&ghost, &small, &turned] {
        let channel = alice.channel(&id(fake)).await.expect("it is listed");
        assert_eq!((channel.state, channel.payments_received), (ChannelState::Opening, 0), "{channel:?}");
        let refused = pay(&alice, &channel.id, 1).await.expect_err("nothing can be paid through it");
        assert_eq!(refused.code(), Some(Code::ChannelNotActive), "{refused}");
    }
    assert_eq!(metric(&alice, "towpath_payments_received_total").await, 1);
    assert_eq!(alice.wallet().await.expect("a wallet").in_channels, Units(PRESENT + 7));
}
