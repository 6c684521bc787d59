//! Watchtowers, with real processes: a victim that is offline, and payments that wait for a tower.

use towpath_api::{
    ChannelState, Client, ClientError, CloseChannel, CloseMode, CloseWait, Code, EventBody, EventItem,
    EventQuery, OpenChannel, OpenWait, Outcome, PageQuery, Pay, PayWait, PaymentState, SubmitTransaction,
    TowerHealth, Units,
};
use towpath_testnet::{Plan, Topology};
use towpath_tests::cheat;
use towpath_tests::kit::{Net, quiet, until};

const AMOUNT: u64 = 1_000_000;

/// Three validators, of which alice is the tower, and two that only have a channel with each other.
async fn five() -> Net {
    Net::up(&Plan { nodes: 5, validators: 3, ..Plan::of(5, Topology::Line) }).await
}

/// A channel that `opener` pays for alone, with a window of so long.
async fn open(net: &Net, opener: &str, acceptor: &str, dispute_window_ms: u64) -> String {
    let peer = net.network.state().node(acceptor).expect("a node");
    let request = OpenChannel {
        peer: peer.node.clone(),
        address: Some(peer.p2p.clone()),
        amount: Units(AMOUNT),
        peer_amount: Some(Units(AMOUNT)),
        dispute_window_ms: Some(dispute_window_ms),
        reserve: None,
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

fn pay(amount: u64, wait: PayWait) -> Pay {
    Pay { amount: Units(amount), memo: None, idempotency_key: None, wait, timeout_ms: None }
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

/// C4, E: dave posts a state of which he signed that it is replaced, while erin is away; the tower alone answers.
#[tokio::test]
async fn c4_a_tower_answers_a_stale_close_while_its_client_is_away() {
    let mut net = five().await;
    let channel = open(&net, "dave", "erin", 20_000).await;
    let tower = net.network.state().node("alice").expect("a node").node.clone();
    assert!(net.run(&["-n", "erin", "tower", "add", "alice"]).status.success());

    net.client("dave").pay(&channel, &pay(1_000, PayWait::Settled)).await.expect("paid");
    quiet(&net.client("dave"), &net.client("erin"), &channel).await;
    net.network.stop("dave").await.expect("stops");
    let data_dir = net.network.state().node("dave").expect("a node").data_dir.clone();
    let old = net.dir.path().join("old");
    cheat::copy(&data_dir, &old);
    net.network.start("dave").expect("starts");
    net.network.ready("dave").await.expect("serves");

    let (dave, erin) = (net.client("dave"), net.client("erin"));
    until("the channel is online again", async || {
        dave.pay(&channel, &pay(700_000, PayWait::Settled)).await.ok()
    })
    .await;
    // Erin pays too: with that dave, who orders the updates, signs that he holds what he is about to deny.
    for _ in 0..3 {
        erin.pay(&channel, &pay(10, PayWait::Settled)).await.expect("paid");
    }
    let (_, newest) = quiet(&dave, &erin, &channel).await;
    guarded(&erin, &tower).await;
    let alice = net.client("alice");
    assert!(alice.tower().await.expect("answers").records >= 1);
    net.network.kill("erin").await.expect("dies");
    net.network.kill("dave").await.expect("dies");

    let state = net.network.state();
    let (close, posted) = cheat::stale_close(&old, &state.genesis, "dave", &channel);
    assert!(posted < newest.version);
    let bob = net.client("bob");
    bob.submit_transaction(&SubmitTransaction { hex: cheat::encoded(&close) })
        .await
        .expect("the ledger takes it");
    until("the tower contests it", async || {
        let info = alice.tower().await.ok()?;
        (info.contested == 1).then_some(())
    })
    .await;
    until("the tower has paid it out", async || {
        let info = alice.tower().await.ok()?;
        (info.records == 0 && info.cases == 0).then_some(())
    })
    .await;

    net.network.start("erin").expect("starts");
    net.network.ready("erin").await.expect("serves");
    let erin = net.client("erin");
    let settled = until("erin sees it", async || {
        let settled = erin.channel(&channel).await.ok()?;
        (settled.state == ChannelState::Settled).then_some(settled)
    })
    .await;
    assert_eq!(settled.outcome, Some(Outcome::Penalized));
    assert_eq!(settled.balance, newest.balance);
    let tx = bob.transaction(&settled.settlement.expect("a transaction")).await.expect("it is final");
    let own = &net.network.state().node("erin").expect("a node").address;
    let paid: u64 = tx
        .outputs
        .iter()
        .filter(|output| matches!(&output.lock, towpath_api::Lock::Wallet { address } if address == own))
        .map(|output| output.amount.0)
        .sum();
    assert!(paid > newest.balance.0, "{paid}: her balance of {} and a share of dave's", newest.balance);
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
    let dir = tempfile::tempdir().expect("a folder");
    let plan = Plan { nodes: 3, validators: 1, ..Plan::of(3, Topology::Line) };
    let (network, _) =
        towpath_testnet::Network::prepare(dir.path(), towpath_tests::kit::program(), &plan).expect("set up");
    let carol = network.state().node("carol").expect("a node").clone();
    let tower = network.state().node("bob").expect("a node").clone();
    let text = std::fs::read_to_string(&carol.config).expect("a configuration");
    let wants = format!("serve = true\nconfirmations = 1\ntowers = [\"{}@{}\"]", tower.node, tower.p2p);
    let changed = text.replace("serve = true", &wants);
    assert_ne!(changed, text);
    std::fs::write(&carol.config, changed).expect("written");
    let mut net = Net { network, dir };
    net.network.up().await.expect("all nodes serve");

    let channel = open(&net, "alice", "carol", 120_000).await;
    let alice = net.client("alice");
    let query = || EventQuery { types: Some("payment".to_owned()), ..EventQuery::default() };
    let mut events = net.client("carol").events(query()).await.expect("a stream");
    alice.pay(&channel, &pay(5, PayWait::Settled)).await.expect("paid");
    assert_eq!(told(&mut events).await, 5, "the tower has it");

    net.network.kill("bob").await.expect("dies");
    let client = net.client("carol");
    until("carol misses the tower", async || {
        let info = client.tower().await.ok()?;
        (info.towers[0].health == TowerHealth::Unreachable).then_some(())
    })
    .await;
    alice.pay(&channel, &pay(7, PayWait::Settled)).await.expect("the payer is done");
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
    net.network.start("carol").expect("starts");
    net.network.ready("carol").await.expect("serves");
    let client = net.client("carol");
    let waiting = client.channel(&channel).await.expect("a channel");
    assert_eq!((waiting.payments_received, waiting.payments_confirming), (1, 1));
    let mut events = client.events(query()).await.expect("a stream");
    net.network.start("bob").expect("starts");
    net.network.ready("bob").await.expect("serves");
    assert_eq!(told(&mut events).await, 7);
    until("alice is back", async || alice.pay(&channel, &pay(11, PayWait::Settled)).await.ok()).await;
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
    let close = CloseChannel { mode: CloseMode::Cooperative, wait: CloseWait::Settled, timeout_ms: None };
    client.close_channel(&channel, &close).await.expect("closed");
    let tower = net.client("bob");
    until("the tower forgets it", async || (tower.tower().await.ok()?.records == 0).then_some(())).await;
    assert_eq!(json(&["-n", "alice", "tower", "remove", "bob"])["removed"], **bob);
    let (exit, message) = towpath_tests::kit::refusal(&net.run(&["-n", "alice", "tower", "remove", "bob"]));
    assert_eq!(exit, 4, "{message}");
    assert_eq!(json(&["-n", "alice", "tower", "list"])["towers"], serde_json::json!([]));
}
