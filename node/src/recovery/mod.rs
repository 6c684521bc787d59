//! What a node does after it has lost data (SPEC R-): it looks for its channels on the ledger, asks whoever may keep their
//! newest states, and lets the channels' machines agree with their peers on where to go on.

mod begin;
mod pending;
mod scan;
mod source;
mod task;
mod towers;
mod unclaimed;
mod votes;

pub use begin::{begin, put_copy, take_over};
pub use pending::{Cause, Pending};
pub use scan::{Found, addresses_used, own_channels, terms_of};
pub use source::{MemorySource, Record, RecordSource, Sources};
pub use task::{Task, spawn, watch_current};
pub use towers::Towers;
pub use unclaimed::Unclaimed;
pub use votes::{Role, VoteFromError, role, vote_from};

use std::time::Duration;

use towpath_crypto::ed25519::PublicKey;

/// How what is kept here is read.
pub(crate) fn decoders() -> Vec<towpath_crypto::codec::Readable> {
    pending::decoders()
}

/// The peer of a channel that is being closed, and of which only the ledger's output is known: nobody has this key.
pub const NOBODY: PublicKey = PublicKey([0; 32]);

/// How long sources other than the peer have for their answer: a tower that is gone must not lock the funds.
pub const SEARCH_MAX: Duration = Duration::from_secs(20);

/// Channel keys past the last one that is found on the ledger at which the search for more ends. A node uses a key for
/// each channel that it opens or accepts, so this many openings in a row must have left nothing on the ledger.
pub const KEY_GAP: u32 = 1 << 16;

/// Channel keys that are tried at most when the ledger shows a channel that pays this wallet, with a key that is not
/// found within the gap.
pub const KEYS_MAX: u32 = 1 << 22;

/// Keys of channels that pay this wallet, and are not known to be its own, that are looked for so far out. Each costs a
/// stranger a channel on the ledger.
pub const UNEXPLAINED_MAX: usize = 1 << 16;

/// Addresses past the last one that was ever paid at which the search for more ends.
pub const ADDRESS_GAP: u32 = 200;
