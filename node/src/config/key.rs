//! The table of all settings: name, environment variable, flag, default and meaning stand together.

/// How a setting's text is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A text.
    Text,
    /// A file or a folder; in a file it is meant from where the file is.
    Path,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// Texts; separated by commas in the environment.
    List,
}

impl Shape {
    /// In sentences.
    pub(super) const fn describe(self) -> &'static str {
        match self {
            Self::Text | Self::Path => "a text in quotes",
            Self::Integer => "a whole number",
            Self::Boolean => "true or false",
            Self::List => "a list of texts, such as [\"a\", \"b\"]",
        }
    }
}

macro_rules! keys {
    ($($variant:ident = $path:literal, $env:literal, $flag:literal, $shape:ident, $default:expr, $doc:literal;)+) => {
        /// A setting.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Key {
            $(#[doc = $doc] $variant,)+
        }

        impl Key {
            /// All settings, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// Its name in the file, sections separated by dots.
            #[must_use]
            pub const fn path(self) -> &'static str {
                match self { $(Self::$variant => $path,)+ }
            }

            /// Its environment variable.
            #[must_use]
            pub const fn env(self) -> &'static str {
                match self { $(Self::$variant => $env,)+ }
            }

            /// Its flag of `towpath node`.
            #[must_use]
            pub const fn flag(self) -> &'static str {
                match self { $(Self::$variant => $flag,)+ }
            }

            /// How it is written.
            #[must_use]
            pub const fn shape(self) -> Shape {
                match self { $(Self::$variant => Shape::$shape,)+ }
            }

            /// What it is when nobody sets it, as it would stand in the file; none if it must be set or stays unset.
            #[must_use]
            pub const fn default_text(self) -> Option<&'static str> {
                match self { $(Self::$variant => $default,)+ }
            }

            /// What it means.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$variant => $doc,)+ }
            }
        }
    };
}

