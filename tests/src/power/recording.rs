//! A node under a tracer: what it did to its folder while it was paid and paid, and what others were told meanwhile.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use tempfile::TempDir;
use towpath_api::{Client, StartStream, Units};
use towpath_testnet::{Plan, Topology};

use super::audit::{Due, Fact, Told, Verdict};
use super::trace::{self, CALLS, Event};
use crate::kit::{LOOK_EVERY, Net, copy_folder, pay, quiet, until};

/// Whose power is cut. It makes the ledger's blocks alone, pays bob, and is paid by carol.
pub const VICTIM: &str = "alice";

/// What each side puts into each channel.
pub const BROUGHT: u64 = 10_000_000;

/// What the tracer and the victim's terminal write, and no node: no part of what is judged.
const NOT_OURS: [&str; 1] = ["node.log"];

/// A payment of the stream that runs beside the others; it is told to nobody.
const STREAMED: u64 = 1;

/// What this machine lacks for a recording; none if nothing.
#[must_use]
pub fn lacking() -> Option<String> {
    let tried = Command::new("strace")
        .args(["-f", "--seccomp-bpf", "-o", "/dev/null", "-e", "trace=fsync", "true"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            Some(format!("strace does not work here: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => Some(format!("strace cannot be started ({error}); Debian's package is strace")),
    }
}

/// All that is known of a run.
pub struct Recording {
    net: Net,
    /// The victim's folder before its first start, and as its last process left it.
    before: PathBuf,
    after: PathBuf,
    /// What it did, process by process.
    pub sessions: Vec<Vec<Event>>,
    /// What others knew, in the order of time.
    pub told: Vec<Told>,
    /// To bob, and from carol.
    channels: [String; 2],
}

impl Recording {
    /// Three nodes; the victim is traced from its first start on. Two channels are opened, `payments` are made through each, the victim is
    /// stopped and started again, as many are made, and it is killed. Its peers live on.
    ///
    /// # Panics
    /// When the network does not come up, or the trace does not tell all that was done.
    pub async fn make(payments: u32) -> Self {
        let plan = Plan { nodes: 3, validators: 1, topology: Topology::Star, coins: 8, coin: 1_000_000_000 };
        let mut net = Net::prepared(&plan);
        let folder = net.node(VICTIM).data_dir.clone();
        let (before, after) = (folder.with_extension("before"), folder.with_extension("after"));
        copy_folder(&folder, &before);
        let notes = Mutex::new(Vec::new());
        let traces = [1, 2].map(|number| folder.with_extension(format!("trace-{number}")));

        net.network.launch_by(VICTIM, tracer(&traces[0]));
        net.network.up().await.expect("all nodes serve");
        let edges = net.open(BROUGHT).await;
        let channel =
            |with: &str| edges.iter().find(|edge| edge.acceptor == with).expect("a channel").channel.clone();
        let channels = [channel("bob"), channel("carol")];
        for channel in &channels {
            note(&notes, Fact::Opened { channel: channel.clone() });
        }
        traffic(&net, &channels, payments, &notes).await;
        let first = pid(&net);
        net.network.stop(VICTIM).await.expect("stopped");
        let mut sessions = vec![whole(&traces[0], first).await];

        net.network.launch_by(VICTIM, tracer(&traces[1]));
        net.start(VICTIM).await;
        traffic(&net, &channels, payments, &notes).await;
        let second = pid(&net);
        net.network.kill(VICTIM).await.expect("killed");
        sessions.push(whole(&traces[1], second).await);
        copy_folder(&folder, &after);
        net.network.launch_by(VICTIM, Vec::new());
        let mut told = notes.into_inner().expect("no panic");
        told.sort_by_key(|told: &Told| told.at_us);
        Self { net, before, after, sessions, told, channels }
    }

    /// The victim's folder before its first start.
    #[must_use]
    pub fn before(&self) -> &Path {
        &self.before
    }

    /// What the victim calls its folder.
    #[must_use]
    pub fn base(&self) -> PathBuf {
        self.net.node(VICTIM).data_dir.clone()
    }

    /// Compares what the trace tells with what the victim left.
    ///
    /// # Errors
    /// The first file that differs: the trace does not tell all.
    pub fn is_told_by(&self, disk: &super::disk::Disk) -> Result<(), String> {
        disk.compare(&self.after, &NOT_OURS)
    }

    /// The victim finds its folder so after the cut, and comes back while its peers, who were told all, are there. All of it must be
    /// there, and payments go on.
    ///
    /// # Panics
    /// When it does not.
    pub async fn return_among_peers(&mut self, image: &Path) {
        self.put(image);
        self.net.start(VICTIM).await;
        let (alice, bob, carol) = (self.net.client(VICTIM), self.net.client("bob"), self.net.client("carol"));
        let due = self.all_due();
        let [to_bob, from_carol] = self.channels.clone();
        let (a, b) = quiet(&alice, &bob, &to_bob).await;
        let sums = due.channels[&to_bob];
        assert!(!a.recovering && !b.recovering, "nothing was lost: {a:?}, {b:?}");
        assert!(
            b.received_total.0 >= sums.paid && a.balance.0 == BROUGHT - b.received_total.0,
            "{a:?}, {b:?}"
        );
        let (a, c) = quiet(&alice, &carol, &from_carol).await;
        let sums = due.channels[&from_carol];
        assert!(!a.recovering && !c.recovering, "nothing was lost: {a:?}, {c:?}");
        assert!(c.sent_total.0 >= sums.received && a.balance.0 == BROUGHT + c.sent_total.0, "{a:?}, {c:?}");
        for (from, channel) in [(&alice, &to_bob), (&carol, &from_carol)] {
            until("payments go on", async || pay(from, channel, 7).await.ok().map(|_| ())).await;
        }
        for name in [VICTIM, "bob", "carol"] {
            self.net.network.kill(name).await.expect("killed");
        }
    }

    /// The victim finds its folder so after the cut, and comes back alone. What it says of itself.
    ///
    /// # Panics
    /// When it neither serves nor ends.
    pub async fn return_alone(&mut self, image: &Path, due: &Due) -> Verdict {
        self.put(image);
        self.net.network.start(VICTIM).expect("a process");
        let verdict = until("it serves, or ends", async || {
            if !towpath_testnet::is_running(self.net.node(VICTIM)) {
                let log = fs::read_to_string(&self.net.node(VICTIM).log).unwrap_or_default();
                return Some(Verdict::Noticed(log.lines().last().unwrap_or("it ended").to_owned()));
            }
            judge(&self.net.network.client(VICTIM).ok()?, due).await
        })
        .await;
        if towpath_testnet::is_running(self.net.node(VICTIM)) {
            self.net.network.kill(VICTIM).await.expect("killed");
        }
        verdict
    }

    fn put(&self, image: &Path) {
        let folder = &self.net.node(VICTIM).data_dir;
        fs::remove_dir_all(folder).expect("the last one goes");
        copy_folder(image, folder);
    }

    /// All that was told, added up.
    #[must_use]
    pub fn all_due(&self) -> Due {
        let mut due = Due::default();
        self.told.iter().for_each(|told| due.add(&told.fact));
        due
    }
}

/// A folder for images: in memory where there is room for it, since each is written, opened and forgotten.
///
/// # Panics
/// When none can be made.
#[must_use]
pub fn scratch() -> TempDir {
    let in_memory = tempfile::Builder::new().prefix("towpath-power").tempdir_in("/dev/shm");
    in_memory.or_else(|_| tempfile::tempdir()).expect("a temporary folder")
}

/// What starts the victim: a tracer that runs beside it, so that its process is the node's.
fn tracer(trace: &Path) -> Vec<OsString> {
    let calls = format!("trace={}", CALLS.replace(char::is_whitespace, ""));
    let words =
        ["strace", "-D", "-f", "-ttt", "-T", "-xx", "-s", "268435456", "--seccomp-bpf", "-e", &calls, "-o"];
    words.iter().map(OsString::from).chain([trace.into()]).collect()
}

fn pid(net: &Net) -> i32 {
    net.node(VICTIM).process.expect("it runs").pid
}

/// What a process did, once its tracer has written all of it.
async fn whole(trace: &Path, pid: i32) -> Vec<Event> {
    let text = until("the tracer ends", async || {
        let text = fs::read_to_string(trace).ok()?;
        trace::is_whole(&text, pid).then_some(Text(text))
    })
    .await
    .0;
    trace::parse(&text).unwrap_or_else(|why| panic!("{why}"))
}

/// A text that nobody wants to see whole when a test fails.
struct Text(String);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

fn note(notes: &Mutex<Vec<Told>>, fact: Fact) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970").as_micros();
    let at_us = u64::try_from(now).expect("this millennium");
    notes.lock().expect("no panic").push(Told { at_us, fact });
}

/// Payments both ways, one after another in each channel, beside a stream and somebody who follows the ledger.
async fn traffic(net: &Net, channels: &[String; 2], payments: u32, notes: &Mutex<Vec<Told>>) {
    let (alice, bob, carol) = (net.client(VICTIM), net.client("bob"), net.client("carol"));
    let [to_bob, from_carol] = channels;
    let request =
        StartStream { amount: Units(STREAMED), count: 1_000_000, in_flight: 8, idempotency_key: None };
    // It goes on until the process ends.
    until("a stream", async || alice.start_stream(to_bob, &request).await.ok()).await;
    let paid = |channel: &String, amount| Fact::Paid { channel: channel.clone(), amount };
    let received = |channel: &String, amount| Fact::Received { channel: channel.clone(), amount };
    let paying = async {
        tokio::join!(
            pay_often(&alice, to_bob, payments, notes, paid),
            pay_often(&carol, from_carol, payments, notes, received),
        );
    };
    tokio::select! {
        () = paying => {}
        () = follow(&bob, notes) => {}
    }
}

async fn pay_often(
    client: &Client,
    channel: &String,
    payments: u32,
    notes: &Mutex<Vec<Told>>,
    fact: impl Fn(&String, u64) -> Fact,
) {
    for number in 0..payments {
        let amount = u64::from(number % 50) + 1;
        // A try that fails may have been paid; it is told to nobody, and counts for nothing.
        until("a payment", async || pay(client, channel, amount).await.ok().map(|_| ())).await;
        note(notes, fact(channel, amount));
    }
}

/// Notes the blocks that a peer has, as long as it is polled.
async fn follow(peer: &Client, notes: &Mutex<Vec<Told>>) {
    let mut newest = 0;
    loop {
        if let Ok(ledger) = peer.ledger().await
            && ledger.height > newest
            && let Ok(block) = peer.block(&ledger.height.to_string()).await
        {
            newest = block.height;
            note(notes, Fact::Decided { height: block.height, id: block.id });
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What a node that came back alone says of itself, once it serves.
async fn judge(client: &Client, due: &Due) -> Option<Verdict> {
    let info = client.info().await.ok()?;
    if info.mode == towpath_api::Mode::Recovery {
        return Some(Verdict::Noticed("it is in recovery".to_owned()));
    }
    if let Some((height, id)) = &due.block {
        // It may have to decide it again, and it decides the same.
        let block = client.block(&height.to_string()).await.ok()?;
        if block.id != *id {
            return Some(Verdict::Lost(format!("block {height} is {}, told was {id}", block.id)));
        }
    }
    for (id, sums) in &due.channels {
        let Ok(channel) = client.channel(id).await else {
            return Some(Verdict::Lost(format!("{id} is not there")));
        };
        if channel.recovering {
            return Some(Verdict::Noticed(format!("{id} is in recovery")));
        }
        let (out, back) = (channel.sent_total.0, channel.received_total.0);
        let counts = (channel.payments_sent, channel.payments_received);
        // Of what its payer says to be settled, the last payment may still wait for the payer's signature; and what the node has
        // paid counts from when it is on its way.
        let has_all = out >= sums.paid
            && counts.0 >= sums.paid_count
            && counts.1 + 1 >= sums.received_count
            && channel.balance.0 + out >= BROUGHT + back;
        if !has_all {
            return Some(Verdict::Lost(format!("{channel:?}, told were {sums:?}")));
        }
    }
    Some(Verdict::Whole)
}
