//! What can go wrong with a local network, in words that say what to do next.

use std::path::PathBuf;

use towpath_api::ClientError;

/// The one error of this crate.
#[derive(Debug, thiserror::Error)]
pub enum TestnetError {
    /// Nothing was started in the folder.
    #[error("there is no local network in {}; start one with `towpath testnet up`", dir.display())]
    NoNetwork {
        /// The folder.
        dir: PathBuf,
    },
    /// The network of the folder is running already.
    #[error("the network in {} is running; `towpath testnet status` shows it, `towpath testnet down` stops it", dir.display())]
    Running {
        /// The folder.
        dir: PathBuf,
    },
    /// The state file is not usable.
    #[error("{} cannot be used: {reason}; remove the folder to start afresh", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A folder that holds another kind of network.
    #[error("the network in {} has {found} nodes, not {asked}; give another folder with --dir, or remove it", dir.display())]
    Different {
        /// The folder.
        dir: PathBuf,
        /// How many it has.
        found: usize,
        /// How many were asked for.
        asked: usize,
    },
    /// No such node.
    #[error("there is no node `{name}` in this network; its nodes are {names}")]
    NoNode {
        /// What was asked for.
        name: String,
        /// What there is.
        names: String,
    },
    /// A node that is not running.
    #[error("{name} is not running; start it with `towpath testnet restart {name}`")]
    NotRunning {
        /// The node.
        name: String,
    },
    /// A file that could not be made or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Keys, genesis or configuration that could not be made.
    #[error("setting up {name}: {reason}")]
    SetUp {
        /// The node.
        name: String,
        /// Why.
        reason: String,
    },
    /// A node that ended, or never got ready.
    #[error("{name} {what}; the end of {} says:\n{tail}", log.display())]
    NotReady {
        /// The node.
        name: String,
        /// What happened.
        what: String,
        /// Its log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// A call to a node that failed.
    #[error("{name}: {source}")]
    Call {
        /// The node.
        name: String,
        /// Why.
        source: ClientError,
    },
    /// A wait that took too long.
    #[error("gave up after {seconds} s: {what}")]
    TimedOut {
        /// What did not happen.
        what: String,
        /// How long it was given.
        seconds: u64,
    },
    /// The program that cheats is not there.
    #[error("{} is not there: it lies, so it is no part of this program; `./x build` builds both", program.display())]
    NoCheat {
        /// Where it was looked for.
        program: PathBuf,
    },
    /// The program that cheats, or what it was given, failed.
    #[error("the cheat does not come about: {reason}")]
    Cheat {
        /// Why.
        reason: String,
    },
    /// What is asked for cannot be shown on this network.
    #[error("{0}")]
    NotHere(String),
    /// A rule that a run of the crash harness or the benchmark found broken.
    #[error("{0}")]
    Broken(String),
}
