//! Running `towpath-cheat`, and the old copies that it needs.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::process::Command;
use towpath_api::BackupQuery;
use towpath_node::backup;

use crate::error::TestnetError;
use crate::network::client;
use crate::setup::PASSPHRASE;
use crate::state::NetworkState;

/// The program's name.
const PROGRAM: &str = "towpath-cheat";

/// The program that cheats.
#[derive(Clone, Debug)]
pub struct Liar {
    program: PathBuf,
}

/// What a node's data was at one moment, as its owner can keep it.
#[derive(Debug)]
pub struct OldCopy {
    folder: PathBuf,
    name: String,
    genesis: PathBuf,
}

/// A close that its author knows to be stale.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct StaleClose {
    pub channel: String,
    pub hex: String,
    pub version: u64,
    pub own: u64,
    pub peers: u64,
    pub penalty_basis_points: u16,
}

/// The program's word on a channel that it put back.
#[derive(Deserialize)]
struct Rewound {
    rewound: String,
}

impl OldCopy {
    /// Keeps what the running node `name` has now, in `folder`: a backup of it, restored.
    ///
    /// # Errors
    /// When the node gives no backup, or it cannot be restored.
    pub async fn keep(network: &NetworkState, name: &str, folder: &Path) -> Result<Self, TestnetError> {
        let client = client(network.node(name)?)?;
        let failed = |reason: String| TestnetError::Cheat { reason };
        let (mut query, mut bytes) = (BackupQuery::default(), Vec::new());
        loop {
            let call = |source| TestnetError::Call { name: name.to_owned(), source };
            let page = client.backup(&query).await.map_err(call)?;
            let part = hex::decode(&page.bytes).map_err(|error| failed(error.to_string()))?;
            bytes.extend(part);
            let Some(next) = page.next else { break };
            query.next = Some(next);
        }
        let io = |path: &Path| {
            let path = path.to_owned();
            |source| TestnetError::Io { path, source }
        };
        std::fs::create_dir_all(folder).map_err(io(folder))?;
        let (file, data) = (folder.join("backup"), folder.join("data"));
        std::fs::write(&file, bytes).map_err(io(&file))?;
        backup::restore(&file, PASSPHRASE.as_bytes(), &data).map_err(|error| failed(error.to_string()))?;
        Ok(Self { folder: data, name: name.to_owned(), genesis: network.genesis.clone() })
    }
}

impl Liar {
    /// The program beside `program`, which is this one.
    ///
    /// # Errors
    /// [`TestnetError::NoCheat`] if it is not there.
    pub fn beside(program: &Path) -> Result<Self, TestnetError> {
        let program = program.with_file_name(PROGRAM);
        if program.is_file() { Ok(Self { program }) } else { Err(TestnetError::NoCheat { program }) }
    }

    /// The closes of these channels with the states of the copy.
    ///
    /// # Errors
    /// [`TestnetError::Cheat`] with the program's reason.
    pub async fn closes(&self, copy: &OldCopy, channels: &[String]) -> Result<Vec<StaleClose>, TestnetError> {
        let genesis = ["--genesis".as_ref(), copy.genesis.as_os_str()];
        let closes: Vec<StaleClose> = self.run("close", copy, genesis, channels).await?;
        let named = closes.iter().map(|close| &close.channel);
        if named.eq(channels) { Ok(closes) } else { Err(unexpected()) }
    }

    /// Puts a channel of the stopped node back to what the copy has.
    ///
    /// # Errors
    /// [`TestnetError::Cheat`] with the program's reason.
    pub async fn rewind(&self, copy: &OldCopy, data_dir: &Path, channel: &str) -> Result<(), TestnetError> {
        let data_dir = ["--data-dir".as_ref(), data_dir.as_os_str()];
        let done: Vec<Rewound> = self.run("rewind", copy, data_dir, &[channel.to_owned()]).await?;
        if done.iter().map(|done| done.rewound.as_str()).eq([channel]) { Ok(()) } else { Err(unexpected()) }
    }

    async fn run<T: DeserializeOwned>(
        &self,
        command: &str,
        copy: &OldCopy,
        option: [&std::ffi::OsStr; 2],
        channels: &[String],
    ) -> Result<Vec<T>, TestnetError> {
        let mut process = Command::new(&self.program);
        process.arg(command).arg("--copy").arg(&copy.folder).arg("--name").arg(&copy.name);
        let output = process.args(option).args(channels).kill_on_drop(true).output().await;
        let output = output.map_err(|source| TestnetError::Io { path: self.program.clone(), source })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(TestnetError::Cheat { reason: said.trim().to_owned() });
        }
        let text = String::from_utf8_lossy(&output.stdout);
        text.lines().map(|line| serde_json::from_str(line).map_err(|_| unexpected())).collect()
    }
}

fn unexpected() -> TestnetError {
    TestnetError::Cheat { reason: "it says something else than this program understands".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_the_program_it_is_said_how_to_build_it() {
        let error = Liar::beside(Path::new("/nowhere/towpath")).unwrap_err().to_string();
        assert!(error.contains("/nowhere/towpath-cheat") && error.contains("./x build"), "{error}");
    }
}
