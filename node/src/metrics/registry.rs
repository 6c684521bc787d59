//! Every metric of the node. Counters are raised where things happen; what has a value at any time (channels, peers,
//! the ledger's tip) is given by the node as a [`Snapshot`] when someone reads.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use towpath_api::{BatchStats, ChannelTotals, Stats};

use super::process::{Usage, usage};
use super::recorder::Recorder;

/// What has a value at any time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Snapshot {
    /// Channels by state.
    pub channels: ChannelTotals,
    /// Connected peers.
    pub peers: u64,
    /// The height of the newest block.
    pub height: u64,
    /// The age of the newest block.
    pub tip_age_ms: u64,
    /// Transactions that wait for a block.
    pub mempool_transactions: u64,
    /// Their size.
    pub mempool_bytes: u64,
    /// Size of the database on disk.
    pub database_bytes: u64,
    /// Whether the node is in recovery: 1, else 0.
    pub recovery: u64,
    /// Watchtowers that this node uses.
    pub towers: u64,
    /// Of those, in good health.
    pub towers_good: u64,
    /// Channels whose newest state is at too few of them.
    pub towers_behind: u64,
    /// Records that this node keeps for others.
    pub tower_records: u64,
    /// Nodes that have some.
    pub tower_clients: u64,
    /// Closings for which it has records.
    pub tower_cases: u64,
    /// Closings that it contested since its start.
    pub tower_contested: u64,
    /// Of those, with the proof that the author knew better.
    pub tower_penalized: u64,
}

/// All counters of one node.
pub struct Metrics {
    started: Instant,
    registry: Registry,
    gauges: Gauges,
    payments_sent: Counter,
    payments_received: Counter,
    payments_failed: Counter,
    payment_latency: Histogram,
    sync_latency: Histogram,
    sync_recorder: Recorder,
    bytes_written: Counter,
    writes_per_sync: Batches,
    turn_inputs: Batches,
    verified_signatures: Batches,
    messages_sent: Counter,
    messages_received: Counter,
    messages_refused: Counter,
    blocks_applied: Counter,
    transactions_applied: Counter,
}

#[derive(Default)]
struct Gauges {
    channels: Family<StateLabel, Gauge<u64, AtomicU64>>,
    peers: Gauge<u64, AtomicU64>,
    height: Gauge<u64, AtomicU64>,
    tip_age: Gauge<f64, AtomicU64>,
    mempool_transactions: Gauge<u64, AtomicU64>,
    mempool_bytes: Gauge<u64, AtomicU64>,
    database_bytes: Gauge<u64, AtomicU64>,
    recovery: Gauge<u64, AtomicU64>,
    towers: Gauge<u64, AtomicU64>,
    towers_good: Gauge<u64, AtomicU64>,
    towers_behind: Gauge<u64, AtomicU64>,
    tower_records: Gauge<u64, AtomicU64>,
    tower_clients: Gauge<u64, AtomicU64>,
    tower_cases: Gauge<u64, AtomicU64>,
    tower_contested: Gauge<u64, AtomicU64>,
    tower_penalized: Gauge<u64, AtomicU64>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct StateLabel {
    state: &'static str,
}

/// Sizes of batches: the distribution for Prometheus, count, sum and maximum for statistics.
struct Batches {
    histogram: Histogram,
    count: AtomicU64,
    items: AtomicU64,
    max: AtomicU64,
}

impl Batches {
    fn new() -> Self {
        let histogram = Histogram::new(exponential_buckets(1.0, 4.0, 7));
        Self { histogram, count: AtomicU64::new(0), items: AtomicU64::new(0), max: AtomicU64::new(0) }
    }

    fn record(&self, items: u64) {
        // A float holds the size of every batch that fits memory.
        #[expect(clippy::cast_precision_loss, reason = "batches are far smaller than 2^52")]
        self.histogram.observe(items as f64);
        self.count.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(items, Ordering::Relaxed);
        self.max.fetch_max(items, Ordering::Relaxed);
    }

