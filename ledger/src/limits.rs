//! Every bound of the ledger, each with its reason. One constant each, shared by gossip, mempool, blocks and storage, so
//! that what one layer lets pass no other refuses (FAULTS L9). What a genesis may choose is in `rules::Params`, within these.

/// The largest encoded transaction, in bytes: some 340 unilateral closes in one, and below gossip's frame.
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
