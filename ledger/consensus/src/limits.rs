//! Every bound of this crate: what a peer, a validator or a decoder can make grow, and why it stops there.

use std::time::Duration;

use towpath_ledger::limits::{BLOCK_BYTES_MAX, VALIDATORS_MAX};

/// The largest block that is decoded, in bytes. The genesis bounds it tighter; this bounds the work before that.
pub const BLOCK_BYTES: usize = BLOCK_BYTES_MAX as usize;

/// The largest proposal: a block, and room for the few hundred bytes around it.
pub const PROPOSAL_BYTES: usize = BLOCK_BYTES + 1_024;

/// The largest vote, certificate or status, in bytes: a round certificate of [`VALIDATORS`] signatures, each of a kind,
/// an optional block id, a key and a signature.
pub const SMALL_MESSAGE_BYTES: usize = 256 + VALIDATORS * (4 + 33 + 32 + 64);

/// The largest validator set: the ledger's bound.
pub const VALIDATORS: usize = VALIDATORS_MAX;

/// The highest round that is decoded. With timeouts of a minute it takes a year to get there; it keeps every
/// computation on rounds far from overflow.
pub const ROUND: u32 = 1 << 19;

/// How many rounds ahead of its own a node listens: the core's own bound, applied before any signature is checked.
pub const ROUNDS_AHEAD: u32 = 10;

/// How many heights ahead of its own a node keeps messages: a node that is further behind catches up by sync.
pub const HEIGHTS_AHEAD: u64 = 2;

/// Messages kept for one validator at one later height: two votes and a proposal in each of a few rounds.
pub const LATER_PER_VALIDATOR: usize = 12;

/// Bytes of proposals kept for all later heights: at least one full block from each of two proposers.
pub const LATER_BYTES: usize = 2 * PROPOSAL_BYTES;

/// Messages remembered as seen since the last status tick, so that a copy is forwarded once a tick and no more.
pub const SEEN: usize = 8_192;

/// Signatures remembered as valid, so that none is verified at the door and again in the core.
pub const VERIFIED: usize = 8_192;

/// Peers whose height is known. More are connected only in a large network, where any few of them suffice for sync.
pub const PEERS: usize = 512;

/// Blocks asked for at once.
pub const SYNC_BLOCKS: u32 = 64;

/// Bytes of blocks in an answer: it is closed once this is reached, so it holds at most this and one block.
pub const SYNC_BYTES: usize = 2 << 20;

/// The largest answer that is decoded.
pub const SYNC_RESPONSE_BYTES: usize = SYNC_BYTES + PROPOSAL_BYTES + SYNC_BLOCKS as usize * CERTIFICATE_BYTES;

/// The largest request that is decoded.
pub const SYNC_REQUEST_BYTES: usize = 32;

/// The largest commit certificate.
pub const CERTIFICATE_BYTES: usize = 64 + VALIDATORS * (32 + 64);

/// Ids of the last blocks, kept to compare with what peers say they decided.
pub const RECENT_IDS: usize = 256;

/// The longest that a round waits for a proposal or for votes.
pub const TIMEOUT: Duration = Duration::from_secs(60);
