//! Counters since the node started, for benchmarks and curious operators.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::payments::Latency;

/// Sizes of the batches in which work was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct BatchStats {
    /// How many batches.
    pub count: u64,
    /// How many items in all of them.
    pub items: u64,
    /// The largest.
    pub max: u64,
}

/// `GET /v1/stats`: everything counts from the node's start.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Since the node started.
    pub uptime_ms: u64,
    /// Payments of this node that are settled.
    pub payments_sent: u64,
    /// Payments to this node that are final.
    pub payments_received: u64,
    /// Payments of this node that failed.
    pub payments_failed: u64,
    /// Synced writes of the database.
    pub syncs: u64,
    /// How long one took.
    pub sync_latency: Latency,
    /// Bytes handed to the database.
    pub bytes_written: u64,
    /// Turns of the channel workers.
    pub turns: u64,
    /// Inputs a turn.
    pub turn_inputs: BatchStats,
    /// Signatures a verification.
    pub verified_signatures: BatchStats,
    /// Writes a sync.
    pub writes_per_sync: BatchStats,
    /// Channel messages sent.
    pub messages_sent: u64,
    /// Channel messages received.
    pub messages_received: u64,
    /// Blocks applied.
    pub blocks_applied: u64,
    /// Transactions in them.
    pub transactions_applied: u64,
    /// Processor time of the process, user and system.
    pub cpu_us: u64,
    /// Resident memory of the process.
    pub memory_bytes: u64,
    /// Size of the database on disk.
    pub database_bytes: u64,
}
