//! What a person can type. Each command's words, defaults and help stand here; what it does is in `commands`.

mod backup;
mod channel;
#[cfg(test)]
mod golden;
mod settings;
mod span;
mod testnet;
mod tower;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use towpath_api::Units;

pub use backup::Backup;
pub use channel::{Channel, ChannelState, Close, List, Open, Pay, Resize};
pub use settings::Settings;
pub use span::{Patience, Span};
pub use testnet::{Cheat, Crash, InFolder, Testnet, TestnetTime, Up};
pub use tower::Tower;

/// A payment-channel node and everything to use it.
#[derive(Parser, Debug)]
#[command(name = "towpath", version, propagate_version = true, after_help = AFTER_HELP)]
pub struct Cli {
    /// How the node is found, and how answers look.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
First steps:
  towpath testnet up             a local network of real nodes, until Ctrl-C
  towpath --node alice info      in another terminal: talk to one of them by its name
  towpath init --help            a node of your own

Which node a command talks to: --node, else --data-dir, else the first node of the local network.
Answers are tables on a terminal, and one JSON document when piped or with --json.
`towpath help COMMAND` says more about a command; `towpath help exit-codes` lists the exit codes.";

/// The options of every command.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Common {
    /// The node to talk to: a name in the local network, or the URL of a node's API.
    #[arg(
        long,
        short,
        global = true,
        env = "TOWPATH_NODE",
        hide_env_values = true,
        value_name = "NAME_OR_URL"
    )]
    pub node: Option<String>,
    /// The data folder of the node [env: TOWPATH_DATA_DIR].
    // Not read by the parser: a node's configuration tells a flag from a variable.
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The folder of the local network.
    #[arg(
        long,
        global = true,
        env = "TOWPATH_TESTNET_DIR",
        hide_env_values = true,
        default_value = ".towpath/testnet",
        value_name = "DIR"
    )]
    pub testnet_dir: PathBuf,
    /// Answer with JSON; the default when the output is not a terminal.
    #[arg(long, global = true)]
    pub json: bool,
    /// Answer with a table even when the output is not a terminal.
    #[arg(long, global = true, conflicts_with = "json")]
    pub table: bool,
}

impl Common {
    /// The data folder as a flag gave it.
    #[must_use]
    pub const fn data_dir_flag(&self) -> Option<&PathBuf> {
        self.data_dir.as_ref()
    }

    /// The data folder, by flag or by environment.
    #[must_use]
    pub fn data_dir(&self) -> Option<PathBuf> {
        let variable = || std::env::var_os("TOWPATH_DATA_DIR").filter(|value| !value.is_empty());
        self.data_dir.clone().or_else(|| variable().map(PathBuf::from))
    }
}

/// All commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make the data folder of a new node: keys, configuration, seed words.
    ///
    /// Writes keys (encrypted with a passphrase), genesis.toml and config.toml into --data-dir, and shows the seed words
    /// once. Nothing that exists is ever overwritten.
    Init(Init),
    /// Run a node until it is stopped.
    Node(Box<Node>),
    /// What a node is, and whether it serves.
    Info,
    /// Money on the ledger.
    #[command(subcommand)]
    Wallet(Wallet),
    /// The nodes that a node talks to.
    #[command(subcommand)]
    Peer(Peer),
    /// Open, pay through, and close channels.
    #[command(subcommand)]
    Channel(Box<Channel>),
    /// Serve as a watchtower, and use others.
    #[command(subcommand)]
    Tower(Tower),
    /// Look at the ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Follow what happens on a node, live, until Ctrl-C.
    Events(Events),
    /// Copies of what cannot be fetched again.
    #[command(subcommand)]
    Backup(Backup),
    /// Local networks of real nodes, on this machine.
    Testnet(InFolder),
    /// Measure payments between two node processes on this machine.
    Bench(Bench),
    /// What each exit code means.
    #[command(hide = true, long_about = crate::errors::page(), help_template = "{about}", disable_version_flag = true)]
    ExitCodes,
}

/// `towpath init`
#[derive(Args, Debug)]
pub struct Init {
    /// The genesis file of the network to join.
    #[arg(long, value_name = "FILE")]
    pub genesis: PathBuf,
    /// A name for this node, for people.
    #[arg(long, default_value = "towpath")]
    pub name: String,
    /// A file with the passphrase; without it, it is asked for.
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
    /// Bring a node back from its 24 seed words, which are read from the terminal, or from the standard input if it is no
    /// terminal. Its wallet comes back from the ledger, its channels from the ledger, towers and peers.
    #[arg(long)]
    pub restore: bool,
}

