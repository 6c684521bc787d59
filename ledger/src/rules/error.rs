//! Why a transaction is refused.

use towpath_crypto::{Amount, Digest};

use super::channel::{ChannelFault, TermsFault};
use crate::types::{AssetId, ChainId, ChannelId, LockFault, OutPoint, Time};
use crate::view::ViewError;

/// Why a transaction is refused. Only [`TxError::View`] says nothing about the transaction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// The ledger could not be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// For another ledger.
    #[error("made for {0}, not for this one")]
    OtherChain(ChainId),
    /// Larger than the parameters allow.
    #[error("{bytes} bytes, more than the limit of {limit}")]
    TooLarge {
        /// Its encoded size.
        bytes: u64,
        /// What is allowed.
        limit: u64,
    },
    /// Too many of something, or too few.
    #[error("{count} {what}; allowed are {least} to {most}")]
    Count {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The least.
        least: usize,
        /// The most.
        most: usize,
    },
    /// One input twice (FAULTS L2).
    #[error("spends {0} twice")]
    DuplicateInput(OutPoint),
    /// Not one witness for each input.
    #[error("{witnesses} witnesses for {inputs} inputs")]
    WitnessCount {
        /// Witnesses.
        witnesses: usize,
        /// Inputs.
        inputs: usize,
    },
    /// An output of nothing.
    #[error("output {0} is of nothing")]
    ZeroOutput(usize),
    /// An output below the least amount, which no channel owes.
    #[error("output {index} is below the least amount of {least}")]
    Dust {
        /// The output.
        index: usize,
        /// The least amount.
        least: Amount,
    },
    /// A key, a multisig or a condition of an output with which nobody could ever spend it, or anybody could.
    #[error("output {index}: {fault}")]
    BadLock {
        /// The output.
        index: usize,
        /// What is wrong with its lock.
        fault: LockFault,
    },
    /// A payload that records nothing, or cannot be.
    #[error("payload: {0}")]
    BadPayload(PayloadFault),
    /// The times of the body contradict each other.
    #[error("expires before it becomes valid")]
    EmptyValidity,
    /// Not valid yet.
    #[error("not valid before {0}")]
    TooEarly(Time),
    /// Not valid any more.
    #[error("expired at {0}; make a new one")]
    Expired(Time),
    /// An input that is spent already, or never was.
    #[error("{0} is not an unspent output")]
    MissingInput(OutPoint),
    /// A witness of a kind that does not open the lock of its input.
    #[error("the witness of input {0} does not fit its lock")]
    WitnessKind(usize),
    /// A wallet witness that does not open its lock.
    #[error("input {input}: {fault}")]
    Wallet {
        /// The input.
        input: usize,
        /// What is wrong.
        fault: WalletFault,
    },
    /// A signature that is not valid.
    #[error("a signature of input {0} is not valid")]
    BadSignature(usize),
    /// A channel, closing or conditional output that no input of the transaction leads to.
    #[error("output {0} is of a kind that none of the inputs leads to")]
    Undemanded(usize),
    /// A channel, closing or conditional input that may not be spent so.
    #[error("input {input}: {fault}")]
    Channel {
        /// The input.
        input: usize,
        /// What is wrong.
        fault: ChannelFault,
    },
    /// The terms of a channel that is opened or resized.
    #[error("channel in output {index}: {fault}")]
    BadTerms {
        /// The output.
        index: usize,
        /// What is wrong.
        fault: TermsFault,
    },
    /// A channel output that differs from the one to which its input leads.
    #[error("output {0} is not the one to which its channel's input leads")]
    WrongSuccessor(usize),
    /// A channel that should go on in an output, but in none.
    #[error("no output goes on with {0}")]
    NotContinued(ChannelId),
    /// Two inputs that go on with one channel.
    #[error("two inputs go on with {0}")]
    TwiceContinued(ChannelId),
    /// A lock to which no output pays what all inputs together owe it.
    #[error("no single output pays the {0} that the inputs owe to one lock")]
    Underpaid(Amount),
    /// Fees taken out of channels that are not paid as fee.
    #[error("takes {drawn} as fees out of channels, but pays a fee of {fee}")]
    FeePocketed {
        /// Taken out of channels.
        drawn: Amount,
        /// The transaction's fee.
        fee: Amount,
    },
    /// A sum past the largest amount.
    #[error("amounts add up past the largest amount")]
    Overflow,
    /// An asset of which more, or less, comes out than goes in.
    #[error("of {asset} {inputs} go in and {outputs} come out")]
    Unbalanced {
        /// The asset.
        asset: AssetId,
        /// Spent, and issued.
        inputs: Amount,
        /// Made.
        outputs: Amount,
    },
    /// Less than the least fee for its size.
    #[error("pays a fee of {fee}, but its size needs {least}")]
    FeeTooLow {
        /// What it pays.
        fee: Amount,
        /// What it must.
        least: Amount,
    },
    /// A secret that is recorded already.
    #[error("the secret of condition {0} is recorded already")]
    SecretKnown(Digest),
}

/// Why a payload is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadFault {
    /// No secret, or too many.
    #[error("reveals no secret, or too many at once")]
    SecretCount,
    /// Secrets that are not ascending and distinct, or two of one condition.
    #[error("secrets that are not ascending and distinct")]
    UnsortedSecrets,
    /// A scalar that opens nothing.
    #[error("a scalar that is zero or past the group order")]
    BadScalar,
    /// An issue of nothing.
    #[error("issues nothing")]
    ZeroIssue,
    /// A symbol that is empty, too long, or not of ASCII letters and digits.
    #[error("a symbol that is not 1 to 12 ASCII letters or digits")]
    BadSymbol,
}

/// Why a wallet witness is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WalletFault {
    /// Not as many signatures as the lock requires.
    #[error("not as many signatures as required")]
    SignatureCount,
    /// A signature of a key that is not in the lock, or not in ascending order.
    #[error("signed by a key that the lock does not name, or out of order")]
    UnknownKey,
    /// A timelock whose time has not come.
    #[error("locked until {0}")]
    Locked(Time),
}