keys! {
    Name = "name", "TOWPATH_NAME", "--name", Text, Some("\"towpath\""),
        "What the operator calls the node; shown to its users only.";
    DataDir = "data_dir", "TOWPATH_DATA_DIR", "--data-dir", Path, None,
        "The folder of the node's keys and database. Must be set. In a file, paths are relative to the file's folder.";
    Genesis = "genesis", "TOWPATH_GENESIS", "--genesis", Path, None,
        "The ledger's genesis file; `genesis.toml` in the data folder if not set.";
    PassphraseFile = "passphrase_file", "TOWPATH_PASSPHRASE_FILE", "--passphrase-file", Path, None,
        "A file whose first line opens the key file; if not set, the node asks on its terminal.";
    Validator = "validator", "TOWPATH_VALIDATOR", "--validator", Boolean, Some("false"),
        "Whether the node takes part in deciding blocks; the genesis file must name it.";
    Workers = "workers", "TOWPATH_WORKERS", "--workers", Integer, None,
        "Threads that run channels, 1 to 256; one for each processor if not set.";
    Testnet = "testnet", "TOWPATH_TESTNET", "--testnet", Boolean, Some("false"),
        "Accept the well-known keys of local test networks; the genesis file must say that it is one.";
    NetworkListen = "network.listen", "TOWPATH_NETWORK_LISTEN", "--network-listen", List,
        Some("[\"/ip4/0.0.0.0/tcp/7421\", \"/ip4/0.0.0.0/udp/7421/quic-v1\"]"),
        "Multiaddresses at which peers can reach the node.";
    NetworkBootstrap = "network.bootstrap", "TOWPATH_NETWORK_BOOTSTRAP", "--network-bootstrap", List, Some("[]"),
        "Multiaddresses, with `/p2p/…`, of nodes to connect to first.";
    NetworkMdns = "network.mdns", "TOWPATH_NETWORK_MDNS", "--network-mdns", Boolean, Some("false"),
        "Find nodes of the same ledger on the local network.";
    NetworkMaxPeers = "network.max_peers", "TOWPATH_NETWORK_MAX_PEERS", "--network-max-peers", Integer, Some("128"),
        "Connected peers, 1 to 4096; past it new ones are refused.";
    ApiListen = "api.listen", "TOWPATH_API_LISTEN", "--api-listen", Text, Some("\"127.0.0.1:7420\""),
        "Address and port of the HTTP API; port 0 takes a free one.";
    ApiAllowRemote = "api.allow_remote", "TOWPATH_API_ALLOW_REMOTE", "--api-allow-remote", Boolean, Some("false"),
        "Let the API listen beyond this machine. It is plain HTTP: whoever can read the traffic can read the token. Needs `api.token_file`.";
    ApiTokenFile = "api.token_file", "TOWPATH_API_TOKEN_FILE", "--api-token-file", Path, None,
        "The file with the API token; `api.token` in the data folder if not set. Made if it is missing.";
    ApiHosts = "api.hosts", "TOWPATH_API_HOSTS", "--api-hosts", List, Some("[]"),
        "Names, beside `localhost` and addresses, by which the API may be called.";
    ApiPublic = "api.public", "TOWPATH_API_PUBLIC", "--api-public", List, Some("[]"),
        "Routes that need no token, beside `/health` and `/ready`: `metrics`, `openapi`.";
    ChannelsContributeMax = "channels.contribute_max", "TOWPATH_CHANNELS_CONTRIBUTE_MAX",
        "--channels-contribute-max", Integer, Some("0"),
        "What the node puts at most, in base units, into one channel that a peer opens and asks it to fund, too. Anybody can ask: 0 puts in nothing.";
    ChannelsContributePeerMax = "channels.contribute_peer_max", "TOWPATH_CHANNELS_CONTRIBUTE_PEER_MAX",
        "--channels-contribute-peer-max", Integer, None,
        "The same for all channels together that one peer opened and that are not settled; `channels.contribute_max` if not set.";
    ChannelsContributeOpeningMax = "channels.contribute_opening_max", "TOWPATH_CHANNELS_CONTRIBUTE_OPENING_MAX",
        "--channels-contribute-opening-max", Integer, None,
        "The same for all channels of all peers together that are not funded yet; `channels.contribute_max` if not set.";
    ChannelsCapacityMin = "channels.capacity_min", "TOWPATH_CHANNELS_CAPACITY_MIN",
        "--channels-capacity-min", Integer, Some("0"),
        "The smallest channel, in base units, that a peer may open. What is too small to be closed out of itself is refused anyway.";
    ChannelsPenaltyMin = "channels.penalty_min", "TOWPATH_CHANNELS_PENALTY_MIN",
        "--channels-penalty-min", Integer, Some("2500"),
        "The least share, in hundredths of a percent, that a party forfeits by closing with a state that it knew to be replaced.";
    ChannelsDisputeWindowMin = "channels.dispute_window_min", "TOWPATH_CHANNELS_DISPUTE_WINDOW_MIN",
        "--channels-dispute-window-min", Text, Some("\"1h\""),
        "The shortest dispute window of a channel: how long the node, or a watchtower, may be away. In `s`, `m`, `h` or `d`; the ledger has bounds of its own.";
    ChannelsDisputeWindowMax = "channels.dispute_window_max", "TOWPATH_CHANNELS_DISPUTE_WINDOW_MAX",
        "--channels-dispute-window-max", Text, Some("\"7d\""),
        "The longest dispute window of a channel: how long its funds are tied when the peer closes alone.";
    TowerServe = "tower.serve", "TOWPATH_TOWER_SERVE", "--tower-serve", Boolean, Some("false"),
        "Serve as a watchtower: keep other nodes' newest channel states, sealed, and answer stale closes with them. `towpath tower serve` decides it at run time.";
    TowerRecordsMax = "tower.records_max", "TOWPATH_TOWER_RECORDS_MAX", "--tower-records-max", Integer, Some("1048576"),
        "Records that the watchtower keeps in all, about 700 bytes each: a quarter of it for one node in `tower.clients`, a sixteenth for all strangers together, 128 for one of them, and 128 more for each channel that a node has with this one.";
    TowerClients = "tower.clients", "TOWPATH_TOWER_CLIENTS", "--tower-clients", List, Some("[]"),
        "Nodes, `node1…`, that the watchtower knows beside those with channels: for those who have more than a few hundred channels.";
    TowerSponsor = "tower.sponsor", "TOWPATH_TOWER_SPONSOR", "--tower-sponsor", Boolean, Some("true"),
        "Let the watchtower's wallet add what a channel lacks for the fee of an answer; without it a cheater can price the tower out.";
    TowerTowers = "tower.towers", "TOWPATH_TOWER_TOWERS", "--tower-towers", List, Some("[]"),
        "Watchtowers to use: `node1…`, or `node1…@/ip4/…/tcp/…`. `towpath tower add` and `remove` change the list at run time.";
    TowerPeers = "tower.peers", "TOWPATH_TOWER_PEERS", "--tower-peers", Boolean, Some("false"),
        "Let up to three peers, with which the node has channels, keep sealed copies of its other channels, if they serve: they answer stale closes, and are asked after a loss of data. `tower.confirmations` does not count them.";
    TowerConfirmations = "tower.confirmations", "TOWPATH_TOWER_CONFIRMATIONS", "--tower-confirmations", Integer, Some("0"),
        "How many watchtowers must have a version of a channel before a payment to this node in it is final; 0: it is final without.";
    RetentionEvents = "retention.events", "TOWPATH_RETENTION_EVENTS", "--retention-events", Text, Some("\"30d\""),
        "How much of the event logs is kept: `all`, `none`, an age such as `30d` or `12h`, or a size such as `500MB`.";
    RetentionPayments = "retention.payments", "TOWPATH_RETENTION_PAYMENTS", "--retention-payments", Text, Some("\"30d\""),
        "How much of the payment history is kept, in the same words. Balances never depend on it.";
    LogFormat = "log.format", "TOWPATH_LOG_FORMAT", "--log-format", Text, Some("\"text\""),
        "`text`, or `json` with one object a line; to standard error.";
    LogLevel = "log.level", "TOWPATH_LOG_LEVEL", "--log-level", Text, Some("\"info\""),
        "`error`, `warn`, `info`, `debug` or `trace`, or directives such as `info,towpath_node::net=debug`.";
}
