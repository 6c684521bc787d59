//! A disk under a traced process: what of its folder is certain to outlive a power cut, what may, and one folder that could be found
//! after it.
//!
//! Nothing is taken for granted that POSIX does not promise. A file's content is certain as of the beginning of its last sync
//! that succeeded; a name, as of that of the last sync of *its folder*, whatever was synced of the file. Of what came after, each file
//! and each folder has kept its own part: disks write back in any order.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};

use towpath_fuzz::Random;

use super::trace::{Event, Fd, What};

/// Which syncs the disk takes seriously.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Syncs {
    /// All.
    Kept,
    /// None, as if the program asked for none.
    Ignored,
    /// All but those of the database's log.
    IgnoredForLogs,
}

/// What became of what was not synced.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Unsynced {
    /// It is gone.
    Gone,
    /// Of each file and folder the first changes are there, and a part of the next one.
    Torn,
    /// Of each file any of the changes are there, zeros between them; of each folder the first ones.
    Scattered,
}

impl Unsynced {
    /// Each of them.
    pub const ALL: [Self; 3] = [Self::Gone, Self::Torn, Self::Scattered];
}

type Id = usize;

/// A change of a file that is not synced.
#[derive(Clone, Debug)]
enum Change {
    Write { at: usize, data: Vec<u8> },
    Length(usize),
}

/// A change of a folder that is not synced.
#[derive(Clone, Debug)]
enum Entry {
    Put(OsString, Id),
    Remove(OsString),
    Move(OsString, OsString),
}

/// Changes that are not synced, and how many there were before them.
#[derive(Debug)]
struct Pending<T> {
    changes: Vec<T>,
    before: usize,
}

impl<T> Default for Pending<T> {
    fn default() -> Self {
        Self { changes: Vec::new(), before: 0 }
    }
}

impl<T> Pending<T> {
    fn total(&self) -> usize {
        self.before + self.changes.len()
    }

    /// Takes out what came before the `total`-th change.
    fn take(&mut self, total: usize) -> Vec<T> {
        let count = total.saturating_sub(self.before).min(self.changes.len());
        self.before += count;
        self.changes.drain(..count).collect()
    }
}

#[derive(Debug)]
enum Inode {
    File { certain: Vec<u8>, now: Vec<u8>, pending: Pending<Change>, is_log: bool },
    Folder { certain: BTreeMap<OsString, Id>, now: BTreeMap<OsString, Id>, pending: Pending<Entry> },
}

/// An open file: which, and where the next write goes.
#[derive(Clone, Copy, Debug)]
struct Handle {
    id: Id,
    at: usize,
    appends: bool,
}

/// A folder on a disk.
pub struct Disk {
    /// What the process calls it.
    base: PathBuf,
    syncs: Syncs,
    inodes: Vec<Inode>,
    /// By number: an index into `handles`.
    fds: BTreeMap<Fd, usize>,
    handles: Vec<Handle>,
    /// By thread: what it syncs, and how many changes that covers.
    syncing: BTreeMap<u32, (Id, usize)>,
    /// What the last call of a killed process was about.
    doubtful: BTreeSet<Id>,
}

const ROOT: Id = 0;

