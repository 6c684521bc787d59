//! The bounds of the store, each with its reason.

/// The most rows that one scan returns: a page of 100-byte rows is then some 6 MiB.
pub const SCAN_ROWS_MAX: usize = 65_536;

/// Keys sort below this: behind it each column counts its own writes (SPEC S-5). No kind of row has keys that start
/// with so many full bytes.
pub const KEY_END: &[u8] = &[0xff; 24];

/// The largest row of the store's own, and of indexes and state-tree nodes, in bytes: none comes near.
pub const SMALL_ROW_BYTES_MAX: usize = 64 << 10;

/// The largest entry of an output, in bytes: the terms of a closing channel with two large multisig payouts.
pub const ENTRY_BYTES_MAX: usize = 256 << 10;

/// The most batches that wait for the group writer. One more blocks its submitter, so that a slow disk slows down
/// the workers instead of filling the memory.
pub const QUEUED_BATCHES_MAX: usize = 16_384;

/// The most bytes that wait for the group writer; as above. A single larger batch is let into an empty queue.
pub const QUEUED_BYTES_MAX: usize = 64 << 20;

/// The most bytes in one group, so that the first to wait is not held up by an endless group: 4 MiB are written and
/// synced in a few milliseconds.
pub const GROUP_BYTES_MAX: usize = 4 << 20;

/// The most writes that may be synced and not yet acknowledged by the anchor: the one whose anchor is being written, and the next.
/// The anchor's check at opening relies on it (SPEC S-6).
pub const UNACKNOWLEDGED_MAX: u64 = 2;

/// The most bytes of write-ahead log before RocksDB flushes its tables: bounds both disk use and the replay at opening.
pub const WAL_BYTES_MAX: u64 = 64 << 20;

/// The most copies of damaged logs that are kept beside the database.
pub const SET_ASIDE_MAX: usize = 8;

/// Sync times fall into buckets by powers of two of microseconds: the last holds everything past half a minute.
pub const SYNC_BUCKETS: usize = 26;

/// Group sizes fall into buckets by powers of two: the last holds everything past half of [`QUEUED_BATCHES_MAX`].
pub const SIZE_BUCKETS: usize = 15;

/// How many rows a sweep over an index or a log reads at a time: enough that a page costs little more than its rows.
pub const SWEEP_ROWS: usize = 1_024;

/// About how many bytes of outputs are kept in memory: some fifty thousand of wallets, or thirteen thousand channels.
pub const HOT_OUTPUT_BYTES_MAX: usize = 16 << 20;

/// The most outputs of one payout lock that are read at once, some 20 MB: a wallet with more of them is read page by page.
pub const OUTPUTS_READ_MAX: usize = 65_536;

/// The fewest versions of the state tree: the tip's, and the one that the next block is made from.
pub const TREE_VERSIONS_MIN: u64 = 2;
