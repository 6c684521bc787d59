//! Each way in which a key file can be wrong, and the one in which it is right (FAULTS S14).

use std::os::unix::fs::symlink;

use super::*;

const LOCAL: KdfStrength = KdfStrength::LocalTestnet;

fn randomness(byte: u8) -> FileRandomness {
    FileRandomness { salt: [byte; 16], nonce: [byte ^ 0xff; 24] }
}

fn seed() -> Seed {
    Seed::from_entropy(&[0x5a; 32])
}

struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("keys")
    }

    fn with_file() -> Self {
        let home = Self::new();
        create(&home.path(), &seed(), b"secret", LOCAL, randomness(1)).unwrap();
        home
    }

    fn with_bytes(bytes: &[u8]) -> Self {
        let home = Self::new();
        fs::write(home.path(), bytes).unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o600)).unwrap();
        home
    }

    fn open(&self) -> Result<Seed, KeyFileError> {
        open(&self.path(), b"secret")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.path()).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

fn good_bytes() -> Vec<u8> {
    seal(&seed(), b"secret", LOCAL, randomness(1)).unwrap()
}

#[test]
fn a_created_file_opens_and_is_private() {
    let home = Home::with_file();
    assert_eq!(home.open().unwrap().entropy(), seed().entropy());
    assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o7777, 0o600);
    assert_eq!(home.names(), ["keys"], "no draft is left");
}

#[test]
fn the_interactive_strength_opens_too() {
    let bytes = seal(&seed(), b"secret", KdfStrength::Interactive, randomness(2)).unwrap();
    assert_eq!(unseal(&bytes, b"secret", Path::new("keys")).unwrap().entropy(), seed().entropy());
    assert!(bytes.starts_with(b"TOWPATHK\x01\0\0\0\0\0\x01\0\x03\0\0\0\x01\0\0\0"), "64 MiB, three passes");
}

/// The layout is a promise: files of today open for ever.
#[test]
fn golden_bytes() {
    let header = "544f57504154484b010000004000000001000000010000000101010101010101\
                  0101010101010101fefefefefefefefefefefefefefefefefefefefefefefefe";
    let sealed = "da5220bb4da02c2792de6535036db622115b1b5a0dccf87f33343065b7f23554\
                  cce6edb33c4caf889bf9eca33cac1175";
    assert_eq!(hex::encode(good_bytes()), format!("{header}{sealed}"));
}

#[test]
fn a_file_is_never_overwritten() {
    let home = Home::with_file();
    let before = fs::read(home.path()).unwrap();
    let again = create(&home.path(), &Seed::from_entropy(&[1; 32]), b"other", LOCAL, randomness(2));
    assert!(matches!(again, Err(KeyFileError::Exists(_))));
    assert_eq!(fs::read(home.path()).unwrap(), before);
    assert_eq!(home.names(), ["keys"]);
}

#[test]
fn an_unfinished_draft_is_replaced() {
    let home = Home::new();
    fs::write(home.directory.path().join("keys.new"), b"half").unwrap();
    create(&home.path(), &seed(), b"secret", LOCAL, randomness(1)).unwrap();
    assert!(home.open().is_ok());
    assert_eq!(home.names(), ["keys"]);
}

#[test]
fn what_stands_in_the_way_of_a_draft_is_named() {
    let home = Home::new();
    let draft = home.directory.path().join("keys.new");
    fs::create_dir(&draft).unwrap();
    let refused = create(&home.path(), &seed(), b"secret", LOCAL, randomness(1)).unwrap_err();
    let KeyFileError::Io { action, path, .. } = refused else { panic!("{refused}") };
    assert_eq!((action, path), ("remove the unfinished", draft));
}

/// Nothing waits for whoever might write into it one day.
#[test]
fn s14_a_pipe_is_refused_at_once() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let home = Home::new();
    mknodat(CWD, home.path(), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    assert!(matches!(home.open(), Err(KeyFileError::NotAKeyFile(path)) if path == home.path()));
}

#[test]
fn s14_the_longest_passphrase_is_taken_and_a_longer_one_is_not() {
    let seal = |length| seal(&seed(), &vec![b'x'; length], LOCAL, randomness(1));
    assert!(seal(PASSPHRASE_BYTES_MAX).is_ok());
    assert!(matches!(seal(PASSPHRASE_BYTES_MAX + 1), Err(KeyFileError::LongPassphrase)));
}

#[test]
fn a_changed_passphrase_opens_the_same_seed() {
    let home = Home::with_file();
    let changed = change_passphrase(&home.path(), b"wrong", b"new", LOCAL, randomness(3));
    assert!(matches!(changed, Err(KeyFileError::WrongPassphrase)));
    change_passphrase(&home.path(), b"secret", b"new", LOCAL, randomness(3)).unwrap();
    assert!(matches!(home.open(), Err(KeyFileError::WrongPassphrase)));
    assert_eq!(open(&home.path(), b"new").unwrap().entropy(), seed().entropy());
    assert_eq!(fs::metadata(home.path()).unwrap().mode() & 0o7777, 0o600);
}

