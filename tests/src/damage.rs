//! Damage to a node's data folder, place by place, and what the node makes of it (FAULTS S4, S5, F8): it refuses to start, or goes
//! into recovery, or knows everything that it knew. What must never happen is that it goes on from less without a word.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use towpath_api::{Channel, Mode};
use towpath_fuzz::Random;
use towpath_testnet::{Plan, Topology};

use crate::kit::{LOOK_EVERY, Net, WAIT_MAX, copy_folder, ended, pay, quiet};

/// Whose folder is damaged. It is no validator, and its peer is stopped: nobody tells it what it has lost.
const VICTIM: &str = "bob";

/// Pages of a file: what a disk loses at once.
const PAGE: u64 = 4_096;

/// What is done to a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// One bit of a page is another.
    Flip,
    /// A page is zeros.
    Zero,
    /// The file ends where the page begins.
    Cut,
    /// The file is gone.
    Delete,
}

/// One damage.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Damage {
    /// The file, within the data folder.
    pub file: PathBuf,
    /// The page, from zero.
    pub page: u64,
    /// What is done to it.
    pub kind: Kind,
    /// Which bit of the page, for one that is flipped.
    pub bit: u64,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} at page {} (bit {}) of {}", self.kind, self.page, self.bit, self.file.display())
    }
}

/// What the node made of a damage.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It does not start, and says why.
    Refused,
    /// It says that it lost data, and signs nothing.
    Recovery,
    /// It says that what it has of the channel cannot be used.
    Damaged,
    /// It knows what it knew.
    Whole,
    /// It knows less, and does not say so.
    SilentlyLess(String),
}

/// A network at rest, of which one node's folder is damaged again and again.
pub struct Scene {
    net: Net,
    whole: PathBuf,
    truth: Channel,
    pages: Vec<(PathBuf, u64)>,
}

impl Scene {
    /// Two nodes, a channel, payments both ways; then both are stopped.
    ///
    /// # Panics
    /// When the network does not come up.
    pub async fn new() -> Self {
        let plan = Plan { nodes: 2, validators: 1, topology: Topology::Line, coins: 4, coin: 1_000_000_000 };
        let mut net = Net::up(&plan).await;
        let [edge] = &net.open(1_000_000).await[..] else { panic!("one channel") };
        let channel = edge.channel.clone();
        let (alice, bob) = (net.client("alice"), net.client(VICTIM));
        let stream = towpath_api::StartStream {
            amount: towpath_api::Units(1),
            count: 500,
            in_flight: 16,
            idempotency_key: None,
        };
        let started = alice.start_stream(&channel, &stream).await.expect("a stream");
        assert_eq!(ended(&alice, started).await.settled, 500);
        // Some of it is in tables, the rest in the log.
        net.network.stop(VICTIM).await.expect("stopped");
        net.network.restart(VICTIM).await.expect("it serves");
        for amount in 1..20 {
            let paid = async || pay(&bob, &channel, amount).await.ok().map(|_| ());
            crate::kit::until("a payment", paid).await;
        }
        let (truth, _) = quiet(&bob, &alice, &channel).await;
        for name in ["alice", VICTIM] {
            net.network.kill(name).await.expect("killed");
        }
        let folder = net.node(VICTIM).data_dir.clone();
        let whole = folder.with_extension("whole");
        copy_folder(&folder, &whole);
        let pages = pages_of(&whole);
        Self { net, whole, truth, pages }
    }

    /// So many damages from a seed: every second one anywhere in the pages, the others in any file, so that small files are
    /// not forgotten.
    #[must_use]
    pub fn damages(&self, count: usize, seed: u64) -> Vec<Damage> {
        let mut random = Random::new(seed, "damage");
        let kinds = [Kind::Flip, Kind::Zero, Kind::Cut, Kind::Delete];
        let all: u64 = self.pages.iter().map(|(_, pages)| pages).sum();
        let mut one = |index: usize| {
            let (file, page) = if index.is_multiple_of(2) {
                let mut at = random.number() % all;
                let found = self.pages.iter().find(|(_, pages)| {
                    let is_here = at < *pages;
                    at -= if is_here { 0 } else { *pages };
                    is_here
                });
                (found.expect("a page of all").0.clone(), at)
            } else {
                let (file, pages) = random.pick(&self.pages).expect("there are files");
                (file.clone(), random.number() % pages)
            };
            let kind = *random.pick(&kinds).expect("there are kinds");
            Damage { file, page, kind, bit: random.number() % (PAGE * 8) }
        };
        (0..count).map(&mut one).collect()
    }

