//! Binds a block's body to its header.

use towpath_crypto::{Digest, Domain, codec, hash};
use towpath_ledger::Transaction;

/// The root that a header must name.
pub(crate) fn root(transactions: &[Transaction]) -> Digest {
    if transactions.is_empty() {
        return Digest::ZERO;
    }
    hash::digest(Domain::TransactionsNode, &[&codec::encode(transactions)])
}
