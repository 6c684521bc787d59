//! Measures payments between two node processes on one machine: real sockets, real keys, synced writes.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;
use towpath_api::{
    ChannelState, Client, Latency, OpenChannel, OpenWait, StartStream, Stats, StoredBytes, Stream,
    StreamState, Units,
};

use crate::channels::open_once;
use crate::error::TestnetError;
use crate::network::Network;
use crate::setup::Plan;
use crate::state::NodeState;
use crate::topology::Topology;

/// What each side has in each channel: enough for one-way runs of millions of payments of one unit.
const CHANNEL_AMOUNT: u64 = 10_000_000;

/// How many openings are under way at a time: a peer that is asked for too many at once refuses.
const OPENINGS: usize = 4;

/// How often a stream is asked whether it is done: seldom, so that asking costs nothing.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchPlan {
    /// Over how many channels, one run each.
    pub channels: Vec<u32>,
    /// Payments of each run, over all its channels.
    pub payments: u64,
    /// Before each run, so many payments on each channel that are not measured.
    pub warm_up: u64,
    /// Unacknowledged payments on each channel.
    pub in_flight: u32,
    /// Who pays.
    pub ways: Ways,
    /// A folder for this measurement alone.
    pub dir: PathBuf,
    /// The node's program.
    pub program: PathBuf,
}

/// Who pays.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ways {
    /// The first node.
    One,
    /// Each half of the payments.
    Both,
}

/// Where it was measured.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Machine {
    /// The processor.
    pub cpu: String,
    /// How many threads it runs at once.
    pub cores: usize,
    /// The operating system's kernel.
    pub kernel: String,
}

/// One run.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BenchRun {
    /// Over how many channels.
    pub channels: u32,
    /// Settled payments.
    pub payments: u64,
    /// From the first to the last.
    pub elapsed_us: u64,
    /// Settled payments a second.
    pub payments_per_second: u64,
    /// From asking until the payee's durable acknowledgement; the slowest channel's figures.
    pub latency: Latency,
    /// Processor time of both processes for one payment, in nanoseconds.
    pub cpu_ns_per_payment: u64,
    /// Synced writes of both databases a second.
    pub syncs_per_second: u64,
    /// Payments for each synced write of the payer and of the payee together.
    pub payments_per_sync: f64,
    /// Bytes handed to both databases for one payment.
    pub bytes_written_per_payment: u64,
    /// What both nodes keep of one channel before the payments: the largest of all channels.
    pub channel_bytes_before: StoredBytes,
    /// And after.
    pub channel_bytes_after: StoredBytes,
    /// Size of the first node's database files before the payments.
    pub database_bytes_before: u64,
    /// And after.
    pub database_bytes_after: u64,
}

/// All runs.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct BenchReport {
    /// Where.
    pub machine: Machine,
    /// Unacknowledged payments on each channel.
    pub in_flight: u32,
    /// Who paid.
    pub ways: Ways,
    /// The runs.
    pub runs: Vec<BenchRun>,
}

/// Measures; the nodes are stopped at the end, whatever happens.
///
/// # Errors
/// When the nodes cannot be run, or a stream fails.
pub async fn run(plan: &BenchPlan, mut progress: impl FnMut(&str)) -> Result<BenchReport, TestnetError> {
    let most = plan.channels.iter().copied().max().unwrap_or(1);
    let shape = Plan {
        nodes: 2,
        validators: 1,
        topology: Topology::Line,
        // One output for each opening, so that they need not wait for each other's change.
        coins: most.saturating_add(8),
        coin: CHANNEL_AMOUNT * 2,
    };
    let (mut network, _) = Network::prepare(&plan.dir, plan.program.clone(), &shape)?;
    let outcome = match network.up().await {
        Ok(()) => measure(&network, plan, &mut progress).await,
        Err(error) => Err(error),
    };
    network.down().await?;
    Ok(BenchReport { machine: machine(), in_flight: plan.in_flight, ways: plan.ways, runs: outcome? })
}

