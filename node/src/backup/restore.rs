//! Reading a backup: checking it whole, and making a node's folder out of it.

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File};
use std::io::{BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use towpath_crypto::keyfile;
use towpath_crypto::sealed::SealKey;
use towpath_crypto::seed::Seed;
use towpath_protocol::{Acceptance, Channel};
use towpath_store::{Batch, Opened, RocksOptions, RocksStore, Store};

use super::BackupError;
use super::format::{
    About, BackupId, FRAME_BYTES_MAX, HEADER_BYTES, KEY_FILE_BYTES_MAX, Kept, MAGIC, Part, Row, Summary,
    VERSION, key, open,
};
use crate::recovery::{Cause, Pending};
use crate::{KEY_FILE, STORE_FOLDER};

/// A row's key and value.
type Borrowed<'a> = (&'a [u8], &'a [u8]);

/// A backup as it is read.
struct Reader {
    path: PathBuf,
    file: BufReader<File>,
    id: BackupId,
    key_file: Vec<u8>,
    seed: Seed,
    key: SealKey,
    index: u64,
}

impl Reader {
    fn open(path: &Path, passphrase: &[u8]) -> Result<Self, BackupError> {
        let at = |source| BackupError::File { path: path.to_owned(), source };
        let mut file = BufReader::new(File::open(path).map_err(at)?);
        let mut header = [0; HEADER_BYTES];
        fill(&mut file, &mut header, path, "it ends in its header")?;
        if header[..8] != *MAGIC {
            return Err(BackupError::Foreign("this is not a backup of a towpath node"));
        }
        let number = |from: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&header[from..from + 4]);
            u32::from_le_bytes(bytes)
        };
        if number(8) != VERSION {
            return Err(BackupError::Foreign(
                "the backup has another version; use the towpath that made it, or a newer one",
            ));
        }
        let mut id = [0; 16];
        id.copy_from_slice(&header[12..28]);
        let length = usize::try_from(number(28)).unwrap_or(usize::MAX);
        if length > KEY_FILE_BYTES_MAX {
            return Err(BackupError::Damaged("its key file is too long"));
        }
        let mut key_file = vec![0; length];
        fill(&mut file, &mut key_file, path, "it ends in its key file")?;
        let seed = keyfile::unseal(&key_file, passphrase, path)?;
        let key = key(&seed, &id);
        Ok(Self { path: path.to_owned(), file, id, key_file, seed, key, index: 0 })
    }

    fn next(&mut self) -> Result<Part, BackupError> {
        let mut length = [0; 4];
        fill(&mut self.file, &mut length, &self.path, "it ends too early")?;
        let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
        if length > FRAME_BYTES_MAX {
            return Err(BackupError::Damaged("a part of it is too long"));
        }
        let mut sealed = vec![0; length];
        fill(&mut self.file, &mut sealed, &self.path, "it ends too early")?;
        let part = open(&self.key, &sealed, &self.id, self.index)?;
        self.index += 1;
        Ok(part)
    }

    /// Hands out all rows; returns what the node was, and how many there were.
    fn read(
        &mut self,
        mut take: impl FnMut(Vec<Row>) -> Result<(), BackupError>,
    ) -> Result<(About, u64), BackupError> {
        let Part::About(about) = self.next()? else {
            return Err(BackupError::Damaged("it does not begin as a backup does"));
        };
        let mut count = 0_u64;
        loop {
            match self.next()? {
                Part::Rows(rows) => {
                    count = count.saturating_add(u64::try_from(rows.len()).unwrap_or(u64::MAX));
                    take(rows)?;
                }
                Part::End(rows) if rows == count => break,
                Part::End(_) => return Err(BackupError::Damaged("rows are missing")),
                Part::About(_) => return Err(BackupError::Damaged("it begins twice")),
            }
        }
        let mut more = [0; 1];
        match self.file.read(&mut more) {
            Ok(0) => Ok((*about, count)),
            Ok(_) => Err(BackupError::Damaged("something follows its end")),
            Err(source) => Err(BackupError::File { path: self.path.clone(), source }),
        }
    }
}

fn fill(file: &mut impl Read, bytes: &mut [u8], path: &Path, ends: &'static str) -> Result<(), BackupError> {
    file.read_exact(bytes).map_err(|source| match source.kind() {
        ErrorKind::UnexpectedEof => BackupError::Damaged(ends),
        _ => BackupError::File { path: path.to_owned(), source },
    })
}