    fn stats(&self) -> BatchStats {
        BatchStats {
            count: self.count.load(Ordering::Relaxed),
            items: self.items.load(Ordering::Relaxed),
            max: self.max.load(Ordering::Relaxed),
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All zero, counting from now.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            started: Instant::now(),
            registry: Registry::with_prefix("towpath"),
            gauges: Gauges::default(),
            payments_sent: Counter::default(),
            payments_received: Counter::default(),
            payments_failed: Counter::default(),
            // 100 µs to 6.5 s.
            payment_latency: Histogram::new(exponential_buckets(0.0001, 2.0, 17)),
            // 50 µs to 1.6 s.
            sync_latency: Histogram::new(exponential_buckets(0.00005, 2.0, 16)),
            sync_recorder: Recorder::default(),
            bytes_written: Counter::default(),
            writes_per_sync: Batches::new(),
            turn_inputs: Batches::new(),
            verified_signatures: Batches::new(),
            messages_sent: Counter::default(),
            messages_received: Counter::default(),
            messages_refused: Counter::default(),
            blocks_applied: Counter::default(),
            transactions_applied: Counter::default(),
        };
        metrics.register_counters();
        metrics.register_gauges();
        metrics.registry.register_collector(Box::new(ProcessCollector));
        metrics
    }

    fn register_counters(&mut self) {
        let registry = &mut self.registry;
        for (name, help, counter) in [
            ("payments_sent", "Payments of this node that are settled", &self.payments_sent),
            ("payments_received", "Payments to this node that are final", &self.payments_received),
            ("payments_failed", "Payments of this node that failed", &self.payments_failed),
            ("messages_sent", "Channel messages sent", &self.messages_sent),
            ("messages_received", "Channel messages received", &self.messages_received),
            ("messages_refused", "Channel messages that broke a rule", &self.messages_refused),
            ("blocks_applied", "Blocks applied", &self.blocks_applied),
            ("transactions_applied", "Transactions in the blocks applied", &self.transactions_applied),
        ] {
            registry.register(name, help, counter.clone());
        }
        registry.register_with_unit(
            "written",
            "Handed to the database",
            Unit::Bytes,
            self.bytes_written.clone(),
        );
        for (name, help, histogram) in [
            ("payment_latency", "From a payment's request to its acknowledgement", &self.payment_latency),
            ("sync_latency", "Synced writes of the database", &self.sync_latency),
        ] {
            registry.register_with_unit(name, help, Unit::Seconds, histogram.clone());
        }
        for (name, help, batches) in [
            ("writes_per_sync", "Writes that shared one sync", &self.writes_per_sync),
            ("turn_inputs", "Inputs of one turn of a channel worker", &self.turn_inputs),
            ("verified_signatures", "Signatures of one verification", &self.verified_signatures),
        ] {
            registry.register(name, help, batches.histogram.clone());
        }
    }

    fn register_gauges(&mut self) {
        let (registry, gauges) = (&mut self.registry, &self.gauges);
        registry.register("channels", "Channels by state", gauges.channels.clone());
        registry.register_with_unit(
            "tip_age",
            "Age of the newest block",
            Unit::Seconds,
            gauges.tip_age.clone(),
        );
        for (name, help, gauge) in [
            ("peers", "Connected peers", &gauges.peers),
            ("ledger_height", "Height of the newest block", &gauges.height),
            ("mempool_transactions", "Transactions that wait for a block", &gauges.mempool_transactions),
            ("mempool_bytes", "Size of the transactions that wait for a block", &gauges.mempool_bytes),
            ("database_bytes", "Size of the database on disk", &gauges.database_bytes),
            ("recovery", "Whether the node is in recovery and signs nothing", &gauges.recovery),
            ("towers", "Watchtowers that the node uses", &gauges.towers),
            ("towers_good", "Watchtowers that the node uses and that do well", &gauges.towers_good),
            ("towers_behind", "Channels whose newest state is at too few watchtowers", &gauges.towers_behind),
            ("tower_records", "Records that the node keeps as a watchtower", &gauges.tower_records),
            ("tower_clients", "Nodes that have records here", &gauges.tower_clients),
            ("tower_cases", "Closings for which there are records here", &gauges.tower_cases),
            (
                "tower_contested",
                "Closings contested as a watchtower since the start",
                &gauges.tower_contested,
            ),
            ("tower_penalized", "Of those, with the proof of a cheat", &gauges.tower_penalized),
        ] {
            registry.register(name, help, gauge.clone());
        }
    }

