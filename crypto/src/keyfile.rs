//! The one file that holds a node's seed at rest: encrypted with a passphrase, written all or nothing, and refused
//! when others could have read it (FAULTS S14). The only part of this crate that touches a disk.
//!
//! ```text
//! magic "TOWPATHK" (8) ‖ version u32 ‖ memory KiB u32 ‖ passes u32 ‖ lanes u32 ‖ salt (16) ‖ nonce (24)   the header
//! XChaCha20-Poly1305(key = Argon2id(passphrase, salt), nonce, AAD = header, entropy (32))                 48 bytes
//! ```
//! Integers are little-endian. The header is authenticated, so its parameters can't be exchanged unseen, and bounded
//! before they are used, since they are read before anything can be authenticated. Salt and nonce come in as values.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::limits::{KEY_FILE_LANES_MAX, KEY_FILE_MEMORY_MAX_KIB, KEY_FILE_PASSES_MAX, PASSPHRASE_BYTES_MAX};
use crate::seed::Seed;

const MAGIC: &[u8; 8] = b"TOWPATHK";
const VERSION: u32 = 1;
const HEADER_LENGTH: usize = 64;
const FILE_LENGTH: usize = HEADER_LENGTH + 32 + 16;

/// How hard the passphrase is to guess for somebody who has the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KdfStrength {
    /// For every node that holds value: 64 MiB, three passes, a fraction of a second.
    Interactive,
    /// For throw-away nodes on one machine, of which many start at once: 64 KiB, one pass. Only here the passphrase
    /// may be empty.
    LocalTestnet,
}

/// Random bytes for a file: fresh for every write.
#[derive(Clone)]
pub struct FileRandomness {
    /// The salt of the passphrase.
    pub salt: [u8; 16],
    /// The nonce of the encryption.
    pub nonce: [u8; 24],
}

/// Why a key file was not read or written. Never contains key material or the passphrase.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// No such file.
    #[error("no key file at {}; create one with `towpath init`", .0.display())]
    Missing(PathBuf),
    /// There is a file already, which is never overwritten.
    #[error("a key file exists at {} and is never overwritten; move it away first", .0.display())]
    Exists(PathBuf),
    /// The passphrase does not open the file, or the file was altered: encryption can't tell which.
    #[error("wrong passphrase, or the key file is damaged")]
    WrongPassphrase,
    /// The file ends early.
    #[error("the key file is cut off after {0} bytes; restore it from a copy, or from the seed words")]
    Truncated(u64),
    /// The file is longer than a key file.
    #[error("the file has {0} bytes, more than a key file")]
    TooLong(u64),
    /// The file is something else.
    #[error("{} is not a key file", .0.display())]
    NotAKeyFile(PathBuf),
    /// The file was written by another version.
    #[error("the key file has format {found}, this program reads {VERSION}; use a newer towpath")]
    WrongVersion {
        /// The version in the file.
        found: u32,
    },
    /// The cost parameters in the file are outside of what is ever computed.
    #[error("the key file asks for {memory_kib} KiB, {passes} passes and {lanes} lanes, which is refused")]
    Parameters {
        /// Memory asked for.
        memory_kib: u32,
        /// Passes asked for.
        passes: u32,
        /// Lanes asked for.
        lanes: u32,
    },
    /// Others than the owner may open the file.
    #[error("{} has mode {mode:04o}, others could read it; run `chmod 600` on it", .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is a symbolic link, which could lead anywhere.
    #[error("{} is a symbolic link; name the file itself", .0.display())]
    SymbolicLink(PathBuf),
    /// An empty passphrase outside of a local test network.
    #[error("an empty passphrase is allowed on local test networks only")]
    EmptyPassphrase,
    /// A passphrase past every bound.
    #[error("the passphrase is longer than {PASSPHRASE_BYTES_MAX} bytes")]
    LongPassphrase,
    /// Too little memory for the passphrase's key.
    #[error("not enough memory to compute the key of the passphrase")]
    OutOfMemory,
    /// The system refused.
    #[error("could not {action} {}", .path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
}

/// The cost of guessing, as stored in the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

impl KdfStrength {
    const fn cost(self) -> Cost {
        match self {
            Self::Interactive => Cost { memory_kib: 64 * 1024, passes: 3, lanes: 1 },
            Self::LocalTestnet => Cost { memory_kib: 64, passes: 1, lanes: 1 },
        }
    }
}

