//! Every bound of the shell on what a peer or a caller can make it hold, with its reason.

use std::time::Duration;

/// Things that wait for a worker. A full inbox makes the sender wait: a session stops being read, a caller is told to
/// come back. At 300 bytes each this is a megabyte or two a worker.
pub const INBOX: usize = 4_096;

/// Things that a worker takes in one turn: enough to share a sync among many, few enough to answer soon.
pub const TURN_INPUTS: usize = 2_048;

/// Turns of a worker that are being written. Two, so that one is computed while the other is synced; more would only
/// make turns smaller.
pub const TURNS_IN_FLIGHT: usize = 2;

/// Things that wait for the ledger driver.
pub const LEDGER_INBOX: usize = 1_024;

/// Openings under way with a peer that has no active channel with us (FAULTS C2).
pub const OPENINGS_PER_STRANGER: usize = 4;

/// Openings under way with a peer that has one: it has shown funds.
pub const OPENINGS_PER_PEER: usize = 256;

/// Openings under way in all (FAULTS C2).
pub const OPENINGS: usize = 4_096;

/// Channels that are not settled, in all.
pub const CHANNELS: usize = 200_000;

/// Streams that are remembered, ended ones included.
pub const STREAMS: usize = 1_024;

/// Payments that one stream keeps unacknowledged.
pub const STREAM_IN_FLIGHT: u32 = 1_024;

/// The longest latency that is told apart, in microseconds: an hour.
pub const LATENCY_US_MAX: u64 = 3_600_000_000;

/// Idempotency keys that are remembered, the oldest forgotten first.
pub const IDEMPOTENCY_KEYS: u64 = 16_384;

/// Settled channels that are kept for lists; older ones are forgotten.
pub const SETTLED_CHANNELS: usize = 10_000;

/// Inputs of one wallet transaction: keeps it far below the ledger's bound on transactions.
pub const WALLET_INPUTS: usize = 64;

/// Addresses that a wallet hands out.
pub const ADDRESSES: u32 = 10_000;

/// How long a node waits for its parts to end when it is asked to.
pub const SHUTDOWN: Duration = Duration::from_secs(10);

/// Things that wait for the tower's thread. Messages of peers may fill three quarters of it, so that blocks and sessions
/// always have room; what a peer loses it says again.
pub const TOWER_INBOX: usize = 1_024;

/// Things that the tower takes in one turn: they share one sync.
pub const TOWER_TURN_INPUTS: usize = 256;

/// Records of one node that the tower does not know otherwise: more channels than a person has.
pub const TOWER_RECORDS_PER_STRANGER: u64 = 128;

/// The most records that a tower can be told to keep: 12 GB of database.
pub const TOWER_RECORDS_MAX: u64 = 16 << 20;

/// How long the newest state of a channel may lack towers before that is an alarm: a reconnect takes less.
pub const TOWER_LAG_MS: u64 = 60_000;

/// Payments of one channel that wait for watchtowers: beyond it the channel takes none until a tower answers.
pub const CONFIRMING_MAX: usize = 4_096;
