//! The tower's rows in the node's database.

use towpath_protocol::tower::{Read, Row, Shelf, ShelfError};
use towpath_store::{Batch, Column, Scan, Store, StoreError};

/// The rows of [`Column::Tower`].
pub struct Rows<'a>(pub &'a dyn Store);

fn unreadable(error: &StoreError) -> ShelfError {
    ShelfError(error.to_string())
}

impl Shelf for Rows<'_> {
    fn row(&self, key: &[u8]) -> Result<Option<Vec<u8>>, ShelfError> {
        self.0.get(Column::Tower, key).map_err(|error| unreadable(&error))
    }

    fn rows(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Read>, ShelfError> {
        let mut scan = Scan::prefix(prefix).limit(limit);
        if let Some(after) = after.filter(|after| *after >= prefix) {
            scan = scan.after(after);
        }
        self.0.scan(Column::Tower, &scan).map_err(|error| unreadable(&error))
    }
}

/// The batch that makes `rows` durable.
pub fn batch(rows: Vec<Row>) -> Batch {
    let mut batch = Batch::new();
    for (key, row) in rows {
        match row {
            Some(row) => batch.put(Column::Tower, key, row),
            None => batch.delete(Column::Tower, key),
        }
    }
    batch
}

#[cfg(test)]
mod tests {
    use towpath_store::MemoryStore;

    use super::*;

    /// Rows in RocksDB's order and rows in a map are the same to the machine.
    #[test]
    fn pages_are_those_of_the_reference() {
        let store = MemoryStore::new();
        let mut reference = std::collections::BTreeMap::new();
        let mut rows = Vec::new();
        for number in 0..40_u8 {
            let key = vec![number % 3, number];
            reference.insert(key.clone(), vec![number]);
            rows.push((key, Some(vec![number])));
        }
        store.commit(batch(rows)).unwrap();
        let shelf = Rows(&store);
        for prefix in [vec![0], vec![1], vec![2], vec![3], vec![1, 7]] {
            for after in [None, Some(vec![0]), Some(vec![1, 7]), Some(vec![1, 37]), Some(vec![2, 40])] {
                for limit in [1, 3, 100] {
                    let found = shelf.rows(&prefix, after.as_deref(), limit).unwrap();
                    assert_eq!(found, reference.rows(&prefix, after.as_deref(), limit).unwrap());
                }
            }
        }
        assert_eq!(shelf.row(&[1, 7]).unwrap(), Some(vec![7]));
        store.commit(batch(vec![(vec![1, 7], None)])).unwrap();
        assert_eq!(shelf.row(&[1, 7]).unwrap(), None);
    }
}
