//! Every bound of the ledger, each with its reason. One constant each, shared by gossip, mempool, blocks and storage, so
//! that what one layer lets pass no other refuses (FAULTS L9). What a genesis may choose is in `rules::Params`, within these.

/// The largest encoded transaction, in bytes: some 320 unilateral closes in one, and below gossip's frame.
pub const TRANSACTION_BYTES_MAX: u32 = 256 << 10;

/// The least that a genesis may choose for the above: the settlement of a channel with as many pending payments, to as
/// large payout locks, as there can be must always fit, or its funds would be stuck.
pub const TRANSACTION_BYTES_MIN: u32 = 192 << 10;

/// Inputs of one transaction: an input with the smallest witness is some 150 bytes, so bytes bind first; this bounds the
/// work before anything is decoded further.
pub const INPUTS_MAX: usize = 1_024;

/// Outputs of one transaction: three for each input's settlement, on average; bytes bind first.
pub const OUTPUTS_MAX: usize = 3_072;

/// Keys of one multisig: enough for a board, and 16 keys keep a channel's payout lock near half a kilobyte, which
/// [`TRANSACTION_BYTES_MIN`] counts with.
pub const MULTISIG_KEYS_MAX: usize = 16;

/// Conditional payments of one channel state: with the largest payout locks each takes some 1,210 bytes of a settlement,
/// so that 128 of them fit within [`TRANSACTION_BYTES_MIN`]. A state with more could never be settled; no node signs one.
pub const PENDING_PAYMENTS_MAX: usize = 128;

/// Secrets in one reveal: 36 bytes each, and one lookup and one curve multiplication (some 40 µs) each.
pub const SECRETS_MAX: usize = 256;

/// Bytes of an asset's symbol.
pub const SYMBOL_BYTES_MAX: usize = 12;

/// Bytes that a transaction has beside its inputs, witnesses and outputs (chain id, three counts, two times, no payload:
/// 75), rounded up; what a settlement may charge a channel for them.
pub const TRANSACTION_OVERHEAD_BYTES: u64 = 128;

/// The largest encoded block, in bytes: what gossip, sync, the consensus log and storage accept as one block. A genesis
/// chooses its own within it. 2 MiB are some 5,000 wallet transactions; verified on one core in well under a second.
pub const BLOCK_BYTES_MAX: u32 = 2 << 20;

/// Transactions in one block: bytes bind first, since none is below 200 bytes; this bounds what is counted before.
pub const BLOCK_TRANSACTIONS_MAX: usize = 16_384;

/// The longest step of ledger time that a genesis may choose: every window counts in such steps, and a heartbeat comes
/// at half of it.
pub const BLOCK_STEP_MS_MAX: u64 = 10 * 60_000;

/// How far the time of a network for tests may jump from one block to the next: past every window and expiry.
pub const TIME_TRAVEL_MS_MAX: u64 = 400 * 24 * 60 * 60_000;

/// How far ahead of a validator's clock a genesis may let a block's time be: clocks that are set by the network agree to
/// far better than this.
pub const CLOCK_DRIFT_MS_MAX: u64 = 60_000;

/// Validators of one ledger: each signs every block, so a certificate grows by 96 bytes and one verification for each.
pub const VALIDATORS_MAX: usize = 128;

/// Secrets that one block forgets: more than one full block records, so that forgetting keeps up, and few enough that
/// it costs a block some 10 ms.
pub const SECRETS_FORGOTTEN_MAX: usize = 1_024;

/// Candidates in a row that do not fit before a block counts as full: what follows is as large on average.
pub const PACKING_MISSES_MAX: usize = 64;

/// Headers that a light client remembers, to notice a fork among them: some 8 MB with a hundred validators each.
pub const LIGHT_HEADERS_MAX: usize = 512;

/// Bytes of a genesis file: as many allocations as there may be, to long addresses.
pub const GENESIS_BYTES_MAX: usize = 8 << 20;

/// Allocations of a genesis: all are in memory at once, and block 0's part of the state tree is one write batch.
pub const GENESIS_ALLOCATIONS_MAX: usize = 10_000;

/// Assets of a genesis, beside the native one.
pub const GENESIS_ASSETS_MAX: usize = 64;

/// Bytes of a ledger's name.
pub const CHAIN_NAME_BYTES_MAX: usize = 32;

/// Decimals of an asset: one more and the largest amount would not hold ten units on a screen.
pub const DECIMALS_MAX: u8 = 18;

/// Blocks' worth of transactions that each queue of the mempool holds: half a minute at a block a second.
pub const POOL_BLOCKS: u64 = 32;

/// The part of a queue that one peer may fill: a few peers together can, one alone can't.
pub const POOL_SOURCE_SHARE: u64 = 8;

/// What is kept beside each waiting transaction, in bytes: indexes, ids, allocations.
pub const POOL_OVERHEAD_BYTES: u64 = 1_024;

/// Blocks for which a transaction waits at most: a quarter of an hour at a block a second.
pub const POOL_HEIGHTS_MAX: u64 = 1_024;

/// Blocks for which a transaction waits for what it spends: a node that is further behind than that does not decide.
pub const EARLY_BLOCKS: u64 = 8;

/// What one peer may have waiting on each shelf of what came too early, in bytes: the largest transaction.
pub const EARLY_SOURCE_BYTES: u64 = (256 << 10) + POOL_OVERHEAD_BYTES;

/// What each of these shelves holds, in bytes: six megabytes for all three.
pub const EARLY_SHELF_BYTES: u64 = POOL_SOURCE_SHARE * EARLY_SOURCE_BYTES;
