//! Watchtowers, with real processes: a victim that is offline, and payments that wait for a tower.

use std::path::PathBuf;
use std::time::Duration;

use towpath_api::{
    Channel, ChannelState, Client, ClientError, CloseChannel, CloseMode, CloseWait, Code, EventBody,
    EventItem, EventQuery, Lock, OpenChannel, OpenWait, Outcome, PageQuery, PaymentState, SettledBy, Side,
    StartStream, StoredBytes, SubmitTransaction, TowerHealth, TowerQuery, TransactionStatus, Units,
};
use towpath_cheat::{OldCopy, stale_close};
use towpath_ledger::Digest;
use towpath_ledger::genesis::Genesis;
use towpath_protocol::Message;
use towpath_protocol::tower::{Entry, Locator, RECORD_BYTES, Sealed, Sequence, TowerMessage};
use towpath_store::{Column, RocksOptions, RocksStore, Scan, Store};
use towpath_testnet::{Plan, Topology, advance};
use towpath_tests::cheat;
use towpath_tests::kit::{Net, ended_within, metric, pay, quiet, until};
use towpath_tests::stranger::Stranger;

const AMOUNT: u64 = 1_000_000;

/// The dispute window of these channels: so long that it never ends by itself while a test runs.
const WINDOW_MS: u64 = 3_600_000;

/// More than that.
const PAST_THE_WINDOW: Duration = Duration::from_secs(3_601);

/// How long a stream of a million payments may take on a busy machine.
const LARGE_STREAM: Duration = Duration::from_secs(1_200);

/// A channel into which each side puts as much, with a window of so long.
async fn open(net: &Net, opener: &str, acceptor: &str, dispute_window_ms: u64) -> String {
    open_with(net, (opener, acceptor), AMOUNT, dispute_window_ms).await
}

async fn open_with(
    net: &Net,
    (opener, acceptor): (&str, &str),
    amount: u64,
    dispute_window_ms: u64,
) -> String {
    let peer = net.network.state().node(acceptor).expect("a node");
    let request = OpenChannel {
        peer: peer.node.clone(),
        address: Some(peer.p2p.clone()),
        amount: Units(amount),
        peer_amount: Some(Units(amount)),
        dispute_window_ms: Some(dispute_window_ms),
        reserve: None,
        expires_ms: None,
        wait: OpenWait::Active,
        timeout_ms: Some(60_000),
        idempotency_key: None,
    };
    let client = net.client(opener);
    let channel = until("the channel opens", async || match client.open_channel(&request).await {
        Ok(channel) => Some(channel.id),
        Err(ClientError::Api(error)) if error.code == Code::PeerOffline => None,
        Err(error) => panic!("{error}"),
    })
    .await;
    let other = net.client(acceptor);
    until("both sides have it", async || {
        let channel = other.channel(&channel).await.ok()?;
        (channel.state == ChannelState::Active && channel.online).then_some(())
    })
    .await;
    channel
}

/// Puts these settings into a node's section about watchtowers, in place of the one that it has.
fn configure(net: &Net, node: &str, settings: &str) {
    let file = &net.node(node).config;
    let text = std::fs::read_to_string(file).expect("a configuration");
    let changed = text.replace("serve = true", settings);
    assert_ne!(changed, text);
    std::fs::write(file, changed).expect("written");
}

/// Waits until `tower` has every version of `node`'s channels.
async fn guarded(node: &Client, tower: &str) {
    until("the tower has the newest state", async || {
        let info = node.tower().await.ok()?;
        let tower = info.towers.iter().find(|other| other.node == tower)?;
        (tower.health == TowerHealth::Good && tower.behind == 0 && tower.current > 0).then_some(())
    })
    .await;
}

/// A cheat that is ready: the old copy of the cheater's data, and what the victim has by now.
struct Cheat {
    channel: String,
    cheater: &'static str,
    victim: &'static str,
    old: PathBuf,
    newest: Channel,
}

