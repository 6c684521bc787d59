//! Puts the layers together and checks every value.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use towpath_api::TOKEN_FILE;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::id::{self, Kind};
use towpath_protocol::limits::TOWERS_MAX;

use super::error::ConfigError;
use super::file;
use super::key::{Key, Shape};
use super::layers::{Layer, Origin, Overrides, Raw, environment};
use super::retention::Retention;
use super::values;
use crate::api::Public;
use crate::tower::Listed;
use crate::{limits, logging};

/// The longest name of a node: it is shown in tables.
const NAME_CHARS_MAX: usize = 64;

/// A node's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the operator calls the node.
    pub name: String,
    /// The folder of its keys and database.
    pub data_dir: PathBuf,
    /// The ledger's genesis file.
    pub genesis: PathBuf,
    /// The file whose first line opens the key file; none: ask on the terminal.
    pub passphrase_file: Option<PathBuf>,
    /// Whether it takes part in deciding blocks.
    pub validator: bool,
    /// Threads that run channels.
    pub workers: usize,
    /// Whether the well-known keys of local test networks are accepted.
    pub testnet: bool,
    /// Whether this process may run although another one of this node took over: never set by a file.
    pub take_over: bool,
    /// Vote from this height on although votes of this validator may be lost; only the command line says so.
    pub vote_from: Option<u64>,
    /// Peers.
    pub network: Network,
    /// The HTTP API.
    pub api: Api,
    /// Which channels it agrees to.
    pub channels: Channels,
    /// Watchtowers.
    pub tower: Tower,
    /// History.
    pub retention: Retentions,
    /// The log.
    pub log: Log,
    origins: BTreeMap<Key, (String, Origin)>,
}

/// How the node meets peers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// Where peers can reach it.
    pub listen: Vec<Multiaddr>,
    /// Whom it connects to first.
    pub bootstrap: Vec<Multiaddr>,
    /// Whether it looks for nodes on the local network.
    pub mdns: bool,
    /// The most connected peers.
    pub max_peers: usize,
}

/// How programs reach the node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Api {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Whether that may be beyond this machine.
    pub allow_remote: bool,
    /// The file with the token.
    pub token_file: PathBuf,
    /// Names by which it may be called; lower case.
    pub hosts: Vec<String>,
    /// What needs no token.
    pub public: Vec<Public>,
}

/// Which channels the node agrees to; amounts in base units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Channels {
    /// What it puts at most into one channel that a peer opens.
    pub contribute_max: u64,
    /// The same for all that one peer opened and that are not settled.
    pub contribute_peer_max: u64,
    /// The same for all that are not funded yet.
    pub contribute_opening_max: u64,
    /// The smallest that a peer may open.
    pub capacity_min: u64,
    /// The least penalty, in basis points.
    pub penalty_min: u16,
    /// The shortest dispute window.
    pub dispute_window_min: Duration,
    /// The longest.
    pub dispute_window_max: Duration,
}

/// The node as a watchtower, and as a client of others.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tower {
    /// Whether it keeps records of others, unless that was decided at run time.
    pub serve: bool,
    /// How many.
    pub records_max: u64,
    /// Nodes that it knows beside those with channels.
    pub clients: Vec<PublicKey>,
    /// Whether its wallet adds what a channel lacks.
    pub sponsor: bool,
    /// Towers that it uses, with what was added and removed at run time.
    pub towers: Vec<Listed>,
    /// Whether peers with channels are used as towers, too.
    pub peers: bool,
    /// How many of them must have a version before its payments are final.
    pub confirmations: u64,
}

/// How much history is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Retentions {
    /// Of event logs.
    pub events: Retention,
    /// Of payments.
    pub payments: Retention,
}

/// How the log looks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// For people or for programs.
    pub format: LogFormat,
    /// A level, or directives for parts of the node.
    pub level: String,
}

