//! The node's log: to standard error, as text for people or one JSON object a line, and how foreign text is shown in it.

use std::fmt::Write as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::FmtSpan;

use crate::config::{Log, LogFormat};

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The level isn't one.
    #[error(
        "'{level}' is no log level: {reason}; use error, warn, info, debug or trace, or directives like info,towpath_node::net=debug"
    )]
    Level {
        /// What was given.
        level: String,
        /// What is wrong with it.
        reason: String,
    },
    /// This process has a log already.
    #[error("this process writes a log already")]
    Twice,
}

/// Starts the log of this process.
///
/// # Errors
/// [`LoggingError`] if the level isn't one, or there is a log already.
pub fn start(log: &Log) -> Result<(), LoggingError> {
    let filter = filter(&log.level)?;
    let builder = tracing_subscriber::fmt()
        // A line that cannot be written, since the disk is full, is lost: to say so would need the same disk, and
        // panic where it fails.
        .log_internal_errors(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_span_events(FmtSpan::NONE)
        .with_target(true);
    let started = match log.format {
        LogFormat::Text => {
            let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
            builder.with_ansi(is_terminal && !no_color).try_init()
        }
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    started.map_err(|_set_before| LoggingError::Twice)
}

/// Reads a level, or directives for parts of the node.
///
/// # Errors
/// [`LoggingError::Level`].
pub fn filter(level: &str) -> Result<EnvFilter, LoggingError> {
    EnvFilter::builder()
        .parse(level)
        .map_err(|error| LoggingError::Level { level: shown(level, 60), reason: error.to_string() })
}

/// `text` of someone else, made fit for a log or a terminal: control characters, line breaks and everything that can
/// turn the reading direction or hide itself are escaped, and it is cut after `chars_max` characters (FAULTS N12).
#[must_use]
pub fn shown(text: &str, chars_max: usize) -> String {
    let mut out = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == chars_max {
            out.push('…');
            break;
        }
        if is_plain(character) {
            out.push(character);
        } else {
            write!(out, "{}", character.escape_unicode()).expect("a string takes everything");
        }
    }
    out
}

/// Letters and digits of every script, and visible ASCII. Marks, separators and format characters are not: they
/// change how what stands beside them looks.
pub(crate) fn is_plain(character: char) -> bool {
    character == ' ' || character.is_ascii_graphic() || (!character.is_ascii() && character.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::{filter, shown};

    #[test]
    fn n12_what_could_fool_a_terminal_is_escaped() {
        assert_eq!(shown("alice's node, größer", 100), "alice's node, größer");
        assert_eq!(shown("a\x1b[2Jb\r\nc\0", 100), "a\\u{1b}[2Jb\\u{d}\\u{a}c\\u{0}");
        assert_eq!(
            shown("pay\u{202e}ecila\u{2066}\u{feff}\u{200b}", 100),
            "pay\\u{202e}ecila\\u{2066}\\u{feff}\\u{200b}"
        );
        assert_eq!(shown("\u{9b}31m", 100), "\\u{9b}31m");
    }

    #[test]
    fn n12_long_text_is_cut() {
        assert_eq!(shown(&"x".repeat(64 * 1024), 5), "xxxxx…");
        assert_eq!(shown("12345", 5), "12345");
        assert!(shown(&"\u{202e}".repeat(64 * 1024), 100).len() < 1000);
    }

    #[test]
    fn levels_and_directives_are_read_and_nonsense_is_refused() {
        assert!(filter("info").is_ok() && filter("warn,towpath_node::net=debug").is_ok());
        assert!(filter("towpath=loud").is_err());
    }
}
