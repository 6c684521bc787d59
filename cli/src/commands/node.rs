//! `towpath node`

use std::path::PathBuf;

use towpath_node::config::{Config, Key, Overrides};

use crate::args::{Common, Node};
use crate::errors::CliError;
use crate::output::{Style, answer, table};
use crate::passphrase;

/// Runs a node until it is told to stop.
///
/// # Errors
/// [`CliError::Local`] when the configuration, the keys or the database cannot be used.
pub fn node(common: &Common, args: Node) -> Result<(), CliError> {
    let mut overrides = Overrides { data_dir: common.data_dir.clone(), ..Overrides::default() };
    for setting in &args.set {
        set(&mut overrides, setting)?;
    }
    let in_data_dir =
        || common.data_dir.as_ref().map(|dir| dir.join("config.toml")).filter(|file| file.exists());
    let file = args.config.clone().or_else(in_data_dir);
    let mut config =
        Config::load(file.as_deref(), &overrides).map_err(|error| CliError::Local(error.to_string()))?;
    config.take_over = args.take_over;
    if args.show_config {
        return show(common, &config);
    }
    let passphrase = match &config.passphrase_file {
        Some(file) => passphrase::read(file)?,
        None => passphrase::ask("passphrase of the key file: ")?,
    };
    towpath_node::run(config, passphrase.as_bytes()).map_err(|error| CliError::Local(error.to_string()))
}

/// Every setting with its value and who set it.
fn show(common: &Common, config: &Config) -> Result<(), CliError> {
    let rows: Vec<[String; 3]> = config
        .show_origin()
        .map(|(key, value, origin)| [key.path().to_owned(), value.to_owned(), origin.to_string()])
        .collect();
    let document: serde_json::Map<String, serde_json::Value> = rows
        .iter()
        .map(|[key, value, origin]| (key.clone(), serde_json::json!({ "value": value, "from": origin })))
        .collect();
    answer(Style::of(common), &document, |_| {
        table(&["setting", "value", "from"], rows.iter().map(|row| row.to_vec()).collect())
    })
}

/// Takes one `KEY=VALUE` as a flag's value.
fn set(overrides: &mut Overrides, setting: &str) -> Result<(), CliError> {
    let usage = |reason: String| CliError::Usage(format!("--set {setting}: {reason}"));
    let (name, value) = setting.split_once('=').ok_or_else(|| usage("write KEY=VALUE".to_owned()))?;
    let key = Key::ALL.iter().copied().find(|key| key.path() == name);
    let key = key.ok_or_else(|| {
        usage(format!("there is no setting `{name}`; `towpath node --show-config` lists all"))
    })?;
    let boolean =
        || value.parse::<bool>().map(Some).map_err(|_| usage("the value is true or false".to_owned()));
    let number =
        || value.parse::<u64>().map(Some).map_err(|_| usage("the value is a whole number".to_owned()));
    let list =
        || Some(value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect());
    let (text, path) = (|| Some(value.to_owned()), || Some(PathBuf::from(value)));
    match key {
        Key::Name => overrides.name = text(),
        Key::DataDir => overrides.data_dir = path(),
        Key::Genesis => overrides.genesis = path(),
        Key::PassphraseFile => overrides.passphrase_file = path(),
        Key::Validator => overrides.validator = boolean()?,
        Key::Workers => overrides.workers = number()?,
        Key::Testnet => overrides.testnet = boolean()?,
        Key::NetworkListen => overrides.network_listen = list(),
        Key::NetworkBootstrap => overrides.network_bootstrap = list(),
        Key::NetworkMdns => overrides.network_mdns = boolean()?,
        Key::NetworkMaxPeers => overrides.network_max_peers = number()?,
        Key::ApiListen => overrides.api_listen = text(),
        Key::ApiAllowRemote => overrides.api_allow_remote = boolean()?,
        Key::ApiTokenFile => overrides.api_token_file = path(),
        Key::ApiHosts => overrides.api_hosts = list(),
        Key::ApiPublic => overrides.api_public = list(),
        Key::RetentionEvents => overrides.retention_events = text(),
        Key::RetentionPayments => overrides.retention_payments = text(),
        Key::LogFormat => overrides.log_format = text(),
        Key::LogLevel => overrides.log_level = text(),
    }
    Ok(())
}
