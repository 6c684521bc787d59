//! RocksDB's errors, which are texts, as ours.

use rocksdb::{Error, ErrorKind};

use crate::error::StoreError;

/// What `error`, returned while trying `action`, means.
pub(crate) fn translate(action: &'static str, error: &Error) -> StoreError {
    let text: &str = error.as_ref();
    if text.contains("No space left on device") || text.contains("Disk quota exceeded") {
        return StoreError::DiskFull { action };
    }
    match error.kind() {
        ErrorKind::Corruption => StoreError::Corrupt { what: text.to_owned() },
        ErrorKind::NotFound
        | ErrorKind::NotSupported
        | ErrorKind::InvalidArgument
        | ErrorKind::IOError
        | ErrorKind::MergeInProgress
        | ErrorKind::Incomplete
        | ErrorKind::ShutdownInProgress
        | ErrorKind::TimedOut
        | ErrorKind::Aborted
        | ErrorKind::Busy
        | ErrorKind::Expired
        | ErrorKind::TryAgain
        | ErrorKind::CompactionTooLarge
        | ErrorKind::ColumnFamilyDropped
        | ErrorKind::Unknown => StoreError::Io { action, detail: text.to_owned() },
    }
}
