//! From what the user typed to the node that is meant.

use std::path::Path;

use towpath_api::{Client, TOKEN_FILE, Token};
use towpath_testnet::{NetworkState, NodeState};

use crate::args::Common;
use crate::errors::CliError;

/// The address of a node's API unless its configuration says otherwise.
const DEFAULT_API: &str = "http://127.0.0.1:7420";

/// A client of the node that `common` means: `--node`, else `--data-dir`, else the first node of the local network.
///
/// # Errors
/// [`CliError::WhichNode`] when nothing says which; else what is wrong with what was said.
pub fn client(common: &Common) -> Result<Client, CliError> {
    match &common.node {
        Some(url) if url.starts_with("http://") => Ok(Client::new(url, &token(common)?)?),
        Some(name) => node_client(NetworkState::load(&common.testnet_dir)?.node(name)?),
        None => match common.data_dir() {
            Some(dir) => Ok(Client::new(&api_url(&dir), &Token::read(&dir.join(TOKEN_FILE))?)?),
            None => match NetworkState::load(&common.testnet_dir) {
                Ok(network) => node_client(network.nodes.first().ok_or(CliError::WhichNode)?),
                Err(_) => Err(CliError::WhichNode),
            },
        },
    }
}

/// A client of a node of the local network.
///
/// # Errors
/// When its token cannot be read.
pub fn node_client(node: &NodeState) -> Result<Client, CliError> {
    Ok(Client::new(&node.api, &Token::read(&node.token_file)?)?)
}

/// The id of a node that is given as an id, or as a name in the local network.
///
/// # Errors
/// When it is neither.
pub fn node_id(common: &Common, text: &str) -> Result<String, CliError> {
    if text.starts_with("node1") {
        return Ok(text.to_owned());
    }
    Ok(NetworkState::load(&common.testnet_dir)?.node(text)?.node.clone())
}

/// Where a node of the local network listens for peers; none for others.
#[must_use]
pub fn p2p_address(common: &Common, text: &str) -> Option<String> {
    let network = NetworkState::load(&common.testnet_dir).ok()?;
    network.nodes.iter().find(|node| node.name == text || node.node == text).map(|node| node.p2p.clone())
}

fn token(common: &Common) -> Result<Token, CliError> {
    if let Some(dir) = common.data_dir() {
        return Ok(Token::read(&dir.join(TOKEN_FILE))?);
    }
    let text = std::env::var("TOWPATH_TOKEN").map_err(|_| CliError::NoToken)?;
    Ok(Token::parse(&text)?)
}

/// The address that the node itself wrote into its data folder when it began to listen.
fn api_url(dir: &Path) -> String {
    std::fs::read_to_string(dir.join(towpath_node::API_ADDRESS_FILE))
        .map(|text| text.trim().to_owned())
        .unwrap_or_else(|_| DEFAULT_API.to_owned())
}
