//! A channel whose rows cannot be used does not vanish: it is listed with its reason, nothing is signed for it, and the
//! other channels go on.

use towpath_api::{ChannelQuery, Code};
use towpath_ledger::ChannelId;
use towpath_store::{Batch, Column, Opened, RocksOptions, RocksStore, Scan, Store};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, metric, pay, refusal, until};

#[tokio::test]
async fn a_channel_that_cannot_be_restored_is_listed_and_the_others_go_on() {
    let mut net = Net::up(&Plan::of(3, Topology::Line)).await;
    let edges = net.open(1_000_000).await;
    let of = |name: &str| edges.iter().find(|edge| edge.opener == name || edge.acceptor == name);
    let hurt = of("alice").expect("alice and bob").channel.clone();
    let healthy = of("carol").expect("bob and carol").channel.clone();
    let (alice, bob, carol) = (net.client("alice"), net.client("bob"), net.client("carol"));
    pay(&alice, &hurt, 5).await.expect("paid");
    let output = bob.channel(&hurt).await.expect("a channel").funding;

    net.network.stop("bob").await.expect("stopped");
    bend_rows(&net.node("bob").data_dir.join("store"), &hurt);
    net.network.restart("bob").await.expect("it serves");

    let page = bob.channels(&ChannelQuery::default()).await.expect("a page");
    assert_eq!((page.totals.active, page.totals.damaged, page.damaged.len()), (1, 1, 1), "{page:?}");
    let damaged = &page.damaged[0];
    assert_eq!((damaged.id == hurt, &damaged.output), (true, &output), "{damaged:?}");
    assert!(damaged.reason.contains("damaged"), "{}", damaged.reason);
    assert_eq!(metric(&bob, "towpath_channels{state=\"damaged\"}").await, 1);
    assert_eq!(bob.info().await.expect("info").channels.damaged, 1);
    // By its whole id and by its beginning, as other channels are found.
    for id in [&hurt[..], &hurt[..16]] {
        let refused = bob.channel(id).await.expect_err("there is nothing to show");
        assert_eq!(refused.code(), Some(Code::ChannelDamaged), "{refused}");
    }
    let refused = pay(&bob, &hurt, 1).await.expect_err("nothing is signed for it");
    assert_eq!(refused.code(), Some(Code::ChannelDamaged), "{refused}");

    let listed = net.run(&["--node", "bob", "channel", "list"]);
    let text = String::from_utf8(listed.stdout).expect("text");
    let document: serde_json::Value = serde_json::from_str(&text).expect("JSON, since it is piped");
    assert_eq!(document["damaged"][0]["id"], *hurt, "{text}");
    let (code, message) = refusal(&net.run(&["--node", "bob", "channel", "show", &hurt]));
    assert_eq!(code, 5, "{message}");
    assert!(message.contains("cannot be used") && message.contains("channel_damaged"), "{message}");

    until("the other channel goes on", async || pay(&carol, &healthy, 1).await.ok().map(|_| ())).await;
    pay(&bob, &healthy, 1).await.expect("both ways");
}

/// Changes what is stored of a channel, as a fault of the disk or of a program would.
fn bend_rows(store: &std::path::Path, channel: &str) {
    let id: ChannelId = channel.parse().expect("an id");
    let Opened { store, .. } =
        RocksStore::open(&RocksOptions::new(store.to_owned())).expect("nobody uses it");
    let rows = store.scan(Column::Channels, &Scan::prefix(&id.0.0)).expect("readable");
    assert!(rows.len() >= 2, "{} rows", rows.len());
    let mut batch = Batch::new();
    for (key, mut value) in rows {
        // The version byte stays: the rest no longer decodes.
        value.truncate(value.len() / 2);
        batch.put(Column::Channels, key, value);
    }
    let sequence = store.write(batch).expect("written");
    store.acknowledge(sequence).expect("anchored");
}
