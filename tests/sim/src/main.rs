//! `towpath-sim`: runs worlds, tells how far it is, and reports.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

mod report;

/// Runs whole networks of nodes in simulated worlds, with every kind of fault, from seeds.
#[derive(Parser, Debug)]
#[command(name = "towpath-sim")]
pub struct Options {
    /// How many seeds to run; those that once failed are run before them.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// Runs this seed alone, or with --seeds so many from it on.
    #[arg(long)]
    seed: Option<u64>,
    /// How many worlds at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs each seed twice, and compares.
    #[arg(long)]
    twice: bool,
    /// Writes the hash of each seed and how many steps it took to this file.
    #[arg(long)]
    hashes: Option<PathBuf>,
    /// Adds the seeds that fail to this file, if they are not in it.
    #[arg(long)]
    keep: Option<PathBuf>,
    /// Takes the syncs out of every disk, to see that the worlds notice: such a run must fail.
    #[arg(long)]
    no_syncs: bool,
    /// Prints what each seed is about, and what the nodes log: this filter, such as "debug" or "towpath_node=info".
    #[arg(long)]
    log: Option<String>,
}

fn main() -> ExitCode {
    report::main(&Options::parse())
}
