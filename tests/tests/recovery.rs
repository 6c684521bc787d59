//! Data that is lost, old or doubled, with real processes: the node says so, signs nothing, and goes on with its channels
//! alive.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use towpath_api::{
    Channel, ChannelQuery, ChannelState, Client, CloseChannel, CloseMode, CloseWait, Mode, OpenChannel,
    OpenWait, Pay, PayWait, StartStream, Token, Units, WalletSend,
};
use towpath_crypto::id::{self, Kind};
use towpath_node::devnet;
use towpath_store::{Batch, Column, RocksOptions, RocksStore, Store};
use towpath_testnet::{Plan, Topology};
use towpath_tests::kit::{Net, copy_folder, ended, program, quiet, refusal, until};

const AMOUNT: u64 = 1_000_000;

/// The node that loses its data: no validator, so the ledger goes on without it.
const LOSER: &str = "dave";

const PEERS: [&str; 5] = ["alice", "bob", "carol", "alice", "bob"];

async fn network() -> Net {
    Net::up(&Plan { nodes: 4, validators: 3, topology: Topology::Line, coins: 16, coin: 1_000_000_000 }).await
}

/// Channels of the loser, one with each of these.
async fn open(net: &Net, peers: &[&str]) -> Vec<String> {
    let mut channels = Vec::new();
    for peer in peers {
        let peer = net.network.state().node(peer).expect("a node");
        let request = OpenChannel {
            peer: peer.node.clone(),
            address: Some(peer.p2p.clone()),
            amount: Units(AMOUNT),
            peer_amount: Some(Units(AMOUNT)),
            dispute_window_ms: None,
            reserve: None,
            expires_ms: None,
            wait: OpenWait::Active,
            timeout_ms: Some(60_000),
            idempotency_key: None,
        };
        let channel =
            until("a channel opens", async || net.client(LOSER).open_channel(&request).await.ok()).await;
        channels.push(channel.id);
    }
    channels
}

async fn pay(from: &Client, channel: &str, amount: u64) {
    // Asked again, it is the same payment.
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let key = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
    let pay = Pay {
        amount: Units(amount),
        memo: None,
        idempotency_key: Some(key),
        wait: PayWait::Settled,
        timeout_ms: None,
    };
    until("a payment is made", async || from.pay(channel, &pay).await.ok()).await;
}

async fn stream(from: &Client, channel: &str, count: u64) {
    let plan = StartStream { amount: Units(1), count, in_flight: 16, idempotency_key: None };
    let started = from.start_stream(channel, &plan).await.expect("a stream");
    let done = ended(from, started).await;
    assert_eq!(done.settled, count, "{done:?}");
}

/// The peers' side of the loser's channels, which nobody lost.
async fn truth(net: &Net, peers: &[&str], channels: &[String]) -> Vec<Channel> {
    let mut sides = Vec::new();
    for (peer, channel) in peers.iter().zip(channels) {
        let (_, theirs) = quiet(&net.client(LOSER), &net.client(peer), channel).await;
        sides.push(theirs);
    }
    sides
}

/// Waits until both sides have one state. How many payments were made only the one knows that lost nothing.
async fn agreed(first: &Client, second: &Client, channel: &str) -> (Channel, Channel) {
    until("both agree", async || {
        let (a, b) = (first.channel(channel).await.ok()?, second.channel(channel).await.ok()?);
        (a.version == b.version && a.balance == b.peer_balance).then_some((a, b))
    })
    .await
}

/// Waits until `loser` is what it was: all channels alive, balances to the unit, payments both ways, nothing closed.
async fn alive_again(net: &Net, loser: &Client, peers: &[&str], before: &[Channel]) {
    for (peer, before) in peers.iter().zip(before) {
        let recovered = until("the channel is alive again", async || {
            let mine = loser.channel(&before.id).await.ok()?;
            (mine.online && !mine.recovering).then_some(mine)
        })
        .await;
        assert_eq!(recovered.state, ChannelState::Active);
        assert_eq!((recovered.balance, recovered.peer_balance), (before.peer_balance, before.balance));
        let peer = net.client(peer);
        pay(loser, &before.id, 7).await;
        pay(&peer, &before.id, 7).await;
        let (mine, _) = agreed(loser, &peer, &before.id).await;
        assert_eq!((mine.balance, mine.peer_balance), (before.peer_balance, before.balance));
        assert_eq!(peer.channel(&before.id).await.expect("a channel").state, ChannelState::Active);
    }
    let info = until("the recovery is over", async || {
        let info = loser.info().await.ok()?;
        (info.mode == Mode::Running).then_some(info)
    })
    .await;
    assert_eq!(info.recovery, None);
    let totals = info.channels;
    assert_eq!((totals.closing, totals.disputed, totals.settled), (0, 0, 0), "nothing was posted");
}