impl Cost {
    fn check(self) -> Result<Self, KeyFileError> {
        let Self { memory_kib, passes, lanes } = self;
        let fits = (1..=KEY_FILE_LANES_MAX).contains(&lanes)
            && (1..=KEY_FILE_PASSES_MAX).contains(&passes)
            && (8 * lanes..=KEY_FILE_MEMORY_MAX_KIB).contains(&memory_kib);
        if fits { Ok(self) } else { Err(KeyFileError::Parameters { memory_kib, passes, lanes }) }
    }
}

struct Header {
    cost: Cost,
    randomness: FileRandomness,
}

impl Header {
    fn encode(&self) -> [u8; HEADER_LENGTH] {
        let Cost { memory_kib, passes, lanes } = self.cost;
        let mut bytes = [0; HEADER_LENGTH];
        bytes[..8].copy_from_slice(MAGIC);
        for (place, number) in bytes[8..24].chunks_exact_mut(4).zip([VERSION, memory_kib, passes, lanes]) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[24..40].copy_from_slice(&self.randomness.salt);
        bytes[40..].copy_from_slice(&self.randomness.nonce);
        bytes
    }

    fn decode(bytes: &[u8; HEADER_LENGTH], path: &Path) -> Result<Self, KeyFileError> {
        if bytes[..8] != *MAGIC {
            return Err(KeyFileError::NotAKeyFile(path.to_owned()));
        }
        let mut numbers = [0; 4];
        for (number, place) in numbers.iter_mut().zip(bytes[8..24].chunks_exact(4)) {
            *number = u32::from_le_bytes(place.try_into().expect("chunks of four bytes"));
        }
        let [version, memory_kib, passes, lanes] = numbers;
        if version != VERSION {
            return Err(KeyFileError::WrongVersion { found: version });
        }
        let cost = Cost { memory_kib, passes, lanes }.check()?;
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        salt.copy_from_slice(&bytes[24..40]);
        nonce.copy_from_slice(&bytes[40..]);
        Ok(Self { cost, randomness: FileRandomness { salt, nonce } })
    }

    fn cipher(&self, passphrase: &[u8]) -> Result<XChaCha20Poly1305, KeyFileError> {
        if passphrase.len() > PASSPHRASE_BYTES_MAX {
            return Err(KeyFileError::LongPassphrase);
        }
        if passphrase.is_empty() && self.cost != KdfStrength::LocalTestnet.cost() {
            return Err(KeyFileError::EmptyPassphrase);
        }
        let Cost { memory_kib, passes, lanes } = self.cost;
        let refused = |_| KeyFileError::Parameters { memory_kib, passes, lanes };
        let params = Params::new(memory_kib, passes, lanes, Some(32)).map_err(refused)?;
        let mut key = Zeroizing::new([0; 32]);
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, &self.randomness.salt, &mut *key)
            .map_err(|_| KeyFileError::OutOfMemory)?;
        Ok(XChaCha20Poly1305::new((&*key).into()))
    }
}

/// The bytes of a key file that holds `seed`.
///
/// # Errors
/// [`KeyFileError::EmptyPassphrase`] and [`KeyFileError::LongPassphrase`].
pub fn seal(
    seed: &Seed,
    passphrase: &[u8],
    strength: KdfStrength,
    randomness: FileRandomness,
) -> Result<Vec<u8>, KeyFileError> {
    let header = Header { cost: strength.cost(), randomness };
    let bytes = header.encode();
    let nonce = XNonce::from(header.randomness.nonce);
    let sealed = header
        .cipher(passphrase)?
        .encrypt(&nonce, Payload { msg: seed.entropy(), aad: &bytes })
        .map_err(|_| KeyFileError::OutOfMemory)?;
    Ok([&bytes[..], &sealed].concat())
}

/// The seed in the bytes of a key file; `path` is for messages only.
///
/// # Errors
/// [`KeyFileError`] says whether the bytes are cut, foreign, of another version, or not opened by the passphrase.
pub fn unseal(bytes: &[u8], passphrase: &[u8], path: &Path) -> Result<Seed, KeyFileError> {
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if let Some(start) = bytes.get(..MAGIC.len())
        && start != MAGIC
    {
        return Err(KeyFileError::NotAKeyFile(path.to_owned()));
    }
    let Some((header_bytes, sealed)) = bytes.split_first_chunk::<HEADER_LENGTH>() else {
        return Err(KeyFileError::Truncated(length));
    };
    let header = Header::decode(header_bytes, path)?;
    match bytes.len() {
        FILE_LENGTH => {}
        0..FILE_LENGTH => return Err(KeyFileError::Truncated(length)),
        _ => return Err(KeyFileError::TooLong(length)),
    }
    let nonce = XNonce::from(header.randomness.nonce);
    let entropy = header
        .cipher(passphrase)?
        .decrypt(&nonce, Payload { msg: sealed, aad: header_bytes })
        .map(Zeroizing::new)
        .map_err(|_| KeyFileError::WrongPassphrase)?;
    let entropy: &[u8; 32] = entropy.as_slice().try_into().map_err(|_| KeyFileError::Truncated(length))?;
    Ok(Seed::from_entropy(entropy))
}

