//! `./x power`: cuts the power of a node with real files, again and again, and says what was left.

use std::process::ExitCode;
use std::time::Instant;

use towpath_tests::power::audit::Verdict;
use towpath_tests::power::disk::Syncs;
use towpath_tests::power::recording::{Recording, lacking};
use towpath_tests::power::{Images, Tally, keep_images, last_image, open_images};

const USAGE: &str = "./x power [--images N] [--payments N] [--restarts N] [--seed N]
  --images N    how many folders after a power cut are opened (300)
  --payments N  how many payments are made each way, twice (300)
  --restarts N  how many of the folders the node itself is started on (5)
  --seed N      draws what is kept of what was not synced (1)";

struct Asked {
    images: usize,
    payments: u32,
    restarts: usize,
    seed: u64,
}

fn asked() -> Result<Asked, String> {
    let mut asked = Asked { images: 300, payments: 300, restarts: 5, seed: 1 };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value: Option<u32> = arguments.next().and_then(|value| value.parse().ok());
        let count = |value: u32| usize::try_from(value).unwrap_or(usize::MAX);
        match (name.as_str(), value) {
            ("--images", Some(value)) => asked.images = count(value),
            ("--payments", Some(value)) => asked.payments = value,
            ("--restarts", Some(value)) => asked.restarts = count(value),
            ("--seed", Some(value)) => asked.seed = u64::from(value),
            _ => return Err(name),
        }
    }
    Ok(asked)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let asked = match asked() {
        Ok(asked) => asked,
        Err(name) => {
            eprintln!("error: not understood: {name}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    if let Some(why) = lacking() {
        eprintln!("error: {why}");
        return ExitCode::from(3);
    }
    match run(&asked).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went as it must.
async fn run(asked: &Asked) -> Result<bool, String> {
    let began = Instant::now();
    let mut recording = Recording::make(asked.payments).await;
    let events: usize = recording.sessions.iter().map(Vec::len).sum();
    println!("recorded {events} calls in {} s", began.elapsed().as_secs());
    let mut is_well = true;
    for syncs in [Syncs::Kept, Syncs::Ignored, Syncs::IgnoredForLogs] {
        let began = Instant::now();
        let how = Images { count: asked.images, seed: asked.seed, syncs };
        let tally = open_images(&recording, how, |_| ())?;
        is_well &= say(syncs, &tally, began.elapsed().as_secs());
    }
    let how = Images { count: asked.restarts, seed: asked.seed, syncs: Syncs::Kept };
    let (kept, images) = keep_images(&recording, how)?;
    let last = kept.path().join("last");
    last_image(&recording, &last)?;
    recording.return_among_peers(&last).await;
    println!("the node came back among its peers");
    for (image, due) in &images {
        let verdict = recording.return_alone(image, due).await;
        println!("the node came back alone: {verdict:?}");
        is_well &= verdict == Verdict::Whole;
    }
    Ok(is_well)
}

/// Whether that is what such a disk must show.
fn say(syncs: Syncs, tally: &Tally, seconds: u64) -> bool {
    let Tally { boundaries, images, whole, noticed, lost, payments_told } = tally;
    println!(
        "syncs {syncs:?}: {images} images at {boundaries} ends of syncs, at most {payments_told} payments told: {} whole {whole:?}, \
         {} noticed, {} lost, {seconds} s",
        whole.values().sum::<usize>(),
        noticed.len(),
        lost.len()
    );
    noticed.iter().take(3).for_each(|what| println!("  noticed: {what}"));
    lost.iter().take(3).for_each(|what| println!("  lost: {what}"));
    match syncs {
        Syncs::Kept => noticed.is_empty() && lost.is_empty(),
        Syncs::Ignored => !lost.is_empty(),
        Syncs::IgnoredForLogs => lost.is_empty() && !noticed.is_empty(),
    }
}
