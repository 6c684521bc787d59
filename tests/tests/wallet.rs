//! The wallet as its owner sees it: all addresses, all of its history, and peers as they are.

use towpath_api::{
    Client, Direction, HistoryEntry, HistoryKind, HistoryQuery, TransactionStatus, Units, WalletSend,
};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, until};

async fn send(from: &Client, to: &str, amount: u64) -> (String, u64) {
    let request = WalletSend { to: to.to_owned(), amount: Units(amount), idempotency_key: None };
    let sent = from.send(&request).await.expect("sent");
    until("it is final", async || {
        let found = from.transaction(&sent.tx).await.ok()?;
        (found.status == TransactionStatus::Final).then_some(())
    })
    .await;
    (sent.tx, sent.fee.0)
}

/// The whole history, in pages of `limit`.
async fn history(client: &Client, limit: u32) -> Vec<HistoryEntry> {
    let (mut all, mut before) = (Vec::new(), None);
    loop {
        let page = client.history(&HistoryQuery { limit: Some(limit), before }).await.expect("a page");
        assert!(page.entries.len() <= usize::try_from(limit).expect("small"));
        all.extend(page.entries);
        match page.next {
            Some(next) => before = Some(next),
            None => return all,
        }
    }
}

#[tokio::test]
async fn the_history_holds_every_address_once_and_in_order_however_it_is_paged() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    let first = net.node("bob").address.clone();
    let (second, third) = (
        bob.new_address().await.expect("an address").address,
        bob.new_address().await.expect("an address").address,
    );
    let (to_second, fee) = send(&alice, &second, 30_000).await;
    let (to_third, _) = send(&alice, &third, 40_000).await;
    let (to_first, _) = send(&alice, &first, 50_000).await;
    let expected = [(&to_first, 50_000), (&to_third, 40_000), (&to_second, 30_000)];
    let all = until("bob has seen all of them", async || {
        let all = history(&bob, 500).await;
        (all.first()?.tx == to_first).then_some(all)
    })
    .await;
    for (entry, (tx, amount)) in all.iter().zip(expected) {
        assert_eq!((&entry.tx, entry.amount, entry.direction), (tx, Units(amount), Direction::In), "{all:?}");
        assert_eq!((entry.kind, entry.fee), (HistoryKind::Transfer, None), "somebody else paid the fee");
    }
    let genesis = all.last().expect("the allocation");
    assert_eq!((all.len(), genesis.kind), (4, HistoryKind::Genesis), "{all:?}");
    for limit in [1, 2, 3, 4] {
        assert_eq!(history(&bob, limit).await, all, "in pages of {limit}");
    }
    // The payer's side: what left, fee included, and the fee by itself.
    let spent = history(&alice, 500).await.into_iter().find(|entry| entry.tx == to_second).expect("an entry");
    assert_eq!((spent.direction, spent.amount), (Direction::Out, Units(30_000 + fee)));
    assert_eq!(spent.fee, Some(Units(fee)));
}

#[tokio::test]
async fn peers_show_who_called_and_how_far_they_are() {
    let net = Net::up(&Plan::of(2, Topology::Line)).await;
    for (name, other) in [("alice", "bob"), ("bob", "alice")] {
        let (client, other) = (net.client(name), net.node(other).node.clone());
        let peer = until("a ping came back", async || {
            let peers = client.peers().await.ok()?.peers;
            peers.into_iter().find(|peer| peer.node == other && peer.rtt_us.is_some())
        })
        .await;
        assert!(peer.connected && peer.direction.is_some(), "{peer:?}");
        let uptime = client.info().await.expect("info").uptime_ms;
        let now = client.ledger().await.expect("a ledger").time_ms;
        let since = peer.connected_ms.expect("it is connected");
        assert!(since + uptime + 60_000 > now, "connected since {since}, up for {uptime} ms, now {now}");
    }
}
