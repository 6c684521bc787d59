//! Folders and disks that do not do what a node needs: each is said in words that help, nothing is lost, and the node
//! goes on as soon as the cause is gone (FAULTS S7, S8, S9, S14).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use towpath_api::{Channel, Client, StartStream, StreamState, Units};
use towpath_testnet::{Edge, Plan, Topology, is_running};
use towpath_tests::disk::{Access, SmallDisk, is_root, set_mode};
use towpath_tests::kit::{Net, WAIT_MAX, pay, program, quiet, refusal, run, until};

const AMOUNT: u64 = 1_000_000;

/// Blocks of a kilobyte that a file may have where a limit stands for a small disk: less than the database's log grows to.
const FILE_KIB_MAX: u32 = 2_048;

fn config(net: &Net, name: &str) -> PathBuf {
    net.node(name).config.clone()
}

fn start(config: &Path) -> Output {
    run(Command::new(program()).arg("node").arg("--config").arg(config))
}

/// A stream that does not end by itself as long as the test needs it.
fn endless() -> StartStream {
    StartStream { amount: Units(1), count: AMOUNT / 2, in_flight: 64, idempotency_key: None }
}

async fn one_channel(net: &Net) -> Edge {
    let mut edges = net.open(AMOUNT).await;
    edges.pop().expect("one channel")
}

/// What `payer` was told is settled is with `payee` after whatever happened; then payments go on.
async fn nothing_is_lost(payer: &Client, payee: &Client, told: u64, channel: &str) {
    let (a, b): (Channel, Channel) = quiet(payer, payee, channel).await;
    assert!(b.payments_received >= told, "{told} were told to be settled, {} are", b.payments_received);
    assert_eq!(a.balance.0 + b.balance.0, 2 * AMOUNT);
    until("payments flow again", async || pay(payer, channel, 1).await.ok().map(|_| ())).await;
    until("payments flow back", async || pay(payee, channel, 1).await.ok().map(|_| ())).await;
}

/// Streams to `bob` until it is gone; how many payments were settled up to then, as `alice` was told.
async fn pay_until_it_ends(net: &Net, channel: &str) -> u64 {
    let alice = net.client("alice");
    let stream = alice.start_stream(channel, &endless()).await.expect("a stream");
    let bob = net.node("bob").clone();
    until("bob ends", async || (!is_running(&bob)).then_some(())).await;
    let stopped = alice.stop_stream(&stream.id).await.expect("alice answers");
    assert_ne!(stopped.state, StreamState::Done, "it was long enough");
    stopped.settled
}

#[tokio::test]
async fn s7_a_full_disk_stops_the_node_with_nothing_lost_and_room_brings_it_back() {
    let mut net = Net::prepared(&Plan::of(2, Topology::Line));
    let store = net.node("bob").data_dir.join("store");
    let Some(disk) = SmallDisk::mount(&store, 160) else {
        assert!(!is_root(), "root may mount");
        eprintln!(
            "not tried: this user may not mount a file system; s7_a_limit_… shows the same by other means"
        );
        return;
    };
    net.network.up().await.expect("all nodes serve");
    let channel = one_channel(&net).await.channel;
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    pay(&alice, &channel, 5).await.expect("paid");
    disk.fill();
    let told = pay_until_it_ends(&net, &channel).await + 1;
    let log = fs::read_to_string(&net.node("bob").log).expect("a log");
    assert!(log.contains("the disk is full; make space, then start the node again"), "{log}");

    // Still full: it does not start, and says why. (What had no name any more while it ran has made room by its end.)
    net.network.stop("bob").await.expect("it has ended");
    disk.fill();
    let (code, message) = refusal(&start(&config(&net, "bob")));
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("disk is full"), "{message}");

    disk.make_room();
    net.network.restart("bob").await.expect("it serves");
    nothing_is_lost(&alice, &bob, told, &channel).await;
    net.network.down().await.expect("they stop");
}

