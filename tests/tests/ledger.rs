//! The ledger goes on without one of four validators, stands still without two, and goes on again with three; what was
//! sent while it stood still is neither lost nor done twice.

use towpath_api::{Client, TransactionStatus, Units, WalletSend};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, metric, until};

/// How often each validator must have spoken in vain before the ledger counts as standing still: one that is stuck
/// repeats its vote and its status about once a second, where a block takes a tenth of that.
const IN_VAIN: u64 = 12;

const AMOUNT: u64 = 10_000;

async fn send(from: &Client, to: &str) -> String {
    let request = WalletSend { to: to.to_owned(), amount: Units(AMOUNT), idempotency_key: None };
    from.send(&request).await.expect("sent").tx
}

async fn becomes_final(client: &Client, tx: &str) {
    until("the transaction is final", async || {
        let found = client.transaction(tx).await.ok()?;
        (found.status == TransactionStatus::Final).then_some(())
    })
    .await;
}

/// Waits until validators have spoken so often that they would have decided if they could: what they say is counted,
/// not the time that it takes them.
async fn speak_in_vain(validators: &[&Client]) {
    for client in validators {
        let before = metric(client, "towpath_consensus_messages_total").await;
        until("it keeps asking the others", async || {
            (metric(client, "towpath_consensus_messages_total").await >= before + IN_VAIN).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn blocks_need_more_than_two_thirds_of_the_validators() {
    let mut net = Net::up(&Plan::of(4, Topology::Line)).await;
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    let to = net.node("bob").address.clone();
    let supply = alice.ledger().await.expect("a ledger").supply;
    let first = bob.wallet().await.expect("a wallet").confirmed.0;
    becomes_final(&alice, &send(&alice, &to).await).await;

    net.network.kill("dave").await.expect("killed");
    becomes_final(&alice, &send(&alice, &to).await).await;

    net.network.kill("carol").await.expect("killed");
    // A block that was decided with carol's vote may still be on its way to one of them.
    let height = until("both are at one height, and stay there", async || {
        let heights = [alice.ledger().await.ok()?.height, bob.ledger().await.ok()?.height];
        speak_in_vain(&[&alice, &bob]).await;
        let later = [alice.ledger().await.ok()?.height, bob.ledger().await.ok()?.height];
        (heights == [later[0]; 2] && later == heights).then_some(later[0])
    })
    .await;
    let waiting = send(&alice, &to).await;
    until("bob has heard of it", async || bob.transaction(&waiting).await.ok().map(|_| ())).await;
    speak_in_vain(&[&alice, &bob]).await;
    for client in [&alice, &bob] {
        let found = client.transaction(&waiting).await.expect("it waits");
        assert_eq!((found.status, found.height, found.block), (TransactionStatus::Pending, None, None));
        assert_eq!(client.ledger().await.expect("a ledger").height, height, "two of four made a block");
    }
    let (payer, payee) = (alice.wallet().await.expect("a wallet"), bob.wallet().await.expect("a wallet"));
    assert_eq!((payee.pending.0, payee.confirmed.0), (AMOUNT, first + 2 * AMOUNT), "on its way in");
    assert!(payer.reserved.0 >= AMOUNT && payer.pending.0 < payer.reserved.0, "on its way out: {payer:?}");
    assert_eq!(payer.confirmed.0, payer.available.0 + payer.reserved.0, "{payer:?}");

    net.network.restart("carol").await.expect("it serves");
    becomes_final(&alice, &waiting).await;
    net.network.restart("dave").await.expect("it serves");
    for name in ["alice", "bob", "carol", "dave"] {
        becomes_final(&net.client(name), &waiting).await;
    }
    let paid = bob.wallet().await.expect("a wallet");
    assert_eq!((paid.confirmed.0, paid.pending.0), (first + 3 * AMOUNT, 0), "each transaction counts once");
    let payer = alice.wallet().await.expect("a wallet");
    assert_eq!((payer.reserved.0, payer.pending.0), (0, 0), "{payer:?}");
    all_agree(&net, &waiting, supply).await;
}

/// All four hold the same block with the transaction, the same state behind it, and the same supply.
async fn all_agree(net: &Net, tx: &str, supply: Units) {
    let dave = net.client("dave");
    let height = dave.transaction(tx).await.expect("it is final").height.expect("in a block");
    let block = dave.block(&height.to_string()).await.expect("a block");
    assert!(block.transactions.iter().any(|id| id == tx));
    for name in ["alice", "bob", "carol", "dave"] {
        let client = net.client(name);
        let found = client.block(&height.to_string()).await.expect("a block");
        assert_eq!((&found.id, &found.state_root), (&block.id, &block.state_root), "{name}");
        assert_eq!(client.ledger().await.expect("a ledger").supply, supply, "{name}");
    }
}
