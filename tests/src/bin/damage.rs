//! `./x damage`: harms a node's data folder at random places, and says what the node makes of it.

use std::process::ExitCode;

use towpath_tests::damage;

const USAGE: &str = "./x damage [--positions N] [--seed N]
  --positions N  how many damages (200)
  --seed N       which (1)";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let (mut positions, mut seed) = (200, 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().and_then(|value| value.parse().ok());
        match (name.as_str(), value) {
            ("--positions", Some(value)) => positions = value,
            ("--seed", Some(value)) => seed = value,
            _ => {
                eprintln!("error: not understood: {name}\n{USAGE}");
                return ExitCode::from(2);
            }
        }
    }
    let count = usize::try_from(positions).unwrap_or(usize::MAX);
    let outcome = damage::run(count, seed, |index, damage, verdict| {
        println!("{:>6}/{count} {verdict:?}: {damage}", index + 1);
    })
    .await;
    match outcome {
        Ok(tally) => {
            for ((kind, verdict), times) in tally {
                println!("{kind:?}: {verdict:?} {times} times");
            }
            ExitCode::SUCCESS
        }
        Err(unnoticed) => {
            println!("{} of {count} went unnoticed (seed {seed}):", unnoticed.len());
            unnoticed.iter().for_each(|what| println!("  {what}"));
            ExitCode::FAILURE
        }
    }
}