async fn measure(
    network: &Network,
    plan: &BenchPlan,
    progress: &mut impl FnMut(&str),
) -> Result<Vec<BenchRun>, TestnetError> {
    let [first, second] = network.state().nodes.as_slice() else {
        return Err(TestnetError::Broken("the benchmark has two nodes".to_owned()));
    };
    let pair = Pair {
        payer: network.client(&first.name)?,
        payee: network.client(&second.name)?,
        names: [first.name.clone(), second.name.clone()],
    };
    let (mut open, mut runs) = (Vec::new(), Vec::new());
    let mut counts = plan.channels.clone();
    counts.sort_unstable();
    for count in counts {
        let wanted = usize::try_from(count).unwrap_or(usize::MAX);
        progress(&format!("opening {} channels", wanted.saturating_sub(open.len())));
        while open.len() < wanted {
            let batch = (wanted - open.len()).min(OPENINGS);
            let opened = futures::future::try_join_all((0..batch).map(|_| pair.open(second))).await?;
            open.extend(opened);
        }
        progress(&format!("{} payments over {count} channels", plan.payments));
        pair.pay(&open, plan.warm_up.saturating_mul(u64::from(count)), plan).await?;
        runs.push(pair.measured(&open, count, plan).await?);
    }
    Ok(runs)
}

/// The two nodes.
struct Pair {
    payer: Client,
    payee: Client,
    names: [String; 2],
}

