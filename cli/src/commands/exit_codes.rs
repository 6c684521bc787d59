//! `towpath exit-codes`, which is also `towpath help exit-codes`

use crate::args::Common;
use crate::errors::{CliError, Exit, page};
use crate::output::{Style, answer};

/// Prints the table of exit codes.
///
/// # Errors
/// When the output is closed.
pub fn exit_codes(common: &Common) -> Result<(), CliError> {
    let row = |exit: &Exit| {
        serde_json::json!({
            "exit": *exit as u8, "name": exit.name(), "meaning": exit.meaning(), "next": exit.next(),
        })
    };
    let document = serde_json::json!({ "exit_codes": Exit::ALL.iter().map(row).collect::<Vec<_>>() });
    answer(Style::of(common), &document, |_| page())
}
