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

/// What the command line sets; each field is the flag of the setting with that name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Overrides {
    /// [`Key::Name`].
    pub name: Option<String>,
    /// [`Key::DataDir`].
    pub data_dir: Option<PathBuf>,
    /// [`Key::Genesis`].
    pub genesis: Option<PathBuf>,
    /// [`Key::PassphraseFile`].
    pub passphrase_file: Option<PathBuf>,
    /// [`Key::Validator`].
    pub validator: Option<bool>,
    /// [`Key::Workers`].
    pub workers: Option<u64>,
    /// [`Key::Testnet`].
    pub testnet: Option<bool>,
    /// [`Key::NetworkListen`].
    pub network_listen: Option<Vec<String>>,
    /// [`Key::NetworkBootstrap`].
    pub network_bootstrap: Option<Vec<String>>,
    /// [`Key::NetworkMdns`].
    pub network_mdns: Option<bool>,
    /// [`Key::NetworkMaxPeers`].
    pub network_max_peers: Option<u64>,
    /// [`Key::ApiListen`].
    pub api_listen: Option<String>,
    /// [`Key::ApiAllowRemote`].
    pub api_allow_remote: Option<bool>,
    /// [`Key::ApiTokenFile`].
    pub api_token_file: Option<PathBuf>,
    /// [`Key::ApiHosts`].
    pub api_hosts: Option<Vec<String>>,
    /// [`Key::ApiPublic`].
    pub api_public: Option<Vec<String>>,
    /// [`Key::TowerServe`].
    pub tower_serve: Option<bool>,
    /// [`Key::TowerRecordsMax`].
    pub tower_records_max: Option<u64>,
    /// [`Key::TowerClients`].
    pub tower_clients: Option<Vec<String>>,
    /// [`Key::TowerSponsor`].
    pub tower_sponsor: Option<bool>,
    /// [`Key::TowerTowers`].
    pub tower_towers: Option<Vec<String>>,
    /// [`Key::TowerConfirmations`].
    pub tower_confirmations: Option<u64>,
    /// [`Key::RetentionEvents`].
    pub retention_events: Option<String>,
    /// [`Key::RetentionPayments`].
    pub retention_payments: Option<String>,
    /// [`Key::LogFormat`].
    pub log_format: Option<String>,
    /// [`Key::LogLevel`].
    pub log_level: Option<String>,
}

impl Overrides {
    pub(super) fn layer(&self) -> Layer {
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| Raw::Text(path.to_string_lossy().into_owned()));
        let text = |text: &Option<String>| text.clone().map(Raw::Text);
        let list = |list: &Option<Vec<String>>| list.clone().map(Raw::List);
        let value = |key: Key| match key {
            Key::Name => text(&self.name),
            Key::DataDir => path(&self.data_dir),
            Key::Genesis => path(&self.genesis),
            Key::PassphraseFile => path(&self.passphrase_file),
            Key::Validator => self.validator.map(Raw::Boolean),
            Key::Workers => self.workers.map(Raw::Integer),
            Key::Testnet => self.testnet.map(Raw::Boolean),
            Key::NetworkListen => list(&self.network_listen),
            Key::NetworkBootstrap => list(&self.network_bootstrap),
            Key::NetworkMdns => self.network_mdns.map(Raw::Boolean),
            Key::NetworkMaxPeers => self.network_max_peers.map(Raw::Integer),
            Key::ApiListen => text(&self.api_listen),
            Key::ApiAllowRemote => self.api_allow_remote.map(Raw::Boolean),
            Key::ApiTokenFile => path(&self.api_token_file),
            Key::ApiHosts => list(&self.api_hosts),
            Key::ApiPublic => list(&self.api_public),
            Key::TowerServe => self.tower_serve.map(Raw::Boolean),
            Key::TowerRecordsMax => self.tower_records_max.map(Raw::Integer),
            Key::TowerClients => list(&self.tower_clients),
            Key::TowerSponsor => self.tower_sponsor.map(Raw::Boolean),
            Key::TowerTowers => list(&self.tower_towers),
            Key::TowerConfirmations => self.tower_confirmations.map(Raw::Integer),
            Key::RetentionEvents => text(&self.retention_events),
            Key::RetentionPayments => text(&self.retention_payments),
            Key::LogFormat => text(&self.log_format),
            Key::LogLevel => text(&self.log_level),
        };
        Key::ALL
            .iter()
            .filter_map(|&key| value(key).map(|raw| (key, (raw, Origin::Flag(key.flag())))))
            .collect()
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

const SECTIONS: [&str; 5] =
    ["TOWPATH_NETWORK_", "TOWPATH_API_", "TOWPATH_TOWER_", "TOWPATH_RETENTION_", "TOWPATH_LOG_"];

fn read(key: Key, text: &str, origin: &Origin) -> Result<Raw, ConfigError> {
    let wrong = || ConfigError::Kind {
        origin: origin.clone(),
        key: key.path(),
        expected: key.shape().describe(),
        found: format!("'{text}'"),
    };
    match key.shape() {
        Shape::Text => Ok(Raw::Text(text.to_owned())),
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
