//! Many seeds, each in a process: progress, the report, and what failed.

use std::collections::BTreeMap;
use std::process::{Command, ExitCode};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::Options;
use crate::faults::KINDS;

/// How a world's line begins that has its hash, its steps and its length in milliseconds.
pub const HASH: &str = "hash ";

/// How a line begins that says how often something happened.
pub const COUNT: &str = "count ";

/// How the line begins that says what did not hold.
pub const FAILS: &str = "fails ";

/// Seeds that once failed: every run includes them.
const KEPT: &str = include_str!("../seeds.txt");

/// Where they are kept, seen from the repository's root.
const KEPT_FILE: &str = "tests/turmoil/seeds.txt";

/// How many seeds are run if nothing is said.
const SEEDS: u64 = 100;

/// From so many seeds on, a kind of fault that never fired is a failure of the run.
const MANY: usize = 200;

/// What a world came to.
#[derive(Default)]
struct Outcome {
    hash: String,
    steps: u64,
    virtual_ms: u64,
    counts: BTreeMap<String, u64>,
    violation: Option<String>,
}

/// What many came to.
#[derive(Default)]
struct Sum {
    seeds: usize,
    steps: u64,
    virtual_ms: u64,
    counts: BTreeMap<String, u64>,
    failed: Vec<u64>,
}

/// Runs what was asked for.
pub fn main(options: &Options) -> ExitCode {
    let seeds: Vec<u64> = match (options.seed, options.seeds) {
        (Some(seed), None) => vec![seed],
        (Some(seed), Some(count)) => (seed..seed + count).collect(),
        (None, count) => kept().chain(1..=count.unwrap_or(SEEDS)).collect(),
    };
    let (begin, next) = (Instant::now(), AtomicUsize::new(0));
    let sum = Mutex::new(Sum::default());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = twice(*seed, options);
                    let mut sum = sum.lock().unwrap_or_else(PoisonError::into_inner);
                    enter(&mut sum, *seed, outcome, options);
                    progress(sum.seeds, seeds.len(), begin.elapsed());
                }
            });
        }
    });
    let sum = sum.into_inner().unwrap_or_else(PoisonError::into_inner);
    let silent = print(&sum, begin.elapsed(), options);
    if sum.failed.is_empty() && !(silent && sum.seeds >= MANY) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn kept() -> impl Iterator<Item = u64> {
    let lines = KEPT.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter_map(|line| line.parse().ok())
}

/// A world, and the same world again if that is asked for.
fn twice(seed: u64, options: &Options) -> Outcome {
    let mut first = one(seed, options);
    if options.twice && first.violation.is_none() {
        let second = one(seed, options);
        if second.hash != first.hash {
            first.violation = Some(format!("one seed is one world: {} and {}", first.hash, second.hash));
        }
    }
    first
}

/// A world, in a process of its own.
fn one(seed: u64, options: &Options) -> Outcome {
    let failed = |why: String| Outcome { violation: Some(why), ..Outcome::default() };
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return failed(error.to_string()),
    };
    let mut command = Command::new(program);
    command.args(["--world", &seed.to_string()]);
    // The order of the system's memory must not be what a world depends on, and is not; a log may be asked for.
    if let Some(filter) = &options.log {
        command.args(["--log", filter]).stderr(std::process::Stdio::inherit());
    }
    let ran = match command.output() {
        Ok(ran) => ran,
        Err(error) => return failed(error.to_string()),
    };
    let mut outcome = read(&String::from_utf8_lossy(&ran.stdout));
    if !ran.status.success() && outcome.violation.is_none() {
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        outcome.violation = Some(format!("nothing panics: {}\n{said}", ran.status));
    }
    outcome
}

/// What a world says of itself.
fn read(text: &str) -> Outcome {
    let mut outcome = Outcome::default();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix(HASH) {
            let mut words = rest.split(' ');
            let number = |words: &mut std::str::Split<'_, char>| words.next()?.parse().ok();
            outcome.hash = words.next().unwrap_or_default().to_owned();
            outcome.steps = number(&mut words).unwrap_or(0);
            outcome.virtual_ms = number(&mut words).unwrap_or(0);
        } else if let Some((count, name)) = line.strip_prefix(COUNT).and_then(|rest| rest.split_once(' ')) {
            outcome.counts.insert(name.to_owned(), count.parse().unwrap_or(0));
        } else if let Some(rest) = line.strip_prefix(FAILS) {
            outcome.violation = Some(rest.to_owned());
        }
    }
    outcome
}

fn enter(sum: &mut Sum, seed: u64, outcome: Outcome, options: &Options) {
    if options.hashes {
        println!("{seed} {} {}", outcome.hash, outcome.steps);
    }
    sum.seeds += 1;
    sum.steps += outcome.steps;
    sum.virtual_ms += outcome.virtual_ms;
    for (name, count) in outcome.counts {
        *sum.counts.entry(name).or_default() += count;
    }
    if let Some(violation) = outcome.violation {
        println!("seed {seed} fails: {violation}");
        println!("  repeat it: ./x sim --layer 2 --seed {seed}    keep it: echo {seed} >> {KEPT_FILE}");
        sum.failed.push(seed);
    }
}

fn progress(count: usize, all: usize, since: Duration) {
    let left = since.mul_f64((all - count) as f64 / count.max(1) as f64);
    eprintln!("  {count} of {all} seeds, {} s, about {} s left", since.as_secs(), left.as_secs());
}

/// Prints the report; whether a kind of fault never fired.
fn print(sum: &Sum, took: Duration, options: &Options) -> bool {
    let minutes = sum.virtual_ms / 60_000;
    println!(
        "{} seeds, {minutes} virtual minutes, {} steps in {:.1} s",
        sum.seeds,
        sum.steps,
        took.as_secs_f64()
    );
    let rate = sum.seeds as f64 / took.as_secs_f64().max(0.001) * 3_600.0;
    println!("{rate:.0} seeds an hour with {} at once; layer 2", options.jobs.max(1));
    println!("work:");
    for (name, count) in sum.counts.iter().filter(|(name, _)| !KINDS.contains(&name.as_str())) {
        println!("  {count:>10}  {name}");
    }
    println!("faults:");
    let mut is_silent = false;
    for kind in KINDS {
        let count = sum.counts.get(kind).copied().unwrap_or(0);
        is_silent |= count == 0;
        println!("  {count:>10}  {kind}{}", if count == 0 { "   (never fired)" } else { "" });
    }
    match sum.failed.len() {
        0 => println!("nothing failed"),
        count => println!("{count} seeds failed"),
    }
    is_silent
}
