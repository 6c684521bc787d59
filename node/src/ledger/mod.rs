//! The ledger driver: one thread that owns the consensus engine, the mempool and the wallet. What it decides is the
//! pure crates' business; it carries out what they ask for, and tells the rest of the node what became final.

mod driver;
mod funds;
#[cfg(test)]
mod funds_tests;
mod host;
mod inbox;
mod ingress;
mod log;
mod membership;
mod notice;
mod sends;
#[cfg(test)]
mod sends_tests;
mod stepped;
#[cfg(test)]
pub(crate) mod testing;
mod timers;

use std::sync::Arc;

use tokio::sync::oneshot;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::schnorr::{WalletKey, WalletSignature};
use towpath_ledger::{Amount, OutPoint, Output, Payout, Time, Transaction, TxBody, TxId, Witness};
use towpath_protocol::Share;

pub use driver::{Driver, DriverConfig, spawn};
pub use funds::{FundsError, Purpose, Reserved, WalletView};
pub use host::{Chain, read_fees, supply};
pub use inbox::{LedgerBusy, LedgerHandle, LedgerInbox};
pub(crate) use ingress::SteppedIngress;
pub use ingress::{BlockBell, Ingress};
pub use notice::{Change, ChannelChange, Notice, channel_of};
pub use sends::PendingSend;
pub use stepped::SteppedDriver;

use crate::idempotency::{Claim, Opening};
use crate::net::GossipId;

/// How what is kept here is read.
pub(crate) fn decoders() -> Vec<towpath_crypto::codec::Readable> {
    [host::decoders(), sends::decoders(), funds::shared::decoders()].concat()
}

/// Something for the driver.
#[derive(Debug)]
pub enum Input {
    /// A consensus message by gossip.
    Consensus {
        /// Who passed it on.
        from: PublicKey,
        /// For the verdict.
        id: GossipId,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// A transaction by gossip, with valid signatures.
    Heard {
        /// Who passed it on.
        from: PublicKey,
        /// For the verdict.
        id: GossipId,
        /// It.
        transaction: Box<Transaction>,
    },
    /// A transaction by gossip, with valid signatures, that had come before the block that it builds on.
    Ripe {
        /// Who passed it on.
        from: PublicKey,
        /// It.
        transaction: Box<Transaction>,
    },
    /// A peer answered, or did not.
    SyncResponse {
        /// Who.
        peer: PublicKey,
        /// The answer.
        answer: Option<Vec<u8>>,
    },
    /// Peers came or went: who is there now is read from the network.
    Peers,
    /// A caller's transaction, or one that closes a channel.
    Submit {
        /// The transaction.
        transaction: Box<Transaction>,
        /// Its id, or why it is refused.
        reply: Option<oneshot::Sender<Result<TxId, SubmitError>>>,
    },
    /// The transaction with this id, if it waits for a block.
    Waiting {
        /// Its id.
        id: TxId,
        /// The transaction.
        reply: oneshot::Sender<Option<Arc<Transaction>>>,
    },
    /// Something of the wallet.
    Funds(FundsCall),
    /// The next block that this node proposes takes ledger time there, if the ledger allows it (SPEC B-7a).
    Travel(Time),
    /// End.
    Stop,
}

/// What callers want of the wallet.
#[derive(Debug)]
pub enum FundsCall {
    /// What there is.
    View(oneshot::Sender<Result<WalletView, FundsError>>),
    /// The keys of all addresses that were handed out.
    Keys(oneshot::Sender<Vec<WalletKey>>),
    /// The payments that are on their way, newest first.
    Pending(oneshot::Sender<Vec<PendingSend>>),
    /// A new address.
    NewAddress(oneshot::Sender<Result<Payout, FundsError>>),
    /// Pay on the ledger.
    Send {
        /// To whom.
        to: Payout,
        /// How much.
        amount: Amount,
        /// Makes a repeated call the same payment.
        claim: Option<Claim>,
        /// The transaction and its fee.
        reply: oneshot::Sender<Result<(TxId, Amount), FundsError>>,
    },
    /// Set coins aside for a channel.
    Reserve {
        /// How many, and for how long.
        purpose: Purpose,
        /// The coins.
        reply: oneshot::Sender<Result<Reserved, FundsError>>,
    },
    /// Set coins aside for channels that are to share one funding.
    ReserveShared {
        /// What they take together, and for how long.
        purpose: Purpose,
        /// How many they are.
        channels: usize,
        /// The coins.
        reply: oneshot::Sender<Result<Reserved, FundsError>>,
    },
    /// Sign and broadcast the funding that this party pays alone.
    Fund {
        /// Its first input, which was reserved.
        first_input: OutPoint,
        /// The place of the channel's output: 0 if it is funded alone, else it shares a funding.
        index: u32,
        /// The channel's output.
        output: Box<Output>,
        /// When it expires.
        expiry: Time,
        /// The transaction; none if it shares one that is not made yet.
        reply: oneshot::Sender<Result<Option<TxId>, FundsError>>,
    },
    /// Make, remember, sign and broadcast the one funding of channels that share it.
    FundShared {
        /// What it is to be.
        plan: Box<SharedFunding>,
        /// Makes a repeated call the same channels.
        claim: Option<(Claim, Vec<Opening>)>,
        /// The transaction and its fee.
        reply: oneshot::Sender<Result<(TxId, Amount), FundsError>>,
    },
    /// Sign some inputs of a funding by both.
    SignFunding {
        /// The transaction.
        body: Box<TxBody>,
        /// What it spends.
        spent: Vec<Output>,
        /// From this input ..
        from: usize,
        /// .. up to this one.
        to: usize,
        /// One witness an input.
        reply: oneshot::Sender<Result<Vec<Witness>, FundsError>>,
    },
    /// Pay what a transaction lacks for its fee, and broadcast it. None of its witnesses signs it.
    Sponsor {
        /// The transaction.
        transaction: Box<Transaction>,
        /// What it lacks.
        short: Amount,
    },
    /// Addresses were handed out before the data was lost: they are this wallet's.
    Reach {
        /// How many.
        addresses: u32,
        /// When they are.
        reply: oneshot::Sender<Result<(), FundsError>>,
    },
    /// Coins were set aside before a restart, for what may yet become final: they still are.
    Keep {
        /// The coins, and what they are.
        coins: Vec<(OutPoint, Output)>,
        /// The last ledger time at which they can be spent by it.
        until: Time,
    },
    /// Set coins free.
    Release {
        /// The first of them.
        first_input: OutPoint,
    },
}

/// One transaction that funds many channels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SharedFunding {
    /// Its first input, which names the reservation.
    pub first_input: OutPoint,
    /// Its outputs from place 1 on; place 0 is the change.
    pub shares: Vec<Share>,
    /// When it expires.
    pub expiry: Time,
}

/// A wallet witness, as channel messages carry it.
pub type WitnessSignatures = Vec<(WalletKey, WalletSignature)>;

/// How the driver does, for readers. Counters count from the node's start.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Status {
    /// Transactions that wait for a block.
    pub mempool_transactions: u64,
    /// Their size in bytes.
    pub mempool_bytes: u64,
    /// Blocks that were applied.
    pub blocks_applied: u64,
    /// Transactions in them.
    pub transactions_applied: u64,
    /// Consensus messages that were published, repeated ones included.
    pub consensus_messages: u64,
    /// The round in which the next block is being decided; zero while that has not begun.
    pub round: u32,
}

/// Why a transaction is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// A rule, or the mempool's bounds.
    #[error("{0}")]
    Refused(String),
    /// It is in a block already.
    #[error("the transaction is final already")]
    Final,
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}
