//! Opening a database: who may, what is believed, and what is known of it afterwards (SPEC S-3 to S-8).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rocksdb::{DB, Options};

use super::errors::translate;
use super::options::{self, MemoryBudget, OWN_FAMILY, Replay};
use super::own::{OwnRows, SCHEMA, SCHEMA_KEY, read_own, schema_of, write_own};
use super::store::{Parts, RocksStore};
use crate::anchor::AnchorFile;
use crate::column::Column;
use crate::condition::{Anchored, Condition, Found, Mark, Sequence, Session, Tip, judge};
use crate::error::StoreError;
use crate::faults::Faults;
use crate::folder::Folder;
use crate::limits::{SET_ASIDE_MAX, UNACKNOWLEDGED_MAX};
use crate::store::Opened;

/// How to open a database.
#[derive(Clone)]
pub struct RocksOptions {
    /// The folder of the store; made if there is none.
    pub folder: PathBuf,
    /// How much memory it may use.
    pub budget: MemoryBudget,
    /// Faults to inject; none outside of tests.
    pub faults: Option<Arc<dyn Faults>>,
}

impl RocksOptions {
    /// The store in `folder` with the usual budget.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), budget: MemoryBudget::default(), faults: None }
    }
}

impl std::fmt::Debug for RocksOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RocksOptions").field("folder", &self.folder).field("budget", &self.budget).finish()
    }
}

impl RocksStore {
    /// Opens the database in a folder, or makes one.
    ///
    /// # Errors
    /// [`StoreError`] when the folder cannot be used, the database is damaged beyond what a crash does, or it is newer
    /// than this version. A database that misses writes opens, with [`Condition::Behind`].
    pub fn open(how: &RocksOptions) -> Result<Opened<Self>, StoreError> {
        let folder = Folder::take(&how.folder)?;
        let path = folder.database();
        let mut anchored = AnchorFile::read(folder.path())?;
        let is_new = is_new(&path, anchored)?;
        if is_new && anchored == Anchored::Missing {
            // Before the database: a database without an anchor is not trusted, and this one is about to exist.
            AnchorFile::create(folder.path(), &Mark::default())?;
            anchored = Anchored::Whole(Mark::default());
        }
        let database = open_database(&path, is_new, anchored, &how.budget)?;
        let found = read_own(&database)?;
        let condition = judge(anchored, &found);
        let session = new_session()?;
        let tip = settle(&database, anchored, &found, &condition, session)?;
        let anchor = AnchorFile::create(folder.path(), &tip.mark)?;
        let parts = Parts { database, tip, session, anchor, folder, faults: how.faults.clone() };
        Ok(Opened { store: Self::assemble(parts), condition })
    }
}

/// Opens RocksDB. A log that ends in damage is believed up to it, if all that was acknowledged comes before.
fn open_database(
    path: &Path,
    is_new: bool,
    anchored: Anchored,
    budget: &MemoryBudget,
) -> Result<DB, StoreError> {
    let mut whole = options::database(Replay::Whole, budget);
    whole.create_if_missing(is_new);
    if !is_new {
        refuse_unknown_columns(&whole, path)?;
    }
    let damage = match DB::open_cf_descriptors(&whole, path, options::families(budget)) {
        Ok(database) => return Ok(database),
        Err(error) => translate("opening the database", &error),
    };
    if !matches!(damage, StoreError::Corrupt { .. }) {
        return Err(damage);
    }
    let up_to_damage = options::database(Replay::UpToDamage, budget);
    let look = DB::open_cf_descriptors_read_only(&up_to_damage, path, options::families(budget), false)
        .map_err(|_| damage.clone())?;
    let condition = judge(anchored, &read_own(&look)?);
    drop(look);
    match condition {
        Condition::Healthy => {
            tracing::warn!(%damage, "the log ends in a write that was never acknowledged; it is dropped");
        }
        Condition::Behind(behind) => {
            tracing::error!(%damage, %behind, "the log is damaged before the last acknowledged write");
            set_logs_aside(path)?;
        }
    }
    DB::open_cf_descriptors(&up_to_damage, path, options::families(budget)).map_err(|_| damage)
}

