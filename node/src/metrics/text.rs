//! A [`Reading`] in the OpenMetrics text format. Every metric stands here once, with its unit and what it means.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::buckets::Distribution;
use super::reading::{Reading, group_sizes, times};

/// What a metric shows.
enum Value {
    /// Only ever rises.
    Counter(u64),
    /// Only ever rises; a time in microseconds, shown in seconds.
    CounterTime(u64),
    /// Now.
    Gauge(u64),
    /// Now; a time in microseconds, shown in seconds.
    GaugeTime(u64),
    /// Counters that differ in one label.
    Counters(&'static str, Vec<(&'static str, u64)>),
    /// Gauges that differ in one label.
    Gauges(&'static str, Vec<(&'static str, u64)>),
    /// Numbers of things.
    Sizes(Distribution),
    /// Microseconds, shown in seconds.
    Times(Distribution),
}

/// A metric: its name without prefix, unit and suffix; its unit; what it means; what it shows.
struct Metric(&'static str, Option<Unit>, &'static str, Value);

impl Reading {
    /// All metrics in the OpenMetrics text format.
    #[must_use]
    pub fn encode(self) -> String {
        let mut registry = Registry::with_prefix("towpath");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string takes everything");
        text
    }

    fn metrics(&self) -> impl Iterator<Item = Metric> + use<> {
        let parts = [
            self.payments(),
            self.towers(),
            self.storage(),
            self.network(),
            self.traffic(),
            self.chain(),
            self.process(),
        ];
        parts.into_iter().flatten()
    }

    fn payments(&self) -> Vec<Metric> {
        use Value::*;
        let (workers, channels) = (&self.workers, &self.channels);
        let states = vec![
            ("opening", channels.opening),
            ("active", channels.active),
            ("closing", channels.closing),
            ("disputed", channels.disputed),
            ("settled", channels.settled),
            ("damaged", channels.damaged),
        ];
        vec![
            Metric(
                "payments_sent",
                None,
                "Payments of this node that are settled",
                Counter(workers.payments_sent),
            ),
            Metric(
                "payments_received",
                None,
                "Payments to this node that are final",
                Counter(workers.payments_received),
            ),
            Metric(
                "payments_failed",
                None,
                "Payments of this node that failed",
                Counter(workers.payments_failed),
            ),
            Metric(
                "payment_latency",
                Some(Unit::Seconds),
                "From a payment's request to its acknowledgement, where somebody waited",
                Times(workers.payment_latency_us.clone()),
            ),
            Metric("channels", None, "Channels by state", Gauges("state", states)),
            Metric(
                "turn_inputs",
                None,
                "Inputs of one turn of a channel worker",
                Sizes(workers.turn_inputs.clone()),
            ),
            Metric(
                "verified_signatures",
                None,
                "Signatures that were verified as one batch",
                Sizes(workers.signatures.clone()),
            ),
            Metric(
                "turn_durable",
                Some(Unit::Seconds),
                "From the end of a turn until what it wrote is durable",
                Times(workers.durable_us.clone()),
            ),
            Metric(
                "worker_queue_inputs",
                None,
                "Inputs that wait for the channel workers",
                Gauge(self.waiting.workers),
            ),
        ]
    }

    fn towers(&self) -> Vec<Metric> {
        use Value::*;
        let tower = &self.tower;
        vec![
            Metric("towers", None, "Watchtowers that the node uses", Gauge(tower.towers)),
            Metric(
                "towers_good",
                None,
                "Watchtowers that the node uses and that do well",
                Gauge(tower.towers_good),
            ),
            Metric(
                "towers_behind_channels",
                None,
                "Channels whose newest state is at too few watchtowers",
                Gauge(tower.behind),
            ),
            Metric(
                "tower_records",
                None,
                "Records that the node keeps as a watchtower",
                Gauge(tower.records),
            ),
            Metric("tower_clients", None, "Nodes that have records here", Gauge(tower.clients)),
            Metric("tower_cases", None, "Closings for which there are records here", Gauge(tower.cases)),
            Metric("tower_records_kept", None, "Records taken, replaced ones included", Counter(tower.kept)),
            Metric("tower_records_refused", None, "Records that were not taken", Counter(tower.refused)),
            Metric("tower_contested", None, "Closings contested as a watchtower", Counter(tower.contested)),
            Metric("tower_penalized", None, "Of those, with the proof of a cheat", Counter(tower.penalized)),
        ]
    }

