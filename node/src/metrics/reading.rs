//! Everything that the node counts, at one moment.

use std::time::Duration;

use towpath_api::{ChannelTotals, Latency, Stats};
use towpath_store::{GroupStats, SyncTimes};

use super::buckets::Distribution;
use super::process::Usage;
use crate::api::ApiUsage;
use crate::ledger::Status;
use crate::net::NetMetrics;
use crate::tower::TowerTotals;
use crate::worker::WorkerTotals;

/// See the module. Counters count from the node's start.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Reading {
    /// Since the node started.
    pub uptime: Duration,
    /// Whether the node is in recovery.
    pub recovering: bool,
    /// What the workers counted.
    pub workers: WorkerTotals,
    /// Channels by state.
    pub channels: ChannelTotals,
    /// What the network counted.
    pub net: NetMetrics,
    /// What the database's writer counted.
    pub writes: GroupStats,
    /// What the ledger's driver says.
    pub ledger: Status,
    /// The node as a watchtower, and as a client of others.
    pub tower: TowerTotals,
    /// The height of the newest block.
    pub height: u64,
    /// The age of the newest block.
    pub tip_age: Duration,
    /// Who uses the API.
    pub api: ApiUsage,
    /// What waits for whom.
    pub waiting: Waiting,
    /// Size of the database on disk.
    pub database_bytes: u64,
    /// What the process uses of the machine.
    pub usage: Usage,
}

/// What waits in the node's queues; for the writer's, see [`GroupStats::waiting`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Waiting {
    /// Inputs for the channel workers.
    pub workers: u64,
    /// Inputs for the ledger's driver.
    pub ledger: u64,
    /// Commands for the network's driver.
    pub net: u64,
    /// Bytes of channel messages for peers.
    pub unsent_bytes: u64,
}

impl Reading {
    /// As `/v1/stats` shows it.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let Self { workers, net, writes, ledger, .. } = self;
        Stats {
            uptime_ms: u64::try_from(self.uptime.as_millis()).unwrap_or(u64::MAX),
            payments_sent: workers.payments_sent,
            payments_received: workers.payments_received,
            payments_failed: workers.payments_failed,
            syncs: writes.groups,
            sync_latency: sync_latency(writes),
            bytes_written: writes.bytes,
            turns: workers.turn_inputs.count(),
            turn_inputs: workers.turn_inputs.batches(),
            verified_signatures: workers.signatures.batches(),
            writes_per_sync: group_sizes(writes).batches(),
            messages_sent: net.messages_sent,
            messages_received: net.messages_received,
            blocks_applied: ledger.blocks_applied,
            transactions_applied: ledger.transactions_applied,
            cpu_us: self.usage.cpu_us,
            memory_bytes: self.usage.memory_bytes,
            database_bytes: self.database_bytes,
        }
    }
}

/// A group is acknowledged after its write and its anchor; percentiles are upper bounds by powers of two.
fn sync_latency(writes: &GroupStats) -> Latency {
    let GroupStats { groups, database, anchor, .. } = writes;
    let both =
        |hundredths| database.percentile_us(hundredths).saturating_add(anchor.percentile_us(hundredths));
    Latency {
        count: *groups,
        mean_us: database.total_us.saturating_add(anchor.total_us) / (*groups).max(1),
        p50_us: both(50),
        p95_us: both(95),
        p99_us: both(99),
        max_us: database.longest_us.saturating_add(anchor.longest_us),
    }
}

/// How many batches shared a sync.
pub(super) fn group_sizes(writes: &GroupStats) -> Distribution {
    let sizes = &writes.sizes;
    Distribution { counts: sizes.buckets.to_vec(), sum: writes.batches, max: sizes.largest }
}

/// How long syncs took, in microseconds.
pub(super) fn times(times: &SyncTimes) -> Distribution {
    Distribution { counts: times.buckets.to_vec(), sum: times.total_us, max: times.longest_us }
}

#[cfg(test)]
mod tests {
    use towpath_api::BatchStats;
    use towpath_store::GroupSizes;

    use super::*;

    #[test]
    fn statistics_show_what_was_counted() {
        let mut workers = WorkerTotals { payments_sent: 5, payments_failed: 1, ..WorkerTotals::default() };
        workers.turn_inputs.add(&Distribution { counts: vec![1, 1], sum: 3, max: 2 });
        let sizes = GroupSizes { largest: 4, ..GroupSizes::default() };
        let mut writes = GroupStats { groups: 2, batches: 5, bytes: 900, sizes, ..GroupStats::default() };
        writes.sizes.buckets[0] = 1;
        writes.sizes.buckets[2] = 1;
        let ledger = Status { blocks_applied: 7, transactions_applied: 9, ..Status::default() };
        let stats = Reading { workers, writes, ledger, database_bytes: 77, ..Reading::default() }.stats();
        assert_eq!((stats.payments_sent, stats.payments_failed, stats.turns), (5, 1, 2));
        assert_eq!((stats.syncs, stats.bytes_written, stats.database_bytes), (2, 900, 77));
        assert_eq!(stats.writes_per_sync, BatchStats { count: 2, items: 5, max: 4 });
        assert_eq!((stats.blocks_applied, stats.transactions_applied), (7, 9));
    }
}
