//! More storms than the tests run: `cargo run --release -p towpath-consensus --example storm -- RUNS [LOSS [FIRST_SEED]]`.
//! Without a loss, every run is done with 0, 5 and 20 % of the messages lost. The exit code is 1 if anything went wrong.

#[path = "../tests/simulation/sim/mod.rs"]
mod sim;

use std::process::ExitCode;

use sim::LogKept;
use sim::storm::{Storm, storm};

fn main() -> ExitCode {
    let arguments: Vec<u64> = match std::env::args().skip(1).map(|text| text.parse()).collect() {
        Ok(arguments) => arguments,
        Err(error) => {
            eprintln!("usage: storm RUNS [LOSS [FIRST_SEED]]: {error}");
            return ExitCode::from(2);
        }
    };
    let runs = arguments.first().copied().unwrap_or(100);
    let losses = arguments.get(1).map_or(vec![0, 5, 20], |loss| vec![*loss]);
    let first = arguments.get(2).copied().unwrap_or(0);
    let mut failed = false;
    for loss in losses {
        let mut total = Storm::default();
        for seed in first..first.saturating_add(runs) {
            let one = storm(seed, loss, LogKept::Synced);
            if let Some(problem) = &one.problem {
                println!("seed {seed}, loss {loss} %: {problem}");
                failed = true;
            }
            total.add(&one);
        }
        println!("loss {loss} %: {runs} storms, {total}");
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