    /// A payment of this node is settled.
    pub fn payment_sent(&self, latency: Duration) {
        self.payments_sent.inc();
        self.payment_latency.observe(latency.as_secs_f64());
    }

    /// Payments to this node are final.
    pub fn payments_received(&self, count: u64) {
        self.payments_received.inc_by(count);
    }

    /// A payment of this node failed.
    pub fn payment_failed(&self) {
        self.payments_failed.inc();
    }

    /// The database wrote `writes` batches of `bytes` in all with one sync that took `latency`.
    pub fn synced(&self, writes: u64, bytes: u64, latency: Duration) {
        self.sync_latency.observe(latency.as_secs_f64());
        self.sync_recorder.record(latency);
        self.writes_per_sync.record(writes);
        self.bytes_written.inc_by(bytes);
    }

    /// A worker took a turn.
    pub fn turn(&self, inputs: u64) {
        self.turn_inputs.record(inputs);
    }

    /// Signatures were verified together.
    pub fn verified(&self, signatures: u64) {
        self.verified_signatures.record(signatures);
    }

    /// Channel messages were sent.
    pub fn messages_sent(&self, count: u64) {
        self.messages_sent.inc_by(count);
    }

    /// Channel messages arrived.
    pub fn messages_received(&self, count: u64) {
        self.messages_received.inc_by(count);
    }

    /// A channel message broke a rule.
    pub fn message_refused(&self) {
        self.messages_refused.inc();
    }

    /// A block was applied.
    pub fn block_applied(&self, transactions: u64) {
        self.blocks_applied.inc();
        self.transactions_applied.inc_by(transactions);
    }

    /// Since the node started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(&self, snapshot: &Snapshot) -> String {
        self.gauges.set(snapshot);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)
            .expect("a string takes everything");
        text
    }

    /// All counters as `/v1/stats` shows them.
    #[must_use]
    pub fn stats(&self, database_bytes: u64) -> Stats {
        let Usage { cpu_us, memory_bytes, open_files: _ } = usage();
        let sync_latency = self.sync_recorder.latency();
        let turn_inputs = self.turn_inputs.stats();
        Stats {
            uptime_ms: u64::try_from(self.uptime().as_millis()).unwrap_or(u64::MAX),
            payments_sent: self.payments_sent.get(),
            payments_received: self.payments_received.get(),
            payments_failed: self.payments_failed.get(),
            syncs: sync_latency.count,
            sync_latency,
            bytes_written: self.bytes_written.get(),
            turns: turn_inputs.count,
            turn_inputs,
            verified_signatures: self.verified_signatures.stats(),
            writes_per_sync: self.writes_per_sync.stats(),
            messages_sent: self.messages_sent.get(),
            messages_received: self.messages_received.get(),
            blocks_applied: self.blocks_applied.get(),
            transactions_applied: self.transactions_applied.get(),
            cpu_us,
            memory_bytes,
            database_bytes,
        }
    }
}

