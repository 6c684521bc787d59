//! What a node is and whether it serves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::channels::ChannelTotals;
use super::wallet::Wallet;

/// Whether the node signs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It works.
    Running,
    /// It lost data: channels sign and close nothing until their newest state is known.
    Recovery,
}

/// What is left to be recovered after a loss of data.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RecoveryInfo {
    /// Why data was lost, or may be.
    pub cause: String,
    /// The ledger is still to be searched for this node's channels and payments; until then nothing new is opened or paid.
    pub searching: bool,
    /// Channels that sign and close nothing before their newest state is known.
    pub channels: u64,
    /// Channels on the ledger that are this node's, and whose peers have not spoken yet.
    pub unclaimed: u64,
}

/// The newest block that the node has applied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LedgerTip {
    /// Its height.
    pub height: u64,
    /// Its ledger time.
    pub time_ms: u64,
    /// How long ago the node applied it, by the node's clock.
    pub tip_age_ms: u64,
}

/// `POST /v1/testnet/time`: moves a local test network's time forward.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Travel {
    /// Where ledger time is to be.
    pub time_ms: u64,
}

/// `GET /v1/info`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// The node's id.
    pub node: String,
    /// The name that its operator gave it.
    pub name: String,
    /// The ledger's id.
    pub chain: String,
    /// The ledger's name.
    pub chain_name: String,
    /// The program's version.
    pub version: String,
    /// Whether the node signs.
    pub mode: Mode,
    /// What is left to be recovered, after a loss of data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryInfo>,
    /// Whether it is one of the ledger's validators.
    pub validator: bool,
    /// Since the node started.
    pub uptime_ms: u64,
    /// The addresses that peers can use (multiaddresses with the node's peer id).
    pub listen: Vec<String>,
    /// Connected peers.
    pub peers: u32,
    /// Channels by state.
    pub channels: ChannelTotals,
    /// The newest block.
    pub ledger: LedgerTip,
    /// The wallet.
    pub wallet: Wallet,
}

/// `GET /health`: the process answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// Always `ok`.
    pub status: String,
}

/// `GET /ready`: 200 when the node serves, else 503 with the reason.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ready {
    /// Whether it serves.
    pub ready: bool,
    /// Why it doesn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