#[tokio::test]
async fn s7_a_limit_on_files_stops_the_node_with_nothing_lost() {
    let mut net = Net::up(&Plan::of(2, Topology::Line)).await;
    let channel = one_channel(&net).await.channel;
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    pay(&alice, &channel, 5).await.expect("paid");
    net.network.stop("bob").await.expect("stopped");
    // A file that may not grow refuses writes in the middle of one, as a full disk does.
    let script = format!("trap '' XFSZ; ulimit -f {FILE_KIB_MAX}; exec \"$0\" node --config \"$1\"");
    let mut limited = Command::new("bash")
        .args(["-c", &script])
        .arg(program())
        .arg(config(&net, "bob"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("a shell");
    until("bob serves", async || bob.ready().await.ok()).await;
    until("bob is back", async || pay(&alice, &channel, 1).await.ok()).await;
    let stream = alice.start_stream(&channel, &endless()).await.expect("a stream");
    let deadline = Instant::now() + WAIT_MAX;
    let status = until("bob ends", async || {
        assert!(Instant::now() < deadline);
        limited.try_wait().expect("a child")
    })
    .await;
    let mut said = String::new();
    std::io::Read::read_to_string(&mut limited.stderr.take().expect("piped"), &mut said).expect("text");
    assert_eq!(status.code(), Some(8), "{said}");
    assert!(said.contains("the store has failed; the node must end"), "{said}");
    let told = alice.stop_stream(&stream.id).await.expect("alice answers").settled + 2;

    net.network.restart("bob").await.expect("it serves");
    nothing_is_lost(&alice, &bob, told, &channel).await;
}

#[tokio::test]
async fn s8_a_folder_that_cannot_be_written_is_said_so_and_left_alone() {
    let mut net = Net::prepared(&Plan::of(2, Topology::Line));
    let store = net.node("bob").data_dir.join("store");
    // Permissions stop nobody who is root; a file system that is mounted read-only does.
    let disk = if is_root() { Some(SmallDisk::mount(&store, 160).expect("root may mount")) } else { None };
    net.network.up().await.expect("all nodes serve");
    let channel = one_channel(&net).await.channel;
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    pay(&alice, &channel, 5).await.expect("paid");
    net.network.stop("bob").await.expect("stopped");
    let modes = match &disk {
        Some(disk) => {
            disk.remount(Access::ReadOnly);
            Vec::new()
        }
        None => tree(&store).into_iter().map(|path| (set_mode(&path, 0o500), path)).collect(),
    };
    let before = contents(&store);
    let (code, message) = refusal(&start(&config(&net, "bob")));
    assert_eq!(code, 8, "{message}");
    assert!(message.contains("not writable") && message.contains("store"), "{message}");
    assert_eq!(contents(&store), before, "nothing was changed");

    if let Some(disk) = &disk {
        disk.remount(Access::ReadWrite);
    }
    for (mode, path) in &modes {
        set_mode(path, *mode);
    }
    net.network.restart("bob").await.expect("it serves");
    nothing_is_lost(&alice, &bob, 1, &channel).await;
    net.network.down().await.expect("they stop");
}

/// A folder and everything in it.
fn tree(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![path.to_owned()];
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("readable") {
            found.extend(tree(&entry.expect("readable").path()));
        }
    }
    found
}

/// Every file's name and size.
fn contents(path: &Path) -> Vec<(PathBuf, u64)> {
    let mut files: Vec<(PathBuf, u64)> = tree(path)
        .into_iter()
        .map(|path| (path.clone(), fs::metadata(&path).expect("there").len()))
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn s9_a_folder_serves_one_process_and_a_dead_one_does_not_hold_it() {
    let mut net = Net::up(&Plan::of(2, Topology::Line)).await;
    let channel = one_channel(&net).await.channel;
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    // A copy of the configuration with free ports: only the folder is in the way.
    let good = fs::read_to_string(config(&net, "bob")).expect("a file");
    let other = net.node("bob").data_dir.join("other.toml");
    let free = |line: &str| match line.split_once(" = ") {
        Some(("listen", value)) if value.starts_with('[') => "listen = [\"/ip4/127.0.0.1/tcp/0\"]".to_owned(),
        Some(("listen", _)) => "listen = \"127.0.0.1:0\"".to_owned(),
        _ => line.to_owned(),
    };
    fs::write(&other, good.lines().map(free).collect::<Vec<_>>().join("\n")).expect("written");
    for _ in 0..2 {
        let (code, message) = refusal(&start(&other));
        assert_eq!(code, 8, "{message}");
        assert!(message.contains("is in use by process") && message.contains("store"), "{message}");
        pay(&alice, &channel, 5).await.expect("the first process goes on");
    }
    net.network.kill("bob").await.expect("killed");
    net.network.restart("bob").await.expect("the first start after a kill serves");
    nothing_is_lost(&alice, &bob, 2, &channel).await;
}

#[tokio::test]
async fn s14_a_key_file_that_cannot_be_used_is_said_so_and_no_secret_with_it() {
    let mut net = Net::up(&Plan::of(2, Topology::Line)).await;
    let channel = one_channel(&net).await.channel;
    let (alice, bob) = (net.client("alice"), net.client("bob"));
    pay(&alice, &channel, 5).await.expect("paid");
    net.network.stop("bob").await.expect("stopped");
    let dir = net.node("bob").data_dir.clone();
    let (keys, passphrase) = (dir.join("keys"), dir.join("passphrase"));
    let (good, secret) =
        (fs::read(&keys).expect("a key file"), fs::read_to_string(&passphrase).expect("a passphrase"));
    let seed = towpath_node::devnet::seed("bob");
    let words = seed.words();
    let words = words.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let refused = |what: &str, expected: &str| {
        let output = start(&config(&net, "bob"));
        let (code, message) = refusal(&output);
        assert_eq!(code, 8, "{what}: {message}");
        assert!(message.contains(expected), "{what}: {message}");
        for text in [String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)] {
            for leaked in [secret.trim(), "a wrong passphrase", words.as_str()] {
                assert!(!text.contains(leaked), "{what}: {leaked:?} in {text}");
            }
        }
    };
    fs::write(&passphrase, "a wrong passphrase").expect("written");
    refused("a wrong passphrase", "passphrase");
    fs::write(&passphrase, "").expect("written");
    refused("an empty passphrase", "passphrase");
    fs::write(&passphrase, &secret).expect("written");
    for length in [0, 1, good.len() / 2, good.len() - 1] {
        fs::write(&keys, &good[..length]).expect("written");
        refused(&format!("{length} of {} bytes", good.len()), "key file");
    }
    let mut bent = good.clone();
    *bent.last_mut().expect("not empty") ^= 1;
    fs::write(&keys, &bent).expect("written");
    refused("a changed bit", "passphrase");
    fs::write(&keys, &good).expect("written");
    for mode in [0o644, 0o640, 0o604] {
        set_mode(&keys, mode);
        refused(&format!("mode {mode:o}"), "chmod 600");
    }
    set_mode(&keys, 0o600);
    net.network.restart("bob").await.expect("it serves");
    nothing_is_lost(&alice, &bob, 1, &channel).await;
}
