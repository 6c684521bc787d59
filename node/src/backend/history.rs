//! The histories of a wallet's keys, put together as one: a transaction that moves coins of several keys is one entry.

use std::collections::BTreeMap;

use towpath_api::Direction;
use towpath_ledger::{AssetId, Time, TxId};
use towpath_store::{HistoryRow, Position};

/// What one transaction moved, in base units of the native asset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Moved {
    pub(super) position: Position,
    pub(super) transaction: TxId,
    pub(super) time: Time,
    /// What the wallet's keys put in.
    pub(super) spent: u64,
    /// What they got out.
    pub(super) received: u64,
}

impl Moved {
    /// Whether it moved anything of the native asset.
    pub(super) const fn is_any(&self) -> bool {
        self.spent > 0 || self.received > 0
    }

    /// Whether the wallet has more or less by it, and how much.
    pub(super) fn net(&self) -> (Direction, u64) {
        match self.received.checked_sub(self.spent) {
            Some(more) => (Direction::In, more),
            None => (Direction::Out, self.spent.saturating_sub(self.received)),
        }
    }
}

/// The newest transactions of all keys so far.
#[derive(Default)]
pub(super) struct Merged(BTreeMap<Position, Moved>);

impl Merged {
    /// Takes in the rows of one key, and keeps the newest `limit` transactions of all.
    pub(super) fn add(&mut self, rows: Vec<HistoryRow>, limit: usize) {
        for row in rows {
            let position = Position { height: row.height, index: row.index };
            // One that moves other assets only has its place among them all the same: pages are cut by places.
            let moved = self.0.entry(position).or_insert_with(|| Moved {
                position,
                transaction: row.transaction,
                time: row.time,
                spent: 0,
                received: 0,
            });
            for movement in row.movements.iter().filter(|movement| movement.asset == AssetId::NATIVE) {
                moved.spent = moved.spent.saturating_add(movement.spent.units());
                moved.received = moved.received.saturating_add(movement.received.units());
            }
        }
        while self.0.len() > limit {
            self.0.pop_first();
        }
    }

    /// All of them.
    pub(super) fn newest_first(self) -> Vec<Moved> {
        self.0.into_values().rev().collect()
    }
}

#[cfg(test)]
mod tests {
    use towpath_ledger::{Amount, Digest};
    use towpath_store::Movement;

    use super::*;

    fn row(height: u64, index: u32, spent: u64, received: u64) -> HistoryRow {
        let mut transaction = [0; 32];
        transaction[..8].copy_from_slice(&(height * 100 + u64::from(index)).to_le_bytes());
        let movement = Movement { asset: AssetId::NATIVE, spent: Amount(spent), received: Amount(received) };
        HistoryRow {
            transaction: TxId(Digest(transaction)),
            height,
            index,
            time: Time(height * 1_000),
            movements: vec![movement],
        }
    }

    #[test]
    fn a_transaction_of_several_keys_is_one_entry_with_their_sum() {
        let mut merged = Merged::default();
        // 100 spent from the second key, 30 paid away, 69 change to the first.
        merged.add(vec![row(5, 0, 0, 69), row(3, 1, 0, 7)], 10);
        merged.add(vec![row(5, 0, 100, 0)], 10);
        let all = merged.newest_first();
        assert_eq!(all.iter().map(|moved| moved.position.height).collect::<Vec<_>>(), [5, 3]);
        assert_eq!(all[0].net(), (Direction::Out, 31));
        assert_eq!(all[1].net(), (Direction::In, 7));
    }

    #[test]
    fn the_newest_of_all_keys_are_kept_in_order() {
        let mut merged = Merged::default();
        merged.add((0..5).rev().map(|height| row(2 * height, 0, 0, 1)).collect(), 4);
        merged.add((0..5).rev().map(|height| row(2 * height + 1, 3, 0, 1)).collect(), 4);
        let heights: Vec<u64> = merged.newest_first().iter().map(|moved| moved.position.height).collect();
        assert_eq!(heights, [9, 8, 7, 6]);
    }
}
