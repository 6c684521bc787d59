//! What a person can type. Each command's words, defaults and help stand here; what it does is in `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use towpath_api::Units;
use towpath_testnet::Topology;

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
Try `towpath testnet up` for a local network of real nodes; while it runs, `--node alice` finds one of them.
Exit codes: 0 done · 1 failed · 2 usage · 3 node unreachable · 4 not found · 5 refused · 6 time-out · 7 not allowed · 8 key, config or storage";

/// Options of every command.
#[derive(Args, Clone, Debug)]
pub struct Common {
    /// The node to talk to: a name in the running local network, or the URL of a node's API.
    #[arg(long, short, global = true, env = "TOWPATH_NODE", value_name = "NAME_OR_URL")]
    pub node: Option<String>,
    /// The data folder of the node to talk to.
    #[arg(long, global = true, env = "TOWPATH_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The folder of the local network.
    #[arg(
        long,
        global = true,
        env = "TOWPATH_TESTNET_DIR",
        default_value = ".towpath/testnet",
        value_name = "DIR"
    )]
    pub testnet_dir: PathBuf,
    /// Answer with one JSON document; the default when the output is not a terminal.
    #[arg(long, global = true)]
    pub json: bool,
    /// Answer with a table even when the output is not a terminal.
    #[arg(long, global = true, conflicts_with = "json")]
    pub table: bool,
}

/// All commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make the data folder of a new node: keys, configuration, seed words.
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
    Channel(Channel),
    /// Look at the ledger.
    #[command(subcommand)]
    Ledger(Ledger),
    /// Follow what happens on a node, live.
    Events(Events),
    /// Copies of what cannot be fetched again.
    #[command(subcommand)]
    Backup(Backup),
    /// Local networks of real nodes, on this machine.
    #[command(subcommand)]
    Testnet(Testnet),
    /// Measure payments between two node processes on this machine.
    Bench(Bench),
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