/// Counts the channels of rows, and those that this program cannot read.
fn count(rows: &[Row], seed: &Seed, summary: &mut (u64, u64)) {
    let mut channels: BTreeMap<&[u8], Vec<Borrowed<'_>>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.column == Kept::Channels) {
        let Some((id, suffix)) = row.key.split_at_checked(32) else { continue };
        // The node's own rows are for people.
        if suffix.first() != Some(&crate::worker::OWN_ROWS) {
            channels.entry(id).or_default().push((suffix, &row.value));
        }
    }
    for rows in channels.into_values() {
        summary.0 += 1;
        let is_acceptance = rows.iter().any(|row| matches!(Acceptance::key_index_of(*row), Ok(Some(_))));
        let restored = Channel::key_index_of(rows.iter().copied()).and_then(|index| {
            let keys = towpath_protocol::KeySigner::new(seed.channel_key(index));
            Channel::restore(rows.iter().copied(), std::sync::Arc::new(keys))
        });
        if !is_acceptance && restored.is_err() {
            summary.1 += 1;
        }
    }
}

/// Reads a backup to its end and checks everything in it.
///
/// # Errors
/// [`BackupError`] says what is wrong with it.
pub fn verify(path: &Path, passphrase: &[u8]) -> Result<Summary, BackupError> {
    let mut reader = Reader::open(path, passphrase)?;
    let (seed, mut counts) = (reader.seed.clone(), (0, 0));
    let (about, rows) = reader.read(|rows| {
        count(&rows, &seed, &mut counts);
        Ok(())
    })?;
    Ok(Summary { about, rows, channels: counts.0, unreadable: counts.1 })
}

/// Makes the folder `dir` out of a backup. The node that starts in it knows that its data is old.
///
/// # Errors
/// [`BackupError`]; nothing that exists is overwritten.
pub fn restore(path: &Path, passphrase: &[u8], dir: &Path) -> Result<Summary, BackupError> {
    // All of it is checked before anything is written.
    let summary = verify(path, passphrase)?;
    let mut reader = Reader::open(path, passphrase)?;
    begin_again(dir, Cause::Backup, |store| {
        reader
            .read(|rows| {
                let mut batch = Batch::new();
                for row in rows {
                    batch.put(row.column.column(), row.key, row.value);
                }
                store.commit(batch)?;
                Ok(())
            })
            .map(drop)
    })?;
    write_new(&dir.join("genesis.toml"), summary.about.genesis.as_bytes())?;
    write_new(&dir.join("config.toml"), config(&summary.about).as_bytes())?;
    // The key comes last: without it no node starts in a folder that is half made.
    write_new(&dir.join(KEY_FILE), &reader.key_file)?;
    Ok(summary)
}

/// Makes a database in `dir` that knows that it is not the newest, and lets `fill` put into it what there is.
///
/// # Errors
/// [`BackupError::Exists`] if the folder has keys or a database already.
pub fn begin_again(
    dir: &Path,
    cause: Cause,
    fill: impl FnOnce(&RocksStore) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let store = dir.join(STORE_FOLDER);
    for taken in [dir.join(KEY_FILE), dir.join("genesis.toml"), dir.join("config.toml"), store.clone()] {
        if taken.exists() {
            return Err(BackupError::Exists(taken));
        }
    }
    let at = |source| BackupError::File { path: dir.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(at)?;
    let Opened { store, condition: _new } = RocksStore::open(&RocksOptions::new(store))?;
    let mut batch = Batch::new();
    Pending::new(cause).put(&mut batch);
    store.commit(batch)?;
    fill(&store)
}

/// The configuration of before, for a folder that has everything in itself.
fn config(about: &About) -> String {
    let mut table: toml::Table = about.config.parse().unwrap_or_default();
    for (key, value) in [("data_dir", "."), ("genesis", "genesis.toml"), ("name", about.name.as_str())] {
        table.insert(key.to_owned(), toml::Value::String(value.to_owned()));
    }
    // A path that led out of the old folder leads nowhere from the new one.
    let relative = |value: &toml::Value| value.as_str().is_some_and(|path| Path::new(path).is_relative());
    if table.get("passphrase_file").is_some_and(relative) {
        table.remove("passphrase_file");
    }
    toml::to_string(&table).unwrap_or_default()
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let at = |source| BackupError::File { path: path.to_owned(), source };
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(at)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).map_err(at)
}