/// Creates the key file, readable by its owner only. When this returns, the file is whole and on disk; if the machine
/// stops before, there is no file.
///
/// # Errors
/// [`KeyFileError::Exists`] if there is anything at `path`; and as [`seal`].
pub fn create(
    path: &Path,
    seed: &Seed,
    passphrase: &[u8],
    strength: KdfStrength,
    randomness: FileRandomness,
) -> Result<(), KeyFileError> {
    if fs::symlink_metadata(path).is_ok() {
        return Err(KeyFileError::Exists(path.to_owned()));
    }
    let bytes = seal(seed, passphrase, strength, randomness)?;
    let draft = write_draft(path, &bytes)?;
    // A link, unlike a rename, never replaces what another process has put there in the meantime.
    let linked = fs::hard_link(&draft, path).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => KeyFileError::Exists(path.to_owned()),
        _ => io("create", path)(source),
    });
    fs::remove_file(&draft).map_err(io("remove", &draft))?;
    linked?;
    sync_directory(path)
}

/// Writes the key file anew, with another passphrase or strength. The old file stays until the new one is on disk.
///
/// # Errors
/// As [`open`] with the old passphrase and [`seal`] with the new one.
pub fn change_passphrase(
    path: &Path,
    old: &[u8],
    new: &[u8],
    strength: KdfStrength,
    randomness: FileRandomness,
) -> Result<(), KeyFileError> {
    let seed = open(path, old)?;
    let bytes = seal(&seed, new, strength, randomness)?;
    let draft = write_draft(path, &bytes)?;
    fs::rename(&draft, path).map_err(io("replace", path))?;
    sync_directory(path)
}

/// Reads the seed out of the key file.
///
/// # Errors
/// [`KeyFileError`], each cause its own; a file that others may open is refused before it is read.
pub fn open(path: &Path, passphrase: &[u8]) -> Result<Seed, KeyFileError> {
    // Neither follow a link nor wait at a pipe. The checks are made on the opened file, not on the name.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let flags = i32::try_from(flags).expect("open flags are C integers");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(|source| {
        match (source.kind(), source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())) {
            (_, true) => KeyFileError::SymbolicLink(path.to_owned()),
            (std::io::ErrorKind::NotFound, false) => KeyFileError::Missing(path.to_owned()),
            (_, false) => io("open", path)(source),
        }
    })?;
    let metadata = file.metadata().map_err(io("inspect", path))?;
    if !metadata.is_file() {
        return Err(KeyFileError::NotAKeyFile(path.to_owned()));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Permissions { path: path.to_owned(), mode });
    }
    let bound = u64::try_from(FILE_LENGTH).expect("a hundred bytes") + 1;
    let mut bytes = Vec::new();
    file.take(bound).read_to_end(&mut bytes).map_err(io("read", path))?;
    if bytes.len() > FILE_LENGTH && bytes.starts_with(MAGIC) {
        return Err(KeyFileError::TooLong(metadata.len()));
    }
    unseal(&bytes, passphrase, path)
}

/// The whole new content beside the file, on disk.
fn write_draft(path: &Path, bytes: &[u8]) -> Result<PathBuf, KeyFileError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let draft = PathBuf::from(name);
    match fs::remove_file(&draft) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(io("remove the unfinished", &draft)(error)),
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)
        .map_err(io("create", &draft))?;
    // The umask may have taken more than others' rights; the owner must be able to read.
    file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(io("protect", &draft))?;
    file.write_all(bytes).map_err(io("write", &draft))?;
    file.sync_all().map_err(io("sync", &draft))?;
    Ok(draft)
}

fn sync_directory(path: &Path) -> Result<(), KeyFileError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(io("sync", directory))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> KeyFileError {
    let path = path.to_owned();
    move |source| KeyFileError::Io { action, path, source }
}

#[cfg(test)]
#[path = "keyfile_tests.rs"]
mod tests;