/// How the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Config {
    /// Reads the file (if one is given) and this process's environment under the flags.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key and who set it.
    pub fn load(path: Option<&Path>, overrides: &Overrides) -> Result<Self, ConfigError> {
        // A variable that isn't UTF-8 can't be one of ours with a valid value, except a path; those are rare enough.
        let variables = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self::from_layers(path, variables, overrides)
    }

    /// As [`Self::load`], with the environment given.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key and who set it.
    pub fn from_layers(
        path: Option<&Path>,
        variables: impl IntoIterator<Item = (String, String)>,
        overrides: &Overrides,
    ) -> Result<Self, ConfigError> {
        let mut values = defaults();
        if let Some(path) = path {
            values.extend(file::read(path)?);
        }
        values.extend(environment(variables)?);
        values.extend(overrides.layer()?);
        Values(values).resolve()
    }

    /// Every setting with its value and who set it, in the order of the documentation.
    pub fn show_origin(&self) -> impl Iterator<Item = (Key, &str, &Origin)> {
        self.origins.iter().map(|(key, (value, origin))| (*key, value.as_str(), origin))
    }

    /// Who set this.
    #[must_use]
    pub fn origin(&self, key: Key) -> &Origin {
        self.origins.get(&key).map_or(&Origin::Default, |(_, origin)| origin)
    }
}

fn defaults() -> Layer {
    Key::ALL
        .iter()
        .filter_map(|&key| {
            let line = format!("{} = {}", key.path(), key.default_text()?);
            let mut layer = file::parse(&line, Path::new("")).expect("the tests read every default");
            layer.remove(&key).map(|(raw, _)| (key, (raw, Origin::Default)))
        })
        .collect()
}

struct Values(Layer);

impl Values {
    fn resolve(self) -> Result<Config, ConfigError> {
        let data_dir = self.path(Key::DataDir).ok_or(ConfigError::Missing {
            key: Key::DataDir.path(),
            env: Key::DataDir.env(),
            flag: Key::DataDir.flag(),
        })?;
        let api = self.api(&data_dir)?;
        let in_data_dir = |key: Key, name: &str| self.path(key).unwrap_or_else(|| data_dir.join(name));
        Ok(Config {
            name: self.name()?,
            genesis: in_data_dir(Key::Genesis, "genesis.toml"),
            passphrase_file: self.path(Key::PassphraseFile),
            validator: self.boolean(Key::Validator),
            workers: self.workers()?,
            testnet: self.boolean(Key::Testnet),
            take_over: false,
            vote_from: None,
            network: self.network()?,
            channels: self.channels()?,
            tower: self.tower()?,
            retention: Retentions {
                events: self.retention(Key::RetentionEvents)?,
                payments: self.retention(Key::RetentionPayments)?,
            },
            log: self.log()?,
            origins: self.origins(),
            api,
            data_dir,
        })
    }

    fn name(&self) -> Result<String, ConfigError> {
        let name = self.text(Key::Name).unwrap_or_default();
        let is_plain = name.chars().all(logging::is_plain);
        if is_plain && (1..=NAME_CHARS_MAX).contains(&name.chars().count()) {
            return Ok(name.to_owned());
        }
        Err(self.wrong(
            Key::Name,
            format!(
                "must have 1 to {NAME_CHARS_MAX} characters: letters and digits of any script, spaces and ASCII \
                 punctuation"
            ),
        ))
    }

    fn workers(&self) -> Result<usize, ConfigError> {
        match self.0.get(&Key::Workers) {
            Some(_) => self.number(Key::Workers, 256),
            None => Ok(std::thread::available_parallelism().map_or(1, |count| count.get().min(256))),
        }
    }

    fn network(&self) -> Result<Network, ConfigError> {
        let listen = self.multiaddresses(Key::NetworkListen)?;
        let bootstrap = self.multiaddresses(Key::NetworkBootstrap)?;
        let names_no_peer = |address: &&Multiaddr| !matches!(address.iter().last(), Some(Protocol::P2p(_)));
        if let Some(address) = bootstrap.iter().find(names_no_peer) {
            return Err(self.wrong(
                Key::NetworkBootstrap,
                format!("has '{address}', which does not end in /p2p/ and a peer id"),
            ));
        }
        let max_peers = self.number(Key::NetworkMaxPeers, 4096)?;
        Ok(Network { listen, bootstrap, mdns: self.boolean(Key::NetworkMdns), max_peers })
    }