    fn storage(&self) -> Vec<Metric> {
        use Value::*;
        let writes = &self.writes;
        vec![
            Metric(
                "write_group_batches",
                None,
                "Batches that were written with one sync",
                Sizes(group_sizes(writes)),
            ),
            Metric(
                "write_group",
                Some(Unit::Seconds),
                "Writing and syncing one group of batches",
                Times(times(&writes.database)),
            ),
            Metric(
                "write_group_anchor",
                Some(Unit::Seconds),
                "Writing and syncing the anchor of one group",
                Times(times(&writes.anchor)),
            ),
            Metric("written", Some(Unit::Bytes), "Handed to the database", Counter(writes.bytes)),
            Metric("write_queue_batches", None, "Batches that wait for the writer", Gauge(writes.waiting)),
            Metric("database", Some(Unit::Bytes), "Size of the database on disk", Gauge(self.database_bytes)),
            Metric(
                "recovery",
                None,
                "Whether the node is in recovery and signs nothing",
                Gauge(u64::from(self.recovering)),
            ),
        ]
    }

    fn network(&self) -> Vec<Metric> {
        use Value::*;
        let net = &self.net;
        vec![
            Metric("peers", None, "Connected peers", Gauge(net.peers)),
            Metric("sessions", None, "Channel sessions that are up", Gauge(net.sessions)),
            Metric("sessions_opened", None, "Channel sessions that came up", Counter(net.sessions_opened)),
            Metric("sessions_failed", None, "Session attempts that failed", Counter(net.sessions_failed)),
            Metric(
                "connections_refused",
                None,
                "Connections refused by a bound or a ban, or broken before they were secured",
                Counter(net.connections_refused),
            ),
            Metric("dials_failed", None, "Nodes that could not be reached", Counter(net.dials_failed)),
            Metric(
                "peers_of_other_chains",
                None,
                "Peers turned away because they are on another ledger",
                Counter(net.other_chain),
            ),
            Metric("gossip_published", None, "Gossip messages published", Counter(net.gossip_published)),
            Metric(
                "gossip_unpublished",
                None,
                "Gossip messages that nobody took",
                Counter(net.gossip_unpublished),
            ),
            Metric("gossip_received", None, "Gossip messages received", Counter(net.gossip_received)),
            Metric(
                "gossip_dropped",
                None,
                "Gossip messages dropped because the node was behind",
                Counter(net.gossip_dropped),
            ),
            Metric(
                "gossip_rejected",
                None,
                "Gossip messages that were invalid",
                Counter(net.gossip_rejected),
            ),
            Metric("sync_served", None, "Requests for blocks taken", Counter(net.sync_served)),
            Metric("sync_refused", None, "Requests for blocks refused", Counter(net.sync_refused)),
            Metric(
                "network_queue_commands",
                None,
                "Commands that wait for the network",
                Gauge(self.waiting.net),
            ),
        ]
    }

    fn traffic(&self) -> Vec<Metric> {
        use Value::*;
        let net = &self.net;
        let rejected = vec![
            ("length", net.frames_wrong_length),
            ("decryption", net.frames_not_decrypted),
            ("content", net.frames_wrong_content),
            ("slow", net.frames_too_slow),
            ("message", net.messages_malformed),
            ("protocol", net.messages_refused),
        ];
        vec![
            Metric("messages_sent", None, "Channel messages sent", Counter(net.messages_sent)),
            Metric("messages_received", None, "Channel messages received", Counter(net.messages_received)),
            Metric("frames_sent", None, "Frames of channel messages sent", Counter(net.frames_sent)),
            Metric(
                "frames_received",
                None,
                "Frames of channel messages received",
                Counter(net.frames_received),
            ),
            Metric(
                "frames_rejected",
                None,
                "Frames and messages that ended a channel session, by what was wrong",
                Counters("reason", rejected),
            ),
            Metric(
                "messages_sent",
                Some(Unit::Bytes),
                "Channel messages sent, before encryption",
                Counter(net.bytes_sent),
            ),
            Metric(
                "messages_received",
                Some(Unit::Bytes),
                "Channel messages received, after decryption",
                Counter(net.bytes_received),
            ),
            Metric(
                "send_queue",
                Some(Unit::Bytes),
                "Channel messages that wait to be written to peers",
                Gauge(self.waiting.unsent_bytes),
            ),
        ]
    }

