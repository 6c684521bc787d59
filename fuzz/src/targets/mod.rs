//! All targets.

use towpath_crypto::codec::Readable;

use crate::machines::machines;
use crate::target::Target;

/// The decoders of the pure crates. The store's and the node's are tried by the end-to-end tests (`tests/tests/decoders.rs`), so
/// that this crate builds without a database.
#[must_use]
pub fn decoders() -> Vec<Readable> {
    [
        towpath_crypto::decoders(),
        towpath_ledger::decoders(),
        towpath_consensus::decoders(),
        towpath_protocol::decoders(),
    ]
    .concat()
}

/// Everything that this crate tries.
#[must_use]
pub fn all() -> Vec<Target> {
    decoders().into_iter().map(Target::of).chain(machines()).collect()
}
