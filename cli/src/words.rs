//! Seed words come from the terminal, or from the standard input; never from the command line.

use std::io::{BufRead, IsTerminal, Read, Write};

use towpath_crypto::seed::{Seed, WORDS};
use zeroize::Zeroizing;

use crate::errors::CliError;

/// Bytes of the longest words there are, with room for the white space between them.
const BYTES_MAX: u64 = 4_096;

/// Asks for the words on a terminal, in as many lines as they take; or reads them from what is piped in.
///
/// # Errors
/// When they are no seed.
pub fn read() -> Result<Seed, CliError> {
    let input = std::io::stdin();
    let mut text = Zeroizing::new(String::new());
    let failed = |error: std::io::Error| CliError::Local(format!("the standard input: {error}"));
    if input.is_terminal() {
        let mut terminal = std::io::stderr();
        while text.split_whitespace().count() < WORDS {
            let place = text.split_whitespace().count() + 1;
            // A terminal that cannot be written to is not asked again.
            write!(terminal, "word {place} of {WORDS}, or several: ").map_err(failed)?;
            let mut line = Zeroizing::new(String::new());
            if input.lock().read_line(&mut line).map_err(failed)? == 0 {
                break;
            }
            text.push_str(&line);
        }
    } else {
        input.lock().take(BYTES_MAX).read_to_string(&mut text).map_err(failed)?;
    }
    Seed::parse(&text).map_err(|error| CliError::Usage(error.to_string()))
}
