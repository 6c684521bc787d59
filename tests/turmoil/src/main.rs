//! The second layer of the simulator: the real node with its real network, libp2p from the encryption up, over turmoil's
//! TCP; several of them in one thread, on virtual time, from a seed. `towpath_node::stepped::Networked` is the node.
//!
//! Each world is a process of its own: libp2p numbers connections for the whole process, and a seed must be the same world
//! whatever ran before it.

mod callers;
mod carrier;
mod diary;
mod faults;
mod machine;
mod plan;
mod report;
mod shims;
mod world;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;

use crate::plan::Plan;
use crate::world::World;

/// Runs networks of real nodes over real libp2p in simulated worlds, with every kind of fault, from seeds.
#[derive(Parser, Debug)]
#[command(name = "towpath-sim-net")]
pub struct Options {
    /// How many seeds to run, 100 if nothing is said; those that once failed are run before them.
    #[arg(long)]
    seeds: Option<u64>,
    /// Runs this seed alone, or with --seeds so many from it on.
    #[arg(long)]
    seed: Option<u64>,
    /// How many worlds at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs each seed in two processes, and compares.
    #[arg(long)]
    twice: bool,
    /// Prints the hash of each seed.
    #[arg(long)]
    hashes: bool,
    /// Prints what each seed is about, and what the nodes log: this filter, such as "debug"; "turmoil=info,towpath_node=debug" names the
    /// node of each line.
    #[arg(long)]
    log: Option<String>,
    /// The one world that this process runs: for this program itself.
    #[arg(long, hide = true)]
    world: Option<u64>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match options.world {
        Some(seed) => run(seed, &options),
        None => report::main(&options),
    }
}

/// Runs one world, in this process and thread, and says what became of it in lines that `report` reads.
fn run(seed: u64, options: &Options) -> ExitCode {
    if let Some(filter) = &options.log {
        let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
        log.with_ansi(false).with_timer(Clock).init();
        eprintln!("{:#?}", Plan::draw(&mut towpath_sim::rng::Rng::new(seed).fork()));
    }
    end_on_panic();
    shims::begin(seed);
    // The seeds of the standard library's maps are drawn once a thread, and this one may have drawn them already.
    let over = std::thread::spawn(move || live(seed)).join();
    over.unwrap_or(ExitCode::FAILURE)
}

fn live(seed: u64) -> ExitCode {
    let mut world = World::new(seed);
    world.count_conditions();
    let ended = world.run();
    let (digest, steps, counts) = diary::so_far();
    println!("{}{digest} {steps} {}", report::HASH, world.now_ms);
    for (name, count) in counts {
        println!("{}{count} {name}", report::COUNT);
    }
    let code = match ended {
        Ok(()) => 0,
        Err(violation) => {
            println!("{}{}", report::FAILS, towpath_sim::Violation { at_ms: world.now_ms, ..violation });
            1
        }
    };
    // Nothing of a world that is over is taken down piece by piece.
    std::process::exit(code)
}

/// What the log shows: how old the world is, in seconds.
struct Clock;

impl FormatTime for Clock {
    fn format_time(&self, line: &mut Writer<'_>) -> std::fmt::Result {
        let elapsed = shims::elapsed();
        write!(line, "{:4}.{:03}", elapsed.as_secs(), elapsed.subsec_millis())
    }
}

/// A panic in any task ends the process, as it does a node's: tokio would keep it to itself.
fn end_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::abort();
    }));
}
