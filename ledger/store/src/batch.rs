//! What is written together: all of a batch is found after a crash, or nothing of it.

use crate::column::Column;
use crate::error::StoreError;
use crate::limits::KEY_END;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Sets a row.
    Put {
        /// Where.
        column: Column,
        /// The row's key.
        key: Vec<u8>,
        /// Its new value.
        value: Vec<u8>,
    },
    /// Removes a row; no error if there is none.
    Delete {
        /// Where.
        column: Column,
        /// The row's key.
        key: Vec<u8>,
    },
    /// Removes the rows `from <= key < to`.
    DeleteRange {
        /// Where.
        column: Column,
        /// The first key.
        from: Vec<u8>,
        /// One past the last key.
        to: Vec<u8>,
    },
}

impl Change {
    /// Where the change is.
    #[must_use]
    pub const fn column(&self) -> Column {
        match self {
            Self::Put { column, .. } | Self::Delete { column, .. } | Self::DeleteRange { column, .. } => {
                *column
            }
        }
    }
}

/// Changes that are written together, in this order: a later change of a row wins.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    changes: Vec<Change>,
    size_bytes: usize,
    touched: [bool; Column::ALL.len()],
}

/// What a change costs in the log beside its keys and values, in bytes; an estimate.
const OVERHEAD_BYTES: usize = 16;

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a row.
    pub fn put(&mut self, column: Column, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) {
        let (key, value) = (key.into(), value.into());
        let bytes = key.len() + value.len();
        self.push(Change::Put { column, key, value }, bytes);
    }

    /// Removes a row.
    pub fn delete(&mut self, column: Column, key: impl Into<Vec<u8>>) {
        let key = key.into();
        let bytes = key.len();
        self.push(Change::Delete { column, key }, bytes);
    }

    /// Removes the rows `from <= key < to`; none if the range is empty.
    pub fn delete_range(&mut self, column: Column, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) {
        let (from, to) = (from.into(), to.into());
        if from < to {
            let bytes = from.len() + to.len();
            self.push(Change::DeleteRange { column, from, to }, bytes);
        }
    }

    /// Appends the changes of `other`.
    pub fn append(&mut self, mut other: Self) {
        self.size_bytes += other.size_bytes;
        for (touched, other) in self.touched.iter_mut().zip(other.touched) {
            *touched |= other;
        }
        self.changes.append(&mut other.changes);
    }

    /// The changes, in order.
    #[must_use]
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// The changes, in order.
    #[must_use]
    pub fn into_changes(self) -> Vec<Change> {
        self.changes
    }

    /// Whether any change is in `column`.
    #[must_use]
    pub const fn touches(&self, column: Column) -> bool {
        self.touched[column.index()]
    }

    fn push(&mut self, change: Change, bytes: usize) {
        self.touched[change.column().index()] = true;
        self.size_bytes += bytes + OVERHEAD_BYTES;
        self.changes.push(change);
    }

    /// About how many bytes this adds to the log.
    #[must_use]
    pub const fn size_bytes(&self) -> usize {
        self.size_bytes
    }

    /// Refuses keys at which no rows can be.
    pub(crate) fn check_keys(&self) -> Result<(), StoreError> {
        let too_high = |change: &&Change| match change {
            Change::Put { key, .. } | Change::Delete { key, .. } => key.as_slice() >= KEY_END,
            Change::DeleteRange { to, .. } => to.as_slice() > KEY_END,
        };
        match self.changes.iter().find(too_high) {
            Some(change) => {
                Err(StoreError::OutOfOrder(format!("a key of {} is out of range", change.column().name())))
            }
            None => Ok(()),
        }
    }

    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_range_is_no_change() {
        let mut batch = Batch::new();
        batch.delete_range(Column::Meta, [2], [2]);
        batch.delete_range(Column::Meta, [3], [2]);
        assert!(batch.is_empty());
    }

    #[test]
    fn keys_behind_all_rows_are_refused() {
        let refused = |change: &dyn Fn(&mut Batch)| {
            let mut batch = Batch::new();
            change(&mut batch);
            batch.check_keys().is_err()
        };
        assert!(refused(&|batch| batch.put(Column::Meta, KEY_END, [])));
        assert!(refused(&|batch| batch.delete(Column::Meta, [0xff; 25])));
        assert!(refused(&|batch| batch.delete_range(Column::Meta, [0], [0xff; 25])));
        assert!(!refused(&|batch| batch.delete_range(Column::Meta, [0], KEY_END)));
        assert!(!refused(&|batch| batch.put(Column::Meta, [0xff; 23], [])));
    }

    #[test]
    fn appending_keeps_the_order_and_adds_the_sizes() {
        let (mut first, mut second) = (Batch::new(), Batch::new());
        first.put(Column::Meta, [1], [1]);
        second.delete(Column::Meta, [1]);
        let sizes = first.size_bytes() + second.size_bytes();
        first.append(second);
        assert_eq!(first.size_bytes(), sizes);
        assert!(matches!(first.changes(), [Change::Put { .. }, Change::Delete { .. }]));
    }
}
