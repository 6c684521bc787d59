//! `towpath node`

use towpath_node::config::{Config, Key};

use crate::args::{Common, Node};
use crate::errors::CliError;
use crate::output::{Style, answer, table};
use crate::passphrase;

/// Runs a node until it is told to stop.
///
/// # Errors
/// [`CliError::Local`] when the configuration, the keys or the database cannot be used.
pub fn node(common: &Common, args: Node) -> Result<(), CliError> {
    let mut overrides = args.settings.0;
    if let Some(dir) = common.data_dir_flag() {
        overrides.set(Key::DataDir, &dir.to_string_lossy());
    }
    let in_data_dir = || common.data_dir().map(|dir| dir.join("config.toml")).filter(|file| file.exists());
    let file = args.config.clone().or_else(in_data_dir);
    let mut config =
        Config::load(file.as_deref(), &overrides).map_err(|error| CliError::Local(error.to_string()))?;
    config.take_over = args.take_over;
    config.vote_from = args.vote_from;
    if args.show_config {
        return show(common, &config);
    }
    let keys = towpath_node::key_file(&config.data_dir);
    if !keys.exists() {
        let dir = config.data_dir.display();
        let next = format!("`towpath init --genesis FILE --data-dir {dir}` makes a node");
        return Err(CliError::Local(format!("there are no keys at {}; {next}", keys.display())));
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
