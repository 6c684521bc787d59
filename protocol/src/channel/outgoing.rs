//! This party's payments that have a number and are in no version yet: a follower's requests, and what a sequencer
//! must propose again. Each has a row.

use std::collections::BTreeMap;

use towpath_crypto::Amount;

use crate::update::Transfer;

/// Payments by number, and their sum.
#[derive(Clone, Default, Debug)]
pub(crate) struct Outgoing {
    transfers: BTreeMap<u64, Transfer>,
    total: Amount,
}

impl Outgoing {
    pub(crate) const fn total(&self) -> Amount {
        self.total
    }

    pub(crate) fn len(&self) -> usize {
        self.transfers.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.transfers.is_empty()
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Transfer> {
        self.transfers.get(&number)
    }

    /// Numbers, ascending.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> + '_ {
        self.transfers.keys().copied()
    }

    /// Payments with a higher number, ascending.
    pub(crate) fn after(&self, number: u64) -> impl Iterator<Item = &Transfer> {
        self.transfers.range(number.saturating_add(1)..).map(|(_, transfer)| transfer)
    }

    /// The first one.
    pub(crate) fn first(&self) -> Option<&Transfer> {
        self.transfers.first_key_value().map(|(_, transfer)| transfer)
    }

    /// Adds one; false if the sum would leave the range of amounts, which no channel's capacity does.
    pub(crate) fn insert(&mut self, transfer: Transfer) -> bool {
        let Some(total) = self.total.checked_add(transfer.amount) else { return false };
        if self.transfers.contains_key(&transfer.number) {
            return false;
        }
        self.total = total;
        self.transfers.insert(transfer.number, transfer);
        true
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Transfer> {
        let transfer = self.transfers.remove(&number)?;
        self.total =
            self.total.checked_sub(transfer.amount).expect("the total is the sum of what is in the map");
        Some(transfer)
    }
}
