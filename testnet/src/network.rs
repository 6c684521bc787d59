//! A network that this program started: bringing it up, down, and single nodes back after a crash.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use towpath_api::{Client, ClientError, Token};

use crate::error::TestnetError;
use crate::process::{self, Ended};
use crate::setup::{self, Plan};
use crate::state::{NetworkState, NodeState, STATE_FILE};

/// How long a node may take until it serves.
const READY_MAX: Duration = Duration::from_secs(60);

/// What the process that makes payments in the background prints; in the network's folder.
const TRAFFIC_LOG: &str = "traffic.log";

/// How often a node that starts is asked whether it serves.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// A network on this machine.
pub struct Network {
    dir: PathBuf,
    program: PathBuf,
    state: NetworkState,
    /// Those that this process started, to be reaped.
    children: BTreeMap<String, Child>,
    /// What starts a node in the program's place, by name.
    launchers: BTreeMap<String, Vec<OsString>>,
}

/// Whether a folder had a network before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It was made now.
    New,
    /// It goes on with the ledger and the channels that it has.
    Old,
}

impl Network {
    /// Makes the network of `dir`, or takes the one that is there; starts nothing.
    ///
    /// # Errors
    /// [`TestnetError::Running`] if it runs, [`TestnetError::Different`] if it has another number of nodes.
    pub fn prepare(dir: &Path, program: PathBuf, plan: &Plan) -> Result<(Self, Found), TestnetError> {
        let dir =
            std::path::absolute(dir).map_err(|source| TestnetError::Io { path: dir.to_owned(), source })?;
        let (state, found) = if dir.join(STATE_FILE).exists() {
            (NetworkState::load(&dir)?, Found::Old)
        } else {
            (setup::set_up(&dir, plan)?, Found::New)
        };
        if state.nodes.len() != plan.nodes {
            return Err(TestnetError::Different { found: state.nodes.len(), asked: plan.nodes, dir });
        }
        let network = Self { dir, program, state, children: BTreeMap::new(), launchers: BTreeMap::new() };
        if network.state.nodes.iter().any(is_running) {
            return Err(TestnetError::Running { dir: network.dir });
        }
        Ok((network, found))
    }

    /// The network of `dir`, running or not.
    ///
    /// # Errors
    /// [`TestnetError::NoNetwork`] or [`TestnetError::State`].
    pub fn open(dir: &Path, program: PathBuf) -> Result<Self, TestnetError> {
        let dir =
            std::path::absolute(dir).map_err(|source| TestnetError::Io { path: dir.to_owned(), source })?;
        let state = NetworkState::load(&dir)?;
        Ok(Self { dir, program, state, children: BTreeMap::new(), launchers: BTreeMap::new() })
    }

    /// Its folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its nodes.
    #[must_use]
    pub const fn state(&self) -> &NetworkState {
        &self.state
    }

    /// Starts all nodes and waits until each of them serves.
    ///
    /// # Errors
    /// [`TestnetError::NotReady`] names the node that does not, with the end of its log; all nodes are stopped then.
    pub async fn up(&mut self) -> Result<(), TestnetError> {
        let names: Vec<String> = self.state.nodes.iter().map(|node| node.name.clone()).collect();
        let started = self.start_all(&names).await;
        if started.is_err() {
            // The first error says more than one of stopping what did start.
            let _ = self.down().await;
        }
        started
    }

    async fn start_all(&mut self, names: &[String]) -> Result<(), TestnetError> {
        for name in names {
            self.start(name)?;
        }
        for name in names {
            self.ready(name).await?;
        }
        Ok(())
    }

    /// From its next start on the node is started by the program that `words` begin with, after its own arguments: under a tracer, or in
    /// another namespace. That program must become the node, under the number of its own process. No words: as usual.
    pub fn launch_by(&mut self, name: &str, words: Vec<OsString>) {
        self.launchers.insert(name.to_owned(), words);
    }

    /// Starts a node; it does not serve yet.
    ///
    /// # Errors
    /// When there is no such node, or the program cannot be started.
    pub fn start(&mut self, name: &str) -> Result<(), TestnetError> {
        self.state.node(name)?;
        let Some(node) = self.state.nodes.iter_mut().find(|node| node.name == name) else { return Ok(()) };
        let before = self.launchers.get(name).map_or(&[][..], Vec::as_slice);
        let (child, id) = process::start(&self.program, before, node)?;
        node.process = Some(id);
        self.reap(name);
        self.children.insert(name.to_owned(), child);
        self.state.save(&self.dir)
    }

