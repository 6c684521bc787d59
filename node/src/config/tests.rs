//! Precedence, origins, and errors that name the place.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Config, Key, LogFormat, Origin, Overrides, Retention};
use crate::api::Public;

/// A configuration file in a folder of its own.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new(text: &str) -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(dir.path().join("config.toml"), text).expect("written");
        Self { dir }
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("config.toml")
    }
}

fn with_data_dir() -> Overrides {
    Overrides::default().with(Key::DataDir, "/data")
}

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// The error of a file, with the folder cut off.
#[track_caller]
fn error_of(text: &str) -> String {
    let place = Place::new(text);
    let error = Config::from_layers(Some(&place.file()), [], &with_data_dir()).expect_err("must be refused");
    error.to_string().replace(&format!("{}/", place.dir.path().display()), "")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(error_of(text), expected);
}

#[test]
fn defaults_need_only_a_data_folder() {
    let config = Config::from_layers(None, [], &with_data_dir()).expect("valid");
    assert_eq!(config.api.listen, SocketAddr::from(([127, 0, 0, 1], 7420)));
    assert_eq!(config.api.token_file, Path::new("/data/api.token"));
    assert_eq!(config.genesis, Path::new("/data/genesis.toml"));
    assert_eq!(config.retention.events, Retention::Age(Duration::from_secs(30 * 86_400)));
    assert_eq!((config.network.listen.len(), config.network.max_peers), (2, 128));
    assert!(config.workers >= 1 && !config.validator && !config.testnet && !config.network.mdns);
    assert_eq!(config.origin(Key::ApiListen), &Origin::Default);

    let missing =
        Config::from_layers(None, [], &Overrides::default()).expect_err("no data folder").to_string();
    assert_eq!(
        missing,
        "data_dir is not set: set it in the configuration file, as TOWPATH_DATA_DIR, or with --data-dir"
    );
}

#[test]
fn a_flag_goes_before_the_environment_before_the_file_before_the_default() {
    let place = Place::new("workers = 2\nname = \"file\"\nvalidator = true\n");
    let overrides = with_data_dir().with(Key::Workers, "4");
    let variables = env(&[("TOWPATH_WORKERS", "3"), ("TOWPATH_NAME", "environment")]);
    let config = Config::from_layers(Some(&place.file()), variables, &overrides).expect("valid");
    assert_eq!(
        (config.workers, config.name.as_str(), config.validator, config.testnet),
        (4, "environment", true, false)
    );

    let file = |line| Origin::File { path: place.file(), line };
    assert_eq!(config.origin(Key::Workers), &Origin::Flag("--workers"));
    assert_eq!(config.origin(Key::Name), &Origin::Env("TOWPATH_NAME".to_owned()));
    assert_eq!(config.origin(Key::Validator), &file(3));
    assert_eq!(config.origin(Key::Testnet), &Origin::Default);
    let shown: Vec<_> = config.show_origin().filter(|(key, ..)| *key == Key::Workers).collect();
    assert_eq!(shown, [(Key::Workers, "4", &Origin::Flag("--workers"))]);
}

