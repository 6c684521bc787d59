//! The ledger goes on without one of four validators, stands still without two, and goes on again with three.

use std::time::Duration;

use towpath_api::{Client, TransactionStatus, Units, WalletSend};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, until};

/// With too few validators nothing may become final, however long one waits; so long it is watched.
const STANDSTILL: Duration = Duration::from_secs(5);

async fn send(from: &Client, to: &str) -> String {
    let request = WalletSend { to: to.to_owned(), amount: Units(10_000), idempotency_key: None };
    from.send(&request).await.expect("sent").tx
}

async fn is_final(client: &Client, tx: &str) -> bool {
    client.transaction(tx).await.is_ok_and(|found| found.status == TransactionStatus::Final)
}

async fn becomes_final(client: &Client, tx: &str) {
    until("the transaction is final", async || is_final(client, tx).await.then_some(())).await;
}

#[tokio::test]
async fn blocks_need_more_than_two_thirds_of_the_validators() {
    let mut net = Net::up(&Plan::of(4, Topology::Line)).await;
    let alice = net.client("alice");
    let bob = net.network.state().node("bob").expect("a node").address.clone();
    becomes_final(&alice, &send(&alice, &bob).await).await;

    net.network.kill("dave").await.expect("killed");
    becomes_final(&alice, &send(&alice, &bob).await).await;

    net.network.kill("carol").await.expect("killed");
    let waiting = send(&alice, &bob).await;
    let watched = tokio::time::timeout(STANDSTILL, becomes_final(&alice, &waiting)).await;
    assert!(watched.is_err(), "two of four validators made a block");

    net.network.restart("carol").await.expect("it serves");
    becomes_final(&alice, &waiting).await;
    net.network.restart("dave").await.expect("it serves");
    let dave = net.client("dave");
    becomes_final(&dave, &waiting).await;

    let height = dave.ledger().await.expect("a ledger").height;
    let (here, there) = (
        alice.block(&height.to_string()).await.expect("a block"),
        dave.block(&height.to_string()).await.expect("a block"),
    );
    assert_eq!((here.id, here.state_root), (there.id, there.state_root));
}