    /// Waits until a started node serves.
    ///
    /// # Errors
    /// [`TestnetError::NotReady`] when it ended, or takes too long.
    pub async fn ready(&self, name: &str) -> Result<(), TestnetError> {
        let node = self.state.node(name)?;
        let deadline = Instant::now() + READY_MAX;
        let mut said = "does not answer".to_owned();
        loop {
            if !is_running(node) {
                return Err(not_ready(node, "ended".to_owned()));
            }
            // The node makes its token when it starts for the first time.
            if let Ok(client) = client(node) {
                match client.ready().await {
                    Ok(_) => return Ok(()),
                    Err(ClientError::Api(error)) => said = error.detail.clone(),
                    Err(_not_listening_yet) => {}
                }
            }
            if Instant::now() > deadline {
                return Err(not_ready(
                    node,
                    format!("was not ready within {} s: it {said}", READY_MAX.as_secs()),
                ));
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    }

    /// Kills a node at once, as a crash would, and waits until it is gone.
    ///
    /// # Errors
    /// [`TestnetError::NotRunning`] if it is not running.
    pub async fn kill(&mut self, name: &str) -> Result<(), TestnetError> {
        let node = self.state.node(name)?;
        let running = node.process.filter(|id| process::is_running(*id));
        let Some(id) = running else { return Err(TestnetError::NotRunning { name: name.to_owned() }) };
        process::kill(id);
        if !process::gone(&[id], READY_MAX).await {
            return Err(TestnetError::TimedOut {
                what: format!("{name} does not die"),
                seconds: READY_MAX.as_secs(),
            });
        }
        self.forget(name)
    }

    /// Stops a node in good order; one that is not running is fine.
    ///
    /// # Errors
    /// When the state file cannot be written.
    pub async fn stop(&mut self, name: &str) -> Result<(), TestnetError> {
        let running = self.state.node(name)?.process.filter(|id| process::is_running(*id));
        process::stop(running.as_slice()).await;
        self.forget(name)
    }

    /// Starts a node again, stopping it first if it runs, and waits until it serves.
    ///
    /// # Errors
    /// As [`Network::start`] and [`Network::ready`].
    pub async fn restart(&mut self, name: &str) -> Result<(), TestnetError> {
        self.stop(name).await?;
        self.start(name)?;
        self.ready(name).await
    }

    /// Makes payments on all channels from a process in the background. One that does so already goes on.
    ///
    /// # Errors
    /// When the process cannot be started, or the state file cannot be written.
    pub fn start_traffic(&mut self) -> Result<(), TestnetError> {
        if self.state.traffic.is_some_and(process::is_running) {
            return Ok(());
        }
        let (child, id) = process::start_traffic(&self.program, &self.dir, &self.dir.join(TRAFFIC_LOG))?;
        self.state.traffic = Some(id);
        self.children.insert(TRAFFIC_LOG.to_owned(), child);
        self.state.save(&self.dir)
    }

    /// Ends the payments in the background; whether there were any.
    ///
    /// # Errors
    /// When the state file cannot be written.
    pub async fn stop_traffic(&mut self) -> Result<bool, TestnetError> {
        let running = self.state.traffic.take().filter(|id| process::is_running(*id));
        process::stop(running.as_slice()).await;
        self.reap(TRAFFIC_LOG);
        self.state.save(&self.dir)?;
        Ok(running.is_some())
    }

    /// Stops all nodes, also those that someone else restarted in the meantime, and payments in the background.
    ///
    /// # Errors
    /// When the state file cannot be read or written.
    pub async fn down(&mut self) -> Result<Ended, TestnetError> {
        self.state = NetworkState::load(&self.dir)?;
        // Nobody pays through nodes that are ending.
        self.stop_traffic().await?;
        let running: Vec<_> = self
            .state
            .nodes
            .iter()
            .filter_map(|node| node.process)
            .filter(|id| process::is_running(*id))
            .collect();
        let ended = process::stop(&running).await;
        for node in &mut self.state.nodes {
            node.process = None;
        }
        let names: Vec<String> = self.children.keys().cloned().collect();
        names.iter().for_each(|name| self.reap(name));
        self.state.save(&self.dir)?;
        Ok(ended)
    }

    /// Kills all nodes at once, also those that someone else restarted: for one who cannot wait, such as a test that failed.
    pub fn abandon(&mut self) {
        if let Ok(state) = NetworkState::load(&self.dir) {
            self.state = state;
        }
        let nodes = self.state.nodes.iter().filter_map(|node| node.process);
        self.state.traffic.into_iter().chain(nodes).for_each(process::kill);
        let names: Vec<String> = self.children.keys().cloned().collect();
        names.iter().for_each(|name| self.reap(name));
    }

    /// A client of a node.
    ///
    /// # Errors
    /// When there is no such node, or it has no token yet.
    pub fn client(&self, name: &str) -> Result<Client, TestnetError> {
        client(self.state.node(name)?)
    }

    fn forget(&mut self, name: &str) -> Result<(), TestnetError> {
        for node in &mut self.state.nodes {
            if node.name == name {
                node.process = None;
            }
        }
        self.reap(name);
        self.state.save(&self.dir)
    }

    /// Takes note of a dead child's end, so that the kernel can forget it.
    fn reap(&mut self, name: &str) {
        if let Some(mut child) = self.children.remove(name) {
            // It is dead; its exit status says nothing that its log does not.
            let _ = child.wait();
        }
    }
}

/// Whether a node's process runs.
#[must_use]
pub fn is_running(node: &NodeState) -> bool {
    node.process.is_some_and(process::is_running)
}

/// Whether payments are made in the background.
#[must_use]
pub fn has_traffic(network: &NetworkState) -> bool {
    network.traffic.is_some_and(process::is_running)
}

/// A client of a node.
///
/// # Errors
/// When its token cannot be read.
pub fn client(node: &NodeState) -> Result<Client, TestnetError> {
    let failed = |reason: String| TestnetError::SetUp { name: node.name.clone(), reason };
    let token = Token::read(&node.token_file).map_err(|error| failed(error.to_string()))?;
    Client::new(&node.api, &token).map_err(|error| failed(error.to_string()))
}

fn not_ready(node: &NodeState, what: String) -> TestnetError {
    TestnetError::NotReady {
        name: node.name.clone(),
        what,
        log: node.log.clone(),
        tail: process::log_tail(&node.log),
    }
}