/// The cheater keeps a copy of its data, pays, and acknowledges payments of the victim, whose state each of `towers` has.
async fn prepare(net: &mut Net, cheater: &'static str, victim: &'static str, towers: &[&str]) -> Cheat {
    let channel = open(net, cheater, victim, WINDOW_MS).await;
    for tower in towers {
        assert!(net.run(&["-n", victim, "tower", "add", tower]).status.success());
    }
    pay(&net.client(cheater), &channel, 1_000).await.expect("paid");
    quiet(&net.client(cheater), &net.client(victim), &channel).await;
    net.network.stop(cheater).await.expect("stops");
    let old = net.dir.path().join("old");
    cheat::copy(&net.node(cheater).data_dir, &old);
    net.start(cheater).await;
    let (paying, paid) = (net.client(cheater), net.client(victim));
    until("the channel is online again", async || pay(&paying, &channel, 700_000).await.ok()).await;
    // The victim pays, too: with that the cheater, who orders the updates, signs that it holds what it is about to deny.
    for _ in 0..3 {
        pay(&paid, &channel, 10).await.expect("paid");
    }
    let (_, newest) = quiet(&paying, &paid, &channel).await;
    for tower in towers {
        guarded(&paid, &net.node(tower).node).await;
    }
    Cheat { channel, cheater, victim, old, newest }
}

/// Both parties are gone, and the old state is posted; where the ledger has it.
async fn post(net: &mut Net, cheat: &Cheat, by: &str) -> String {
    net.network.kill(cheat.victim).await.expect("dies");
    net.network.kill(cheat.cheater).await.expect("dies");
    let genesis = net.network.state().genesis.clone();
    let old = OldCopy::open(&cheat.old, cheat.cheater).expect("a copy");
    let close = stale_close(&old, &genesis, &cheat.channel).expect("it closes");
    assert!(close.version < cheat.newest.version);
    let request = SubmitTransaction { hex: close.hex };
    let client = net.client(by);
    let submitted = client.submit_transaction(&request).await.expect("the ledger takes it");
    until("the old state is posted", async || {
        client.transaction(&submitted.tx).await.ok().filter(|found| found.status == TransactionStatus::Final)
    })
    .await;
    client.transaction(&submitted.tx).await.expect("it is final").outputs[0].outpoint.clone()
}

/// Waits until one of the towers contests what was posted, and the ledger has taken it: only then may the window end.
async fn contested(net: &Net, posted: &str, towers: &[&str]) {
    until("a tower contests it", async || {
        for tower in towers {
            if net.client(tower).tower().await.is_ok_and(|info| info.contested == 1) {
                return Some(());
            }
        }
        None
    })
    .await;
    let ledger = net.client("bob");
    until("the ledger takes the answer", async || match ledger.output(posted).await {
        Err(ClientError::Api(error)) if error.code == Code::OutputNotFound => Some(()),
        _ => None,
    })
    .await;
}

/// The window ends, the towers pay the closing out and forget it; the victim comes back and has what is its own, and more.
async fn recovered(net: &mut Net, cheat: &Cheat, towers: &[&str]) {
    advance(net.network.state(), PAST_THE_WINDOW).await.expect("it travels");
    for tower in towers {
        let client = net.client(tower);
        until("it is paid out, and forgotten", async || {
            let info = client.tower().await.ok()?;
            (info.records == 0 && info.cases == 0).then_some(())
        })
        .await;
    }
    net.start(cheat.victim).await;
    let victim = net.client(cheat.victim);
    let settled = until("the victim sees it", async || {
        let settled = victim.channel(&cheat.channel).await.ok()?;
        (settled.state == ChannelState::Settled).then_some(settled)
    })
    .await;
    assert_eq!(settled.outcome, Some(Outcome::Penalized));
    let close = settled.close.expect("why it was closed");
    let settlement = close.settlement.expect("a settlement");
    assert_eq!((settlement.by, settlement.version), (SettledBy::Deadline, cheat.newest.version));
    assert_eq!(close.penalty.expect("a penalty").by, Side::Remote);
    let tx = victim.transaction(&settlement.tx).await.expect("it is final");
    let own = &net.node(cheat.victim).address;
    let outputs = tx.outputs.iter();
    let own = outputs.filter(|output| matches!(&output.lock, Lock::Wallet { address } if address == own));
    let paid: u64 = own.map(|output| output.amount.0).sum();
    assert_eq!(settlement.paid, Units(paid));
    assert!(paid > cheat.newest.balance.0, "{paid}: its balance of {}, and a penalty", cheat.newest.balance);
}

