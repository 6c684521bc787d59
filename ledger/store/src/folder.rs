//! The folder of a store: made with our rights only, ours, and held by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::anchor::sync_folder;
use crate::error::StoreError;

const LOCK_NAME: &str = "lock";
const DATABASE_NAME: &str = "db";

/// A folder that this process holds until it is dropped. The lock is the kernel's and dies with the process, so a
/// lock file left by a killed node is no obstacle (FAULTS S9).
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if there is none, checks that it is ours, and takes it.
    pub(crate) fn take(path: &Path) -> Result<Self, StoreError> {
        let failed = |error: std::io::Error| StoreError::io_at("opening the folder", path, &error);
        let is_missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let missing = path.ancestors().take_while(is_missing).count();
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
        let path = path.canonicalize().map_err(failed)?;
        check_owner(&path)?;
        // The name of a folder is durable once the folder that it is in is synced. Without that a cut of the power could take
        // the whole store, and nothing would be left to say so. Once more than was made: an earlier start may have been cut short.
        path.ancestors().skip(1).take(missing.max(1)).try_for_each(sync_folder)?;
        let lock = lock(&path)?;
        Ok(Self { path, _lock: lock })
    }

    /// The folder, without symbolic links.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Where the database is.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE_NAME)
    }
}

fn check_owner(path: &Path) -> Result<(), StoreError> {
    let owner = path.metadata().map_err(|error| StoreError::io_at("opening the folder", path, &error))?.uid();
    let user = rustix::process::geteuid().as_raw();
    if owner == user { Ok(()) } else { Err(StoreError::WrongOwner { path: path.to_owned(), owner, user }) }
}

fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK_NAME);
    let failed = |error: std::io::Error| StoreError::io_at("locking the folder", &path, &error);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(StoreError::Locked { path: folder.to_owned(), pid: holder(&mut file) });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
    Ok(file)
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_a_second_holder_is_refused_and_told_who_the_first_is() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("node");
        let first = Folder::take(&path).expect("the first takes it");
        let pid = Some(std::process::id());
        match Folder::take(&path).expect_err("the second is refused") {
            StoreError::Locked { pid: found, .. } => assert_eq!(found, pid),
            other => panic!("{other}"),
        }
        drop(first);
        Folder::take(&path).expect("free again");
    }

    #[test]
    fn s8_a_symbolic_link_leads_to_the_same_lock() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let (path, link) = (root.path().join("node"), root.path().join("link"));
        let _first = Folder::take(&path).expect("the first takes it");
        std::os::unix::fs::symlink(&path, &link).expect("a link");
        assert!(matches!(Folder::take(&link), Err(StoreError::Locked { .. })));
    }

    #[test]
    fn s8_a_file_in_the_folders_place_is_an_error_that_names_it() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("node");
        std::fs::write(&path, b"not a folder").expect("a file");
        let error = Folder::take(&path).expect_err("not a folder").to_string();
        assert!(error.contains("node"), "{error}");
    }

    #[test]
    fn the_folder_is_readable_by_its_owner_only() {
        let root = tempfile::tempdir().expect("a temporary folder");
        let path = root.path().join("deep/node");
        let _folder = Folder::take(&path).expect("taken");
        assert_eq!(path.metadata().expect("it is there").mode() & 0o777, 0o700);
    }
}