    /// Does it to a fresh copy of the folder, starts the node, and asks it.
    ///
    /// # Panics
    /// When the copy cannot be made, or the node neither serves nor ends.
    pub async fn verdict(&mut self, damage: &Damage) -> Verdict {
        let folder = self.net.node(VICTIM).data_dir.clone();
        fs::remove_dir_all(&folder).expect("the last copy goes");
        copy_folder(&self.whole, &folder);
        harm(&folder, damage);
        self.net.network.start(VICTIM).expect("a process");
        let verdict = self.ask().await;
        if towpath_testnet::is_running(self.net.node(VICTIM)) {
            self.net.network.kill(VICTIM).await.expect("killed");
        }
        verdict
    }

    /// What the node says of itself, and of its channel.
    async fn ask(&self) -> Verdict {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if !towpath_testnet::is_running(self.net.node(VICTIM)) {
                return Verdict::Refused;
            }
            if let Some(verdict) = self.judge().await {
                return verdict;
            }
            assert!(Instant::now() < deadline, "it neither serves nor ends");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn judge(&self) -> Option<Verdict> {
        // The node makes a token if it finds none.
        let client = self.net.network.client(VICTIM).ok()?;
        let info = client.info().await.ok()?;
        if info.mode == Mode::Recovery {
            return Some(Verdict::Recovery);
        }
        let Ok(channel) = client.channel(&self.truth.id).await else {
            let page = client.channels(&towpath_api::ChannelQuery::default()).await.ok()?;
            let is_listed = page.damaged.iter().any(|damaged| damaged.id == self.truth.id);
            let lost = || Verdict::SilentlyLess("the channel is not there".to_owned());
            return Some(if is_listed { Verdict::Damaged } else { lost() });
        };
        if channel.recovering {
            return Some(Verdict::Recovery);
        }
        let knows =
            |channel: &Channel| (channel.version, channel.balance, channel.peer_balance, channel.state);
        if knows(&channel) == knows(&self.truth) {
            return Some(Verdict::Whole);
        }
        Some(Verdict::SilentlyLess(format!("{:?} instead of {:?}", knows(&channel), knows(&self.truth))))
    }
}

/// Tries so many damages; how often each verdict was given for each kind of damage.
///
/// # Errors
/// The damages that went unnoticed.
///
/// # Panics
/// As [`Scene::verdict`].
pub async fn run(
    count: usize,
    seed: u64,
    mut each: impl FnMut(usize, &Damage, &Verdict),
) -> Result<Tally, Vec<String>> {
    let mut scene = Scene::new().await;
    let mut tally = Tally::default();
    let mut unnoticed = Vec::new();
    for (index, damage) in scene.damages(count, seed).iter().enumerate() {
        let verdict = scene.verdict(damage).await;
        each(index, damage, &verdict);
        if let Verdict::SilentlyLess(how) = &verdict {
            unnoticed.push(format!("{damage}: {how}"));
        }
        *tally.entry((damage.kind, verdict)).or_default() += 1;
    }
    if unnoticed.is_empty() { Ok(tally) } else { Err(unnoticed) }
}

/// How often each verdict was given.
pub type Tally = BTreeMap<(Kind, Verdict), usize>;

/// The files that hold what a node knows, and their pages. Its settings and logs are not among them.
fn pages_of(folder: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().expect("a type").is_dir() {
                folders.push(path);
            } else if !["config.toml", "LOCK", "node.lock", "api.token", "api.address"]
                .contains(&name.as_str())
                && !name.starts_with("LOG")
                && !name.ends_with(".log.txt")
                && name != "node.log"
            {
                let length = entry.metadata().expect("its size").len();
                let within = path.strip_prefix(folder).expect("within the folder").to_owned();
                // What RocksDB was set to is long, and of no consequence: its first page stands for all.
                let pages = if name.starts_with("OPTIONS") { 1 } else { length.div_ceil(PAGE).max(1) };
                found.push((within, pages));
            }
        }
    }
    found.sort();
    found
}

fn harm(folder: &Path, damage: &Damage) {
    let path = folder.join(&damage.file);
    if damage.kind == Kind::Delete {
        return fs::remove_file(path).expect("it goes");
    }
    let mut bytes = fs::read(&path).expect("a file");
    let from = usize::try_from(damage.page * PAGE).expect("it fits");
    match damage.kind {
        Kind::Flip => {
            let length = bytes.len();
            let at = from + usize::try_from(damage.bit / 8).expect("it fits") % (length - from).max(1);
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << (damage.bit % 8);
            }
        }
        Kind::Zero => bytes.iter_mut().skip(from).take(4_096).for_each(|byte| *byte = 0),
        Kind::Cut => bytes.truncate(from),
        Kind::Delete => {}
    }
    fs::write(path, bytes).expect("written");
}
