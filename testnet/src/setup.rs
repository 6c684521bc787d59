//! Makes the folder of a network: keys, genesis, configurations, ports. Nothing is started here.

use std::fs::{DirBuilder, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use towpath_api::TOKEN_FILE;
use towpath_crypto::id::{self, Kind};
use towpath_crypto::keyfile::{self, FileRandomness, KdfStrength};
use towpath_crypto::seed::Seed;
use towpath_crypto::{Amount, codec};
use towpath_ledger::chain::{ChainParams, Validator, ValidatorSet};
use towpath_ledger::genesis::{Allocation, AssetName, Genesis};
use towpath_ledger::types::{Payout, Time};
use towpath_node::devnet;

use crate::error::TestnetError;
use crate::names;
use crate::ports;
use crate::state::{NetworkState, NodeState};
use crate::topology::Topology;

/// The name of every local network's ledger: a node takes well-known keys on this ledger alone.
const CHAIN_NAME: &str = "local-testnet";

/// By how much ledger time rises at most in a block: half of it is the heartbeat of an idle local network.
const BLOCK_STEP_MS_MAX: u64 = 2_000;

/// What each node puts into channels of others: as much as it has.
const CONTRIBUTE_MAX: u64 = 1_000_000_000_000_000_000;

/// The passphrase of the key files: as public as the keys.
pub(crate) const PASSPHRASE: &str = "local test network";

/// What a network is made of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// How many nodes.
    pub nodes: usize,
    /// How many of them, from the first on, decide blocks.
    pub validators: usize,
    /// Who has channels with whom.
    pub topology: Topology,
    /// In how many outputs each node's money comes: so many openings can be under way at once.
    pub coins: u32,
    /// The amount of each of them.
    pub coin: u64,
}

impl Plan {
    /// A network of so many nodes, all of them validators.
    #[must_use]
    pub const fn of(nodes: usize, topology: Topology) -> Self {
        Self { nodes, validators: nodes, topology, coins: 16, coin: 1_000_000_000 }
    }
}

#[derive(Serialize)]
struct NodeConfig<'a> {
    name: &'a str,
    data_dir: &'a str,
    genesis: &'a str,
    passphrase_file: &'a str,
    validator: bool,
    testnet: bool,
    network: NetworkConfig,
    channels: ChannelsConfig,
    api: ApiConfig,
    tower: TowerConfig,
}

#[derive(Serialize)]
struct TowerConfig {
    serve: bool,
}

#[derive(Serialize)]
struct NetworkConfig {
    listen: Vec<String>,
    bootstrap: Vec<String>,
}

/// The nodes of a local network trust each other with its money, which is worth nothing, and nobody waits for an hour.
#[derive(Serialize)]
struct ChannelsConfig {
    contribute_max: u64,
    contribute_peer_max: u64,
    contribute_opening_max: u64,
    dispute_window_min: &'static str,
    dispute_window_max: &'static str,
}

#[derive(Serialize)]
struct ApiConfig {
    listen: String,
}

/// Makes the folder `dir` with everything that the nodes need, and the state file.
///
/// # Errors
/// When a file cannot be made, or there are no free ports.
pub fn set_up(dir: &Path, plan: &Plan) -> Result<NetworkState, TestnetError> {
    let dir = std::path::absolute(dir).map_err(io(dir))?;
    private_dir(&dir)?;
    let seeds: Vec<(&str, Seed)> =
        names::names(plan.nodes).into_iter().map(|name| (name, devnet::seed(name))).collect();
    let genesis = genesis(plan, &seeds)?;
    let genesis_path = dir.join("genesis.toml");
    let text = genesis.to_toml().map_err(|error| set_up_error("the genesis", &error))?;
    write_new(&genesis_path, text.as_bytes())?;
    let ports = ports::free(plan.nodes * 2, &dir)?;
    let addresses = seeds
        .iter()
        .zip(&ports)
        .map(|((name, seed), port)| p2p_address(name, seed, *port))
        .collect::<Result<Vec<_>, _>>()?;
    let api_ports = ports.iter().skip(plan.nodes);
    let mut nodes = Vec::new();
    for (index, ((name, seed), api_port)) in seeds.iter().zip(api_ports).enumerate() {
        let others = addresses.iter().enumerate().filter(|(other, _)| *other != index);
        let config = NodeConfig {
            name,
            data_dir: ".",
            genesis: "../genesis.toml",
            passphrase_file: "passphrase",
            validator: index < plan.validators,
            testnet: true,
            network: NetworkConfig {
                listen: vec![format!("/ip4/127.0.0.1/tcp/{}", ports[index])],
                bootstrap: others.map(|(_, address)| address.clone()).collect(),
            },
            channels: ChannelsConfig {
                contribute_max: CONTRIBUTE_MAX,
                contribute_peer_max: CONTRIBUTE_MAX,
                contribute_opening_max: CONTRIBUTE_MAX,
                dispute_window_min: "0s",
                dispute_window_max: "30d",
            },
            api: ApiConfig { listen: format!("127.0.0.1:{api_port}") },
            tower: TowerConfig { serve: true },
        };
        nodes.push(set_up_node(&dir, seed, &config, addresses[index].clone())?);
    }
    let chain = id::encode(Kind::Chain, &genesis.chain_id().0.0);
    let state = NetworkState::new(chain, genesis_path, plan.topology, nodes);
    state.save(&dir)?;
    Ok(state)
}