impl Disk {
    /// One on which `folder`, which the process calls `base`, is certain as it is.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn new(folder: &Path, base: &Path, syncs: Syncs) -> Self {
        let mut disk = Self {
            base: base.to_owned(),
            syncs,
            inodes: Vec::new(),
            fds: BTreeMap::new(),
            handles: Vec::new(),
            syncing: BTreeMap::new(),
            doubtful: BTreeSet::new(),
        };
        disk.load(folder);
        disk
    }

    fn load(&mut self, folder: &Path) -> Id {
        let id = self.inodes.len();
        self.inodes.push(new_folder());
        let mut names = BTreeMap::new();
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = entry.path();
            let child = if entry.file_type().expect("a type").is_dir() {
                self.load(&path)
            } else {
                self.inodes.push(new_file(fs::read(&path).expect("a file"), &path));
                self.inodes.len() - 1
            };
            names.insert(entry.file_name(), child);
        }
        if let Inode::Folder { certain, now, .. } = &mut self.inodes[id] {
            certain.clone_from(&names);
            *now = names;
        }
        id
    }

    /// Another process begins: no file is open. The disk is what it is.
    pub fn new_process(&mut self) {
        self.fds.clear();
        self.syncing.clear();
    }

    /// Whether an event ends a sync of something in the folder: the moments just before are where a cut is tried.
    #[must_use]
    pub fn is_boundary(&self, event: &Event) -> bool {
        matches!(event.what, What::SyncDone { thread } if self.syncing.contains_key(&thread))
    }

    /// Does what the process did.
    ///
    /// # Errors
    /// What is not understood although it concerns the folder.
    pub fn apply(&mut self, event: &Event) -> Result<(), String> {
        let lost = || format!("not understood: {event:?}");
        match &event.what {
            What::Opened { fd, path, flags } => return self.opened(*fd, path, flags).ok_or_else(lost),
            What::Closed { fd } => {
                self.fds.remove(fd);
            }
            What::Duplicated { fd, new } => match self.fds.get(fd).copied() {
                Some(handle) => {
                    self.fds.insert(*new, handle);
                }
                None => {
                    self.fds.remove(new);
                }
            },
            What::Written { fd, at, data } => self.written(*fd, *at, data),
            What::Sought { fd, to } => {
                if let Some(handle) = self.fds.get(fd) {
                    self.handles[*handle].at = usize_of(*to);
                }
            }
            What::Sized { fd, length } => {
                if let Some(handle) = self.fds.get(fd) {
                    let id = self.handles[*handle].id;
                    self.change(id, Change::Length(usize_of(*length)));
                }
            }
            What::Punched { fd, from } => {
                let is_behind_all = self.fds.get(fd).is_none_or(|handle| {
                    matches!(&self.inodes[self.handles[*handle].id], Inode::File { now, .. } if now.len() <= usize_of(*from))
                });
                return if is_behind_all { Ok(()) } else { Err(lost()) };
            }
            What::SyncBegun { thread, fd } => self.sync_begun(*thread, *fd),
            What::SyncDone { thread } => self.sync_done(*thread),
            What::Moved { from, to } => return self.moved(from, to).ok_or_else(lost),
            What::Removed { path } => return self.removed(path).ok_or_else(lost),
            What::Made { path } => return self.made(path).ok_or_else(lost),
            What::Interrupted { fds, paths } => self.interrupted(fds, paths),
            What::Other { fds, paths, .. } => {
                let is_ours = fds.iter().any(|fd| self.fds.contains_key(fd))
                    || paths.iter().any(|path| self.within(path).is_some());
                return if is_ours { Err(lost()) } else { Ok(()) };
            }
        }
        Ok(())
    }

    /// The name within the folder, if it is in it.
    fn within(&self, path: &Path) -> Option<PathBuf> {
        let path = std::path::absolute(path).ok()?;
        let mut plain = PathBuf::new();
        for part in path.components() {
            match part {
                Component::ParentDir => {
                    plain.pop();
                }
                Component::CurDir => {}
                Component::Prefix(_) | Component::RootDir | Component::Normal(_) => plain.push(part),
            }
        }
        plain.strip_prefix(&self.base).ok().map(Path::to_owned)
    }

    fn find(&self, within: &Path) -> Option<Id> {
        within.iter().try_fold(ROOT, |id, name| match &self.inodes[id] {
            Inode::Folder { now, .. } => now.get(name).copied(),
            Inode::File { .. } => None,
        })
    }

    /// The folder that a name is in, and the name in it.
    fn place<'a>(&self, within: &'a Path) -> Option<(Id, &'a OsStr)> {
        Some((self.find(within.parent()?)?, within.file_name()?))
    }

    fn opened(&mut self, fd: Fd, path: &Path, flags: &str) -> Option<()> {
        // A number that was another file's, and of whose end nothing was seen.
        self.fds.remove(&fd);
        let Some(within) = self.within(path) else { return Some(()) };
        let has = |flag: &str| flags.split('|').any(|found| found == flag);
        let id = match self.find(&within) {
            Some(id) => {
                if has("O_TRUNC") {
                    self.change(id, Change::Length(0));
                }
                id
            }
            None if has("O_CREAT") => {
                let (folder, name) = self.place(&within)?;
                self.inodes.push(new_file(Vec::new(), path));
                let id = self.inodes.len() - 1;
                self.rename(folder, Entry::Put(name.to_owned(), id));
                id
            }
            // It was opened, so it is there, and was never seen being made.
            None => return None,
        };
        self.fds.insert(fd, self.handles.len());
        self.handles.push(Handle { id, at: 0, appends: has("O_APPEND") });
        Some(())
    }

    fn written(&mut self, fd: Fd, at: Option<u64>, data: &[u8]) {
        let Some(handle) = self.fds.get(&fd).copied() else { return };
        let Handle { id, at: next, appends } = self.handles[handle];
        let length = match &self.inodes[id] {
            Inode::File { now, .. } => now.len(),
            Inode::Folder { .. } => 0,
        };
        // On Linux a file that is opened for appending is appended to, whatever offset is given.
        let from = if appends { length } else { at.map_or(next, usize_of) };
        if at.is_none() {
            self.handles[handle].at = from + data.len();
        }
        self.change(id, Change::Write { at: from, data: data.to_vec() });
    }

    fn change(&mut self, id: Id, change: Change) {
        if let Inode::File { now, pending, .. } = &mut self.inodes[id] {
            do_change(now, &change);
            pending.changes.push(change);
        }
    }

    fn rename(&mut self, folder: Id, entry: Entry) {
        if let Inode::Folder { now, pending, .. } = &mut self.inodes[folder] {
            do_entry(now, &entry);
            pending.changes.push(entry);
        }
    }

    fn moved(&mut self, from: &Path, to: &Path) -> Option<()> {
        match (self.within(from), self.within(to)) {
            (None, None) => Some(()),
            (Some(from), Some(to)) => {
                let ((folder, old), (other, new)) = (self.place(&from)?, self.place(&to)?);
                self.find(&from)?;
                // Between two folders a cut could leave both names, or none; nothing here does that.
                (folder == other).then(|| self.rename(folder, Entry::Move(old.to_owned(), new.to_owned())))
            }
            (Some(_), None) | (None, Some(_)) => None,
        }
    }

    fn removed(&mut self, path: &Path) -> Option<()> {
        let Some(within) = self.within(path) else { return Some(()) };
        let (folder, name) = self.place(&within)?;
        self.rename(folder, Entry::Remove(name.to_owned()));
        Some(())
    }

    fn made(&mut self, path: &Path) -> Option<()> {
        let Some(within) = self.within(path) else { return Some(()) };
        let (folder, name) = self.place(&within)?;
        self.inodes.push(new_folder());
        let id = self.inodes.len() - 1;
        self.rename(folder, Entry::Put(name.to_owned(), id));
        Some(())
    }

    fn sync_begun(&mut self, thread: u32, fd: Fd) {
        self.syncing.remove(&thread);
        if let Some(handle) = self.fds.get(&fd) {
            let id = self.handles[*handle].id;
            let covers = match &self.inodes[id] {
                Inode::File { pending, .. } => pending.total(),
                Inode::Folder { pending, .. } => pending.total(),
            };
            self.syncing.insert(thread, (id, covers));
        }
    }

    fn sync_done(&mut self, thread: u32) {
        let Some((id, covers)) = self.syncing.remove(&thread) else { return };
        let syncs = self.syncs;
        match &mut self.inodes[id] {
            Inode::File { certain, pending, is_log, .. } => {
                if syncs == Syncs::Kept || (syncs == Syncs::IgnoredForLogs && !*is_log) {
                    pending.take(covers).iter().for_each(|change| do_change(certain, change));
                }
            }
            Inode::Folder { certain, pending, .. } => {
                if syncs != Syncs::Ignored {
                    pending.take(covers).iter().for_each(|entry| do_entry(certain, entry));
                }
            }
        }
    }

    fn interrupted(&mut self, fds: &[Fd], paths: &[PathBuf]) {
        let files = fds.iter().filter_map(|fd| Some(self.handles[*self.fds.get(fd)?].id));
        let folders = paths.iter().filter_map(|path| Some(self.place(&self.within(path)?)?.0));
        let doubtful: Vec<Id> = files.chain(folders).collect();
        self.doubtful.extend(doubtful);
    }

    /// Writes the folder, as it could be found if the power were cut now, to `to`, which is made.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn cut(&self, unsynced: Unsynced, random: &mut Random, to: &Path) {
        self.write_folder(ROOT, unsynced, random, to);
    }

    fn write_folder(&self, id: Id, unsynced: Unsynced, random: &mut Random, to: &Path) {
        let Inode::Folder { certain, pending, .. } = &self.inodes[id] else { return };
        fs::create_dir_all(to).expect("a folder is made");
        let mut names = certain.clone();
        let kept = match unsynced {
            Unsynced::Gone => 0,
            Unsynced::Torn | Unsynced::Scattered => random.below(pending.changes.len() + 1),
        };
        pending.changes.iter().take(kept).for_each(|entry| do_entry(&mut names, entry));
        for (name, child) in names {
            let path = to.join(name);
            match &self.inodes[child] {
                Inode::Folder { .. } => self.write_folder(child, unsynced, random, &path),
                Inode::File { certain, pending, .. } => {
                    let bytes = survivor(certain, &pending.changes, unsynced, random);
                    write_file(&path, &bytes).expect("a file is written");
                }
            }
        }
    }

    /// Compares what the process did, as the trace tells it, with what it left in `folder`: if a file differs, the trace
    /// does not tell all, and nothing that follows from it counts. What was being changed when the process was killed may be either.
    ///
    /// # Errors
    /// The first file that differs.
    pub fn compare(&self, folder: &Path, ignored: &[&str]) -> Result<(), String> {
        self.compare_folder(ROOT, folder, ignored)
    }

    fn compare_folder(&self, id: Id, folder: &Path, ignored: &[&str]) -> Result<(), String> {
        let Inode::Folder { now, .. } = &self.inodes[id] else {
            return Err(format!("{} is a folder", folder.display()));
        };
        let is_ignored = |name: &OsStr| ignored.iter().any(|other| name == *other);
        let is_doubtful = |id: Id| self.doubtful.contains(&id);
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
            let (path, name) =
                entry.map(|entry| (entry.path(), entry.file_name())).map_err(|e| e.to_string())?;
            match now.get(&name).map(|child| (*child, &self.inodes[*child])) {
                None if is_ignored(&name) || is_doubtful(id) => {}
                None => return Err(format!("{} was never made", path.display())),
                Some((child, Inode::Folder { .. })) => self.compare_folder(child, &path, ignored)?,
                Some((child, Inode::File { now, .. })) => {
                    let bytes = fs::read(&path).map_err(|error| error.to_string())?;
                    if bytes != *now && !is_doubtful(child) && !is_ignored(&name) {
                        let lengths = (bytes.len(), now.len());
                        return Err(format!("{} has other bytes, lengths {lengths:?}", path.display()));
                    }
                }
            }
            found.insert(name);
        }
        let mut gone = now.keys().filter(|name| !found.contains(*name) && !is_doubtful(id));
        gone.next().map_or(Ok(()), |name| Err(format!("{} is gone", folder.join(name).display())))
    }
}