#[test]
fn s14_a_missing_file_is_named() {
    let home = Home::new();
    assert!(matches!(home.open(), Err(KeyFileError::Missing(path)) if path == home.path()));
}

#[test]
fn s14_a_wrong_passphrase_is_refused() {
    let home = Home::with_file();
    for wrong in [&b"Secret"[..], b"", b"secret "] {
        assert!(matches!(open(&home.path(), wrong), Err(KeyFileError::WrongPassphrase)), "{wrong:?}");
    }
    let long = vec![b'x'; PASSPHRASE_BYTES_MAX + 1];
    assert!(matches!(open(&home.path(), &long), Err(KeyFileError::LongPassphrase)));
}

#[test]
fn s14_every_truncation_is_refused() {
    let bytes = good_bytes();
    for length in 0..bytes.len() {
        let result = Home::with_bytes(&bytes[..length]).open();
        assert!(matches!(result, Err(KeyFileError::Truncated(_))), "{length}: {result:?}");
    }
    let longer = [&bytes[..], b"x"].concat();
    assert!(matches!(Home::with_bytes(&longer).open(), Err(KeyFileError::TooLong(_))));
}

#[test]
fn s14_every_changed_byte_is_refused() {
    let bytes = good_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 1;
        assert!(unseal(&changed, b"secret", Path::new("keys")).is_err(), "byte {at}");
    }
}

#[test]
fn s14_another_version_or_file_is_named() {
    let mut newer = good_bytes();
    newer[8] = 2;
    assert!(matches!(Home::with_bytes(&newer).open(), Err(KeyFileError::WrongVersion { found: 2 })));
    for foreign in [&b"-----BEGIN PRIVATE KEY-----"[..], &[0; 500]] {
        assert!(matches!(Home::with_bytes(foreign).open(), Err(KeyFileError::NotAKeyFile(_))));
    }
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    assert!(matches!(home.open(), Err(KeyFileError::NotAKeyFile(_))));
}

#[test]
fn s14_hostile_parameters_are_refused_before_they_cost_anything() {
    for (place, value) in
        [(12, u32::MAX), (12, 0), (12, KEY_FILE_MEMORY_MAX_KIB + 1), (16, 0), (16, 17), (20, 0), (20, 5)]
    {
        let mut bytes = good_bytes();
        bytes[place..place + 4].copy_from_slice(&value.to_le_bytes());
        let result = unseal(&bytes, b"secret", Path::new("keys"));
        assert!(matches!(result, Err(KeyFileError::Parameters { .. })), "{place} {value}: {result:?}");
    }
}

#[test]
fn s14_loose_permissions_are_refused() {
    let home = Home::with_file();
    for mode in [0o640, 0o604, 0o620, 0o644, 0o666, 0o610] {
        fs::set_permissions(home.path(), fs::Permissions::from_mode(mode)).unwrap();
        let result = home.open();
        assert!(matches!(result, Err(KeyFileError::Permissions { mode: m, .. }) if m == mode), "{mode:o}");
    }
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o400)).unwrap();
    assert!(home.open().is_ok(), "stricter is fine");
}

#[test]
fn s14_a_symbolic_link_is_refused() {
    let home = Home::with_file();
    let link = home.directory.path().join("link");
    symlink(home.path(), &link).unwrap();
    assert!(matches!(open(&link, b"secret"), Err(KeyFileError::SymbolicLink(_))));
    let dangling = home.directory.path().join("dangling");
    symlink(home.directory.path().join("nowhere"), &dangling).unwrap();
    let created = create(&dangling, &seed(), b"secret", LOCAL, randomness(1));
    assert!(matches!(created, Err(KeyFileError::Exists(_))), "a link is not followed when creating either");
}

#[test]
fn s14_only_a_local_testnet_may_leave_the_passphrase_empty() {
    let refused = seal(&seed(), b"", KdfStrength::Interactive, randomness(1));
    assert!(matches!(refused, Err(KeyFileError::EmptyPassphrase)));
    let bytes = seal(&seed(), b"", LOCAL, randomness(1)).unwrap();
    assert!(unseal(&bytes, b"", Path::new("keys")).is_ok());
    let strong = seal(&seed(), b"secret", KdfStrength::Interactive, randomness(1)).unwrap();
    assert!(matches!(unseal(&strong, b"", Path::new("keys")), Err(KeyFileError::EmptyPassphrase)));
}

#[test]
fn s14_nothing_secret_is_in_the_file_or_in_an_error() {
    let secret = seed();
    let bytes = good_bytes();
    let plain = secret.entropy();
    assert!(!bytes.windows(8).any(|window| window == &plain[..8]));
    let error = unseal(&bytes, b"a very wrong passphrase", Path::new("keys")).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("very"));
}
