//! One run: set up, pay, kill, restart, audit, close.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use towpath_api::Units;

use super::audit::Auditor;
use super::book::{Book, Outcome};
use super::closing;
use super::payers::Payers;
use super::report::{CrashReport, Kills, Recovery};
use crate::channels::{DISPUTE_WINDOW_MS, Edge, open_all};
use crate::error::TestnetError;
use crate::network::Network;
use crate::setup::Plan;
use crate::topology::Topology;

/// What each side puts into each channel.
const CHANNEL_AMOUNT: u64 = 50_000_000;

/// The longest wait for an acknowledgement after which to kill: the traffic may stand still.
const ACK_MAX: Duration = Duration::from_secs(5);

/// What to do.
#[derive(Clone, Debug)]
pub struct CrashPlan {
    /// How many kills.
    pub kills: u32,
    /// Chooses who, and when.
    pub seed: u64,
    /// How many nodes.
    pub nodes: usize,
    /// A folder for this run alone.
    pub dir: PathBuf,
    /// The node's program.
    pub program: PathBuf,
}

/// Runs it; `progress` is told after each kill. Nodes are stopped at the end, whatever happened.
///
/// # Errors
/// When the network cannot be run at all. Broken rules are no error: they stand in the report.
pub async fn run(
    plan: &CrashPlan,
    mut progress: impl FnMut(u32, &Kills),
) -> Result<CrashReport, TestnetError> {
    let began = Instant::now();
    let shape = Plan::of(plan.nodes, Topology::Ring);
    let total = shape.coin * u64::from(shape.coins) * u64::try_from(plan.nodes).unwrap_or(0);
    let (mut network, _) = Network::prepare(&plan.dir, plan.program.clone(), &shape)?;
    let outcome = match network.up().await {
        Ok(()) => stress(&mut network, plan, total, &mut progress).await,
        Err(error) => Err(error),
    };
    network.down().await?;
    let mut report = outcome?;
    report.seed = plan.seed;
    report.elapsed_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    Ok(report)
}

async fn stress(
    network: &mut Network,
    plan: &CrashPlan,
    total: u64,
    progress: &mut impl FnMut(u32, &Kills),
) -> Result<CrashReport, TestnetError> {
    let edges = open_all(network.state(), Units(CHANNEL_AMOUNT), DISPUTE_WINDOW_MS).await?;
    let book = Arc::new(Book::default());
    let payers = Payers::start(network.state(), &edges, &book, plan.seed)?;
    let mut report = CrashReport::default();
    let mut random = ChaCha8Rng::seed_from_u64(plan.seed);
    let mut recoveries = Vec::new();
    for done in 1..=plan.kills {
        let victim = moment(&mut random, &edges, &book, &mut report.kills).await;
        network.kill(&victim).await?;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..200))).await;
        let started = Instant::now();
        network.start(&victim)?;
        network.ready(&victim).await?;
        recoveries.push(started.elapsed());
        report.restarts += 1;
        let auditor = auditor(network, &edges, total);
        report.heights_compared += auditor.ledger(&mut report.violations).await?;
        progress(done, &report.kills);
        if !report.violations.is_empty() || !book.faults().is_empty() {
            break;
        }
    }
    payers.finish().await;
    report.recovery = Recovery::of(&recoveries);
    settle(&auditor(network, &edges, total), &book, &mut report).await?;
    Ok(report)
}

const fn auditor<'a>(network: &'a Network, edges: &'a [Edge], total: u64) -> Auditor<'a> {
    Auditor { network, edges, amount: CHANNEL_AMOUNT, total }
}

/// Waits for a random moment, and chooses who is killed then.
async fn moment(random: &mut ChaCha8Rng, edges: &[Edge], book: &Book, kills: &mut Kills) -> String {
    let edge = &edges[random.random_range(0..edges.len())];
    let (payer, payee) = if random.random_range(0..2) == 0 {
        (&edge.opener, &edge.acceptor)
    } else {
        (&edge.acceptor, &edge.opener)
    };
    let victim = match random.random_range(0..3) {
        0 => {
            kills.payer += 1;
            payer
        }
        1 => {
            kills.payee += 1;
            payee
        }
        _ => {
            kills.validator += 1;
            &edges[random.random_range(0..edges.len())].opener
        }
    };
    let delay = Duration::from_millis(random.random_range(0..400));
    let right_after_an_ack = random.random_range(0..3) == 0;
    tokio::time::sleep(delay).await;
    if right_after_an_ack {
        kills.after_ack += 1;
        // Without traffic there is none; then any moment is as good.
        let _ = tokio::time::timeout(ACK_MAX, book.acked.notified()).await;
    }
    victim.clone()
}

/// Everything at rest: the audit of the channels, their ends, and the last look at the ledger.
async fn settle(auditor: &Auditor<'_>, book: &Book, report: &mut CrashReport) -> Result<(), TestnetError> {
    report.violations.extend(book.faults());
    for order in book.all() {
        match order.outcome {
            Outcome::Acked(_) => report.payments_acked += 1,
            Outcome::Refused => report.payments_refused += 1,
            Outcome::Open => report.payments_unresolved += 1,
        }
    }
    if report.payments_unresolved > 0 {
        report.violations.push(format!("{} payments have no known outcome", report.payments_unresolved));
    }
    let sides = auditor.quiet(&mut report.violations).await?;
    report.payments_streamed = auditor.channels(&sides, book, &mut report.violations).await?;
    report.channels_closed = closing::close_all(auditor, &sides, &mut report.violations).await?;
    report.heights_compared += auditor.ledger(&mut report.violations).await?;
    Ok(())
}
