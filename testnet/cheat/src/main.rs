//! `towpath-cheat`: run by `towpath testnet cheat`, from beside it. It prints one JSON document a line.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser};
use towpath_cheat::{CheatError, OldCopy, rewind, stale_close};

/// What a cheating party of a local network can do with its own keys and an old copy of its data.
#[derive(Parser, Debug)]
#[command(name = "towpath-cheat", version)]
enum Cheat {
    /// Print the closes of channels with the states that the copy has.
    Close {
        #[command(flatten)]
        copy: Copy,
        /// The genesis file of the network.
        #[arg(long, value_name = "FILE")]
        genesis: PathBuf,
    },
    /// Put channels of a stopped node back to the states that the copy has.
    Rewind {
        #[command(flatten)]
        copy: Copy,
        /// The data folder of the node.
        #[arg(long, value_name = "DIR")]
        data_dir: PathBuf,
    },
}

/// Which copy, and which of its channels.
#[derive(Args, Debug)]
struct Copy {
    /// A copy of the node's data folder, or one that was restored from its backup.
    #[arg(long, value_name = "DIR")]
    copy: PathBuf,
    /// The name of the node in the local network: its keys follow from it.
    #[arg(long)]
    name: String,
    /// The channels, `chan1…` in full.
    #[arg(required = true)]
    channels: Vec<String>,
}

fn main() -> ExitCode {
    match run(Cheat::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(cheat: Cheat) -> Result<(), CheatError> {
    let mut out = std::io::stdout().lock();
    match cheat {
        Cheat::Close { copy, genesis } => {
            let old = OldCopy::open(&copy.copy, &copy.name)?;
            for channel in &copy.channels {
                let close = stale_close(&old, &genesis, channel)?;
                let document = serde_json::to_string(&close).expect("plain data");
                // Whoever does not read to the end has what it wanted.
                let _ = writeln!(out, "{document}");
            }
        }
        Cheat::Rewind { copy, data_dir } => {
            let old = OldCopy::open(&copy.copy, &copy.name)?;
            for channel in &copy.channels {
                rewind(&old, &data_dir, channel)?;
                let _ = writeln!(out, "{}", serde_json::json!({ "rewound": channel }));
            }
        }
    }
    Ok(())
}
