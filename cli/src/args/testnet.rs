//! The words of `towpath testnet` and `towpath bench`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use towpath_api::Units;
use towpath_testnet::Topology;

use super::span::Span;

/// `towpath testnet`
#[derive(Args, Debug)]
pub struct InFolder {
    /// The folder of the network; the same as --testnet-dir.
    #[arg(long, global = true, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// What to do with it.
    #[command(subcommand)]
    pub command: Testnet,
}

/// `towpath testnet …`
#[derive(Subcommand, Debug)]
pub enum Testnet {
    /// Start a network, or continue the one in the folder.
    ///
    /// Starts real nodes on this machine, opens channels between them, and makes small payments both ways until Ctrl-C.
    /// With --detach the network goes on in the background: without payments, unless --traffic asks for them.
    Up(Up),
    /// The running network: its nodes, channels and payments.
    Status,
    /// Make payments on every channel of the running network, until Ctrl-C.
    Traffic {
        /// Make them in the background, until `--stop` or `towpath testnet down`.
        #[arg(long)]
        detach: bool,
        /// End the payments that are made in the background.
        #[arg(long, conflicts_with = "detach")]
        stop: bool,
    },
    /// Stop all nodes, and payments in the background; keys, ledger and channels are kept.
    Down,
    /// Kill one node at once, as a crash would.
    Kill {
        /// Its name in the network, such as `bob`.
        name: String,
    },
    /// Start a node again, stopping it first if it runs.
    Restart {
        /// Its name in the network, such as `bob`.
        name: String,
    },
    /// Ledger time; `testnet time advance 24h` moves it forward.
    Time {
        /// Without it, the time is shown.
        #[command(subcommand)]
        command: Option<TestnetTime>,
    },
    /// Shell variables for the running network: eval "$(towpath testnet env)".
    Env,
    /// Kill nodes at random moments under traffic, and audit that nothing is lost.
    ///
    /// Runs a network of its own in a folder of its own, so it disturbs no other.
    Crash(Crash),
    /// A lie on stage: a node closes a channel with an old state, and everybody sees what it comes to.
    ///
    /// A node of the running network opens a channel, keeps a copy of its data, pays, and then posts the state of the copy,
    /// in which it still had the money. The screen shows who answers, the penalty, and where each unit went. The lying is
    /// done by a program of its own, towpath-cheat, which `./x build` puts beside this one; a node cannot do it.
    Cheat(Cheat),
}

/// `towpath testnet time …`
#[derive(Subcommand, Debug)]
pub enum TestnetTime {
    /// Move ledger time, and the nodes' clocks, forward, so that what waits for a time comes to its end.
    ///
    /// A dispute window of a day ends at once, for instance. No way leads back.
    Advance {
        /// By how much, such as 90s, 30m, 24h or 7d.
        #[arg(value_name = "TIME")]
        by: Span,
    },
}

/// `towpath testnet up`
#[derive(Args, Debug)]
pub struct Up {
    /// How many nodes, 1 to 16; all are validators. 4 unless the network is there already.
    #[arg(long, short = 'n', value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=16))]
    pub nodes: Option<u8>,
    /// Who has channels with whom: line, ring, star or mesh. A ring unless the network is there already.
    #[arg(long)]
    pub topology: Option<Topology>,
    /// What each side puts into each channel, in base units.
    #[arg(long, default_value = "100000000", value_name = "AMOUNT")]
    pub channel_amount: Units,
    /// How long each channel can be disputed after one party closed it alone.
    #[arg(long, value_name = "TIME", default_value = "30s")]
    pub dispute_window: Span,
    /// Leave the network running in the background and return once its channels are open.
    #[arg(long)]
    pub detach: bool,
    /// With --detach: make payments in the background, too, until `towpath testnet down`.
    #[arg(long, requires = "detach")]
    pub traffic: bool,
    /// Open no channels and make no payments.
    #[arg(long, conflicts_with = "traffic")]
    pub no_traffic: bool,
}

/// `towpath testnet crash`
#[derive(Args, Debug)]
pub struct Crash {
    /// How many times a node is killed.
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub kills: u32,
    /// Chooses who is killed, and when; the same seed makes the same choices.
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub seed: u64,
    /// How many nodes, 2 to 16.
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 4, value_parser = clap::value_parser!(u8).range(2..=16))]
    pub nodes: u8,
    /// A new folder for this run; by default a temporary one, kept only on failure.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// `towpath testnet cheat`
#[derive(Args, Debug)]
pub struct Cheat {
    /// Who lies: a running node of the network, such as `alice`.
    #[arg(required_unless_present = "trials", conflicts_with = "trials")]
    pub name: Option<String>,
    /// Whom about; the next node of the network if not given.
    #[arg(long, value_name = "NAME", conflicts_with = "trials")]
    pub victim: Option<String>,
    /// Stop the victim's process before the lie, so that only watchtowers can answer; it is started again at the end.
    #[arg(long)]
    pub offline_victim: bool,
    /// Instead: so many lies on a network of their own, in a folder of its own, each audited to the unit; 1 to 1000.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub trials: Option<u32>,
    /// With --trials: how many watchtowers the victim uses, 0 to 7; 3 with --offline-victim, else none.
    #[arg(long, value_name = "COUNT", requires = "trials", value_parser = clap::value_parser!(u8).range(0..=7))]
    pub towers: Option<u8>,
    /// With --trials: how many of the watchtowers are dead when the lies are told, 0 to 4.
    #[arg(long, value_name = "COUNT", requires = "trials", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=4))]
    pub dead: u8,
    /// With --trials: how long each close can be answered.
    #[arg(long, value_name = "TIME", requires = "trials", default_value = "30s")]
    pub dispute_window: Span,
    /// With --trials: chooses amounts and moments; the same seed makes the same choices.
    #[arg(long, value_name = "NUMBER", requires = "trials", default_value_t = 1)]
    pub seed: u64,
    /// With --trials: a new folder for the run; by default a temporary one, kept only on failure.
    #[arg(long, value_name = "DIR", requires = "trials")]
    pub dir: Option<PathBuf>,
}
