//! Rows in memory.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::batch::{Batch, Change};
use crate::column::Column;
use crate::condition::{Behind, Tip};
use crate::scan::{Direction, Scan};
use crate::store::Row;

/// A whole database.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct State {
    columns: BTreeMap<Column, BTreeMap<Vec<u8>, Vec<u8>>>,
    pub(super) tip: Option<Tip>,
    pub(super) unresolved: Option<Behind>,
}

impl State {
    pub(super) fn get(&self, column: Column, key: &[u8]) -> Option<Vec<u8>> {
        self.columns.get(&column)?.get(key).cloned()
    }

    pub(super) fn scan(&self, column: Column, scan: &Scan) -> Vec<Row> {
        let Some(rows) = self.columns.get(&column).filter(|_| !scan.is_empty()) else { return Vec::new() };
        let to = scan.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let range = rows.range::<[u8], _>((Bound::Included(scan.from.as_slice()), to));
        let row = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        match scan.direction {
            Direction::Forward => range.take(scan.limit).map(row).collect(),
            Direction::Backward => range.rev().take(scan.limit).map(row).collect(),
        }
    }

    pub(super) fn apply(&mut self, batch: &Batch, tip: Tip) {
        for change in batch.changes() {
            match change {
                Change::Put { column, key, value } => {
                    self.columns.entry(*column).or_default().insert(key.clone(), value.clone());
                }
                Change::Delete { column, key } => {
                    self.columns.entry(*column).or_default().remove(key);
                }
                Change::DeleteRange { column, from, to } => {
                    let rows = self.columns.entry(*column).or_default();
                    let keys: Vec<_> =
                        rows.range(from.clone()..to.clone()).map(|(key, _)| key.clone()).collect();
                    for key in keys {
                        rows.remove(&key);
                    }
                }
            }
        }
        self.tip = Some(tip);
    }
}