impl Gauges {
    fn set(&self, snapshot: &Snapshot) {
        let channels = snapshot.channels;
        for (state, count) in [
            ("opening", channels.opening),
            ("active", channels.active),
            ("closing", channels.closing),
            ("disputed", channels.disputed),
            ("settled", channels.settled),
        ] {
            self.channels.get_or_create(&StateLabel { state }).set(count);
        }
        self.peers.set(snapshot.peers);
        self.height.set(snapshot.height);
        self.tip_age.set(Duration::from_millis(snapshot.tip_age_ms).as_secs_f64());
        self.mempool_transactions.set(snapshot.mempool_transactions);
        self.mempool_bytes.set(snapshot.mempool_bytes);
        self.database_bytes.set(snapshot.database_bytes);
        self.recovery.set(snapshot.recovery);
        self.towers.set(snapshot.towers);
        self.towers_good.set(snapshot.towers_good);
        self.towers_behind.set(snapshot.towers_behind);
        self.tower_records.set(snapshot.tower_records);
        self.tower_clients.set(snapshot.tower_clients);
        self.tower_cases.set(snapshot.tower_cases);
        self.tower_contested.set(snapshot.tower_contested);
        self.tower_penalized.set(snapshot.tower_penalized);
    }
}

/// Reads what the process uses whenever someone asks.
#[derive(Debug)]
struct ProcessCollector;

impl prometheus_client::collector::Collector for ProcessCollector {
    fn encode(
        &self,
        mut encoder: prometheus_client::encoding::DescriptorEncoder<'_>,
    ) -> Result<(), std::fmt::Error> {
        use prometheus_client::encoding::EncodeMetric;
        use prometheus_client::metrics::gauge::ConstGauge;

        let usage = usage();
        let cpu = ConstCounter::new(Duration::from_micros(usage.cpu_us).as_secs_f64());
        cpu.encode(encoder.encode_descriptor(
            "process_cpu",
            "Processor time",
            Some(&Unit::Seconds),
            cpu.metric_type(),
        )?)?;
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Resident memory", usage.memory_bytes),
            ("process_open_files", "Open file descriptors", usage.open_files),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use towpath_api::{BatchStats, ChannelTotals};

    use super::{Metrics, Snapshot};

    #[test]
    fn what_happens_is_counted_in_both_forms() {
        let metrics = Metrics::new();
        metrics.payment_sent(Duration::from_millis(2));
        metrics.payments_received(3);
        metrics.synced(5, 900, Duration::from_micros(700));
        metrics.synced(1, 100, Duration::from_micros(700));
        metrics.turn(8);
        metrics.block_applied(2);

        let stats = metrics.stats(77);
        assert_eq!((stats.payments_sent, stats.payments_received, stats.syncs), (1, 3, 2));
        assert_eq!((stats.bytes_written, stats.database_bytes, stats.turns), (1000, 77, 1));
        assert_eq!(stats.writes_per_sync, BatchStats { count: 2, items: 6, max: 5 });
        assert_eq!((stats.blocks_applied, stats.transactions_applied), (1, 2));

        let channels = ChannelTotals { active: 4, ..ChannelTotals::default() };
        let text = metrics.encode(&Snapshot { channels, peers: 3, height: 9, ..Snapshot::default() });
        for line in [
            "towpath_payments_sent_total 1",
            "towpath_payments_received_total 3",
            "towpath_channels{state=\"active\"} 4",
            "towpath_channels{state=\"settled\"} 0",
            "towpath_peers 3",
            "towpath_ledger_height 9",
            "towpath_written_bytes_total 1000",
            "towpath_sync_latency_seconds_count 2",
            "towpath_writes_per_sync_sum 6.0",
            "# EOF",
        ] {
            assert!(text.lines().any(|have| have == line), "no line {line:?} in:\n{text}");
        }
        assert!(text.contains("towpath_process_cpu_seconds_total "), "{text}");
    }

    #[test]
    fn no_label_grows_with_channels_or_peers() {
        let text = Metrics::new().encode(&Snapshot::default());
        let labels: std::collections::BTreeSet<&str> = text
            .lines()
            .filter_map(|line| line.split_once('{')?.1.split_once('=').map(|(name, _)| name))
            .collect();
        assert_eq!(labels.into_iter().collect::<Vec<_>>(), ["le", "state"]);
    }
}