/// C4: the cheater posts a state of which it signed that it is replaced, while the victim is away; the tower alone answers.
#[tokio::test]
async fn c4_a_tower_answers_a_stale_close_while_its_client_is_away() {
    let mut net = Net::up(&Plan { validators: 3, ..Plan::of(5, Topology::Line) }).await;
    let cheat = prepare(&mut net, "dave", "erin", &["alice"]).await;
    assert_eq!(net.client("alice").tower().await.expect("answers").records, 1);
    let posted = post(&mut net, &cheat, "bob").await;
    contested(&net, &posted, &["alice"]).await;
    assert_eq!(metric(&net.client("alice"), "towpath_tower_penalized_total").await, 1);
    recovered(&mut net, &cheat, &["alice"]).await;
}

/// W3, W4: of three towers one is dead for good, and the others were killed after they acknowledged, and are away when the
/// close is posted. One comes back within the window: it has what it promised, and that is enough.
#[tokio::test]
async fn w3_w4_of_three_towers_one_comes_back_within_the_window_and_has_what_it_promised() {
    let mut net = Net::up(&Plan { validators: 4, ..Plan::of(8, Topology::Line) }).await;
    let towers = ["alice", "erin", "frank"];
    let cheat = prepare(&mut net, "grace", "heidi", &towers).await;
    for tower in towers {
        net.network.kill(tower).await.expect("dies");
    }
    let posted = post(&mut net, &cheat, "bob").await;
    net.start("erin").await;
    contested(&net, &posted, &["erin"]).await;
    recovered(&mut net, &cheat, &["erin"]).await;
}

/// W1: a node that nobody knows gives a tower as much as it likes: it fills the strangers' part, and takes nothing from the
/// rest.
#[tokio::test]
async fn w1_a_stranger_fills_its_part_of_a_tower_and_no_more() {
    const RECORDS_MAX: u64 = 32;
    let mut net = Net::prepared(&Plan::of(2, Topology::Line));
    configure(&net, "alice", &format!("serve = true\nrecords_max = {RECORDS_MAX}"));
    net.network.up().await.expect("all nodes serve");
    let (alice, node) = (net.client("alice"), net.node("alice").clone());
    let genesis = std::fs::read_to_string(&net.network.state().genesis).expect("a genesis");
    let chain = Genesis::parse(&genesis).expect("a genesis").chain_id();
    let mut stranger = Stranger::connect(&node, chain);
    let mut line = stranger.session().await;
    for turn in 0..4_u8 {
        let rubbish = |place| Entry {
            locator: Locator(Digest([turn * 64 + place; 32])),
            sequence: Sequence { generation: 0, version: 1 },
            sealed: Sealed(Box::new([0x5a; RECORD_BYTES])),
        };
        let keep = TowerMessage::Keep((0..64).map(rubbish).collect());
        line.send(&[&Message::Tower(keep).encode()]).await;
    }
    let part = RECORDS_MAX / 16;
    until("all is answered", async || {
        let refused = metric(&alice, "towpath_tower_records_refused_total").await;
        (refused == 4 * 64 - part).then_some(())
    })
    .await;
    let info = alice.tower().await.expect("answers");
    assert_eq!((info.records, info.records_of_strangers, info.clients), (part, part, 1));
    let channel = open(&net, "bob", "alice", WINDOW_MS).await;
    assert!(net.run(&["-n", "bob", "tower", "add", "alice"]).status.success());
    guarded(&net.client("bob"), &node.node).await;
    let of_alice =
        net.client("bob").tower_channels(&node.node, &TowerQuery::default()).await.expect("a page");
    assert_eq!(of_alice.channels[0].channel, channel);
    assert_eq!(alice.tower().await.expect("answers").records, part + 1);
}

