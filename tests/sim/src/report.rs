//! Many seeds: progress, the report, and what failed.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use towpath_sim::{Fault, Outcome, Sabotage, Tally, Work, has_real_signatures, run_sabotaged};

use super::Options;

/// Seeds that once failed: every run includes them.
const KEPT: &str = include_str!("../seeds.txt");

/// From so many seeds on, a kind of fault that never fired is a failure of the run.
const MANY: usize = 200;

/// What many worlds came to.
#[derive(Default)]
struct Sum {
    seeds: usize,
    signed: usize,
    steps: u64,
    virtual_ms: u64,
    tally: Tally,
    failures: Vec<Outcome>,
    hashes: Vec<String>,
}

/// Runs what was asked for.
pub fn main(options: &Options) -> ExitCode {
    if let Some(filter) = &options.log {
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
    }
    let seeds = match (options.seed, options.seeds) {
        (Some(seed), 100) => vec![seed],
        (Some(seed), count) => (seed..seed + count).collect(),
        (None, count) => kept().into_iter().chain(1..=count).collect(),
    };
    let begin = Instant::now();
    let sum = run_all(&seeds, options);
    print(&sum, begin.elapsed(), options);
    if let Err(error) = write_down(&sum, options) {
        eprintln!("error: {error}");
        return ExitCode::FAILURE;
    }
    let silent = sum.seeds >= MANY && Fault::ALL.iter().any(|fault| sum.tally.faults(*fault) == 0);
    if sum.failures.is_empty() && !silent { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The seeds that are kept.
fn kept() -> Vec<u64> {
    seeds_in(KEPT)
}

fn seeds_in(text: &str) -> Vec<u64> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter_map(|line| line.parse().ok()).collect()
}

/// The files that were asked for: hashes, and seeds that failed for every later run.
fn write_down(sum: &Sum, options: &Options) -> std::io::Result<()> {
    if let Some(path) = &options.hashes {
        std::fs::write(path, sum.hashes.concat())?;
    }
    let Some(path) = options.keep.as_ref().filter(|_| !sum.failures.is_empty()) else { return Ok(()) };
    let mut text = std::fs::read_to_string(path)?;
    let known = seeds_in(&text);
    for outcome in sum.failures.iter().filter(|outcome| !known.contains(&outcome.seed)) {
        let what = outcome.violation.as_ref().map_or("", |violation| violation.invariant);
        text.push_str(&format!("{}  # not explained yet: {what}\n", outcome.seed));
    }
    std::fs::write(path, text)
}

fn run_all(seeds: &[u64], options: &Options) -> Sum {
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (sum, told_ms) = (Mutex::new(Sum::default()), AtomicU64::new(0));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(*seed, options);
                    enter(
                        &mut sum.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
                        outcome,
                        options,
                    );
                    let count = done.fetch_add(1, Ordering::Relaxed) + 1;
                    progress(count, seeds.len(), begin.elapsed(), &told_ms);
                }
            });
        }
    });
    sum.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn one(seed: u64, options: &Options) -> Outcome {
    let sabotage = if options.no_syncs { Sabotage::SyncsLie } else { Sabotage::No };
    let mut outcome = run_sabotaged(seed, sabotage);
    if options.twice && outcome.violation.is_none() {
        let again = run_sabotaged(seed, sabotage);
        if again.digest != outcome.digest {
            let detail = format!("{} and {}", outcome.digest, again.digest);
            outcome.violation = Some(towpath_sim::Violation::new("one seed is one world", detail));
        }
    }
    outcome
}

fn enter(sum: &mut Sum, outcome: Outcome, options: &Options) {
    if options.hashes.is_some() {
        sum.hashes.push(format!("{} {} {}\n", outcome.seed, outcome.digest, outcome.steps));
    }
    if options.log.is_some() {
        println!("{:#?}", outcome.plan);
    }
    sum.seeds += 1;
    sum.signed += usize::from(has_real_signatures(outcome.seed));
    sum.steps += outcome.steps;
    sum.virtual_ms += outcome.virtual_ms;
    sum.tally.add(&outcome.tally);
    if let Some(violation) = &outcome.violation {
        println!("seed {} fails: {violation}", outcome.seed);
        println!("  repeat it: ./x sim --seed {}", outcome.seed);
        sum.failures.push(outcome);
    }
}

fn progress(count: usize, all: usize, since: Duration, told_ms: &AtomicU64) {
    let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
    let before_ms = told_ms.load(Ordering::Relaxed);
    let is_due = now_ms.saturating_sub(before_ms) >= 5_000;
    if !is_due || told_ms.compare_exchange(before_ms, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_err() {
        return;
    }
    let left = since.mul_f64((all - count) as f64 / count.max(1) as f64);
    eprintln!("  {count} of {all} seeds, {} s, about {} s left", since.as_secs(), left.as_secs());
}

fn print(sum: &Sum, took: Duration, options: &Options) {
    let mut text = String::new();
    let hours = sum.virtual_ms / 3_600_000;
    let rate = sum.seeds as f64 / took.as_secs_f64().max(0.001) * 3_600.0;
    let mut line = |words: String| {
        text.push_str(&words);
        text.push('\n');
    };
    line(format!(
        "{} seeds ({} with real signatures), {hours} virtual hours, {} steps in {:.1} s",
        sum.seeds,
        sum.signed,
        sum.steps,
        took.as_secs_f64()
    ));
    line(format!("{rate:.0} seeds an hour with {} at once; layer 1", options.jobs.max(1)));
    line("work:".to_owned());
    for work in Work::ALL {
        line(format!("  {:>10}  {}", sum.tally.done(work), work.name()));
    }
    line("faults:".to_owned());
    for fault in Fault::ALL {
        let count = sum.tally.faults(fault);
        let mark = if count == 0 { "   (never fired)" } else { "" };
        line(format!("  {count:>10}  {}{mark}", fault.name()));
    }
    line(match sum.failures.len() {
        0 => "nothing failed".to_owned(),
        count => format!("{count} seeds failed"),
    });
    // Whoever reads may have gone.
    let _ = std::io::stdout().write_all(text.as_bytes());
}
