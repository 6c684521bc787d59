//! Binds a block's body to its header.

use towpath_crypto::Digest;
use towpath_ledger::{Transaction, merkle};

/// The root that a header must name.
pub(crate) fn root(transactions: &[Transaction]) -> Digest {
    let leaves: Vec<Digest> = transactions.iter().map(merkle::leaf).collect();
    merkle::root(&leaves)
}