/// `towpath backup …`
#[derive(Subcommand, Debug)]
pub enum Backup {
    /// Back up a running node: its channels, its counters, its configuration; encrypted.
    Create {
        /// The file to make.
        file: PathBuf,
    },
    /// Check every byte of a backup.
    Verify {
        /// The file.
        file: PathBuf,
        /// A file with the passphrase of the node's key file; without it, it is asked for.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
    /// Make a node's data folder (--data-dir) out of a backup. The node then asks its peers and towers for what is newer.
    Restore {
        /// The file.
        file: PathBuf,
        /// A file with the passphrase of the node's key file; without it, it is asked for.
        #[arg(long, value_name = "FILE")]
        passphrase_file: Option<PathBuf>,
    },
}

/// `towpath node`: every value of the configuration file can be given here, too.
#[derive(Args, Debug)]
pub struct Node {
    /// The configuration file; by default `config.toml` in the data folder.
    #[arg(long, short, env = "TOWPATH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one value, as in the file: `api.listen=127.0.0.1:7420`. Can be repeated.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Say where each value comes from, and stop.
    #[arg(long)]
    pub show_config: bool,
    /// Run although another process with this node's key took over: only if that one is gone for good.
    #[arg(long)]
    pub take_over: bool,
}

/// `towpath wallet …`
#[derive(Subcommand, Debug)]
pub enum Wallet {
    /// What there is to spend, and what is in channels.
    Balance,
    /// A new address to be paid at.
    Address,
    /// Pay an address on the ledger.
    Send {
        /// The address, `addr1…`.
        to: String,
        /// How much, in base units.
        amount: Units,
        /// A word that makes a repeated call the same payment.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
    },
    /// What came and went, newest first.
    History {
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
        /// Older than this entry (the `next` of an earlier answer).
        #[arg(long)]
        before: Option<String>,
    },
}

/// `towpath peer …`
#[derive(Subcommand, Debug)]
pub enum Peer {
    /// The peers.
    List,
    /// Connect to a node.
    Connect {
        /// Where it is: `/ip4/127.0.0.1/tcp/9000/p2p/…`.
        address: String,
    },
    /// Disconnect from a node, and do not reconnect.
    Disconnect {
        /// The node, `node1…`.
        peer: String,
    },
}

/// `towpath channel …`
#[derive(Subcommand, Debug)]
pub enum Channel {
    /// Open a channel with a peer.
    Open {
        /// The peer: `node1…`, or a name in the local network.
        peer: String,
        /// What this node puts in, in base units.
        amount: Units,
        /// What the peer is asked to put in.
        #[arg(long, value_name = "AMOUNT")]
        peer_amount: Option<Units>,
        /// Where to find the peer, if this node is not connected to it.
        #[arg(long)]
        address: Option<String>,
        /// How long a unilateral close can be answered, in milliseconds of ledger time.
        #[arg(long, value_name = "MS")]
        dispute_window_ms: Option<u64>,
        /// What each side keeps in the channel.
        #[arg(long, value_name = "AMOUNT")]
        reserve: Option<Units>,
        /// Do not wait until payments can flow.
        #[arg(long)]
        no_wait: bool,
    },
    /// The channels, with totals.
    List {
        /// Only in this state.
        #[arg(long)]
        state: Option<ChannelState>,
        /// Only with this node.
        #[arg(long)]
        peer: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: u32,
        /// After this one (the `next` of an earlier answer).
        #[arg(long)]
        after: Option<String>,
    },
    /// One channel, its newest payments and its log.
    Show {
        /// `chan1…`, or as much of it as is unique.
        channel: String,
    },
    /// Pay the peer through a channel.
    Pay {
        /// `chan1…`, or as much of it as is unique.
        channel: String,
        /// How much, in base units.
        amount: Units,
        /// So many payments of this amount; the node makes them itself.
        #[arg(long, default_value_t = 1)]
        count: u64,
        /// With `--count`: how many may be unacknowledged at a time.
        #[arg(long, default_value_t = 16)]
        in_flight: u32,
        /// 64 hex digits for the payee.
        #[arg(long)]
        memo: Option<String>,
        /// A word that makes a repeated call the same payment.
        #[arg(long, value_name = "KEY")]
        idempotency_key: Option<String>,
        /// Do not wait for the payee's acknowledgement.
        #[arg(long)]
        no_wait: bool,
    },
    /// Close a channel.
    Close {
        /// `chan1…`, or as much of it as is unique.
        channel: String,
        /// Alone, without the peer: pays out after the dispute window.
        #[arg(long)]
        force: bool,
        /// With --force: even though this node has lost data of the channel. If the peer holds a newer state, it costs the
        /// penalty.
        #[arg(long, requires = "force")]
        accept_risk: bool,
        /// Do not wait until it is paid out.
        #[arg(long)]
        no_wait: bool,
    },
}

/// The states of a channel, as a filter.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub enum ChannelState {
    /// Not funded yet.
    Opening,
    /// Payments flow.
    Active,
    /// Being closed.
    Closing,
    /// Contested.
    Disputed,
    /// Paid out.
    Settled,
}

/// `towpath ledger …`
#[derive(Subcommand, Debug)]
pub enum Ledger {
    /// The tip, the validators, the supply.
    Status,
    /// A block, by height, id, or `latest`.
    Block {
        /// Which.
        #[arg(default_value = "latest")]
        block: String,
    },
    /// A transaction.
    Tx {
        /// `tx1…`
        id: String,
    },
    /// An output.
    Output {
        /// `out1…`
        outpoint: String,
        /// With the proof that the newest block commits to it, or to its absence.
        #[arg(long)]
        proof: bool,
    },
}

/// `towpath events`
#[derive(Args, Debug)]
pub struct Events {
    /// Only these kinds, separated by commas: `payment,channel,block`.
    #[arg(long)]
    pub types: Option<String>,
    /// Only about this channel.
    #[arg(long)]
    pub channel: Option<String>,
    /// From this index on, instead of from now on.
    #[arg(long, value_name = "INDEX")]
    pub after: Option<u64>,
    /// Stop after so many.
    #[arg(long, value_name = "COUNT")]
    pub limit: Option<u64>,
}

