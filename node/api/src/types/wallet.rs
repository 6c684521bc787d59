//! The node's wallet on the ledger.

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::payments::Direction;
use super::units::Units;

/// `GET /v1/wallet`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Wallet {
    /// Final and unspent, reserved or not.
    pub confirmed: Units,
    /// What can be spent now.
    pub available: Units,
    /// The rest of `confirmed`: set aside for transactions that are being made, or spent by ones that are not final yet.
    pub reserved: Units,
    /// On its way in: change and payments of transactions that are not final yet. Not part of `confirmed`.
    pub pending: Units,
    /// This node's balances in its channels that are funded and not settled.
    pub in_channels: Units,
}

/// `POST /v1/wallet/addresses`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct NewAddress {
    /// A fresh address.
    pub address: String,
}

/// `POST /v1/wallet/send`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WalletSend {
    /// Who is paid.
    pub to: String,
    /// How much.
    pub amount: Units,
    /// A request with the same key and content is done once. Remembered for 24 hours after the transaction is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// The answer to a send: the transaction is on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct WalletSent {
    /// The transaction.
    pub tx: String,
    /// The ledger fee that it pays.
    pub fee: Units,
}

/// What a transaction was for the wallet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HistoryKind {
    /// Allocated by the genesis file.
    Genesis,
    /// A plain payment.
    Transfer,
    /// Funds a channel.
    ChannelOpen,
    /// Pays out a channel.
    ChannelClose,
    /// Tops a channel up, or pays some of it out, and the channel goes on.
    ChannelResize,
    /// Anything else.
    Other,
}

/// One transaction as the wallet sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// The transaction.
    pub tx: String,
    /// What it was.
    pub kind: HistoryKind,
    /// Whether the wallet has more or less by it.
    pub direction: Direction,
    /// How much more or less, fees included.
    pub amount: Units,
    /// The ledger fee, if this wallet paid it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fee: Option<Units>,
    /// The block, once it is final. Payments that are on their way come first, without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// That block's time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// The channel that it opens or closes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// Which part of the history.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct HistoryQuery {
    /// At most so many, up to 500; payments that are on their way are not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Older than where the last page ended (its `next`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
}

/// `GET /v1/wallet/history`, newest first.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HistoryPage {
    /// The entries.
    pub entries: Vec<HistoryEntry>,
    /// Give this as `before` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