/// The tower's rows of a stopped node: how many, and how many bytes.
fn tower_rows(net: &Net, node: &str, copy: &str) -> (usize, usize) {
    let folder = net.dir.path().join(copy);
    cheat::copy(&net.node(node).data_dir, &folder);
    let opened = RocksStore::open(&RocksOptions::new(folder.join("store"))).expect("a copy of a store");
    let rows = opened.store.scan(Column::Tower, &Scan::prefix(b"")).expect("it reads");
    (rows.len(), rows.iter().map(|(key, row)| key.len() + row.len()).sum())
}

/// What both nodes keep for the safety of a channel, and what a tower keeps of it (rows and bytes), after so many more payments
/// each time.
async fn kept_after(payments: &[u64]) -> Vec<([StoredBytes; 2], (usize, usize))> {
    let mut net = Net::up(&Plan { validators: 2, ..Plan::of(3, Topology::Line) }).await;
    let channel = open_with(&net, ("alice", "bob"), 10 * AMOUNT, WINDOW_MS).await;
    assert!(net.run(&["-n", "alice", "tower", "add", "carol"]).status.success());
    let tower = net.node("carol").node.clone();
    let mut kept = Vec::new();
    for (place, count) in payments.iter().enumerate() {
        let alice = net.client("alice");
        let stream = StartStream { amount: Units(1), count: *count, in_flight: 256, idempotency_key: None };
        let stream = alice.start_stream(&channel, &stream).await.expect("a stream");
        assert_eq!(ended_within(&alice, stream, LARGE_STREAM).await.settled, *count);
        let (a, b) = quiet(&alice, &net.client("bob"), &channel).await;
        guarded(&alice, &tower).await;
        net.network.stop("carol").await.expect("stops");
        let rows = tower_rows(&net, "carol", &format!("copy-{place}"));
        kept.push(([a, b].map(|side| side.stored.expect("one channel was asked for")), rows));
        net.start("carol").await;
    }
    kept
}

/// What nodes and a tower need of a channel does not grow with its payments.
fn check_kept(kept: &[([StoredBytes; 2], (usize, usize))]) {
    for ([a, b], (rows, bytes)) in kept {
        println!(
            "state {} and {}, history {} and {}; tower {rows} rows, {bytes} bytes",
            a.state, b.state, a.history, b.history
        );
    }
    let state = |(sides, tower): &([StoredBytes; 2], (usize, usize))| (sides.map(|side| side.state), *tower);
    // The record, the client's index of it, and the client's account.
    assert_eq!(kept[0].1.0, 3);
    assert!(kept.iter().all(|after| state(after) == state(&kept[0])), "{kept:?}");
}

#[tokio::test]
async fn nodes_and_a_tower_keep_as_much_after_ten_payments_as_after_ten_thousand() {
    check_kept(&kept_after(&[10, 9_990]).await);
}

#[tokio::test]
#[ignore = "a million payments; docs/reports/disputes.md has its figures"]
async fn large_nodes_and_a_tower_keep_as_much_after_a_million_payments() {
    check_kept(&kept_after(&[10, 9_990, 990_000]).await);
}

/// The versions of payments that `client` was told of.
async fn told(events: &mut towpath_api::EventReader) -> u64 {
    loop {
        match events.next().await.expect("the stream goes on") {
            EventItem::Event(event) => {
                if let EventBody::Payment { amount, .. } = event.body {
                    return amount.0;
                }
            }
            EventItem::Gap(gap) => panic!("events are missing: {gap:?}"),
        }
    }
}

