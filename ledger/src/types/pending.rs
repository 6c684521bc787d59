//! Conditional payments inside a channel, and the root that stands for all of them in a signed state.

use bincode::{Decode, Encode};
use towpath_crypto::hash::digest;
use towpath_crypto::{Amount, Digest, Domain, codec};

use super::channel::Party;
use super::lock::Condition;
use super::time::Time;

/// A conditional payment inside a channel; leaves of `pending_root`, ascending by `number`.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct PendingPayment {
    /// Unique in its channel (FAULTS C23): payments are never told apart by condition or amount.
    pub number: u64,
    /// Who pays if the secret is revealed in time.
    pub payer: Party,
    /// How much.
    pub amount: Amount,
    /// What the payee must reveal.
    pub condition: Condition,
    /// Until when, in ledger time.
    pub expiry: Time,
}

impl PendingPayment {
    /// The sum of many, or `None` past the largest amount.
    #[must_use]
    pub fn total(payments: &[Self]) -> Option<Amount> {
        Amount::checked_sum(payments.iter().map(|payment| payment.amount))
    }

    /// The Merkle root of `payments`, which the caller keeps ascending by number; zero when there are none.
    ///
    /// Neighbours are joined level by level and an odd last one moves up as it is, so that the shape of the tree, and
    /// with it the meaning of the root, follows from the number of leaves alone.
    #[must_use]
    pub fn root(payments: &[Self]) -> Digest {
        let mut level: Vec<Digest> =
            payments.iter().map(|payment| digest(Domain::PendingLeaf, &[&codec::encode(payment)])).collect();
        while level.len() > 1 {
            level = level.chunks(2).map(join).collect();
        }
        level.first().copied().unwrap_or(Digest::ZERO)
    }
}

fn join(pair: &[Digest]) -> Digest {
    match pair {
        [left, right] => digest(Domain::PendingNode, &[&left.0, &right.0]),
        [single] => *single,
        _ => Digest::ZERO,
    }
}
