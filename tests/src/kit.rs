//! Networks for tests: each in a folder of its own, on free ports, and gone when the test ends, however it ends.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use towpath_api::{Channel, Client, ClientError, Pay, PayWait, Payment, Stream, StreamState, Units};
use towpath_testnet::{DISPUTE_WINDOW_MS, Edge, Network, NodeState, Plan, open_all};

/// How long anything may take that a test waits for.
pub const WAIT_MAX: Duration = Duration::from_secs(120);

/// The same, for a node that is asked to wait.
const WAIT_MAX_MS: u64 = 120_000;

/// How often a test looks whether it has happened.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The program under test.
///
/// # Panics
/// When nothing says where it is.
#[must_use]
pub fn program() -> PathBuf {
    let path = std::env::var_os("TOWPATH_BIN");
    path.map(PathBuf::from)
        .expect("TOWPATH_BIN must name the `towpath` program; `./x test` builds it and sets this")
}

/// A running network.
pub struct Net {
    /// Its nodes.
    pub network: Network,
    /// Its folder.
    pub dir: TempDir,
}

impl Net {
    /// Starts it.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn up(plan: &Plan) -> Self {
        let mut net = Self::prepared(plan);
        net.network.up().await.expect("all nodes serve");
        net
    }

    /// Makes its folder, and starts none of its nodes.
    ///
    /// # Panics
    /// When it cannot be made.
    #[must_use]
    pub fn prepared(plan: &Plan) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (network, _) = Network::prepare(dir.path(), program(), plan).expect("a network is set up");
        // From here on the nodes are stopped whatever fails.
        Self { network, dir }
    }

    /// Starts one of its nodes, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(&mut self, name: &str) {
        self.network.start(name).expect("it starts");
        self.network.ready(name).await.expect("it serves");
    }

    /// Where a node of it is, and its files.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn node(&self, name: &str) -> &NodeState {
        self.network.state().node(name).expect("a node of the network")
    }

    /// Opens the channels of its topology.
    ///
    /// # Panics
    /// When a node refuses.
    pub async fn open(&self, amount: u64) -> Vec<Edge> {
        self.open_for(amount, DISPUTE_WINDOW_MS).await
    }

    /// The same with another dispute window.
    ///
    /// # Panics
    /// When a node refuses.
    pub async fn open_for(&self, amount: u64, dispute_window_ms: u64) -> Vec<Edge> {
        let opened = open_all(self.network.state(), Units(amount), dispute_window_ms).await;
        opened.expect("all channels open")
    }

    /// A client of a node.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn client(&self, name: &str) -> Client {
        self.network.client(name).expect("a node of the network")
    }

    /// Runs the program with these arguments on this network.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> Output {
        run(Command::new(program()).arg("--testnet-dir").arg(self.dir.path()).args(arguments))
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.network.abandon();
    }
}

/// Copies a folder with everything in it.
///
/// # Panics
/// When it cannot.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let to = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

/// Runs a command to its end, without a terminal and without settings from outside.
///
/// # Panics
/// When it cannot be started, or does not end.
pub fn run(command: &mut Command) -> Output {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env_remove("TOWPATH_NODE")
        .env_remove("TOWPATH_DATA_DIR")
        .env_remove("TOWPATH_TESTNET_DIR");
    let child = command.spawn().expect("the program starts");
    let id = child.id();
    let (done, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(child.wait_with_output()));
    match ended.recv_timeout(WAIT_MAX) {
        Ok(output) => output.expect("its output"),
        Err(_) => {
            Command::new("kill").args(["-9", &id.to_string()]).status().expect("kill runs");
            let output = ended.recv().expect("it ends").expect("its output");
            panic!("{command:?} did not end; it said {}", String::from_utf8_lossy(&output.stderr))
        }
    }
}

/// Asks until the answer is as wanted.
///
/// # Panics
/// When that takes too long.
pub async fn until<T: std::fmt::Debug>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(what, WAIT_MAX, ask).await
}

async fn until_within<T: std::fmt::Debug>(
    what: &str,
    within: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + within;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting: {what}");
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Pays once, and waits until the payee has it.
///
/// # Errors
/// The node's refusal.
pub async fn pay(from: &Client, channel: &str, amount: u64) -> Result<Payment, ClientError> {
    let wait = PayWait::Settled;
    let pay =
        Pay { amount: Units(amount), memo: None, idempotency_key: None, wait, timeout_ms: Some(WAIT_MAX_MS) };
    from.pay(channel, &pay).await
}

/// What a node counts under one name, labels included.
///
/// # Panics
/// When it does not answer, or has no such metric.
pub async fn metric(client: &Client, name: &str) -> u64 {
    let text = client.metrics().await.expect("the node answers");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = line.unwrap_or_else(|| panic!("no metric {name} in:\n{text}"));
    // Counts of things are whole, also in sums that are written as floats.
    value.strip_suffix(".0").unwrap_or(value).parse().expect("a whole number")
}

/// Waits for the end of a stream.
///
/// # Panics
/// When the node does not answer, or it takes too long.
pub async fn ended(client: &Client, stream: Stream) -> Stream {
    ended_within(client, stream, WAIT_MAX).await
}

/// The same for a long one.
///
/// # Panics
/// When the node does not answer, or it takes too long.
pub async fn ended_within(client: &Client, stream: Stream, within: Duration) -> Stream {
    until_within("the stream ends", within, async || {
        let now = client.stream(&stream.id).await.expect("the node answers");
        (now.state != StreamState::Running).then_some(now)
    })
    .await
}

/// Waits until both sides of a channel agree that nothing is under way.
///
/// # Panics
/// When it takes too long.
pub async fn quiet(first: &Client, second: &Client, channel: &str) -> (Channel, Channel) {
    until("both sides agree", async || {
        let sides: Result<_, ClientError> =
            async { Ok((first.channel(channel).await?, second.channel(channel).await?)) }.await;
        let (a, b) = sides.ok()?;
        let agree =
            a.version == b.version && a.balance == b.peer_balance && a.payments_sent == b.payments_received;
        (agree && b.payments_sent == a.payments_received).then_some((a, b))
    })
    .await
}

/// What an error document says: its exit code, and its code, message and hint in one text.
///
/// # Panics
/// When the program printed none.
#[must_use]
pub fn refusal(output: &Output) -> (i32, String) {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rev().find(|line| line.starts_with('{'));
    let line = line.unwrap_or_else(|| {
        panic!("no error document in {text}; stdout: {}", String::from_utf8_lossy(&output.stdout))
    });
    let document: serde_json::Value = serde_json::from_str(line).expect("an error document");
    let part = |name: &str| document["error"][name].as_str().unwrap_or_default().to_owned();
    let exit = output.status.code().expect("an exit code");
    assert_eq!(document["error"]["exit"], exit, "the document names the exit code");
    (exit, format!("{}: {}; {}", part("code"), part("message"), part("hint")))
}
