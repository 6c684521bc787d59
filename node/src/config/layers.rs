//! Where values come from: flags, environment, file. Each layer is read into the same raw form with its origin.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::error::ConfigError;
use super::key::{Key, Shape};

/// Who set a value.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nobody.
    Default,
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from one.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag.
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A value before it is checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Raw {
    Text(String),
    Integer(u64),
    Boolean(bool),
    List(Vec<String>),
}

/// One layer's values.
pub type Layer = BTreeMap<Key, (Raw, Origin)>;

/// What the command line sets: the text of each setting's flag, read as a variable of the environment is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overrides(BTreeMap<Key, String>);

impl Overrides {
    /// Takes the text of a flag; a flag of a list that is repeated adds to it.
    pub fn set(&mut self, key: Key, text: &str) {
        let known = self.0.entry(key).or_default();
        if key.shape() == Shape::List && !known.is_empty() {
            known.push(',');
            known.push_str(text);
        } else {
            text.clone_into(known);
        }
    }

    /// The same with one more.
    #[must_use]
    pub fn with(mut self, key: Key, text: &str) -> Self {
        self.set(key, text);
        self
    }

    /// What was given for a setting.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&str> {
        self.0.get(&key).map(String::as_str)
    }

    pub(super) fn layer(&self) -> Result<Layer, ConfigError> {
        let values = self.0.iter().map(|(&key, text)| {
            let origin = Origin::Flag(key.flag());
            Ok((key, (read(key, text, &origin)?, origin)))
        });
        values.collect()
    }
}

/// The settings among the environment's variables. A variable that starts like a section of ours and names no setting
/// is a typing error; other `TOWPATH_…` variables belong to the command line.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Layer, ConfigError> {
    let mut layer = Layer::new();
    for (name, value) in variables {
        let key = Key::ALL.iter().copied().find(|key| key.env() == name);
        match key {
            // An empty variable counts as unset, as in most programs.
            Some(_) if value.is_empty() => {}
            Some(key) => {
                let origin = Origin::Env(name);
                layer.insert(key, (read(key, &value, &origin)?, origin));
            }
            None if SECTIONS.iter().any(|section| name.starts_with(section)) => {
                let nearest = super::values::nearest(&name, Key::ALL.iter().map(|key| key.env()));
                return Err(ConfigError::Unknown { origin: Origin::Env(name.clone()), name, nearest });
            }
            None => {}
        }
    }
    Ok(layer)
}

const SECTIONS: [&str; 6] = [
    "TOWPATH_NETWORK_",
    "TOWPATH_API_",
    "TOWPATH_CHANNELS_",
    "TOWPATH_TOWER_",
    "TOWPATH_RETENTION_",
    "TOWPATH_LOG_",
];

fn read(key: Key, text: &str, origin: &Origin) -> Result<Raw, ConfigError> {
    let wrong = || ConfigError::Kind {
        origin: origin.clone(),
        key: key.path(),
        expected: key.shape().describe(),
        found: format!("'{text}'"),
    };
    match key.shape() {
        Shape::Text | Shape::Path => Ok(Raw::Text(text.to_owned())),
        Shape::Integer => text.parse().map(Raw::Integer).map_err(|_not_a_number| wrong()),
        Shape::Boolean => match text {
            "true" | "1" => Ok(Raw::Boolean(true)),
            "false" | "0" => Ok(Raw::Boolean(false)),
            _any_other => Err(wrong()),
        },
        Shape::List => Ok(Raw::List(
            text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
        )),
    }
}