fn dir(net: &Net) -> PathBuf {
    net.network.state().node(LOSER).expect("a node").data_dir.clone()
}

/// The folder is gone, but for what `towpath` could not know: where to listen, whom to know.
fn set_aside(net: &Net) -> PathBuf {
    let (dir, aside) = (dir(net), dir(net).with_extension("gone"));
    fs::rename(&dir, &aside).expect("moved");
    aside
}

/// Puts the configuration of before into a folder that was made anew.
fn configure(net: &Net, aside: &Path) {
    for file in ["config.toml", "passphrase"] {
        fs::copy(aside.join(file), dir(net).join(file)).expect("copied");
    }
}

fn towpath(net: &Net, arguments: &[&str], input: &str) -> std::process::Output {
    let mut command = Command::new(program());
    command
        .arg("--testnet-dir")
        .arg(net.dir.path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("read");
    child.wait_with_output().expect("it ends")
}

fn ok(output: std::process::Output) -> serde_json::Value {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    serde_json::from_str(&out).expect("a document")
}

#[tokio::test]
async fn s10_five_live_channels_come_back_from_the_seed_words_alone() {
    let mut net = network().await;
    let channels = open(&net, &PEERS).await;
    for (index, channel) in (0..).zip(&channels) {
        pay(&net.client(LOSER), channel, 1_000 + index).await;
        pay(&net.client(PEERS[usize::try_from(index).expect("fits")]), channel, 10).await;
    }
    let before = truth(&net, &PEERS, &channels).await;
    let wallet = net.client(LOSER).wallet().await.expect("a wallet");
    // An address that was handed out, and paid.
    let address = net.client(LOSER).new_address().await.expect("an address").address;
    let send = towpath_api::WalletSend { to: address, amount: Units(5_000), idempotency_key: None };
    net.client("alice").send(&send).await.expect("sent");
    let confirmed = wallet.confirmed.0 + 5_000;
    until("it is paid", async || {
        (net.client(LOSER).wallet().await.ok()?.confirmed.0 == confirmed).then_some(())
    })
    .await;

    net.network.kill(LOSER).await.expect("killed");
    let aside = set_aside(&net);
    let words = devnet::seed(LOSER).words();
    let dir = dir(&net);
    let passphrase = aside.join("passphrase");
    let genesis = net.dir.path().join("genesis.toml");
    let arguments = [
        "init",
        "--restore",
        "--name",
        LOSER,
        "--data-dir",
        dir.to_str().expect("a path"),
        "--genesis",
        genesis.to_str().expect("a path"),
        "--passphrase-file",
        passphrase.to_str().expect("a path"),
    ];
    let made = ok(towpath(&net, &arguments, &words));
    assert_eq!(made["node"].as_str(), Some(net.network.state().node(LOSER).expect("a node").node.as_str()));
    assert!(made.get("seed_words").is_none(), "words that are known are not printed");
    let again = towpath(&net, &arguments, &words);
    assert_eq!(refusal(&again).0, 8, "nothing is overwritten");

    configure(&net, &aside);
    net.network.start(LOSER).expect("started");
    net.network.ready(LOSER).await.expect("it serves");
    let loser = net.client(LOSER);
    until("all channels are found", async || {
        let found = loser.channels(&ChannelQuery::default()).await.ok()?.channels;
        (found.len() == channels.len()).then_some(())
    })
    .await;
    alive_again(&net, &loser, &PEERS, &before).await;
    assert_eq!(loser.wallet().await.expect("a wallet").confirmed.0, confirmed, "the wallet is back");
    // What came back is the real thing: it closes, together and to the unit.
    let request = CloseChannel {
        mode: CloseMode::Cooperative,
        force_after_ms: None,
        wait: CloseWait::Settled,
        timeout_ms: None,
    };
    loser.close_channel(&channels[0], &request).await.expect("closed");
}

#[tokio::test]
async fn s10_s12_a_backup_a_thousand_payments_old_posts_nothing_and_loses_nothing() {
    let mut net = network().await;
    let peers = &PEERS[..2];
    let channels = open(&net, peers).await;
    let (loser, alice) = (net.client(LOSER), net.client("alice"));
    // The backup is taken under load.
    let plan = StartStream { amount: Units(1), count: 2_000, in_flight: 16, idempotency_key: None };
    let load = alice.start_stream(&channels[0], &plan).await.expect("a stream");
    let file = net.dir.path().join("backup");
    let path = file.to_str().expect("a path").to_owned();
    ok(net.run(&["--node", LOSER, "backup", "create", &path]));
    assert_eq!(
        refusal(&net.run(&["--node", LOSER, "backup", "create", &path])).0,
        8,
        "nothing is overwritten"
    );
    ended(&alice, load).await;
    stream(&loser, &channels[0], 1_000).await;
    stream(&loser, &channels[1], 1_000).await;
    let before = truth(&net, peers, &channels).await;

    net.network.kill(LOSER).await.expect("killed");
    let aside = set_aside(&net);
    let passphrase = aside.join("passphrase");
    let passphrase = passphrase.to_str().expect("a path");
    let dir = dir(&net);
    let dir_text = dir.to_str().expect("a path").to_owned();
    let verified = ok(net.run(&["backup", "verify", &path, "--passphrase-file", passphrase]));
    assert_eq!(
        (verified["channels"].as_u64(), verified["unreadable"].as_u64()),
        (Some(2), Some(0)),
        "{verified}"
    );
    // Whatever is wrong with the file is noticed before anything is made of it.
    let whole = fs::read(&file).expect("a file");
    let restore = ["--data-dir", &dir_text, "backup", "restore", &path, "--passphrase-file", passphrase];
    for (what, bytes) in [
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("longer", [whole.as_slice(), &[0]].concat()),
        (
            "changed",
            whole.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == whole.len() / 2)).collect(),
        ),
        ("foreign", b"something else entirely, and long enough to hold a header".to_vec()),
    ] {
        fs::write(&file, bytes).expect("written");
        assert_eq!(refusal(&net.run(&restore)).0, 8, "{what}");
        assert!(!dir.exists(), "{what}: nothing was made");
    }
    fs::write(&file, &whole).expect("written");
    let wrong = net.dir.path().join("wrong");
    fs::write(&wrong, "another passphrase").expect("written");
    let wrong = wrong.to_str().expect("a path");
    assert_eq!(refusal(&net.run(&["backup", "verify", &path, "--passphrase-file", wrong])).0, 8);

    ok(net.run(&restore));
    assert_eq!(refusal(&net.run(&restore)).0, 8, "nothing is overwritten");
    configure(&net, &aside);
    net.network.start(LOSER).expect("started");
    net.network.ready(LOSER).await.expect("it serves");
    alive_again(&net, &net.client(LOSER), peers, &before).await;
}

