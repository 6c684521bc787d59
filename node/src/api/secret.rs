//! The file that holds the API token: made once, readable by the node's user alone.

use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rand::TryRng;
use towpath_api::{Token, TokenError};

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    /// The file can't be made.
    #[error("cannot make the API token file {path}: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Other users can read it.
    #[error(
        "the API token file {path} has mode {mode:03o}, so that others can read it; run 'chmod 600 {path}', or delete it for a new token"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It can't be read, or holds no token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for an API token")]
    Entropy,
}

/// Reads the token file, or makes it with a fresh token of 32 random bytes.
///
/// # Errors
/// [`SecretFileError`]; also when the file is open to other users, since they may have read it.
pub fn load_or_create(path: &Path) -> Result<Token, SecretFileError> {
    match std::fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(SecretFileError::Exposed { path: path.to_owned(), mode });
            }
            Ok(Token::read(path)?)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => create(path),
        Err(source) => Err(TokenError::Read { path: path.to_owned(), source }.into()),
    }
}

fn create(path: &Path) -> Result<Token, SecretFileError> {
    let mut entropy = [0; 32];
    rand::rngs::SysRng.try_fill_bytes(&mut entropy).map_err(|_error| SecretFileError::Entropy)?;
    let token = Token::from_entropy(entropy);
    // Written beside and moved into place, so that no crash leaves half a token.
    let draft = path.with_extension("new");
    let write = || {
        match std::fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(format!("{}\n", token.expose()).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    write().map_err(|source| SecretFileError::Create { path: path.to_owned(), source })?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::{SecretFileError, load_or_create};

    #[test]
    fn a1_a_token_is_made_once_and_only_its_user_can_read_it() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("api.token");
        let made = load_or_create(&path).expect("made");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let read = load_or_create(&path).expect("read");
        assert_eq!(made.expose(), read.expose());
        let other = load_or_create(&dir.path().join("other")).expect("made");
        assert_ne!(made.expose(), other.expose());
    }

    #[test]
    fn a1_a_token_that_others_can_read_or_that_is_none_is_refused() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let path = dir.path().join("api.token");
        load_or_create(&path).expect("made");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("set");
        assert!(matches!(load_or_create(&path), Err(SecretFileError::Exposed { mode: 0o640, .. })));
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("set");
        std::fs::write(&path, "no token").expect("written");
        assert!(matches!(load_or_create(&path), Err(SecretFileError::Token(_))));
    }
}
