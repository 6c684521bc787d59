//! Outputs that were read or made lately, within a bound: most outputs are spent soon, and a channel's is read often.
//!
//! Two generations: what is used moves to the young one; when that is full, the old one goes. An output must never be
//! found here after its block was applied, so a reader that was overtaken by a block does not fill the cache.

use std::collections::HashMap;

use towpath_ledger::{Entry, Lock, OutPoint};

use crate::limits::HOT_OUTPUT_BYTES_MAX;

/// Which blocks were applied when a read began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Epoch(u64);

#[derive(Default)]
struct Generation {
    entries: HashMap<OutPoint, Entry>,
    bytes: usize,
}

/// The cache.
#[derive(Default)]
pub(super) struct HotOutputs {
    young: Generation,
    old: Generation,
    applied: u64,
}

impl HotOutputs {
    /// The output, if it is here; else the epoch that a reader has to bring along.
    pub(super) fn find(&mut self, outpoint: &OutPoint) -> Result<Entry, Epoch> {
        if let Some(entry) = self.young.entries.get(outpoint) {
            return Ok(entry.clone());
        }
        match self.old.entries.remove(outpoint) {
            Some(entry) => {
                self.old.bytes = self.old.bytes.saturating_sub(weight(&entry));
                self.insert(*outpoint, entry.clone());
                Ok(entry)
            }
            None => Err(Epoch(self.applied)),
        }
    }

    /// Keeps what was read from the database since `epoch`, unless a block was applied meanwhile.
    pub(super) fn fill(&mut self, epoch: Epoch, outpoint: OutPoint, entry: Entry) {
        if epoch == Epoch(self.applied) {
            self.insert(outpoint, entry);
        }
    }

    /// Forgets what a block spends and keeps what it makes.
    pub(super) fn apply(&mut self, spent: &[(OutPoint, Entry)], created: &[(OutPoint, Entry)]) {
        self.applied += 1;
        for (outpoint, _) in spent {
            self.young.remove(outpoint);
            self.old.remove(outpoint);
        }
        for (outpoint, entry) in created {
            self.insert(*outpoint, entry.clone());
        }
    }

    fn insert(&mut self, outpoint: OutPoint, entry: Entry) {
        let bytes = weight(&entry);
        if self.young.bytes.saturating_add(bytes) > HOT_OUTPUT_BYTES_MAX / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        // An outpoint names one output for ever: one that was there already weighs what it weighed.
        if self.young.entries.insert(outpoint, entry).is_none() {
            self.young.bytes += bytes;
        }
    }
}

impl Generation {
    fn remove(&mut self, outpoint: &OutPoint) {
        if let Some(entry) = self.entries.remove(outpoint) {
            self.bytes = self.bytes.saturating_sub(weight(&entry));
        }
    }
}

/// About how much memory an entry takes, with its place in the map.
fn weight(entry: &Entry) -> usize {
    match &entry.output.lock {
        Lock::Wallet(_) => 320,
        Lock::Conditional(_) => 640,
        Lock::Channel(_) | Lock::Closing(_) => 1_280,
    }
}

#[cfg(test)]
mod tests {
    use towpath_crypto::schnorr::WalletKey;
    use towpath_ledger::{Amount, AssetId, Digest, Output, Payout, Time, TxId};

    use super::*;

    fn outpoint(index: u32) -> OutPoint {
        OutPoint { tx: TxId(Digest::ZERO), index }
    }

    fn entry() -> Entry {
        let lock = Lock::Wallet(Payout::Key(WalletKey([1; 32])));
        Entry { output: Output { asset: AssetId::NATIVE, amount: Amount(1), lock }, height: 1, time: Time(1) }
    }

    #[test]
    fn l1_a_reader_overtaken_by_a_block_does_not_bring_back_what_it_spent() {
        let mut cache = HotOutputs::default();
        let epoch = cache.find(&outpoint(1)).expect_err("not there");
        cache.apply(&[(outpoint(1), entry())], &[]);
        cache.fill(epoch, outpoint(1), entry());
        assert!(cache.find(&outpoint(1)).is_err());
    }

    #[test]
    fn l1_a_spent_output_is_gone_from_both_generations() {
        let mut cache = HotOutputs::default();
        cache.apply(&[], &[(outpoint(1), entry())]);
        cache.old = std::mem::take(&mut cache.young);
        cache.apply(&[], &[(outpoint(2), entry())]);
        cache.apply(&[(outpoint(1), entry()), (outpoint(2), entry())], &[]);
        assert!(cache.find(&outpoint(1)).is_err());
        assert!(cache.find(&outpoint(2)).is_err());
        assert_eq!((cache.young.bytes, cache.old.bytes), (0, 0));
    }

    #[test]
    fn n11_it_stays_within_its_bound_and_keeps_what_is_used() {
        let mut cache = HotOutputs::default();
        let fits = u32::try_from(HOT_OUTPUT_BYTES_MAX / weight(&entry())).expect("it fits");
        for index in 0..3 * fits {
            cache.apply(&[], &[(outpoint(index), entry())]);
            assert!(cache.find(&outpoint(0)).is_ok(), "used after each insertion");
            assert!(cache.young.bytes + cache.old.bytes <= HOT_OUTPUT_BYTES_MAX);
        }
        assert!(cache.find(&outpoint(1)).is_err(), "never used");
    }
}
