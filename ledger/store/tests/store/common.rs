//! A small database with a known history, and what may be found of it after something was done to its files.

use std::path::{Path, PathBuf};

use towpath_store::{Batch, Behind, Column, Condition, RocksOptions, RocksStore, Store as _, StoreError};

/// A folder in memory where there is one, since these tests sync thousands of times and none of them stops the machine: what
/// a killed process has written is kept by the kernel either way.
pub fn temporary_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    folder.expect("a temporary folder")
}

/// The value of row `number`: long enough that a few hundred rows fill several blocks of the log.
pub fn value(number: u64) -> Vec<u8> {
    let seed = number.to_le_bytes();
    (0..300_usize)
        .map(|at| seed[at % 8].wrapping_mul(31).wrapping_add(u8::try_from(at % 251).unwrap_or(0)))
        .collect()
}

/// A batch with row `number`, in two columns, so that half of it can be told from all of it.
pub fn numbered(number: u64) -> Batch {
    let mut batch = Batch::new();
    batch.put(Column::Channels, number.to_be_bytes(), value(number));
    batch.put(Column::ChannelEvents, number.to_be_bytes(), value(number));
    batch
}

/// Opens a store that has to open.
pub fn open(folder: &Path) -> (RocksStore, Condition) {
    let opened = RocksStore::open(&RocksOptions::new(folder)).expect("it opens");
    (opened.store, opened.condition)
}

/// What is found in a folder.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Everything that was acknowledged.
    Whole,
    /// Less or nothing, and it is said so.
    Behind(Behind),
    /// It is refused, or a read of it is.
    Refused(StoreError),
    /// Less, without a word: what must never be.
    SilentlyOlder(String),
}

/// Opens `folder` and reads all rows up to `acknowledged`.
pub fn verdict(folder: &Path, acknowledged: u64) -> Verdict {
    let opened = match RocksStore::open(&RocksOptions::new(folder)) {
        Ok(opened) => opened,
        Err(error) => return Verdict::Refused(error),
    };
    if let Condition::Behind(behind) = opened.condition {
        return Verdict::Behind(behind);
    }
    for number in 1..=acknowledged {
        for column in [Column::Channels, Column::ChannelEvents] {
            match opened.store.get(column, &number.to_be_bytes()) {
                Ok(Some(found)) if found == value(number) => {}
                Ok(other) => {
                    let what = other.map_or("missing", |_| "another one");
                    return Verdict::SilentlyOlder(format!("row {number} of {} is {what}", column.name()));
                }
                Err(error) => return Verdict::Refused(error),
            }
        }
    }
    Verdict::Whole
}

/// Copies a folder with all that is in it.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("it reads") {
        let entry = entry.expect("it reads");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy(&source, &target);
        } else {
            std::fs::copy(&source, &target).expect("it copies");
        }
    }
}

/// The files of the database whose names contain `part`, in order.
pub fn files(folder: &Path, part: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder.join("db"))
        .expect("it reads")
        .map(|entry| entry.expect("it reads").path())
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(part)))
        .collect();
    found.sort();
    found
}

/// Changes the bytes of a file.
pub fn edit(path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = std::fs::read(path).expect("it reads");
    change(&mut bytes);
    std::fs::write(path, bytes).expect("it writes");
}

/// Where the records of a log end: blocks of 32 KiB; each fragment has a checksum (4), a length (2) and a type (1:
/// full, 2: first, 3: middle, 4: last).
pub fn record_ends(log: &Path) -> Vec<usize> {
    const BLOCK: usize = 32 << 10;
    let bytes = std::fs::read(log).expect("it reads");
    let (mut at, mut ends) = (0, Vec::new());
    while at + 7 <= bytes.len() {
        let left = BLOCK - at % BLOCK;
        if left < 7 {
            at += left;
            continue;
        }
        let length = usize::from(u16::from_le_bytes([bytes[at + 4], bytes[at + 5]]));
        let kind = bytes[at + 6];
        at += 7 + length;
        if kind == 1 || kind == 4 {
            ends.push(at);
        }
    }
    ends
}
