//! The file by which a local network is found again: who its nodes are, where they listen, which processes they are.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::TestnetError;
use crate::topology::Topology;

/// The name of the file in the network's folder.
pub const STATE_FILE: &str = "testnet.json";

/// The version of its layout.
const VERSION: u32 = 1;

/// A local network.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NetworkState {
    /// The version of this layout.
    pub version: u32,
    /// The ledger, `chain1…`.
    pub chain: String,
    /// The genesis file.
    pub genesis: PathBuf,
    /// Who has channels with whom.
    pub topology: Topology,
    /// The nodes, in the order of their names.
    pub nodes: Vec<NodeState>,
    /// The process that makes payments in the background, while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<ProcessId>,
}

/// One node of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Its id, `node1…`.
    pub node: String,
    /// Its first wallet address, `addr1…`.
    pub address: String,
    /// The URL of its API.
    pub api: String,
    /// The file with the token that its API asks for.
    pub token_file: PathBuf,
    /// Where its peers reach it.
    pub p2p: String,
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Its configuration.
    pub config: PathBuf,
    /// What it prints.
    pub log: PathBuf,
    /// Its process, while it runs.
    pub process: Option<ProcessId>,
}

/// A process, told apart from a later one that got the same number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessId {
    /// The number.
    pub pid: i32,
    /// When it started, in the kernel's ticks since boot.
    pub start_ticks: u64,
}

impl NetworkState {
    /// A network of these nodes.
    #[must_use]
    pub const fn new(chain: String, genesis: PathBuf, topology: Topology, nodes: Vec<NodeState>) -> Self {
        Self { version: VERSION, chain, genesis, topology, nodes, traffic: None }
    }

    /// Reads the network of a folder.
    ///
    /// # Errors
    /// [`TestnetError::NoNetwork`] when there is none, [`TestnetError::State`] when the file cannot be used.
    pub fn load(dir: &Path) -> Result<Self, TestnetError> {
        let path = dir.join(STATE_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(TestnetError::NoNetwork { dir: dir.to_owned() });
            }
            Err(error) => return Err(TestnetError::State { path, reason: error.to_string() }),
        };
        let state: Self = serde_json::from_str(&text)
            .map_err(|error| TestnetError::State { path: path.clone(), reason: error.to_string() })?;
        if state.version == VERSION {
            Ok(state)
        } else {
            let reason = format!("layout {} is not {VERSION}, which this program reads", state.version);
            Err(TestnetError::State { path, reason })
        }
    }

    /// Writes the network to its folder, whole or not at all.
    ///
    /// # Errors
    /// [`TestnetError::State`].
    pub fn save(&self, dir: &Path) -> Result<(), TestnetError> {
        let path = dir.join(STATE_FILE);
        let failed =
            |error: std::io::Error| TestnetError::State { path: path.clone(), reason: error.to_string() };
        let text = serde_json::to_string_pretty(self).expect("the state is plain data");
        let partial = dir.join(format!("{STATE_FILE}.partial"));
        std::fs::write(&partial, text + "\n").map_err(failed)?;
        std::fs::rename(&partial, &path).map_err(failed)
    }

    /// The node of this name.
    ///
    /// # Errors
    /// [`TestnetError::NoNode`], which lists the names.
    pub fn node(&self, name: &str) -> Result<&NodeState, TestnetError> {
        self.nodes.iter().find(|node| node.name == name).ok_or_else(|| TestnetError::NoNode {
            name: name.to_owned(),
            names: self.nodes.iter().map(|node| node.name.clone()).collect::<Vec<_>>().join(", "),
        })
    }
}