const fn new_folder() -> Inode {
    let pending = Pending { changes: Vec::new(), before: 0 };
    Inode::Folder { certain: BTreeMap::new(), now: BTreeMap::new(), pending }
}

fn new_file(bytes: Vec<u8>, path: &Path) -> Inode {
    let is_log = path.extension().is_some_and(|extension| extension == "log");
    Inode::File { certain: bytes.clone(), now: bytes, pending: Pending::default(), is_log }
}

/// Readable by its owner only: keys are among these files.
fn write_file(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    fs::File::options().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}

/// What a file holds after a cut.
fn survivor(certain: &[u8], changes: &[Change], unsynced: Unsynced, random: &mut Random) -> Vec<u8> {
    let mut bytes = certain.to_vec();
    match unsynced {
        Unsynced::Gone => {}
        Unsynced::Torn => {
            let kept = random.below(changes.len() + 1);
            changes.iter().take(kept).for_each(|change| do_change(&mut bytes, change));
            if let Some(Change::Write { at, data }) = changes.get(kept) {
                let part = data[..random.below(data.len() + 1)].to_vec();
                if !part.is_empty() {
                    do_change(&mut bytes, &Change::Write { at: *at, data: part });
                }
            }
        }
        Unsynced::Scattered => {
            changes
                .iter()
                .filter(|_| random.number().is_multiple_of(2))
                .for_each(|change| do_change(&mut bytes, change));
        }
    }
    bytes
}

fn do_change(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Length(length) => bytes.resize(*length, 0),
        Change::Write { at, data } => {
            let end = at + data.len();
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[*at..end].copy_from_slice(data);
        }
    }
}

fn do_entry(names: &mut BTreeMap<OsString, Id>, entry: &Entry) {
    match entry {
        Entry::Put(name, id) => {
            names.insert(name.clone(), *id);
        }
        Entry::Remove(name) => {
            names.remove(name);
        }
        Entry::Move(from, to) => {
            if let Some(id) = names.remove(from) {
                names.insert(to.clone(), id);
            }
        }
    }
}

fn usize_of(number: u64) -> usize {
    usize::try_from(number).expect("files are small")
}
