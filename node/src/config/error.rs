//! What can be wrong with a configuration. Every error names the place, and what to do.

use std::path::PathBuf;

use super::layers::Origin;

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file isn't TOML.
    #[error("{path}:{line}: this is not TOML: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
        /// What is wrong.
        reason: String,
    },
    /// There is no such setting.
    #[error("{origin}: there is no setting '{name}'{}", suggestion(.nearest.as_deref()))]
    Unknown {
        /// Who sets it.
        origin: Origin,
        /// What was written.
        name: String,
        /// What may have been meant.
        nearest: Option<String>,
    },
    /// A section is written as something else.
    #[error("{origin}: {name} is a section: write [{name}], not {found}")]
    Section {
        /// Who writes it.
        origin: Origin,
        /// The section.
        name: String,
        /// What it is written as.
        found: String,
    },
    /// A value is of the wrong kind.
    #[error("{origin}: {key} must be {expected}, not {found}")]
    Kind {
        /// Who sets it.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        found: String,
    },
    /// A value makes no sense.
    #[error("{origin}: {key} {reason}")]
    Value {
        /// Who sets it.
        origin: Origin,
        /// The setting.
        key: &'static str,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// A value must be set and isn't.
    #[error("{key} is not set: set it in the configuration file, as {env}, or with {flag}")]
    Missing {
        /// The setting.
        key: &'static str,
        /// Its environment variable.
        env: &'static str,
        /// Its flag.
        flag: &'static str,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean '{nearest}'?"),
        None => "; see docs/config.md for all settings".to_owned(),
    }
}
