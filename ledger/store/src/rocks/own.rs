//! The store's own rows, in the column family that no [`crate::Column`] names.

use rocksdb::{ColumnFamily, DB, WriteBatch};

use super::errors::translate;
use super::options::{self, OWN_FAMILY, count_of};
use crate::column::Column;
use crate::condition::{Behind, Counts, Found, Tip};
use crate::error::StoreError;
use crate::limits::KEY_END;

/// The schema of the rows that this version writes (FAULTS S13).
pub(crate) const SCHEMA: u32 = 1;

pub(super) const TIP_KEY: &[u8] = b"tip";
pub(super) const SCHEMA_KEY: &[u8] = b"schema";
pub(super) const UNRESOLVED_KEY: &[u8] = b"unresolved";

/// In each family, how many writes touched it, added up by the writes themselves. It sorts behind the keys of all
/// rows, so that scans and deletions of ranges end before it.
pub(super) const COUNT_KEY: &[u8] = KEY_END;

/// What to write of them, outside of a commit.
pub(super) struct OwnRows {
    tip: Option<Tip>,
    unresolved: Option<Behind>,
}

impl OwnRows {
    /// Those of a new database.
    pub(super) const fn fresh() -> Self {
        Self { tip: None, unresolved: None }
    }

    /// Those of one that is behind.
    pub(super) const fn behind(tip: Tip, behind: Behind) -> Self {
        Self { tip: Some(tip), unresolved: Some(behind) }
    }

    /// Those of one that was behind.
    pub(super) const fn resolved(tip: Tip) -> Self {
        Self { tip: Some(tip), unresolved: None }
    }
}

/// A column family that every database has.
pub(super) fn family<'a>(database: &'a DB, name: &str) -> Result<&'a ColumnFamily, StoreError> {
    database.cf_handle(name).ok_or_else(|| StoreError::Corrupt { what: format!("column {name} is missing") })
}

/// Reads the rows, and what each column says of its writes.
pub(super) fn read_own(database: &DB) -> Result<Found, StoreError> {
    let read = |name: &str, key: &[u8]| {
        database
            .get_cf(family(database, name)?, key)
            .map_err(|error| translate("reading the store's own rows", &error))
    };
    if let Some(row) = read(OWN_FAMILY, SCHEMA_KEY)? {
        let found = schema_of(&row)?;
        if found > SCHEMA {
            return Err(StoreError::SchemaNewer { found, known: SCHEMA });
        }
    }
    let mut counts = Counts::default();
    for (count, column) in counts.iter_mut().zip(Column::ALL) {
        *count = read(column.name(), COUNT_KEY)?.map_or(0, |bytes| count_of(&bytes));
    }
    Ok(Found {
        tip: read(OWN_FAMILY, TIP_KEY)?.map(|bytes| Tip::decode(&bytes)).transpose()?,
        count: read(OWN_FAMILY, COUNT_KEY)?.map_or(0, |bytes| count_of(&bytes)),
        counts,
        unresolved: read(OWN_FAMILY, UNRESOLVED_KEY)?.map(|bytes| Behind::decode(&bytes)).transpose()?,
    })
}

/// The schema in its row.
pub(super) fn schema_of(row: &[u8]) -> Result<u32, StoreError> {
    let bytes =
        row.try_into().map_err(|_| StoreError::corrupt_row("the store's schema", "not four bytes"))?;
    Ok(u32::from_le_bytes(bytes))
}

/// Writes the rows; synced.
pub(super) fn write_own(database: &DB, rows: &OwnRows) -> Result<(), StoreError> {
    let own = family(database, OWN_FAMILY)?;
    let mut batch = WriteBatch::default();
    batch.put_cf(own, SCHEMA_KEY, SCHEMA.to_le_bytes());
    if let Some(tip) = &rows.tip {
        batch.put_cf(own, TIP_KEY, tip.encode());
        batch.put_cf(own, COUNT_KEY, tip.mark.sequence.0.to_le_bytes());
        for (column, count) in Column::ALL.into_iter().zip(tip.counts) {
            batch.put_cf(family(database, column.name())?, COUNT_KEY, count.to_le_bytes());
        }
    }
    match &rows.unresolved {
        Some(behind) => batch.put_cf(own, UNRESOLVED_KEY, behind.encode()),
        None => batch.delete_cf(own, UNRESOLVED_KEY),
    }
    database
        .write_opt(batch, &options::synced())
        .map_err(|error| translate("writing the store's own rows", &error))
}