#[tokio::test]
async fn s10_a_folder_that_was_copied_back_is_noticed_and_goes_on() {
    let mut net = network().await;
    let peers = &PEERS[..2];
    let channels = open(&net, peers).await;
    net.network.stop(LOSER).await.expect("stopped");
    let copy = dir(&net).with_extension("copy");
    copy_folder(&dir(&net), &copy);
    net.network.start(LOSER).expect("started");
    net.network.ready(LOSER).await.expect("it serves");
    for (peer, channel) in peers.iter().zip(&channels) {
        for _ in 0..5 {
            pay(&net.client(LOSER), channel, 20).await;
            pay(&net.client(peer), channel, 3).await;
        }
    }
    let before = truth(&net, peers, &channels).await;
    net.network.kill(LOSER).await.expect("killed");
    fs::rename(dir(&net), dir(&net).with_extension("gone")).expect("moved");
    fs::rename(&copy, dir(&net)).expect("moved");
    net.network.start(LOSER).expect("started");
    net.network.ready(LOSER).await.expect("it serves");
    alive_again(&net, &net.client(LOSER), peers, &before).await;
    let log = fs::read_to_string(&net.network.state().node(LOSER).expect("a node").log).unwrap_or_default();
    let log = if log.is_empty() {
        fs::read_to_string(dir(&net).with_extension("gone").join("node.log")).unwrap_or_default()
    } else {
        log
    };
    assert!(log.contains("lost data of the channel"), "the loss is said");
    assert!(log.contains("begins again, in recovery"), "and all of the folder is distrusted");
}