/// Whether there is no database yet. A folder with files and without `CURRENT` is a damaged one: RocksDB would make a
/// new database in it and delete the old one's files. Only if nothing was ever acknowledged is that right: then the
/// machine stopped while the database was being made.
fn is_new(path: &Path, anchored: Anchored) -> Result<bool, StoreError> {
    let failed = |error: std::io::Error| StoreError::io_at("opening the database", path, &error);
    if path.join("CURRENT").try_exists().map_err(failed)? {
        return Ok(false);
    }
    if anchored == Anchored::Whole(Mark::default()) {
        return Ok(true);
    }
    match std::fs::read_dir(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(failed(error)),
        Ok(mut entries) => match entries.next() {
            None => Ok(true),
            Some(_) => Err(StoreError::Corrupt { what: format!("{} has no CURRENT file", path.display()) }),
        },
    }
}

/// A newer version may have added columns, which RocksDB would refuse with an error that helps nobody.
fn refuse_unknown_columns(options: &Options, path: &Path) -> Result<(), StoreError> {
    let names = DB::list_cf(options, path).map_err(|error| translate("opening the database", &error))?;
    let known = |name: &str| name == OWN_FAMILY || Column::ALL.iter().any(|column| column.name() == name);
    let Some(unknown) = names.iter().find(|name| !known(name)) else { return Ok(()) };
    let own = DB::open_for_read_only(options, path, false)
        .map_err(|error| translate("opening the database", &error))?;
    let row = own.get(SCHEMA_KEY).map_err(|error| translate("reading the store's own rows", &error))?;
    match row.as_deref().map(schema_of).transpose()? {
        Some(found) if found > SCHEMA => Err(StoreError::SchemaNewer { found, known: SCHEMA }),
        _ => Err(StoreError::Corrupt { what: format!("there is an unknown column {unknown}") }),
    }
}

/// Keeps a copy of damaged logs before they are replayed up to the damage and deleted, for whoever wants to look.
fn set_logs_aside(path: &Path) -> Result<(), StoreError> {
    let failed = |error: std::io::Error| StoreError::io_at("setting damaged logs aside", path, &error);
    let Some(aside) = (1..=SET_ASIDE_MAX)
        .map(|number| path.with_file_name(format!("damaged-{number}")))
        .find(|candidate| !candidate.exists())
    else {
        return Ok(());
    };
    std::fs::create_dir(&aside).map_err(failed)?;
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().extension().is_some_and(|extension| extension == "log") {
            std::fs::copy(entry.path(), aside.join(entry.file_name())).map_err(failed)?;
        }
    }
    Ok(())
}

/// Writes down what was found: a new database gets its schema, one that is behind a row that says so until someone
/// resolves it. Its sequence moves past the anchor, so that later writes cannot pass for the lost ones.
fn settle(
    database: &DB,
    anchored: Anchored,
    found: &Found,
    condition: &Condition,
    session: Session,
) -> Result<Tip, StoreError> {
    let newest = newest(anchored);
    let behind = match (condition, found.tip) {
        (Condition::Healthy, Some(tip)) => return Ok(tip),
        (Condition::Healthy, None) => {
            write_own(database, &OwnRows::fresh())?;
            return Ok(Tip::default());
        }
        (Condition::Behind(behind), Some(tip))
            if found.unresolved == Some(*behind) && tip.mark.sequence >= newest.sequence =>
        {
            return Ok(tip);
        }
        (Condition::Behind(behind), _) => *behind,
    };
    // One more than an unreadable slot could have said.
    let past = newest.sequence.max(found.sequence()).0.saturating_add(UNACKNOWLEDGED_MAX);
    let tip = Tip {
        mark: Mark { sequence: Sequence(past), session },
        session_start: Sequence(past),
        previous_session: newest.session,
        counts: found.counts,
    };
    write_own(database, &OwnRows::behind(tip, behind))?;
    Ok(tip)
}

fn newest(anchored: Anchored) -> Mark {
    match anchored {
        Anchored::Missing | Anchored::Unreadable => Mark::default(),
        Anchored::Whole(mark) | Anchored::Half(mark) => mark,
    }
}

fn new_session() -> Result<Session, StoreError> {
    use std::io::Read as _;
    let mut session = Session::default();
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut session.0))
        .map_err(|error| StoreError::io("drawing a session id", &error))?;
    Ok(session)
}