/// W6, E: with `tower.confirmations = 1` a payment is final only once the tower has it, through a crash of the payee.
#[tokio::test]
async fn w6_a_payment_is_final_only_once_a_tower_has_it() {
    let mut net = Net::prepared(&Plan { validators: 1, ..Plan::of(3, Topology::Line) });
    let tower = net.node("bob").clone();
    let wants = format!("serve = true\nconfirmations = 1\ntowers = [\"{}@{}\"]", tower.node, tower.p2p);
    configure(&net, "carol", &wants);
    net.network.up().await.expect("all nodes serve");

    let channel = open(&net, "alice", "carol", 120_000).await;
    let alice = net.client("alice");
    let query = || EventQuery { types: Some("payment".to_owned()), ..EventQuery::default() };
    let mut events = net.client("carol").events(query()).await.expect("a stream");
    pay(&alice, &channel, 5).await.expect("paid");
    assert_eq!(told(&mut events).await, 5, "the tower has it");

    net.network.kill("bob").await.expect("dies");
    let client = net.client("carol");
    until("carol misses the tower", async || {
        let info = client.tower().await.ok()?;
        (info.towers[0].health == TowerHealth::Unreachable).then_some(())
    })
    .await;
    pay(&alice, &channel, 7).await.expect("the payer is done");
    let waiting = until("it waits", async || {
        let waiting = client.channel(&channel).await.ok()?;
        (waiting.payments_confirming == 1).then_some(waiting)
    })
    .await;
    assert_eq!((waiting.payments_received, waiting.confirming_total), (1, Units(7)));
    let page = client.payments(&channel, &PageQuery::default()).await.expect("a page");
    let states: Vec<_> = page.payments.iter().map(|payment| (payment.amount.0, payment.state)).collect();
    assert_eq!(states, [(7, PaymentState::Confirming), (5, PaymentState::Settled)]);

    // The payee dies with a payment that it did not report, and reports it once.
    net.network.kill("carol").await.expect("dies");
    net.start("carol").await;
    let client = net.client("carol");
    let waiting = client.channel(&channel).await.expect("a channel");
    assert_eq!((waiting.payments_received, waiting.payments_confirming), (1, 1));
    let mut events = client.events(query()).await.expect("a stream");
    net.start("bob").await;
    assert_eq!(told(&mut events).await, 7);
    until("alice is back", async || pay(&alice, &channel, 11).await.ok()).await;
    assert_eq!(told(&mut events).await, 11, "and nothing twice");
    let done = client.channel(&channel).await.expect("a channel");
    assert_eq!((done.payments_received, done.payments_confirming), (3, 0));
}

/// What the command line says, and what it refuses.
#[tokio::test]
async fn towers_are_added_listed_and_removed() {
    let net = Net::up(&Plan { nodes: 2, validators: 2, ..Plan::of(2, Topology::Line) }).await;
    let json = |arguments: &[&str]| -> serde_json::Value {
        let output = net.run(arguments);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("a document")
    };
    let bob = &net.network.state().node("bob").expect("a node").node;
    assert_eq!(json(&["-n", "alice", "tower", "status"])["serving"], true, "local networks serve");
    assert_eq!(json(&["-n", "alice", "tower", "serve", "--off"])["serving"], false);
    assert_eq!(json(&["-n", "alice", "tower", "add", "bob"])["towers"][0]["node"], **bob);
    let client = net.client("alice");
    until("the tower answers", async || {
        let info = client.tower().await.ok()?;
        (info.towers[0].health == TowerHealth::Good && info.towers[0].records_max.is_some()).then_some(())
    })
    .await;
    let (exit, message) = towpath_tests::kit::refusal(&net.run(&["-n", "alice", "tower", "add", "alice"]));
    assert_eq!(exit, 5, "{message}");
    assert_eq!(json(&["-n", "alice", "tower", "status", "bob"])["channels"], serde_json::json!([]));
    let channel = open(&net, "alice", "bob", 120_000).await;
    guarded(&client, bob).await;
    let of_bob = json(&["-n", "alice", "tower", "status", "bob"]);
    assert_eq!(of_bob["channels"][0]["channel"], channel);
    assert_eq!(of_bob["channels"][0]["lag"], 0);
    let close = CloseChannel {
        mode: CloseMode::Cooperative,
        wait: CloseWait::Settled,
        timeout_ms: None,
        force_after_ms: None,
    };
    client.close_channel(&channel, &close).await.expect("closed");
    let tower = net.client("bob");
    until("the tower forgets it", async || (tower.tower().await.ok()?.records == 0).then_some(())).await;
    assert_eq!(json(&["-n", "alice", "tower", "remove", "bob"])["removed"], **bob);
    let (exit, message) = towpath_tests::kit::refusal(&net.run(&["-n", "alice", "tower", "remove", "bob"]));
    assert_eq!(exit, 4, "{message}");
    assert_eq!(json(&["-n", "alice", "tower", "list"])["towers"], serde_json::json!([]));
}