/// Takes the database's log out of a folder.
fn lose_log(folder: &Path) {
    let mut removed = 0;
    for entry in fs::read_dir(folder.join("store").join("db")).expect("a database") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "log") {
            fs::remove_file(path).expect("removed");
            removed += 1;
        }
    }
    assert!(removed > 0, "there was a log to lose");
}

#[tokio::test]
async fn s5_a_lost_log_of_the_database_is_noticed_and_the_channels_go_on() {
    let mut net = network().await;
    let peers = &PEERS[..2];
    let channels = open(&net, peers).await;
    for (peer, channel) in peers.iter().zip(&channels) {
        pay(&net.client(LOSER), channel, 20).await;
        pay(&net.client(peer), channel, 3).await;
    }
    let before = truth(&net, peers, &channels).await;
    net.network.kill(LOSER).await.expect("killed");
    lose_log(&dir(&net));
    net.network.start(LOSER).expect("started");
    net.network.ready(LOSER).await.expect("it serves");
    alive_again(&net, &net.client(LOSER), peers, &before).await;
    let log = fs::read_to_string(&net.network.state().node(LOSER).expect("a node").log).expect("a log");
    assert!(log.contains("misses what was acknowledged"), "the loss is said");
}

/// Overwrites the row of a channel that says what is held: no program can read it any more.
fn damage_row(folder: &Path, channel: &str) {
    let options = RocksOptions::new(folder.join("store"));
    let towpath_store::Opened { store, .. } = RocksStore::open(&options).expect("it opens");
    let id = id::decode(Kind::Channel, channel).expect("an id");
    let live = [id.as_slice(), &[1]].concat();
    let row = store.get(Column::Channels, &live).expect("it reads").expect("there is one");
    let mut batch = Batch::new();
    batch.put(Column::Channels, live, vec![0xee; row.len()]);
    store.commit(batch).expect("written");
}

#[tokio::test]
async fn s4_a_channel_whose_row_is_damaged_comes_back_from_its_peer() {
    let mut net = network().await;
    let peers = &PEERS[..2];
    let channels = open(&net, peers).await;
    for (peer, channel) in peers.iter().zip(&channels) {
        pay(&net.client(LOSER), channel, 20).await;
        pay(&net.client(peer), channel, 3).await;
    }
    let before = truth(&net, peers, &channels).await;
    net.network.stop(LOSER).await.expect("stopped");
    damage_row(&dir(&net), &channels[0]);
    net.network.start(LOSER).expect("started");
    net.network.ready(LOSER).await.expect("it serves");
    alive_again(&net, &net.client(LOSER), peers, &before).await;
}

/// A process on a copy of a folder, on ports of its own.
struct Clone {
    child: Child,
    dir: PathBuf,
}

impl Clone {
    fn start(net: &Net, dir: &Path) -> Self {
        let free = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
            listener.local_addr().expect("an address").port()
        };
        let config = dir.join("config.toml");
        let text = fs::read_to_string(&config).expect("a file");
        let mut table: toml::Table = text.parse().expect("toml");
        let listen = format!("/ip4/127.0.0.1/tcp/{}", free());
        table["network"]["listen"] = toml::Value::Array(vec![toml::Value::String(listen)]);
        table["api"]["listen"] = toml::Value::String(format!("127.0.0.1:{}", free()));
        table["genesis"] = toml::Value::String(net.dir.path().join("genesis.toml").display().to_string());
        fs::write(&config, table.to_string()).expect("written");
        let log = fs::File::create(dir.join("clone.log")).expect("a file");
        let child = Command::new(program())
            .arg("node")
            .arg("--config")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self { child, dir: dir.to_owned() }
    }

    /// A process on a folder as it is, with these arguments.
    fn with(dir: &Path, arguments: &[&str]) -> Self {
        let log = fs::File::options().append(true).open(dir.join("node.log")).expect("a file");
        let child = Command::new(program())
            .arg("node")
            .args(arguments)
            .arg("--config")
            .arg(dir.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("the program starts");
        Self { child, dir: dir.to_owned() }
    }

    async fn client(&self) -> Client {
        until("the clone serves", async || {
            let text = fs::read_to_string(self.dir.join("config.toml")).ok()?;
            let table: toml::Table = text.parse().ok()?;
            let token = Token::read(&self.dir.join(towpath_api::TOKEN_FILE)).ok()?;
            let url = format!("http://{}", table["api"]["listen"].as_str()?);
            let client = Client::new(&url, &token).ok()?;
            client.ready().await.ok()?;
            Some(client)
        })
        .await
    }
}

