//! The ledger driver: one thread that owns the consensus engine, the mempool and the wallet. What it decides is the
//! pure crates' business; it carries out what they ask for, and tells the rest of the node what became final.

mod driver;
mod funds;
mod host;
mod log;
mod notice;
mod timers;

use tokio::sync::oneshot;
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::schnorr::WalletSignature;
use towpath_ledger::{Amount, OutPoint, Output, Payout, Time, Transaction, TxBody, TxId, Witness};

pub use driver::{Driver, DriverConfig, spawn};
pub use funds::{FundsError, Reserved, WalletView};
pub use host::{Chain, read_fees, supply};
pub use notice::{Change, ChannelChange, Notice, channel_of};

use crate::limits;
use crate::net::{GossipId, SyncReply, Topic};

/// Something for the driver.
#[derive(Debug)]
pub enum Input {
    /// A gossip message.
    Gossip {
        /// Its topic.
        topic: Topic,
        /// Who passed it on.
        from: PublicKey,
        /// For the verdict.
        id: GossipId,
        /// Its content.
        bytes: Vec<u8>,
    },
    /// A peer asks for blocks.
    SyncRequest {
        /// The request.
        bytes: Vec<u8>,
        /// Where the answer goes.
        reply: SyncReply,
    },
    /// A peer answered, or did not.
    SyncResponse {
        /// Who.
        peer: PublicKey,
        /// The answer.
        answer: Option<Vec<u8>>,
    },
    /// A peer came.
    PeerUp(PublicKey),
    /// A peer went.
    PeerDown(PublicKey),
    /// A caller's transaction, or one that closes a channel.
    Submit {
        /// The transaction.
        transaction: Box<Transaction>,
        /// Its id, or why it is refused.
        reply: Option<oneshot::Sender<Result<TxId, SubmitError>>>,
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
    /// A new address.
    NewAddress(oneshot::Sender<Result<Payout, FundsError>>),
    /// Pay on the ledger.
    Send {
        /// To whom.
        to: Payout,
        /// How much.
        amount: Amount,
        /// Makes a repeated call the same payment.
        key: Option<[u8; 32]>,
        /// The transaction and its fee.
        reply: oneshot::Sender<Result<(TxId, Amount), FundsError>>,
    },
    /// Set coins aside for a channel.
    Reserve {
        /// How much this party brings.
        amount: Amount,
        /// The coins.
        reply: oneshot::Sender<Result<Reserved, FundsError>>,
    },
    /// Sign and broadcast the funding that this party pays alone.
    Fund {
        /// Its first input, which was reserved.
        first_input: OutPoint,
        /// The channel's output; it is the first.
        output: Box<Output>,
        /// When it expires.
        expiry: Time,
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
    /// Addresses were handed out before the data was lost: they are this wallet's.
    Reach {
        /// How many.
        addresses: u32,
        /// When they are.
        reply: oneshot::Sender<Result<(), FundsError>>,
    },
    /// Set coins free.
    Release {
        /// The first of them.
        first_input: OutPoint,
    },
}

/// A wallet witness, as channel messages carry it.
pub type WitnessSignatures = Vec<(towpath_crypto::schnorr::WalletKey, WalletSignature)>;

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

/// The bounded sending end of the driver's inbox.
#[derive(Clone, Debug)]
pub struct LedgerHandle(std::sync::mpsc::SyncSender<Input>);

/// The inbox is full, or the driver ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the ledger is busy; try again")]
pub struct LedgerBusy;

impl LedgerHandle {
    /// Both ends of an inbox.
    #[must_use]
    pub fn inbox() -> (Self, std::sync::mpsc::Receiver<Input>) {
        let (sender, receiver) = std::sync::mpsc::sync_channel(limits::LEDGER_INBOX);
        (Self(sender), receiver)
    }

    /// Hands over without waiting.
    ///
    /// # Errors
    /// [`LedgerBusy`]; the input is lost.
    pub fn offer(&self, input: Input) -> Result<(), LedgerBusy> {
        self.0.try_send(input).map_err(|_| LedgerBusy)
    }

    /// Hands over from a thread that may wait.
    pub fn push(&self, input: Input) {
        // The driver ends only with the node; what is lost then is emitted again at the next start.
        let _ = self.0.send(input);
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`LedgerBusy`] when the inbox is full or the node is stopping.
    pub async fn ask<T>(&self, make: impl FnOnce(oneshot::Sender<T>) -> Input) -> Result<T, LedgerBusy> {
        let (sender, receiver) = oneshot::channel();
        self.offer(make(sender))?;
        receiver.await.map_err(|_| LedgerBusy)
    }
}
