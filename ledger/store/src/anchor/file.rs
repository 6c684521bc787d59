//! The anchor's file: two slots in two blocks of the disk, written in turn, so that a torn write leaves the other.
//!
//! The file has its full size from the start; a write changes bytes in place, and its sync has no metadata to write.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::slot::{self, SLOT_BYTES};
use crate::condition::{Anchored, Mark};
use crate::error::StoreError;

/// Each slot has a block of its own: disks write whole blocks.
const SLOT_STRIDE_BYTES: usize = 4_096;
const FILE_NAME: &str = "anchor";
const NEW_FILE_NAME: &str = "anchor.new";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Slot {
    First,
    Second,
}

impl Slot {
    const fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }

    const fn offset(self) -> u64 {
        match self {
            Self::First => 0,
            Self::Second => SLOT_STRIDE_BYTES as u64,
        }
    }
}

/// The open anchor of a folder.
#[derive(Debug)]
pub(crate) struct AnchorFile {
    file: File,
    next: Slot,
}

impl AnchorFile {
    /// What the anchor in `folder` says.
    pub(crate) fn read(folder: &Path) -> Result<Anchored, StoreError> {
        let path = folder.join(FILE_NAME);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Anchored::Missing),
            Err(error) => return Err(StoreError::io_at("reading the anchor", &path, &error)),
        };
        Ok(match (read_slot(&bytes, Slot::First), read_slot(&bytes, Slot::Second)) {
            (None, None) => Anchored::Unreadable,
            (Some(mark), None) | (None, Some(mark)) => Anchored::Half(mark),
            (Some(first), Some(second)) => {
                Anchored::Whole(if first.sequence >= second.sequence { first } else { second })
            }
        })
    }

    /// Replaces the anchor in `folder` by one that says `mark` in both slots; atomic and synced.
    pub(crate) fn create(folder: &Path, mark: &Mark) -> Result<Self, StoreError> {
        let (path, new_path) = (folder.join(FILE_NAME), folder.join(NEW_FILE_NAME));
        let failed = |error: std::io::Error| StoreError::io_at("creating the anchor", &path, &error);
        let mut bytes = vec![0; 2 * SLOT_STRIDE_BYTES];
        for slot in [Slot::First, Slot::Second] {
            let from = usize::try_from(slot.offset()).expect("an offset of a few thousand bytes fits");
            bytes[from..from + SLOT_BYTES].copy_from_slice(&slot::encode(mark));
        }
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(true)
            .read(true)
            .write(true)
            .mode(0o600)
            .open(&new_path)
            .map_err(failed)?;
        file.write_all(&bytes).and_then(|()| file.sync_all()).map_err(failed)?;
        std::fs::rename(&new_path, &path).map_err(failed)?;
        sync_folder(folder)?;
        Ok(Self { file, next: Slot::First })
    }

    /// Says `mark`; synced when this returns. The slot that is left alone holds the mark before.
    pub(crate) fn write(&mut self, mark: &Mark) -> Result<(), StoreError> {
        let failed = |error: std::io::Error| StoreError::io("writing the anchor", &error);
        self.file.write_all_at(&slot::encode(mark), self.next.offset()).map_err(failed)?;
        self.file.sync_data().map_err(failed)?;
        self.next = self.next.other();
        Ok(())
    }
}

fn read_slot(bytes: &[u8], slot: Slot) -> Option<Mark> {
    let from = usize::try_from(slot.offset()).ok()?;
    let bytes: &[u8; SLOT_BYTES] = bytes.get(from..from + SLOT_BYTES)?.try_into().ok()?;
    slot::decode(bytes)
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::io_at("syncing the folder", folder, &error))
}