/// Three values of a setting, each valid beside the defaults of the others: as TOML, and as plain texts.
fn three(key: Key) -> [(&'static str, &'static str); 3] {
    match key {
        Key::Name => [("'a'", "a"), ("'b'", "b"), ("'c'", "c")],
        Key::DataDir | Key::Genesis | Key::PassphraseFile | Key::ApiTokenFile => {
            [("'/a'", "/a"), ("'/b'", "/b"), ("'/c'", "/c")]
        }
        Key::Validator
        | Key::Testnet
        | Key::NetworkMdns
        | Key::ApiAllowRemote
        | Key::TowerServe
        | Key::TowerSponsor
        | Key::TowerPeers => [("true", "true"), ("false", "false"), ("true", "true")],
        Key::Workers
        | Key::NetworkMaxPeers
        | Key::ChannelsContributeMax
        | Key::ChannelsContributePeerMax
        | Key::ChannelsContributeOpeningMax
        | Key::ChannelsCapacityMin
        | Key::ChannelsPenaltyMin
        | Key::TowerRecordsMax
        | Key::TowerConfirmations => [("1", "1"), ("2", "2"), ("3", "3")],
        Key::ChannelsDisputeWindowMin => [("'1m'", "1m"), ("'2h'", "2h"), ("'3d'", "3d")],
        Key::ChannelsDisputeWindowMax => [("'2h'", "2h"), ("'8d'", "8d"), ("'9d'", "9d")],
        Key::NetworkListen => [
            ("['/ip4/127.0.0.1/tcp/1']", "/ip4/127.0.0.1/tcp/1"),
            ("['/ip4/127.0.0.1/tcp/2']", "/ip4/127.0.0.1/tcp/2"),
            ("['/ip4/127.0.0.1/tcp/3']", "/ip4/127.0.0.1/tcp/3"),
        ],
        Key::NetworkBootstrap => {
            let one = "/ip4/1.1.1.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
            let two = "/ip4/1.1.1.2/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
            [("[]", ""), ("[]", one), ("[]", two)]
        }
        Key::ApiListen => [
            ("'127.0.0.1:1'", "127.0.0.1:1"),
            ("'127.0.0.1:2'", "127.0.0.1:2"),
            ("'127.0.0.1:3'", "127.0.0.1:3"),
        ],
        Key::TowerClients | Key::TowerTowers => {
            let one = "node1a4yj333g68pvd6hfqvufqkv4vy54jfe6t33ljd3kc9rpfty8xlgs258j7h";
            let two = "node1e2f6c9c9rpc8r4nms0rl7rh7syyw3mz9xpt46aexs7fn8k76he7qs4z8l3";
            [("[]", ""), ("[]", one), ("[]", two)]
        }
        Key::ApiHosts => [("['a']", "a"), ("['b']", "b"), ("['c']", "c")],
        Key::ApiPublic => [("[]", ""), ("['metrics']", "metrics"), ("['openapi']", "openapi")],
        Key::RetentionEvents | Key::RetentionPayments => [("'1d'", "1d"), ("'2d'", "2d"), ("'all'", "all")],
        Key::LogFormat => [("'json'", "json"), ("'text'", "text"), ("'json'", "json")],
        Key::LogLevel => [("'error'", "error"), ("'warn'", "warn"), ("'debug'", "debug")],
    }
}

#[test]
fn for_every_setting_a_flag_goes_before_the_environment_before_the_file() {
    for &key in Key::ALL {
        let [file, variable, flag] = three(key);
        let place = Place::new(&format!("{} = {}\n", key.path(), file.0));
        let base = if key == Key::DataDir { Overrides::default() } else { with_data_dir() };
        let load = |variables: &[(&str, &str)], overrides: &Overrides| {
            let config = Config::from_layers(Some(&place.file()), env(variables), overrides).expect("valid");
            let shown = config.show_origin().find(|(shown, ..)| *shown == key);
            let (_, value, origin) = shown.expect("it is set");
            (value.to_owned(), origin.clone())
        };
        let variables = [(key.env(), variable.1)];
        let in_file = (file.1.to_owned(), Origin::File { path: place.file(), line: 1 });
        assert_eq!(load(&[], &base), in_file, "{key:?}");
        let in_environment = (variable.1.to_owned(), Origin::Env(key.env().to_owned()));
        assert_eq!(load(&variables, &base), in_environment, "{key:?}");
        let on_command_line = (flag.1.to_owned(), Origin::Flag(key.flag()));
        assert_eq!(load(&variables, &base.clone().with(key, flag.1)), on_command_line, "{key:?}");
    }
}

