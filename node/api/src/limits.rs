//! Every bound of the API, with its reason. Server and client use the same values.

use std::time::Duration;

/// Where a node's API listens unless it is told otherwise: loopback only.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:7420";

/// The largest request body. The largest thing that anyone posts is a transaction in hex.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// The largest answer that the client reads; a block of the largest size in JSON is well below.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Entries of a page when the caller asks for no number.
pub const PAGE_DEFAULT: u32 = 50;

/// The most entries of one page: a page is built in memory.
pub const PAGE_MAX: u32 = 500;

/// The longest memo of a payment, in bytes: it travels in a channel message.
pub const MEMO_BYTES_MAX: usize = 256;

/// The longest idempotency key, in bytes: a UUID is 36.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 64;

/// The most payments of one stream that may be unacknowledged at once: each is held in memory.
pub const STREAM_IN_FLIGHT_MAX: u32 = 1024;

/// Channels that one call opens: as many as one transaction funds.
pub const CHANNELS_TOGETHER_MAX: usize = 128;

/// The longest that a request may ask the node to wait for an outcome.
pub const WAIT_MS_MAX: u64 = 10 * 60 * 1000;

/// How long a request waits for an outcome when it doesn't say.
pub const WAIT_MS_DEFAULT: u64 = 30 * 1000;

/// How often an event stream that has nothing to say shows that it is alive.
pub const HEARTBEAT: Duration = Duration::from_secs(15);

/// After this silence the client takes an event stream for broken: three heartbeats.
pub const EVENT_SILENCE_MAX: Duration = Duration::from_secs(45);

/// The largest line, and the largest event, that the client reads from an event stream.
pub const EVENT_BYTES_MAX: usize = 256 * 1024;

/// How long the client tries to connect: the node is on this machine, or near.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the client waits for an answer beyond what it asked the node to wait.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The delays before each new try to reach a node whose event stream broke; past the last the reader reports.
pub const RECONNECT_DELAYS_MS: [u64; 8] = [100, 250, 500, 1000, 2000, 4000, 5000, 5000];
