//! Payments inside a channel, one by one or as a stream that the node itself drives.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::units::Units;

/// Which way value went, seen from this node.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize, ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// This node paid.
    #[default]
    Out,
    /// This node was paid.
    In,
}

/// Until when the answer to a payment waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayWait {
    /// The payment is durable and final for the payee, who has acknowledged it.
    #[default]
    Settled,
    /// The payment is durable here and sent.
    Sent,
}

/// `POST /v1/channels/{id}/pay`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pay {
    /// How much.
    pub amount: Units,
    /// For the payee, at most 256 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// A request with the same key and content is done once; the answer says what became of the first. Remembered for 24
    /// hours after the payment has settled or failed, and at most 65,536 keys of a node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Until when the answer waits.
    #[serde(default)]
    pub wait: PayWait,
    /// For how long it waits; 30 s if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What became of a payment.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentState {
    /// Durable and sent, not acknowledged.
    Sent,
    /// Held by the payee, which counts it as final only once its watchtowers have it.
    Confirming,
    /// Final for the payee.
    Settled,
    /// Failed; nothing was paid.
    Failed,
    /// The node lost the data that would tell whether it was paid.
    Unknown,
}

/// One payment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Payment {
    /// Its id, unique in this node.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// Which way.
    pub direction: Direction,
    /// How much.
    pub amount: Units,
    /// What became of it.
    pub state: PaymentState,
    /// The version of the channel that contains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// When it was asked for, or arrived.
    pub time_ms: u64,
    /// From the request until it was settled, if this node paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
    /// What the payer wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memo: Option<String>,
    /// The key that it was asked for with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `GET /v1/channels/{id}/payments`, newest first, as far as retention keeps them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct PaymentPage {
    /// The payments.
    pub payments: Vec<Payment>,
    /// Give this as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST /v1/channels/{id}/streams`: the node pays `amount` `count` times, with `in_flight` unacknowledged at once.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct StartStream {
    /// Of each payment.
    pub amount: Units,
    /// How many payments.
    pub count: u64,
    /// How many may be unacknowledged at once, 1 to 1024.
    pub in_flight: u32,
    /// A request with the same key and content is done once. Remembered for 24 hours; after a restart of the node the stream
    /// is over, and its key fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// What a stream is doing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamState {
    /// Paying.
    Running,
    /// All payments are settled or failed.
    Done,
    /// Ended by request; what was on its way has settled or failed.
    Cancelled,
    /// It could not go on; `reason` says why.
    Failed,
}

/// Latencies of settled payments, from the moment that the node took one up until its acknowledgement.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct Latency {
    /// How many were measured.
    pub count: u64,
    /// The mean.
    pub mean_us: u64,
    /// Half of them took at most this.
    pub p50_us: u64,
    /// 95 % of them took at most this.
    pub p95_us: u64,
    /// 99 % of them took at most this.
    pub p99_us: u64,
    /// All of them took at most this.
    pub max_us: u64,
}

/// A stream of payments.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Stream {
    /// Its id.
    pub id: String,
    /// The channel.
    pub channel: String,
    /// Of each payment.
    pub amount: Units,
    /// How many payments.
    pub count: u64,
    /// How many may be unacknowledged at once.
    pub in_flight: u32,
    /// What it is doing.
    pub state: StreamState,
    /// Payments handed to the channel.
    pub sent: u64,
    /// Payments that are final for the payee.
    pub settled: u64,
    /// Payments that failed.
    pub failed: u64,
    /// How long they took.
    pub latency: Latency,
    /// When it began.
    pub started_ms: u64,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_ms: Option<u64>,
    /// From its beginning until now or its end, by a steady clock.
    pub elapsed_us: u64,
    /// Why it could not go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
