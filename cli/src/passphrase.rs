//! Passphrases come from a file, or from the terminal without echo; never from the command line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use crate::errors::CliError;

/// The first line of a file.
///
/// # Errors
/// When it cannot be read.
pub fn read(path: &Path) -> Result<String, CliError> {
    let failed = |error: std::io::Error| CliError::Local(format!("{}: {error}", path.display()));
    let mut line = String::new();
    BufReader::new(File::open(path).map_err(failed)?).read_line(&mut line).map_err(failed)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// Asks twice, and takes it if both are the same.
///
/// # Errors
/// When there is no terminal, or the two differ.
pub fn ask_twice() -> Result<String, CliError> {
    let first = ask("passphrase for the key file: ")?;
    if first == ask("once more: ")? {
        Ok(first)
    } else {
        Err(CliError::Usage("the two differ; try again".to_owned()))
    }
}

/// Asks on the terminal, without echo.
///
/// # Errors
/// When there is no terminal.
pub fn ask(prompt: &str) -> Result<String, CliError> {
    let no_terminal = |error: std::io::Error| {
        CliError::Usage(format!(
            "there is no terminal to ask for the passphrase ({error}); give --passphrase-file"
        ))
    };
    let mut terminal = File::options().read(true).write(true).open("/dev/tty").map_err(no_terminal)?;
    let before = tcgetattr(&terminal).map_err(|error| no_terminal(error.into()))?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    terminal.write_all(prompt.as_bytes()).map_err(no_terminal)?;
    tcsetattr(&terminal, OptionalActions::Flush, &silent).map_err(|error| no_terminal(error.into()))?;
    let mut line = String::new();
    let read = BufReader::new(&terminal).read_line(&mut line);
    // Echo comes back whatever happened.
    let restored = tcsetattr(&terminal, OptionalActions::Flush, &before);
    read.map_err(no_terminal)?;
    restored.map_err(|error| no_terminal(error.into()))?;
    terminal.write_all(b"\n").map_err(no_terminal)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