    fn tower(&self) -> Result<Tower, ConfigError> {
        let node = |text: &String| {
            let id = id::decode_array(Kind::Node, text).map(PublicKey);
            id.map_err(|error| {
                self.wrong(Key::TowerClients, format!("has '{text}', which is no node: {error}"))
            })
        };
        let clients = self.list(Key::TowerClients).iter().map(node).collect::<Result<_, _>>()?;
        let tower = |text: &String| {
            let tower: Result<Listed, _> = text.parse();
            tower.map_err(|reason| self.wrong(Key::TowerTowers, format!("has '{text}': {reason}")))
        };
        let towers: Vec<Listed> = self.list(Key::TowerTowers).iter().map(tower).collect::<Result<_, _>>()?;
        if towers.len() > TOWERS_MAX {
            return Err(self.wrong(Key::TowerTowers, format!("has more than {TOWERS_MAX} towers")));
        }
        let most = usize::try_from(limits::TOWER_RECORDS_MAX).unwrap_or(usize::MAX);
        let records_max = self.number(Key::TowerRecordsMax, most)? as u64;
        let confirmations = self.integer(Key::TowerConfirmations).unwrap_or(0);
        if confirmations > TOWERS_MAX as u64 {
            let reason = format!("is {confirmations}, not 0 to {TOWERS_MAX}");
            return Err(self.wrong(Key::TowerConfirmations, reason));
        }
        Ok(Tower {
            serve: self.boolean(Key::TowerServe),
            records_max,
            clients,
            sponsor: self.boolean(Key::TowerSponsor),
            towers,
            peers: self.boolean(Key::TowerPeers),
            confirmations,
        })
    }

    fn channels(&self) -> Result<Channels, ConfigError> {
        let contribute_max = self.integer(Key::ChannelsContributeMax).unwrap_or(0);
        let (least, most) = (Key::ChannelsDisputeWindowMin, Key::ChannelsDisputeWindowMax);
        let (dispute_window_min, dispute_window_max) = (self.duration(least)?, self.duration(most)?);
        if dispute_window_min > dispute_window_max {
            return Err(self.wrong(most, format!("is shorter than {}", least.path())));
        }
        let penalty_min = self.integer(Key::ChannelsPenaltyMin).unwrap_or(0);
        let in_range = u16::try_from(penalty_min).ok().filter(|penalty| *penalty <= 10_000);
        Ok(Channels {
            contribute_max,
            contribute_peer_max: self.integer(Key::ChannelsContributePeerMax).unwrap_or(contribute_max),
            contribute_opening_max: self.integer(Key::ChannelsContributeOpeningMax).unwrap_or(contribute_max),
            capacity_min: self.integer(Key::ChannelsCapacityMin).unwrap_or(0),
            penalty_min: in_range.ok_or_else(|| {
                self.wrong(Key::ChannelsPenaltyMin, format!("is {penalty_min}, not 0 to 10000"))
            })?,
            dispute_window_min,
            dispute_window_max,
        })
    }

    fn api(&self, data_dir: &Path) -> Result<Api, ConfigError> {
        let text = self.text(Key::ApiListen).unwrap_or_default();
        let listen: SocketAddr = text.parse().map_err(|_error| {
            self.wrong(
                Key::ApiListen,
                format!("is '{text}', not an address and a port such as 127.0.0.1:7420"),
            )
        })?;
        let allow_remote = self.boolean(Key::ApiAllowRemote);
        let token_file = self.path(Key::ApiTokenFile);
        if !listen.ip().is_loopback() {
            if !allow_remote {
                return Err(self.wrong(Key::ApiListen, format!(
                    "is {listen}, which other machines can reach; use a loopback address such as 127.0.0.1:{}, or set {} = true and {}",
                    listen.port(), Key::ApiAllowRemote.path(), Key::ApiTokenFile.path(),
                )));
            }
            if token_file.is_none() {
                return Err(self.wrong(
                    Key::ApiAllowRemote,
                    format!(
                        "is true, so {} must be set: whoever has the token can spend the node's funds",
                        Key::ApiTokenFile.path(),
                    ),
                ));
            }
        }
        Ok(Api {
            listen,
            allow_remote,
            token_file: token_file.unwrap_or_else(|| data_dir.join(TOKEN_FILE)),
            hosts: self.hosts()?,
            public: self.public()?,
        })
    }

