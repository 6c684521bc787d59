//! Disks that are small, full or read-only, as real file systems where the tests may mount them (as root), and else by
//! what any user can do to their own process and files.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system of its own size, in memory; unmounted when it is dropped.
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of so many MiB at a folder, which is made. None where this process may not mount.
    ///
    /// # Panics
    /// When the folder cannot be made.
    #[must_use]
    pub fn mount(path: &Path, mib: u32) -> Option<Self> {
        fs::create_dir_all(path).expect("a folder to mount at");
        let options = format!("size={mib}m,mode=0700");
        let words = ["-t", "tmpfs", "-o", &options, "towpath-test"].map(OsStr::new);
        run("mount", &[&words[..], &[path.as_os_str()]].concat()).then(|| Self { path: path.to_owned() })
    }

    /// Takes all the space that is left, also what was given back since the last time.
    ///
    /// # Panics
    /// When it does not fill up.
    pub fn fill(&self) {
        let mut file =
            File::options().create(true).append(true).open(self.ballast()).expect("space for a name");
        for size in [1 << 20, 1 << 12, 1] {
            let block = vec![0xbb; size];
            while file.write_all(&block).is_ok() {}
        }
        let full = file.write_all(b"x").expect_err("the disk is full");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    /// Gives it back.
    ///
    /// # Panics
    /// When it was not taken.
    pub fn make_room(&self) {
        fs::remove_file(self.ballast()).expect("the ballast is there");
    }

    /// Makes it readable only, or writable again.
    ///
    /// # Panics
    /// When the system refuses: something still writes to it.
    pub fn remount(&self, access: Access) {
        let option = match access {
            Access::ReadOnly => "remount,ro",
            Access::ReadWrite => "remount,rw",
        };
        let words = ["-o", option].map(OsStr::new);
        assert!(run("mount", &[&words[..], &[self.path.as_os_str()]].concat()), "{option}");
    }

    fn ballast(&self) -> PathBuf {
        self.path.join("ballast")
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still has files open in it keeps it for as long as it lives; the name is free at once.
        run("umount", &[OsStr::new("--lazy"), self.path.as_os_str()]);
    }
}

/// What may be done with a disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Access {
    /// Nothing but reading.
    ReadOnly,
    /// Everything.
    ReadWrite,
}

fn run(program: &str, arguments: &[&OsStr]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}

/// Whether this process may do what it likes to any file, so that permissions stop nobody.
///
/// # Panics
/// When there is no `/proc`.
#[must_use]
pub fn is_root() -> bool {
    fs::metadata("/proc/self").expect("Linux").uid() == 0
}

/// Sets the permission bits of a file or folder; the ones that it had.
///
/// # Panics
/// When it is not there, or not ours.
pub fn set_mode(path: &Path, mode: u32) -> u32 {
    let had = fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
    had
}
