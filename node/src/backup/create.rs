//! Making a backup, page by page, while the node runs. The node keeps nothing between two pages: where to go on is in
//! what it gave out. Each channel is read as of one moment; two channels may be of different moments, since nothing
//! connects them.

use std::path::Path;

use towpath_crypto::seed::Seed;
use towpath_store::{Scan, Store};

use super::BackupError;
use super::format::{About, BackupId, Frame, Kept, Part, Row, header, key, seal};

/// Rows that are read at a time; more than any channel has.
const ROWS: usize = towpath_store::limits::SCAN_ROWS_MAX;

/// Bytes of keys and values after which a frame is full.
const FRAME_BYTES: usize = 256 << 10;

/// Bytes of a channel's id, with which each of its rows begins.
const ID_BYTES: usize = 32;

/// Rows of `Meta` that follow from the ledger, or say what becomes of this database: not kept.
const NOT_KEPT: [&[u8]; 4] = [b"chain/", b"channels-height/", b"recovery/", b"epoch/superseded"];

/// Where a backup goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Place {
    id: BackupId,
    index: u64,
    rows: u64,
    column: Kept,
    after: Vec<u8>,
}

impl Place {
    /// From its text.
    ///
    /// # Errors
    /// [`BackupError::Place`].
    pub fn parse(text: &str) -> Result<Self, BackupError> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(BackupError::Place);
        let (id, index, rows, column, after) = (next()?, next()?, next()?, next()?, next()?);
        let number = |text: &str| text.parse().map_err(|_| BackupError::Place);
        let bytes = |text: &str| hex::decode(text).map_err(|_| BackupError::Place);
        let column = match column {
            "c" => Kept::Channels,
            "m" => Kept::Meta,
            _ => return Err(BackupError::Place),
        };
        let id = bytes(id)?.try_into().map_err(|_| BackupError::Place)?;
        Ok(Self { id, index: number(index)?, rows: number(rows)?, column, after: bytes(after)? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { id, index, rows, column, after } = self;
        let column = match column {
            Kept::Channels => "c",
            Kept::Meta => "m",
        };
        write!(f, "{}.{index}.{rows}.{column}.{}", hex::encode(id), hex::encode(after))
    }
}

/// A part of a backup: what comes next in the file, and where to go on; nowhere after the last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Where to go on.
    pub next: Option<Place>,
}

/// The page at `place`; without one the first, of a new backup.
///
/// # Errors
/// When the database or the key file cannot be read.
pub fn page(
    store: &dyn Store,
    seed: &Seed,
    key_file: &Path,
    place: Option<Place>,
    about: impl FnOnce() -> About,
) -> Result<Page, BackupError> {
    let Some(place) = place else { return first(seed, key_file, about()) };
    let mut rows = read(store, place.column, &place.after)?;
    let is_last = rows.len() < ROWS;
    cut(&mut rows, place.column, is_last);
    let Some((last, _)) = rows.last() else { return Ok(end_of(seed, place)) };
    let after = last.clone();
    let kept: Vec<Row> = rows
        .into_iter()
        .filter(|(key, _)| place.column == Kept::Channels || !NOT_KEPT.iter().any(|not| key.starts_with(not)))
        .map(|(key, value)| Row { column: place.column, key, value })
        .collect();
    let count = u64::try_from(kept.len()).unwrap_or(u64::MAX);
    let frame = Frame { backup: place.id, index: place.index, part: Part::Rows(kept) };
    let bytes = seal(&key(seed, &place.id), &frame);
    let next = Place { index: place.index + 1, rows: place.rows.saturating_add(count), after, ..place };
    Ok(Page { bytes, next: Some(next) })
}

fn first(seed: &Seed, key_file: &Path, about: About) -> Result<Page, BackupError> {
    let id: BackupId = rand::random();
    let keys =
        std::fs::read(key_file).map_err(|source| BackupError::File { path: key_file.to_owned(), source })?;
    let mut bytes = header(&id, &keys);
    let frame = Frame { backup: id, index: 0, part: Part::About(Box::new(about)) };
    bytes.extend(seal(&key(seed, &id), &frame));
    let next = Place { id, index: 1, rows: 0, column: Kept::Channels, after: Vec::new() };
    Ok(Page { bytes, next: Some(next) })
}

/// After the last channel come the counters. They are read behind the channels: a key that a channel of the backup uses is
/// never given out again.
fn end_of(seed: &Seed, place: Place) -> Page {
    match place.column {
        Kept::Channels => {
            let next = Place { column: Kept::Meta, after: Vec::new(), ..place };
            Page { bytes: Vec::new(), next: Some(next) }
        }
        Kept::Meta => {
            let frame = Frame { backup: place.id, index: place.index, part: Part::End(place.rows) };
            Page { bytes: seal(&key(seed, &place.id), &frame), next: None }
        }
    }
}

fn read(store: &dyn Store, column: Kept, after: &[u8]) -> Result<Vec<towpath_store::Row>, BackupError> {
    let mut scan = Scan::prefix(&[]).limit(ROWS);
    if !after.is_empty() {
        scan = scan.after(after);
    }
    Ok(store.scan(column.column(), &scan)?)
}

/// Cuts the rows to a frame: full, and with whole channels.
fn cut(rows: &mut Vec<towpath_store::Row>, column: Kept, is_last: bool) {
    let group = |key: &[u8]| match column {
        Kept::Channels => key.get(..ID_BYTES).unwrap_or(key).to_vec(),
        Kept::Meta => key.to_vec(),
    };
    let (mut bytes, mut end) = (0, 0);
    for index in 0..rows.len() {
        let starts = index == 0 || group(&rows[index].0) != group(&rows[index - 1].0);
        if starts {
            end = index;
            if bytes >= FRAME_BYTES {
                break;
            }
        }
        bytes += rows[index].0.len() + rows[index].1.len();
        if index + 1 == rows.len() && is_last {
            end = rows.len();
        }
    }
    // A channel that fills all that was read cannot be: it has fewer rows.
    rows.truncate(end.max(1));
}