impl Pair {
    async fn open(&self, to: &NodeState) -> Result<String, TestnetError> {
        let request = OpenChannel {
            peer: to.node.clone(),
            address: Some(to.p2p.clone()),
            amount: Units(CHANNEL_AMOUNT),
            peer_amount: Some(Units(CHANNEL_AMOUNT)),
            dispute_window_ms: None,
            reserve: None,
            expires_ms: None,
            wait: OpenWait::Active,
            timeout_ms: Some(60_000),
            idempotency_key: None,
        };
        let channel = open_once(&self.payer, &request).await.map_err(|source| self.call(source))?;
        // The other side must have seen the funding, too.
        loop {
            match self.payee.channel(&channel.id).await {
                Ok(seen) if seen.state == ChannelState::Active => return Ok(channel.id),
                Ok(_) | Err(_) => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }

    async fn measured(
        &self,
        open: &[String],
        count: u32,
        plan: &BenchPlan,
    ) -> Result<BenchRun, TestnetError> {
        let channel_bytes_before = self.largest(open).await?;
        let before = self.stats().await?;
        let began = Instant::now();
        let streams = self.pay(open, plan.payments, plan).await?;
        let wall_us = micros(began.elapsed());
        let after = self.stats().await?;
        let channel_bytes_after = self.largest(open).await?;
        let payments: u64 = streams.iter().map(|stream| stream.settled).sum();
        // The nodes' own clocks know when the last stream ended better than the one who asks now and then.
        let elapsed_us = streams.iter().map(|stream| stream.elapsed_us).max().unwrap_or(wall_us).max(1);
        let delta = |of: fn(&Stats) -> u64| {
            before.iter().zip(&after).map(|(old, new)| of(new).saturating_sub(of(old))).sum::<u64>()
        };
        let syncs = delta(|stats| stats.syncs);
        let a_payment = |amount: u64| amount / payments.max(1);
        Ok(BenchRun {
            channels: count,
            payments,
            elapsed_us,
            payments_per_second: a_second(payments, elapsed_us),
            latency: slowest(&streams),
            cpu_ns_per_payment: a_payment(delta(|stats| stats.cpu_us).saturating_mul(1_000)),
            syncs_per_second: a_second(syncs, wall_us.max(1)),
            payments_per_sync: ratio(payments, syncs),
            bytes_written_per_payment: a_payment(delta(|stats| stats.bytes_written)),
            channel_bytes_before,
            channel_bytes_after,
            database_bytes_before: before[0].database_bytes,
            database_bytes_after: after[0].database_bytes,
        })
    }

    /// Pays over all channels at once, and waits until all is settled.
    async fn pay(
        &self,
        open: &[String],
        payments: u64,
        plan: &BenchPlan,
    ) -> Result<Vec<Stream>, TestnetError> {
        let payers: &[&Client] = match plan.ways {
            Ways::One => &[&self.payer],
            Ways::Both => &[&self.payer, &self.payee],
        };
        let lanes = u64::try_from(open.len() * payers.len()).unwrap_or(u64::MAX).max(1);
        let request = StartStream {
            amount: Units(1),
            count: (payments / lanes).max(1),
            in_flight: plan.in_flight,
            idempotency_key: None,
        };
        let streams =
            open.iter().flat_map(|channel| payers.iter().map(|payer| self.stream(payer, channel, &request)));
        futures::future::try_join_all(streams).await
    }

    async fn stream(
        &self,
        payer: &Client,
        channel: &str,
        request: &StartStream,
    ) -> Result<Stream, TestnetError> {
        let mut stream = payer.start_stream(channel, request).await.map_err(|source| self.call(source))?;
        while stream.state == StreamState::Running {
            tokio::time::sleep(ASK_EVERY).await;
            stream = payer.stream(&stream.id).await.map_err(|source| self.call(source))?;
        }
        if stream.state == StreamState::Done && stream.failed == 0 {
            return Ok(stream);
        }
        Err(TestnetError::Broken(format!(
            "the stream on {channel} did not settle all its payments: {stream:?}"
        )))
    }

    /// What both nodes together keep of a channel: the most that any of them takes.
    async fn largest(&self, open: &[String]) -> Result<StoredBytes, TestnetError> {
        let mut most = StoredBytes::default();
        for channel in open {
            let mut both = StoredBytes::default();
            for client in [&self.payer, &self.payee] {
                let seen = client.channel(channel).await.map_err(|source| self.call(source))?;
                let stored = seen.stored.unwrap_or_default();
                both.state = both.state.saturating_add(stored.state);
                both.history = both.history.saturating_add(stored.history);
            }
            most.state = most.state.max(both.state);
            most.history = most.history.max(both.history);
        }
        Ok(most)
    }

    async fn stats(&self) -> Result<[Stats; 2], TestnetError> {
        let ask = async |client: &Client| client.stats().await.map_err(|source| self.call(source));
        Ok([ask(&self.payer).await?, ask(&self.payee).await?])
    }

    fn call(&self, source: towpath_api::ClientError) -> TestnetError {
        TestnetError::Call { name: self.names.join(" and "), source }
    }
}

/// The figures of the channel with the highest 99th percentile: no mean of percentiles is one.
fn slowest(streams: &[Stream]) -> Latency {
    streams.iter().map(|stream| stream.latency).max_by_key(|latency| latency.p99_us).unwrap_or_default()
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn a_second(count: u64, us: u64) -> u64 {
    u64::try_from(u128::from(count) * 1_000_000 / u128::from(us)).unwrap_or(u64::MAX)
}

/// To two digits; a figure for people, never money.
fn ratio(count: u64, of: u64) -> f64 {
    let hundredths = u32::try_from(count.saturating_mul(100) / of.max(1)).unwrap_or(u32::MAX);
    f64::from(hundredths) / 100.0
}

fn machine() -> Machine {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    Machine {
        cpu: model.map_or("unknown", |(_, model)| model.trim()).to_owned(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        kernel: kernel.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_rounded_down_and_never_divide_by_nothing() {
        assert_eq!(a_second(1_000, 500_000), 2_000);
        assert_eq!(ratio(1_000, 30).to_string(), "33.33");
        assert_eq!(ratio(5, 0).to_string(), "5");
    }
}
