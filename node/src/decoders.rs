//! What the node reads from its own database and from backups.

use towpath_crypto::codec::Readable;

use crate::{backup, idempotency, ledger, recovery, tower, worker};

/// Every kind of bytes that this crate reads, but for what the crates below it read (their `decoders`).
#[must_use]
pub fn decoders() -> Vec<Readable> {
    [
        worker::decoders(),
        ledger::decoders(),
        tower::decoders(),
        idempotency::decoders(),
        backup::decoders(),
        recovery::decoders(),
    ]
    .concat()
}
