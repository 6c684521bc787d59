//! Watchtowers: this node as one, and those that it uses.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// How a watchtower does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TowerHealth {
    /// It answers.
    Good,
    /// There is no session with it.
    Unreachable,
    /// It does not answer.
    Silent,
    /// It takes no more; `reason` says why.
    Refusing,
    /// It was found out: it does not have what it acknowledged, or boasts of what it does not show. Its word counts for
    /// nothing until it has shown everything.
    Faulty,
}

/// A watchtower that this node uses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Tower {
    /// Its node.
    pub node: String,
    /// Whether the operator named it. If not, it is a peer with a channel, used as long as it is there, and its word counts
    /// for no payment.
    pub named: bool,
    /// Where it can be reached, if that was said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How it does.
    pub health: TowerHealth,
    /// More about that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Channels whose newest state it has acknowledged.
    pub current: u64,
    /// Channels of which it has an older state, or none.
    pub behind: u64,
    /// When it last acknowledged anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_receipt_ms: Option<u64>,
    /// Records of this node that it keeps, by its own word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
    /// The most that it keeps for this node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records_max: Option<u64>,
}

/// `GET /v1/tower`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TowerInfo {
    /// Whether this node takes records of others.
    pub serving: bool,
    /// Records that it keeps for others.
    pub records: u64,
    /// The most that it keeps.
    pub records_max: u64,
    /// Of the records, those of nodes that it does not know otherwise.
    pub records_of_strangers: u64,
    /// Nodes that have records here.
    pub clients: u64,
    /// Closings on the ledger for which it has records.
    pub cases: u64,
    /// Closings that it contested since its start.
    pub contested: u64,
    /// How many towers must have a version before payments in it are final; 0: they are final without.
    pub confirmations: u64,
    /// What a person should look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// The towers that this node uses.
    pub towers: Vec<Tower>,
}

/// `POST /v1/tower/serve`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ServeTower {
    /// Whether to take records of others. Records that are there are kept and answered with either way.
    pub serve: bool,
}

/// `POST /v1/tower/towers`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AddTower {
    /// `node1…`, or `node1…@/ip4/…/tcp/…` where it can be reached.
    pub tower: String,
}

/// What a tower has of a channel.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TowerChannel {
    /// The channel.
    pub channel: String,
    /// The newest version that it acknowledged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<u64>,
    /// The newest version that both parties signed.
    pub newest: u64,
    /// How many versions lie between.
    pub lag: u64,
}

/// A node for which this one keeps records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TowerClient {
    /// The node.
    pub node: String,
    /// How many records.
    pub records: u64,
    /// Whether it has neither a channel with this node nor a place in `tower.clients`.
    pub stranger: bool,
}

/// `GET /v1/tower/clients`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TowerClients {
    /// Those with most records, at most 100.
    pub clients: Vec<TowerClient>,
}

/// `DELETE /v1/tower/clients/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TowerDropped {
    /// How many records were dropped.
    pub records: u64,
}

/// `GET /v1/tower/towers/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TowerChannels {
    /// The channels, by id.
    pub channels: Vec<TowerChannel>,
    /// Give this as `after` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Which page of a tower's channels.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct TowerQuery {
    /// At most so many; 100 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Behind this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}