fn genesis(plan: &Plan, seeds: &[(&str, Seed)]) -> Result<Genesis, TestnetError> {
    let validators = seeds.iter().take(plan.validators);
    let validators =
        validators.map(|(_, seed)| Validator { key: seed.node_key().public(), power: 1 }).collect();
    let mut params = ChainParams::default();
    params.blocks.block_step_ms_max = BLOCK_STEP_MS_MAX;
    params.blocks.time_travel = true;
    // The shortest that the rules allow: three times as long as faulty proposers can keep a transaction out.
    let faulty = u64::try_from((plan.validators.saturating_sub(1)) / 3).unwrap_or(u64::MAX);
    params.rules.dispute_window_ms_min = 3 * (faulty + 2) * BLOCK_STEP_MS_MAX;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let allocation = |seed: &Seed| Allocation {
        payout: Payout::Key(seed.wallet_key(0).public()),
        asset: None,
        amount: Amount(plan.coin),
    };
    Ok(Genesis {
        name: CHAIN_NAME.to_owned(),
        time: Time(u64::try_from(now).unwrap_or(0)),
        native: AssetName { symbol: "TOW".to_owned(), decimals: 6 },
        params,
        validators: ValidatorSet::new(validators).map_err(|error| set_up_error("the validators", &error))?,
        assets: Vec::new(),
        allocations: (0..plan.coins).flat_map(|_| seeds.iter().map(|(_, seed)| allocation(seed))).collect(),
    })
}

fn set_up_node(
    dir: &Path,
    seed: &Seed,
    config: &NodeConfig<'_>,
    p2p: String,
) -> Result<NodeState, TestnetError> {
    let data_dir = dir.join(config.name);
    private_dir(&data_dir)?;
    // The keys are public: salt and nonce that follow from the name hide nothing less.
    let random = towpath_crypto::hash::sha256(config.name.as_bytes()).0;
    let mut randomness = FileRandomness { salt: [0; 16], nonce: [0; 24] };
    randomness.salt.copy_from_slice(&random[..16]);
    randomness.nonce.copy_from_slice(&random[8..]);
    let keys = data_dir.join(towpath_node::KEY_FILE);
    keyfile::create(&keys, seed, PASSPHRASE.as_bytes(), KdfStrength::LocalTestnet, randomness)
        .map_err(|error| set_up_error(config.name, &error))?;
    write_new(&data_dir.join("passphrase"), PASSPHRASE.as_bytes())?;
    let config_path = data_dir.join("config.toml");
    let text = toml::to_string(config).map_err(|error| set_up_error(config.name, &error))?;
    write_new(&config_path, text.as_bytes())?;
    let payout = Payout::Key(seed.wallet_key(0).public());
    Ok(NodeState {
        name: config.name.to_owned(),
        node: id::encode(Kind::Node, &seed.node_key().public().0),
        address: id::encode(Kind::Address, &codec::encode(&payout)),
        api: format!("http://{}", config.api.listen),
        token_file: data_dir.join(TOKEN_FILE),
        p2p,
        config: config_path,
        log: data_dir.join("node.log"),
        data_dir,
        process: None,
    })
}

fn p2p_address(name: &str, seed: &Seed, port: u16) -> Result<String, TestnetError> {
    let peer = towpath_node::net::identity::peer_of(&seed.node_key().public())
        .map_err(|error| set_up_error(name, &error))?;
    Ok(format!("/ip4/127.0.0.1/tcp/{port}/p2p/{peer}"))
}

fn private_dir(path: &Path) -> Result<(), TestnetError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io(path))
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<(), TestnetError> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).map_err(io(path))?;
    file.write_all(bytes).map_err(io(path))
}

fn io(path: &Path) -> impl Fn(std::io::Error) -> TestnetError {
    let path: PathBuf = path.to_owned();
    move |source| TestnetError::Io { path: path.clone(), source }
}

/// An error of setting up `name`, from whatever made it fail.
fn set_up_error(name: &str, error: &impl std::error::Error) -> TestnetError {
    TestnetError::SetUp { name: name.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_set_up_once_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let made = set_up(dir.path(), &Plan::of(4, Topology::Ring)).unwrap();
        assert_eq!(NetworkState::load(dir.path()).unwrap(), made);
        let text = std::fs::read_to_string(&made.genesis).unwrap();
        let genesis = Genesis::parse(&text).unwrap();
        assert_eq!(id::encode(Kind::Chain, &genesis.chain_id().0.0), made.chain);
        assert_eq!(genesis.validators.members().len(), 4);
        assert!(made.nodes.iter().all(|node| node.config.exists() && node.p2p.contains("/p2p/12D3Koo")));
        assert!(set_up(dir.path(), &Plan::of(4, Topology::Ring)).is_err(), "nothing is overwritten");
    }
}