    fn chain(&self) -> Vec<Metric> {
        use Value::*;
        let ledger = &self.ledger;
        vec![
            Metric("ledger_height", None, "Height of the newest block", Gauge(self.height)),
            Metric(
                "tip_age",
                Some(Unit::Seconds),
                "Age of the newest block",
                GaugeTime(micros(self.tip_age)),
            ),
            Metric("blocks_applied", None, "Blocks applied", Counter(ledger.blocks_applied)),
            Metric(
                "transactions_applied",
                None,
                "Transactions in the blocks applied",
                Counter(ledger.transactions_applied),
            ),
            Metric(
                "consensus_round",
                None,
                "The round in which the next block is being decided",
                Gauge(ledger.round.into()),
            ),
            Metric(
                "consensus_messages",
                None,
                "Consensus messages published, repeated ones included",
                Counter(ledger.consensus_messages),
            ),
            Metric(
                "mempool_transactions",
                None,
                "Transactions that wait for a block",
                Gauge(ledger.mempool_transactions),
            ),
            Metric(
                "mempool",
                Some(Unit::Bytes),
                "Size of the transactions that wait for a block",
                Gauge(ledger.mempool_bytes),
            ),
            Metric(
                "ledger_queue_inputs",
                None,
                "Inputs that wait for the ledger",
                Gauge(self.waiting.ledger),
            ),
        ]
    }

    fn process(&self) -> Vec<Metric> {
        use Value::*;
        vec![
            Metric("uptime", Some(Unit::Seconds), "Since the node started", GaugeTime(micros(self.uptime))),
            Metric("event_listeners", None, "Open event streams", Gauge(self.api.listeners)),
            Metric("api_connections", None, "Open connections to the API", Gauge(self.api.connections)),
            Metric("process_cpu", Some(Unit::Seconds), "Processor time", CounterTime(self.usage.cpu_us)),
            Metric(
                "process_resident_memory",
                Some(Unit::Bytes),
                "Resident memory",
                Gauge(self.usage.memory_bytes),
            ),
            Metric("process_open_files", None, "Open file descriptors", Gauge(self.usage.open_files)),
        ]
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::cast_precision_loss, reason = "a float holds 285 years of microseconds to a second")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "sums of sizes past 2^53 lose their last digits")]
fn float(number: u64) -> f64 {
    number as f64
}

impl Collector for Reading {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for Metric(name, unit, help, value) in self.metrics() {
            let kind = value.kind();
            value.encode(encoder.encode_descriptor(name, help, unit.as_ref(), kind)?)?;
        }
        Ok(())
    }
}

impl Value {
    const fn kind(&self) -> MetricType {
        match self {
            Self::Counter(_) | Self::CounterTime(_) | Self::Counters(..) => MetricType::Counter,
            Self::Gauge(_) | Self::GaugeTime(_) | Self::Gauges(..) => MetricType::Gauge,
            Self::Sizes(_) | Self::Times(_) => MetricType::Histogram,
        }
    }

    fn encode(self, mut encoder: MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Counter(count) => ConstCounter::new(count).encode(encoder),
            Self::CounterTime(us) => ConstCounter::new(seconds(us)).encode(encoder),
            Self::Gauge(value) => ConstGauge::new(value).encode(encoder),
            Self::GaugeTime(us) => ConstGauge::new(seconds(us)).encode(encoder),
            Self::Counters(label, counts) => counts.into_iter().try_for_each(|(name, count)| {
                ConstCounter::new(count).encode(encoder.encode_family(&[(label, name)])?)
            }),
            Self::Gauges(label, values) => values.into_iter().try_for_each(|(name, value)| {
                ConstGauge::new(value).encode(encoder.encode_family(&[(label, name)])?)
            }),
            Self::Sizes(sizes) => histogram(&mut encoder, &sizes, float),
            Self::Times(times) => histogram(&mut encoder, &times, seconds),
        }
    }
}

/// The buckets of powers of two; the last one has no upper end.
fn histogram(
    encoder: &mut MetricEncoder<'_>,
    distribution: &Distribution,
    unit: fn(u64) -> f64,
) -> Result<(), std::fmt::Error> {
    let last = distribution.counts.len().saturating_sub(1);
    let bound = |power: usize| if power == last { f64::INFINITY } else { unit(1 << power) };
    let mut buckets: Vec<(f64, u64)> =
        distribution.counts.iter().enumerate().map(|(power, count)| (bound(power), *count)).collect();
    if buckets.is_empty() {
        buckets.push((f64::INFINITY, 0));
    }
    encoder.encode_histogram::<NoLabelSet>(unit(distribution.sum), distribution.count(), &buckets, None)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