/// `towpath testnet …`
#[derive(Subcommand, Debug)]
pub enum Testnet {
    /// Start a network, or continue the one in the folder.
    Up(TestnetUp),
    /// The running network.
    Status,
    /// Stop all nodes.
    Down,
    /// Kill one node at once, as a crash would.
    Kill {
        /// Its name.
        name: String,
    },
    /// Start a node again, stopping it first if it runs.
    Restart {
        /// Its name.
        name: String,
    },
    /// Shell variables for the running network.
    Env,
    /// Ledger time; `testnet time advance 24h` moves it, and the nodes' clocks, forward.
    Time {
        /// Without it, the time is shown.
        #[command(subcommand)]
        command: Option<TestnetTime>,
    },
    /// Kill nodes at random moments under traffic, and audit that nothing is lost.
    Crash(Crash),
}

/// `towpath testnet time …`
#[derive(Subcommand, Debug)]
pub enum TestnetTime {
    /// Go forward, so that what waits for a time comes to its end; no way leads back.
    Advance {
        /// By how much: `90s`, `30m`, `24h`, `7d`.
        #[arg(value_parser = duration)]
        by: std::time::Duration,
    },
}

/// A number and its unit.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let ms_each: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err("a number and a unit (ms, s, m, h, d), such as `24h`".to_owned()),
    };
    let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(ms_each));
    ms.filter(|ms| *ms > 0)
        .map(std::time::Duration::from_millis)
        .ok_or_else(|| "a number above zero, and not beyond all bounds".to_owned())
}

/// `towpath testnet up`
#[derive(Args, Debug)]
pub struct TestnetUp {
    /// How many nodes; all are validators.
    #[arg(long, short = 'n', default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub nodes: u8,
    /// Who has channels with whom.
    #[arg(long, default_value = "ring")]
    pub topology: Topology,
    /// The folder; the same as `--testnet-dir`.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What each side puts into each channel, in base units.
    #[arg(long, default_value = "100000000", value_name = "AMOUNT")]
    pub channel_amount: Units,
    /// Leave the network running and return; its channels are open, and no payments are made.
    #[arg(long)]
    pub detach: bool,
    /// Open no channels and make no payments.
    #[arg(long)]
    pub no_traffic: bool,
}

/// `towpath testnet crash`
#[derive(Args, Debug)]
pub struct Crash {
    /// How many times a node is killed.
    #[arg(long, default_value_t = 50)]
    pub kills: u32,
    /// Chooses who is killed, and when; the same seed makes the same choices.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// How many nodes.
    #[arg(long, short = 'n', default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=16))]
    pub nodes: u8,
    /// A new folder for this run; by default a temporary one, kept only on failure.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `towpath bench`
#[derive(Args, Debug)]
pub struct Bench {
    /// Over how many channels; several runs separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1,100")]
    pub channels: Vec<u32>,
    /// Payments in each run.
    #[arg(long, default_value_t = 200_000)]
    pub payments: u64,
    /// Payments on each channel before each run, not measured.
    #[arg(long, default_value_t = 200)]
    pub warm_up: u64,
    /// Unacknowledged payments on each channel.
    #[arg(long, default_value_t = 64)]
    pub in_flight: u32,
    /// Pay in both directions at once.
    #[arg(long)]
    pub both_ways: bool,
    /// A new folder for this run; by default a temporary one.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn a_duration_has_a_unit() {
        let ms = |text| super::duration(text).map(|time| time.as_millis());
        assert_eq!([ms("90s"), ms("24h"), ms("250ms")], [Ok(90_000), Ok(86_400_000), Ok(250)]);
        for wrong in ["", "5", "h", "0s", "-1s", "1.5h", "99999999999999999999d", "9999999999999999d", "1 h"]
        {
            assert!(ms(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_commands_are_well_formed() {
        super::Cli::command().debug_assert();
    }
}