/// `towpath node`
#[derive(Args, Debug)]
#[command(after_help = NODE_AFTER_HELP)]
pub struct Node {
    /// The configuration file; by default config.toml in the data folder, if there is one.
    #[arg(long, short, env = "TOWPATH_CONFIG", hide_env_values = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print every setting with its value and who set it, and stop.
    #[arg(long)]
    pub show_config: bool,
    /// Run although another process with this node's key took over: only if that one is gone for good.
    #[arg(long)]
    pub take_over: bool,
    /// Vote from this height on although votes of this validator may be lost: only if the ledger stands still without it and
    /// no node has a block of this height. If one has, two blocks can be decided at one height.
    #[arg(long, value_name = "HEIGHT")]
    pub vote_from: Option<u64>,
    /// The settings.
    #[command(flatten)]
    pub settings: Settings,
}

const NODE_AFTER_HELP: &str = "\
Each setting can also stand in the configuration file (`listen` under `[api]`) or in the environment
(TOWPATH_API_LISTEN). A flag goes before the environment, that before the file, that before the default;
docs/config.md lists all names. Example:
  towpath node --data-dir ~/.towpath --api-listen 127.0.0.1:7430 --log-level debug";

/// `towpath wallet …`
#[derive(Subcommand, Debug)]
pub enum Wallet {
    /// What there is to spend, and what is in channels.
    Balance,
    /// A new address to be paid at.
    Address,
    /// Pay an address on the ledger.
    Send {
        /// The whole address, `addr1…`.
        to: String,
        /// How much, in base units.
        amount: Units,
        /// A word of your choice: a repeated call with the same word is the same payment, not a second one.
        #[arg(long, value_name = "WORD")]
        idempotency_key: Option<String>,
    },
    /// What came and went, newest first.
    History {
        /// At most so many, 1 to 500.
        #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Only entries older than this one: the `next` of an earlier answer.
        #[arg(long, value_name = "ENTRY")]
        before: Option<String>,
    },
}

/// `towpath peer …`
#[derive(Subcommand, Debug)]
pub enum Peer {
    /// The connected peers.
    List,
    /// Connect to a node, and stay connected.
    Connect {
        /// Where it is: `/ip4/192.0.2.1/tcp/7421/p2p/12D3…`, or a name in the local network.
        address: String,
    },
    /// Disconnect from a node, and do not reconnect.
    Disconnect {
        /// The node: `node1…` (or as much of it as is unique), or a name in the local network.
        peer: String,
    },
}

/// `towpath ledger …`
#[derive(Subcommand, Debug)]
pub enum Ledger {
    /// The tip, the validators, the supply.
    Status,
    /// A block.
    Block {
        /// Its height, its id (`block1…`, or as much of it as is unique), or `latest`.
        #[arg(default_value = "latest")]
        block: String,
    },
    /// A final transaction.
    Tx {
        /// Its id: `tx1…`, or as much of it as is unique.
        id: String,
    },
    /// An unspent output.
    Output {
        /// Its id: `out1…`, or as much of it as is unique.
        outpoint: String,
    },
    /// Check the newest block, and outputs, against the genesis alone: the node that is asked is not trusted.
    Verify(Verify),
}

/// `towpath ledger verify`
#[derive(Args, Debug)]
pub struct Verify {
    /// Outputs, unspent or not: `out1…`, or as much of it as is unique; a spent one in full.
    pub outpoints: Vec<String>,
    /// The genesis file of the ledger; by default that of the data folder or of the local network.
    #[arg(long, value_name = "FILE")]
    pub genesis: Option<PathBuf>,
    /// Check each header since the genesis, and not the newest alone.
    #[arg(long)]
    pub every_block: bool,
}

/// `towpath events`
#[derive(Args, Debug)]
pub struct Events {
    /// Only these kinds, separated by commas: channel, payment, payment_failed, stream, peer, block, wallet, cheat, mode.
    #[arg(long, value_name = "KINDS")]
    pub types: Option<String>,
    /// Only about this channel: `chan1…`, or as much of its id as is unique.
    #[arg(long)]
    pub channel: Option<String>,
    /// Events after this index, instead of those from now on; 0 for all that are kept.
    #[arg(long, value_name = "INDEX")]
    pub after: Option<u64>,
    /// Stop after so many.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u64>,
}

/// `towpath bench`
#[derive(Args, Debug)]
pub struct Bench {
    /// Over how many channels; several runs separated by commas.
    #[arg(long, value_name = "COUNTS", value_delimiter = ',', default_value = "1,100", value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: Vec<u32>,
    /// Payments in each run.
    #[arg(long, value_name = "COUNT", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub payments: u64,
    /// Payments on each channel before each run, not measured.
    #[arg(long, value_name = "COUNT", default_value_t = 200)]
    pub warm_up: u64,
    /// Unacknowledged payments on each channel.
    #[arg(long, value_name = "COUNT", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    pub in_flight: u32,
    /// Pay in both directions at once.
    #[arg(long)]
    pub both_ways: bool,
    /// A new folder for this run; by default a temporary one.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}