    fn hosts(&self) -> Result<Vec<String>, ConfigError> {
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        };
        match self.list(Key::ApiHosts).iter().find(|name| !is_name(name)) {
            Some(name) => {
                Err(self
                    .wrong(Key::ApiHosts, format!("has '{name}', which is not a host name without a port")))
            }
            None => Ok(self.list(Key::ApiHosts).iter().map(|name| name.to_ascii_lowercase()).collect()),
        }
    }

    fn public(&self) -> Result<Vec<Public>, ConfigError> {
        let read = |name: &String| match name.as_str() {
            "metrics" => Ok(Public::Metrics),
            "openapi" => Ok(Public::Openapi),
            other => Err(self
                .wrong(Key::ApiPublic, format!("has '{other}'; only 'metrics' and 'openapi' can be public"))),
        };
        self.list(Key::ApiPublic).iter().map(read).collect()
    }

    fn log(&self) -> Result<Log, ConfigError> {
        let format = match self.text(Key::LogFormat).unwrap_or_default() {
            "text" => LogFormat::Text,
            "json" => LogFormat::Json,
            other => return Err(self.wrong(Key::LogFormat, format!("is '{other}', not 'text' or 'json'"))),
        };
        let level = self.text(Key::LogLevel).unwrap_or_default().to_owned();
        logging::filter(&level).map_err(|error| self.wrong(Key::LogLevel, format!("is wrong: {error}")))?;
        Ok(Log { format, level })
    }

    fn retention(&self, key: Key) -> Result<Retention, ConfigError> {
        self.text(key).unwrap_or_default().parse().map_err(|reason| self.wrong(key, reason))
    }

    fn multiaddresses(&self, key: Key) -> Result<Vec<Multiaddr>, ConfigError> {
        let read = |text: &String| {
            text.parse().map_err(|error| {
                self.wrong(
                    key,
                    format!(
                        "has '{text}', which is not a multiaddress such as /ip4/127.0.0.1/tcp/7421: {error}"
                    ),
                )
            })
        };
        self.list(key).iter().map(read).collect()
    }

    fn duration(&self, key: Key) -> Result<Duration, ConfigError> {
        let text = self.text(key).unwrap_or_default();
        values::duration(text)
            .ok_or_else(|| self.wrong(key, format!("is '{text}', not a duration such as '1h' or '7d'")))
    }

    fn integer(&self, key: Key) -> Option<u64> {
        match self.0.get(&key) {
            Some((Raw::Integer(value), _)) => Some(*value),
            Some(_) | None => None,
        }
    }

    /// A number from one to `max`.
    fn number(&self, key: Key, max: usize) -> Result<usize, ConfigError> {
        let value = self.integer(key).unwrap_or(0);
        let in_range = usize::try_from(value).ok().filter(|value| (1..=max).contains(value));
        in_range.ok_or_else(|| self.wrong(key, format!("is {value}, not 1 to {max}")))
    }

    fn path(&self, key: Key) -> Option<PathBuf> {
        debug_assert_eq!(key.shape(), Shape::Path);
        match self.0.get(&key) {
            Some((Raw::Text(text), _)) => Some(PathBuf::from(text)),
            Some(_) | None => None,
        }
    }

    fn text(&self, key: Key) -> Option<&str> {
        debug_assert_eq!(key.shape(), Shape::Text);
        match self.0.get(&key) {
            Some((Raw::Text(text), _)) => Some(text),
            Some(_) | None => None,
        }
    }

    fn list(&self, key: Key) -> &[String] {
        match self.0.get(&key) {
            Some((Raw::List(list), _)) => list,
            Some(_) | None => &[],
        }
    }

    fn boolean(&self, key: Key) -> bool {
        matches!(self.0.get(&key), Some((Raw::Boolean(true), _)))
    }

    fn wrong(&self, key: Key, reason: String) -> ConfigError {
        let origin = self.0.get(&key).map_or(Origin::Default, |(_, origin)| origin.clone());
        ConfigError::Value { origin, key: key.path(), reason }
    }

    fn origins(&self) -> BTreeMap<Key, (String, Origin)> {
        let show = |raw: &Raw| match raw {
            Raw::Text(text) => text.clone(),
            Raw::Integer(number) => number.to_string(),
            Raw::Boolean(value) => value.to_string(),
            Raw::List(list) => list.join(", "),
        };
        self.0.iter().map(|(key, (raw, origin))| (*key, (show(raw), origin.clone()))).collect()
    }
}
