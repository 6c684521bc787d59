//! `towpath-fuzz`: tries all targets, or one, for so long each (`./x fuzz`).

use std::process::ExitCode;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use towpath_fuzz::{Campaign, Finding, Kind, Regressions, Tally, Target, all};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const USAGE: &str = "towpath-fuzz [--seconds N] [--seed N] [--target NAME] [--list]
  --seconds N    how long each target is tried (5)
  --seed N       where the mutations begin (by the clock)
  --target NAME  only targets whose names contain this
  --list         only name the targets";

/// Inputs of a decoder between two looks at the clock; a machine looks after each.
const STRIDE: u64 = 256;

struct Options {
    each: Duration,
    seed: u64,
    only: String,
    list: bool,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)) {
        Ok(options) => run(&options),
        Err(error) => {
            eprintln!("error: {error}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let clock = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let mut options =
        Options { each: Duration::from_secs(5), seed: clock.as_secs(), only: String::new(), list: false };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|_| format!("'{text}' is no number"));
        match argument.as_str() {
            "--seconds" => options.each = Duration::from_secs(number(value()?)?),
            "--seed" => options.seed = number(value()?)?,
            "--target" => options.only = value()?,
            "--list" => options.list = true,
            other => return Err(format!("no such option: {other}")),
        }
    }
    Ok(options)
}

fn run(options: &Options) -> ExitCode {
    let targets: Vec<Target> =
        all().into_iter().filter(|target| target.name.contains(&options.only)).collect();
    if options.list {
        targets.iter().for_each(|target| println!("{}", target.name));
        return ExitCode::SUCCESS;
    }
    if targets.is_empty() {
        eprintln!("error: no target has '{}' in its name; --list names them", options.only);
        return ExitCode::from(2);
    }
    let mut regressions = match Regressions::read(Regressions::path()) {
        Ok(regressions) => regressions,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    std::panic::set_hook(Box::new(|_| {}));
    let whole = options.each * u32::try_from(targets.len()).unwrap_or(u32::MAX);
    eprintln!(
        "{} targets, {} s each: {} s; seed {}",
        targets.len(),
        options.each.as_secs(),
        whole.as_secs(),
        options.seed
    );
    let mut sum = Tally::default();
    let mut failed = Vec::new();
    for (index, target) in targets.iter().enumerate() {
        let (tally, finding) = try_one(target, options, &regressions);
        println!(
            "{:>3}/{} {:<55} {:>11} tried {:>10} accepted {:>9} bytes of memory at most",
            index + 1,
            targets.len(),
            target.name,
            tally.tried,
            tally.accepted,
            tally.memory
        );
        sum.tried += tally.tried;
        sum.accepted += tally.accepted;
        if let Some(finding) = finding {
            report(target, &finding, &mut regressions);
            failed.push(target.name);
        }
    }
    println!(
        "{} inputs, {} accepted, {} targets, {} failed",
        sum.tried,
        sum.accepted,
        targets.len(),
        failed.len()
    );
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn try_one(target: &Target, options: &Options, regressions: &Regressions) -> (Tally, Option<Finding>) {
    let end = Instant::now() + options.each;
    let mut campaign = Campaign::new(target, options.seed, Some(&ALLOCATOR));
    let mut outcome = campaign.begin(regressions);
    while outcome.is_ok() && Instant::now() < end {
        outcome = campaign.go_on(if target.kind == Kind::Decoder { STRIDE } else { 1 });
    }
    (campaign.tally(), outcome.err())
}

fn report(target: &Target, finding: &Finding, regressions: &mut Regressions) {
    println!("    FAILED: {}", finding.what.lines().next().unwrap_or_default());
    println!("    input: {}", hex::encode(&finding.input));
    match regressions.add(target.name, &finding.input) {
        Ok(()) => println!(
            "    kept in {}; repeat: ./x fuzz --target {}",
            Regressions::path().display(),
            target.name
        ),
        Err(error) => println!("    it could not be kept: {error}"),
    }
}