impl Drop for Clone {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn s11_of_two_processes_on_one_nodes_data_the_first_is_noticed_and_ends() {
    let mut net = network().await;
    let peers = &PEERS[..2];
    let channels = open(&net, peers).await;
    net.network.stop(LOSER).await.expect("stopped");
    let copy = dir(&net).with_extension("clone");
    copy_folder(&dir(&net), &copy);
    net.network.start(LOSER).expect("started");
    net.network.ready(LOSER).await.expect("it serves");
    // The first goes on; so the clone's data is older than what it finds.
    for (peer, channel) in peers.iter().zip(&channels) {
        pay(&net.client(LOSER), channel, 20).await;
        pay(&net.client(peer), channel, 3).await;
    }
    let before = truth(&net, peers, &channels).await;

    let clone = Clone::start(&net, &copy);
    let client = clone.client().await;
    alive_again(&net, &client, peers, &before).await;
    until("the first process ends", async || {
        let node = net.network.state().node(LOSER).expect("a node");
        (!towpath_testnet::is_running(node)).then_some(())
    })
    .await;
    let config = dir(&net).join("config.toml");
    let start = |arguments: &[&str]| {
        refusal(&towpath_tests::kit::run(
            Command::new(program()).arg("node").arg("--config").arg(&config).args(arguments),
        ))
    };
    let (code, message) = start(&[]);
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("--take-over"), "{message}");

    // The clone is gone for good, says the operator: the first takes over, and asks for what it missed.
    for (peer, channel) in peers.iter().zip(&channels) {
        pay(&client, channel, 11).await;
        pay(&net.client(peer), channel, 2).await;
    }
    let mut before = Vec::new();
    for (peer, channel) in peers.iter().zip(&channels) {
        before.push(agreed(&client, &net.client(peer), channel).await.1);
    }
    drop(clone);
    let first = Clone::with(&dir(&net), &["--take-over"]);
    let client = first.client().await;
    alive_again(&net, &client, peers, &before).await;
}

async fn height(client: &Client) -> Option<u64> {
    Some(client.info().await.ok()?.ledger.height)
}

#[tokio::test]
async fn l15_a_validator_that_is_alone_votes_again_when_its_operator_says_so() {
    let plan = Plan { nodes: 2, validators: 1, topology: Topology::Line, coins: 4, coin: 1_000_000_000 };
    let mut net = Net::up(&plan).await;
    let (alone, other) = ("alice", "bob");
    // There must be something to fetch.
    let to = net.node(other).address.clone();
    for amount in [50_000, 60_000] {
        let before = until("it serves", async || height(&net.client(alone)).await).await;
        let send = WalletSend { to: to.clone(), amount: Units(amount), idempotency_key: None };
        net.client(alone).send(&send).await.expect("sent");
        until("a block", async || (height(&net.client(other)).await? > before).then_some(())).await;
    }
    let dir = net.network.state().node(alone).expect("a node").data_dir.clone();
    net.network.kill(alone).await.expect("killed");
    lose_log(&dir);
    net.network.start(alone).expect("started");
    net.network.ready(alone).await.expect("it serves");
    // It fetches what others have, and decides nothing: it may have voted before.
    let newest = until("it has all blocks", async || {
        let (mine, theirs) = (height(&net.client(alone)).await?, height(&net.client(other)).await?);
        (mine == theirs).then_some(mine)
    })
    .await;
    let log = fs::read_to_string(dir.join("node.log")).expect("a log");
    assert!(log.contains("--vote-from"), "it says what can be done");
    net.network.stop(alone).await.expect("stopped");

    let config = dir.join("config.toml");
    for wrong in [newest, newest + 2] {
        let height = wrong.to_string();
        let (code, message) = refusal(&towpath_tests::kit::run(
            Command::new(program()).args(["node", "--vote-from", &height, "--config"]).arg(&config),
        ));
        assert_eq!(code, 8, "{message}");
        assert!(message.contains(&format!("now {}", newest + 1)), "{message}");
    }
    let again = Clone::with(&dir, &["--vote-from", &(newest + 1).to_string()]);
    let client = again.client().await;
    until("the ledger goes on, and the recovery is over", async || {
        let info = client.info().await.ok()?;
        (info.ledger.height > newest + 2 && info.mode == Mode::Running).then_some(())
    })
    .await;
    until("for others, too", async || (height(&net.client(other)).await? > newest).then_some(())).await;
}