#[test]
fn a_flag_of_a_list_can_be_repeated_and_a_wrong_one_is_named() {
    let hosts = with_data_dir().with(Key::ApiHosts, "a").with(Key::ApiHosts, "b, c");
    let config = Config::from_layers(None, [], &hosts).expect("valid");
    assert_eq!(config.api.hosts, ["a", "b", "c"]);
    let wrong = with_data_dir().with(Key::Workers, "many");
    let error = Config::from_layers(None, [], &wrong).expect_err("wrong").to_string();
    assert_eq!(error, "flag --workers: workers must be a whole number, not 'many'");
}

#[test]
fn every_setting_can_be_set_in_each_layer() {
    let place = Place::new(
        r#"
        name = "alice"
        data_dir = "data"
        genesis = "/g.toml"
        passphrase_file = "pass"
        validator = true
        workers = 0x10
        testnet = true
        network.listen = ["/ip4/127.0.0.1/tcp/1"]
        network.bootstrap = ["/ip4/127.0.0.1/tcp/2/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"]
        network.mdns = true
        network.max_peers = 9
        [api]
        listen = "0.0.0.0:1"
        allow_remote = true
        token_file = "token"
        hosts = ["Node.Example"]
        public = ["metrics", "openapi"]
        [retention]
        events = "500MB"
        payments = "none"
        [log]
        format = "json"
        level = "debug"
        "#,
    );
    let config = Config::from_layers(Some(&place.file()), [], &Overrides::default()).expect("valid");
    let folder = place.dir.path();
    assert_eq!((config.data_dir, config.genesis), (folder.join("data"), "/g.toml".into()));
    assert_eq!(config.passphrase_file, Some(folder.join("pass")));
    assert_eq!(config.api.token_file, folder.join("token"));
    assert_eq!((config.workers, config.network.max_peers, config.network.bootstrap.len()), (16, 9, 1));
    assert_eq!(
        (config.api.hosts, config.api.public),
        (vec!["node.example".to_owned()], vec![Public::Metrics, Public::Openapi])
    );
    assert_eq!(
        (config.retention.events, config.retention.payments),
        (Retention::Bytes(500_000_000), Retention::None)
    );
    assert_eq!((config.log.format, config.log.level.as_str()), (LogFormat::Json, "debug"));

    let variables = env(&[
        ("TOWPATH_DATA_DIR", "here"),
        ("TOWPATH_NETWORK_LISTEN", "/ip4/127.0.0.1/tcp/1, /ip4/127.0.0.1/tcp/2"),
        ("TOWPATH_NETWORK_MDNS", "1"),
        ("TOWPATH_API_HOSTS", ""),
        ("TOWPATH_NODE", "alice"),
        ("HOME", "/root"),
    ]);
    let config = Config::from_layers(None, variables, &Overrides::default()).expect("valid");
    assert_eq!((config.data_dir, config.network.listen.len(), config.network.mdns), ("here".into(), 2, true));
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_name() {
    check(
        "\n[api]\nlisen = \"x\"\n",
        "config.toml:3: there is no setting 'api.lisen'; did you mean 'api.listen'?",
    );
    check("worker = 3", "config.toml:1: there is no setting 'worker'; did you mean 'workers'?");
    check(
        "[networks]\nmdns = true",
        "config.toml:1: there is no setting 'networks'; did you mean 'network'?",
    );
    check(
        "max_peers = 3",
        "config.toml:1: there is no setting 'max_peers'; did you mean 'network.max_peers'?",
    );
    check(
        "zzzzzzzzz = 1",
        "config.toml:1: there is no setting 'zzzzzzzzz'; see docs/config.md for all settings",
    );

    let variables = env(&[("TOWPATH_API_LISEN", "x")]);
    let error = Config::from_layers(None, variables, &with_data_dir()).expect_err("unknown").to_string();
    assert_eq!(
        error,
        "environment variable TOWPATH_API_LISEN: there is no setting 'TOWPATH_API_LISEN'; did you mean 'TOWPATH_API_LISTEN'?"
    );
}

#[test]
fn a_section_that_is_none_is_told_how_to_be_one() {
    check(
        "\n[[api]]\nlisten = \"127.0.0.1:1\"\n",
        "config.toml:2: api is a section: write [api], not [[api]], which begins a list of sections",
    );
    check(
        "[[network]]\nmdns = true\n[[network]]\nmdns = false\n",
        "config.toml:1: network is a section: write [network], not [[network]], which begins a list of sections",
    );
    check("api = 7420", "config.toml:1: api is a section: write [api], not a value of type integer");
    check("log = []", "config.toml:1: log is a section: write [log], not a value of type array");
}

#[test]
fn n12_a_name_that_could_fool_a_terminal_is_refused() {
    for name in ["a\\nb", "a\\u001b[2Jb", "\\u007f", "a\\u0085b", "pay\\u202eecila", "a\\u200bb", "\\u2028"] {
        let error = error_of(&format!("name = \"{name}\""));
        assert_eq!(
            error,
            "config.toml:1: name must have 1 to 64 characters: letters and digits of any script, spaces and ASCII punctuation",
            "{name}"
        );
    }
    let place = Place::new("name = \"alice's node, größer 你好\"");
    let config = Config::from_layers(Some(&place.file()), [], &with_data_dir()).expect("a good name");
    assert_eq!(config.name, "alice's node, größer 你好");
    let variables = env(&[("TOWPATH_NAME", "a\nb")]);
    let error = Config::from_layers(None, variables, &with_data_dir()).expect_err("refused").to_string();
    assert!(error.starts_with("environment variable TOWPATH_NAME: name must have"), "{error}");
}

#[test]
fn wrong_values_name_the_place_the_key_and_what_is_right() {
    check("workers = \"3\"", "config.toml:1: workers must be a whole number, not of type string");
    check("workers = 3.0", "config.toml:1: workers must be a whole number, not of type float");
    check("\nworkers = -1", "config.toml:2: workers must be a whole number, not -1");
    check("workers = 0", "config.toml:1: workers is 0, not 1 to 256");
    check("validator = 1", "config.toml:1: validator must be true or false, not of type integer");
    check(
        "name = \"\"",
        "config.toml:1: name must have 1 to 64 characters: letters and digits of any script, spaces and ASCII punctuation",
    );
    check(
        "api.listen = \"7420\"",
        "config.toml:1: api.listen is '7420', not an address and a port such as 127.0.0.1:7420",
    );
    check("log.format = \"xml\"", "config.toml:1: log.format is 'xml', not 'text' or 'json'");
    check(
        "api.public = [\"info\"]",
        "config.toml:1: api.public has 'info'; only 'metrics' and 'openapi' can be public",
    );
    check(
        "api.hosts = [\"a:1\"]",
        "config.toml:1: api.hosts has 'a:1', which is not a host name without a port",
    );
    check(
        "network.bootstrap = [\"/ip4/127.0.0.1/tcp/1\"]",
        "config.toml:1: network.bootstrap has '/ip4/127.0.0.1/tcp/1', which does not end in /p2p/ and a peer id",
    );
    check(
        "network.listen = [1]",
        "config.toml:1: network.listen must be a list of texts, such as [\"a\", \"b\"], not a list with integer",
    );
    check(
        "retention.events = \"30\"",
        "config.toml:1: retention.events is '30', not 'all', 'none', an age such as '30d' or '12h', or a size such as '500MB'",
    );
    assert!(error_of("log.level = \"a=loud\"").starts_with("config.toml:1: log.level is wrong: "));
    assert!(error_of("network.listen = [\"here\"]").contains("'here', which is not a multiaddress"));
    assert!(error_of("a = 1\na = 2").starts_with("config.toml:2: this is not TOML: "));

    let variables = env(&[("TOWPATH_VALIDATOR", "yes")]);
    let error = Config::from_layers(None, variables, &with_data_dir()).expect_err("wrong").to_string();
    assert_eq!(error, "environment variable TOWPATH_VALIDATOR: validator must be true or false, not 'yes'");
    let overrides = with_data_dir().with(Key::NetworkMaxPeers, "0");
    let error = Config::from_layers(None, [], &overrides).expect_err("wrong").to_string();
    assert_eq!(error, "flag --network-max-peers: network.max_peers is 0, not 1 to 4096");
}

#[test]
fn c21_strangers_get_nothing_of_the_wallet_unless_the_operator_says_so() {
    let of = |text: &str| {
        let place = Place::new(text);
        Config::from_layers(Some(&place.file()), [], &with_data_dir()).expect("valid").channels
    };
    let contributes = |channels: super::Channels| {
        (channels.contribute_max, channels.contribute_peer_max, channels.contribute_opening_max)
    };
    assert_eq!(contributes(of("")), (0, 0, 0));
    assert_eq!(contributes(of("channels.contribute_max = 5")), (5, 5, 5), "one channel at a time");
    let hub = "channels.contribute_max = 5\nchannels.contribute_peer_max = 50\nchannels.contribute_opening_max = 20";
    assert_eq!(contributes(of(hub)), (5, 50, 20));
    let defaults = of("");
    assert_eq!((defaults.penalty_min, defaults.capacity_min), (2_500, 0));
    let (hour, day) = (Duration::from_secs(3_600), Duration::from_secs(86_400));
    assert_eq!((defaults.dispute_window_min, defaults.dispute_window_max), (hour, 7 * day));

    check("channels.penalty_min = 10001", "config.toml:1: channels.penalty_min is 10001, not 0 to 10000");
    check(
        "channels.dispute_window_min = \"soon\"",
        "config.toml:1: channels.dispute_window_min is 'soon', not a duration such as '1h' or '7d'",
    );
    check(
        "channels.dispute_window_max = \"59m\"",
        "config.toml:1: channels.dispute_window_max is shorter than channels.dispute_window_min",
    );
}

#[test]
fn a9_the_api_is_not_opened_to_other_machines_by_accident() {
    check(
        "api.listen = \"0.0.0.0:7420\"",
        "config.toml:1: api.listen is 0.0.0.0:7420, which other machines can reach; use a loopback address such as \
         127.0.0.1:7420, or set api.allow_remote = true and api.token_file",
    );
    check(
        "api.listen = \"[::]:7420\"\napi.allow_remote = true",
        "config.toml:2: api.allow_remote is true, so api.token_file must be set: whoever has the token can spend the node's funds",
    );
    assert!(Config::from_layers(None, env(&[("TOWPATH_API_LISTEN", "[::1]:0")]), &with_data_dir()).is_ok());
}

#[test]
fn a_missing_file_is_named() {
    let error =
        Config::from_layers(Some(Path::new("/nowhere/c.toml")), [], &with_data_dir()).expect_err("missing");
    assert!(error.to_string().starts_with("cannot read the configuration file /nowhere/c.toml: "), "{error}");
}

#[test]
fn retentions_read_what_they_write() {
    for text in ["all", "none", "30d", "12h", "90m", "45s", "500MB", "1GiB", "3KiB", "7GB"] {
        assert_eq!(text.parse::<Retention>().expect("valid").to_string(), text);
    }
    for text in ["", "0d", "30", "d", "-1d", "1.5d", "30 d", "18446744073709551615d", "5mb", "٣d"] {
        assert!(text.parse::<Retention>().is_err(), "{text:?}");
    }
}

#[test]
fn the_documentation_names_every_setting_with_its_default_and_meaning() {
    let docs = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/config.md"))
        .expect("docs/config.md");
    for key in Key::ALL {
        let default = key.default_text().map_or_else(|| "-".to_owned(), |text| format!("`{text}`"));
        let row =
            format!("| `{}` | `{}` | `{}` | {default} | {} |", key.path(), key.env(), key.flag(), key.doc());
        assert!(docs.contains(&row), "docs/config.md has no row:\n{row}");
    }
}
