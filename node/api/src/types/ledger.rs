//! The ledger as the node sees it. Hex fields are canonical encodings (docs/FORMAT.md).

use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::units::Units;

/// One validator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct ValidatorInfo {
    /// Its node id.
    pub node: String,
    /// Its voting power.
    pub power: u64,
}

/// Transactions that wait for a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct MempoolInfo {
    /// How many.
    pub transactions: u64,
    /// Their size.
    pub bytes: u64,
}

/// `GET /v1/ledger`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LedgerInfo {
    /// The ledger's id.
    pub chain: String,
    /// Its name.
    pub chain_name: String,
    /// The height of the newest final block.
    pub height: u64,
    /// Its id.
    pub tip: String,
    /// Its ledger time.
    pub time_ms: u64,
    /// Its state root, in hex.
    pub state_root: String,
    /// Who decides blocks.
    pub validators: Vec<ValidatorInfo>,
    /// All units of the native asset in unspent outputs.
    pub supply: Units,
    /// All fees paid since genesis.
    pub fees: Units,
    /// What waits.
    pub mempool: MempoolInfo,
}

/// Who signed a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Certificate {
    /// The round in which it was decided.
    pub round: u32,
    /// The validators whose votes it holds.
    pub signers: Vec<String>,
}

/// `GET /v1/ledger/blocks/{height|id|latest}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Block {
    /// Its id.
    pub id: String,
    /// Its height.
    pub height: u64,
    /// Its parent.
    pub parent: String,
    /// Its ledger time.
    pub time_ms: u64,
    /// The validator that made it.
    pub proposer: String,
    /// In hex.
    pub transactions_root: String,
    /// In hex.
    pub state_root: String,
    /// The hash of the validator set, in hex.
    pub validators: String,
    /// The ids of its transactions, in their order.
    pub transactions: Vec<String>,
    /// The size of the encoded block.
    pub size_bytes: u64,
    /// Who signed it; genesis has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// Where a transaction is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum TransactionStatus {
    /// It waits for a block.
    Pending,
    /// It is in a block, for good.
    Final,
}

/// A spent output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TxInput {
    /// The output.
    pub outpoint: String,
    /// Why it may be spent: `wallet`, `cooperative`, `unilateral`, `supersede`, `penalize`, `answer`, `finalize`, `resize` or `resolve`.
    pub witness: String,
}

/// Who may spend an output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Lock {
    /// Wallet keys.
    Wallet {
        /// The address.
        address: String,
    },
    /// An open channel.
    Channel {
        /// Its id.
        channel: String,
        /// How often it was resized.
        generation: u32,
        /// How long a close can be answered.
        dispute_window_ms: u64,
    },
    /// A channel that one party is closing.
    Closing {
        /// Its id.
        channel: String,
        /// The version of the newest state shown.
        version: u64,
        /// The opener's balance in it.
        balance_a: Units,
        /// The acceptor's balance in it.
        balance_b: Units,
        /// Until when it can be answered; absent until the block is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_ms: Option<u64>,
        /// Whether its author forfeits a share.
        penalized: bool,
    },
    /// A conditional payment that outlived its channel.
    Conditional {
        /// Until when the secret may be revealed.
        expiry_ms: u64,
        /// Paid if it was.
        payee: String,
        /// Paid if it was not.
        payer: String,
    },
}

/// A new output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct TxOutput {
    /// Its outpoint.
    pub outpoint: String,
    /// Which asset; absent for the native one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// How much.
    pub amount: Units,
    /// Who may spend it.
    pub lock: Lock,
}

/// `GET /v1/ledger/transactions/{id}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Transaction {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub status: TransactionStatus,
    /// Its block, once it is final.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block: Option<String>,
    /// The height of its block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// The time of its block.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_ms: Option<u64>,
    /// What it spends.
    pub inputs: Vec<TxInput>,
    /// What it makes.
    pub outputs: Vec<TxOutput>,
    /// What it records beside: `reveal`, `issue` or `anchor`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<String>,
    /// The size of its encoding.
    pub size_bytes: u64,
    /// Its encoding, in hex.
    pub hex: String,
}

/// `POST /v1/ledger/transactions`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SubmitTransaction {
    /// The encoding of a signed transaction, in hex.
    pub hex: String,
}

/// The answer to a submitted transaction: it passed the rules and is on its way.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Submitted {
    /// Its id.
    pub tx: String,
}

/// `GET /v1/ledger/outputs/{outpoint}/proof`: proof of what the ledger holds under an outpoint, for one who trusts the
/// genesis alone. All bytes are in the ledger's own encoding, in hex (docs/format/ledger.md).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OutputProof {
    /// The outpoint in full.
    pub outpoint: String,
    /// The header whose state root it is against, with its certificate.
    pub certified: CertifiedHeader,
    /// The Merkle proof.
    pub proof: String,
    /// The unspent output; absent where the proof shows that there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
}

/// A header with the proof that it was decided.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct CertifiedHeader {
    /// Its height.
    pub height: u64,
    /// Header and commit certificate, in hex.
    pub bytes: String,
}

/// Which headers.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default, deny_unknown_fields)]
pub struct HeaderQuery {
    /// The first height; block 0 follows from the genesis and has no certificate.
    pub from: u64,
    /// At most so many; all of a page when it is absent.
    pub limit: Option<u32>,
}

/// `GET /v1/ledger/headers`: certified headers, ascending.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct HeaderPage {
    /// Those that there are; empty past the tip.
    pub headers: Vec<CertifiedHeader>,
    /// The height of the tip.
    pub tip: u64,
}

/// `GET /v1/ledger/outputs/{outpoint}`: an unspent output.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct OutputInfo {
    /// Its outpoint.
    pub outpoint: String,
    /// Which asset; absent for the native one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// How much.
    pub amount: Units,
    /// Who may spend it.
    pub lock: Lock,
    /// The height of the block that made it.
    pub height: u64,
    /// That block's time.
    pub time_ms: u64,
}
