//! The one place that prints: a table for people, one JSON document for programs.

use std::io::{IsTerminal, Write};

use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use serde::Serialize;
use towpath_api::Units;
pub use towpath_api::grouped;

use crate::args::Common;
use crate::errors::CliError;

/// How answers look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Tables.
    People,
    /// One JSON document; a stream has one a line.
    Json,
}

impl Style {
    /// As asked for, else as fits whoever reads.
    #[must_use]
    pub fn of(common: &Common) -> Self {
        if common.json || (!common.table && !std::io::stdout().is_terminal()) {
            Self::Json
        } else {
            Self::People
        }
    }

    /// The same when the command line could not be understood: by its words alone.
    #[must_use]
    pub fn wanted(mut arguments: impl Iterator<Item = String>) -> Self {
        let word = arguments.find(|word| word == "--json" || word == "--table");
        match word.as_deref() {
            Some("--json") => Self::Json,
            Some(_) => Self::People,
            None if std::io::stdout().is_terminal() => Self::People,
            None => Self::Json,
        }
    }
}

/// Prints an answer: `value` for programs, what `people` makes of it for people.
///
/// # Errors
/// When the output is closed.
pub fn answer<T: Serialize>(
    style: Style,
    value: &T,
    people: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    match style {
        Style::People => line(&people(value)),
        Style::Json => line(&serde_json::to_string_pretty(value).expect("answers are plain data")),
    }
}

/// Prints one element of a stream.
///
/// # Errors
/// When the output is closed.
pub fn element<T: Serialize>(
    style: Style,
    value: &T,
    people: impl FnOnce(&T) -> String,
) -> Result<(), CliError> {
    match style {
        Style::People => line(&people(value)),
        Style::Json => line(&serde_json::to_string(value).expect("answers are plain data")),
    }
}

fn line(text: &str) -> Result<(), CliError> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => CliError::Closed,
        _ => CliError::Failed(format!("stdout: {error}")),
    })
}

/// Says what is going on to a person who waits; programs are not told.
pub fn note(style: Style, text: &str) {
    match style {
        Style::People => eprintln!("{text}"),
        Style::Json => {}
    }
}

/// A picture that is drawn over the last one.
#[derive(Debug, Default)]
pub struct Live {
    lines: usize,
}

impl Live {
    /// Draws it in place of the one before.
    ///
    /// # Errors
    /// When the output is closed.
    pub fn draw(&mut self, picture: &str) -> Result<(), CliError> {
        // Up to the first line of the last picture, and everything from there on away.
        let back = if self.lines == 0 { String::new() } else { format!("\x1b[{}A\x1b[J", self.lines) };
        self.lines = picture.lines().count();
        line(&format!("{back}{picture}"))
    }

    /// Adds a line.
    ///
    /// # Errors
    /// When the output is closed.
    pub fn line(&mut self, text: &str) -> Result<(), CliError> {
        line(text)
    }
}

/// Prints an error and what to do about it, as a document where answers are documents.
pub fn error(style: Style, error: &CliError) {
    let hint = error.hint();
    match style {
        Style::People => {
            eprintln!("error: {error}");
            if let Some(hint) = hint {
                eprintln!("  next: {hint}");
            }
        }
        Style::Json => {
            let document = serde_json::json!({ "error": {
                "code": error.code(),
                "message": error.to_string(),
                "hint": hint,
                "exit": error.exit() as u8,
            } });
            eprintln!("{document}");
        }
    }
}

/// An amount with its digits in groups of three.
#[must_use]
pub fn amount(units: Units) -> String {
    grouped(units.0)
}

/// A value of the API that is one of several names, as people write it: `never_funded` is "never funded".
#[must_use]
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => name.replace('_', " "),
        // None of the API's enumerations is anything else.
        Ok(_) | Err(_) => String::new(),
    }
}

/// The beginning of an id: enough to tell it from others, short enough for a table. It is valid input.
#[must_use]
pub fn short(id: &str) -> String {
    id.chars().take(16).collect()
}

/// A time of the clock, in this machine's zone.
#[must_use]
pub fn time(ms: u64) -> String {
    i64::try_from(ms)
        .ok()
        .and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok())
        .map_or_else(|| ms.to_string(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

/// A span of milliseconds, as people say it.
#[must_use]
pub fn span(ms: u64) -> String {
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        60_000..3_600_000 => format!("{} min {} s", ms / 60_000, ms % 60_000 / 1_000),
        3_600_000..86_400_000 => format!("{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        _ => format!("{} d {} h", ms / 86_400_000, ms % 86_400_000 / 3_600_000),
    }
}

/// A span of microseconds, as people say it.
#[must_use]
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10),
        _ => span(us / 1_000),
    }
}

/// A table with these headings; those that start with `>` are over numbers, and aligned to the right.
#[must_use]
pub fn table(headings: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    let right: Vec<bool> = headings.iter().map(|heading| heading.starts_with('>')).collect();
    let cell = |(index, text): (usize, String)| {
        let alignment =
            if right.get(index) == Some(&true) { CellAlignment::Right } else { CellAlignment::Left };
        Cell::new(text).set_alignment(alignment)
    };
    table.set_header(
        headings.iter().map(|heading| heading.trim_start_matches('>').to_uppercase()).enumerate().map(cell),
    );
    for row in rows {
        table.add_row(row.into_iter().enumerate().map(cell));
    }
    trim_lines(&table.to_string())
}

/// Names and values, one a line.
#[must_use]
pub fn facts(facts: &[(&str, String)]) -> String {
    let width = facts.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name:width$}  {value}")).collect();
    lines.join("\n")
}

fn trim_lines(text: &str) -> String {
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_grouped() {
        let shown: Vec<String> = [0, 12, 999, 1_000, 1_234_567, u64::MAX].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "12", "999", "1,000", "1,234,567", "18,446,744,073,709,551,615"]);
    }

    #[test]
    fn spans_are_said_as_people_say_them() {
        assert_eq!(
            [span(7), span(1_500), span(61_000), span(3_660_000), span(90_000_000)].join(" | "),
            "7 ms | 1.5 s | 1 min 1 s | 1 h 1 min | 1 d 1 h"
        );
        assert_eq!([micros(80), micros(1_234), micros(2_500_000)].join(" | "), "80 µs | 1.23 ms | 2.5 s");
    }

    #[test]
    fn numbers_stand_on_the_right() {
        let text = table(
            &["name", ">amount"],
            vec![vec!["a".into(), "1,000".into()], vec!["bcd".into(), "7".into()]],
        );
        assert_eq!(text, " NAME  AMOUNT\n a      1,000\n bcd        7");
    }
}
