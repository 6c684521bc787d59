//! What callers ask of a worker, and what they are told.

use tokio::sync::oneshot;
use towpath_api::Stream;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, ChannelId, OutPoint, Output, Payout, Time, TxId};
use towpath_protocol::{DeclineReason, Failure, OpenId, Reject};

use super::resize::ResizeRequest;
use super::streams::Plan;
use crate::idempotency::{Claim, Key};
use crate::ledger::{FundsError, Reserved};

/// Where an answer goes.
pub type Reply<T> = oneshot::Sender<Result<T, CallError>>;

/// A call.
#[derive(Debug)]
pub enum Call {
    /// Open a channel with coins that are set aside.
    Open {
        /// The terms.
        request: OpenRequest,
        /// The channel.
        reply: Reply<Opened>,
    },
    /// Ask a peer to agree to a channel that is to share its funding with others.
    Ask {
        /// The terms.
        request: Box<AskRequest>,
        /// When it has agreed.
        reply: Reply<()>,
    },
    /// Nobody waits for the peer's answer any more.
    DropAsked {
        /// The opening.
        open: OpenId,
    },
    /// Sign the first version of a channel to which a peer has agreed, and make it durable.
    SignAgreed {
        /// The opening.
        open: OpenId,
        /// The channel, once it is durable.
        reply: Reply<Signed>,
    },
    /// Pay through a channel.
    Pay {
        /// Which, and how much.
        request: PayRequest,
        /// The payment.
        reply: Reply<Paid>,
    },
    /// What became of a payment that was made under a key.
    PaidBefore {
        /// The channel.
        channel: ChannelId,
        /// The key.
        key: Key,
        /// Until when to wait.
        wait: Wait,
        /// The payment.
        reply: Reply<Paid>,
    },
    /// Make many payments.
    StartStream {
        /// The channel.
        channel: ChannelId,
        /// Which.
        plan: Plan,
        /// Makes a repeated call the same stream.
        claim: Option<Claim>,
        /// The stream.
        reply: Reply<Stream>,
    },
    /// How far a stream is.
    Stream {
        /// Its number.
        id: u64,
        /// The stream.
        reply: Reply<Stream>,
    },
    /// Make no further payment.
    StopStream {
        /// Its number.
        id: u64,
        /// The stream.
        reply: Reply<Stream>,
    },
    /// Top a channel up, or pay some of it out.
    Resize {
        /// Which, and how.
        request: ResizeRequest,
        /// The transaction, once it is proposed to the peer.
        reply: Reply<TxId>,
    },
    /// Close together with the peer.
    Close {
        /// The channel.
        channel: ChannelId,
        /// After how long without the peer's signature to close alone; none = never.
        force_after_ms: Option<u64>,
        /// When it has begun.
        reply: Reply<()>,
    },
    /// Close alone.
    ForceClose {
        /// The channel.
        channel: ChannelId,
        /// Whether the state may be an old one.
        risk: Risk,
        /// When it is posted.
        reply: Reply<()>,
    },
}

/// Whether a caller takes the risk of closing with a state that may be an old one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Risk {
    /// No: a channel that has lost data is not closed.
    None,
    /// Yes.
    Accepted,
}

/// What an opener decides.
#[derive(Debug)]
pub struct OpenRequest {
    /// With whom.
    pub peer: PublicKey,
    /// What this party brings.
    pub amount: Amount,
    /// What the other is asked to bring.
    pub peer_amount: Amount,
    /// How long a close can be answered; this node's own choice if not given.
    pub dispute_window_ms: Option<u64>,
    /// What each keeps.
    pub reserve: Amount,
    /// The coins.
    pub coins: Reserved,
    /// The last ledger time at which the funding is valid.
    pub deadline: Time,
    /// When the channel's term is over; none = never.
    pub expiry: Option<Time>,
    /// Makes a repeated call the same channel.
    pub claim: Option<Claim>,
}

/// What an opener of many channels decides about one of them.
#[derive(Debug)]
pub struct AskRequest {
    /// Its name.
    pub open: OpenId,
    /// With whom.
    pub peer: PublicKey,
    /// What this party brings.
    pub amount: Amount,
    /// How long a close can be answered; this node's own choice if not given.
    pub dispute_window_ms: Option<u64>,
    /// What each keeps.
    pub reserve: Amount,
    /// Where this party is paid.
    pub payout: Payout,
    /// The first input of the funding, and the channel's place in it: not 0, which is the change.
    pub place: (OutPoint, u32),
    /// The last ledger time at which the funding is valid.
    pub deadline: Time,
    /// When the channel's term is over; none = never.
    pub expiry: Option<Time>,
}

/// A channel that can be funded: its first version is signed by both, and durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Signed {
    /// The channel.
    pub channel: ChannelId,
    /// Its output.
    pub output: Box<Output>,
}

/// An opening that both agreed on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The channel.
    pub channel: ChannelId,
}

/// Until when a payer waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wait {
    /// Until the payment is durable and on its way.
    Sent,
    /// Until the payee has acknowledged it.
    Settled,
}

/// A payment.
#[derive(Debug)]
pub struct PayRequest {
    /// Through which channel.
    pub channel: ChannelId,
    /// How much.
    pub amount: Amount,
    /// For the payee.
    pub memo: Option<[u8; 32]>,
    /// Makes a repeated call the same payment.
    pub claim: Option<Claim>,
    /// Until when to wait.
    pub wait: Wait,
}

/// A payment that was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Paid {
    /// Its number in this node's direction.
    pub number: u64,
    /// Which party this node is: part of the payment's name.
    pub payer: towpath_ledger::Party,
    /// How much.
    pub amount: Amount,
    /// Whether the payee has acknowledged it.
    pub is_settled: bool,
    /// When it became durable here.
    pub time_ms: u64,
    /// From the call to the answer.
    pub latency_us: u64,
}

/// Why a call fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// No such channel.
    #[error("there is no such channel")]
    NoChannel,
    /// No such stream.
    #[error("there is no such stream; streams are forgotten when the node restarts")]
    NoStream,
    /// The channel says no.
    #[error(transparent)]
    Rejected(#[from] Reject),
    /// The payment could not be made.
    #[error("the payment was not made: {}", failure(*.0))]
    Failed(Failure),
    /// Whether the payment was made is not known any more.
    #[error("this node lost the data that would tell whether the payment was made; ask the payee")]
    Unknown,
    /// As many streams run as may.
    #[error("too many streams run; wait until one ends, or stop one")]
    TooManyStreams,
    /// The peer is not there.
    #[error("there is no channel session with the peer; connect to it first")]
    NoSession,
    /// Too much is under way.
    #[error("too many openings are under way; wait until they are accepted")]
    TooManyOpenings,
    /// Each channel has a key of its own, and they are all used.
    #[error("all channel keys of this node's seed are used; open channels from a node with a new one")]
    NoMoreKeys,
    /// The peer said no.
    #[error("the peer declined: {}", declined(*.0))]
    Declined(DeclineReason),
    /// The peer said nothing.
    #[error("the peer did not answer in time")]
    Silent,
    /// The wallet said no.
    #[error(transparent)]
    Funds(#[from] FundsError),
    /// The node recovers.
    #[error("the node is in recovery and signs nothing; see its log")]
    Recovering,
    /// The node is stopping, or its queues are full.
    #[error("the node is busy or stopping; try again")]
    Busy,
}

/// Why a peer declines, in words.
const fn declined(reason: DeclineReason) -> &'static str {
    match reason {
        DeclineReason::Terms => "the terms are outside of what it allows",
        DeclineReason::Busy => "too many openings wait there; try again",
        DeclineReason::Unwanted => "it wants no such channel",
        DeclineReason::Funds => "it does not bring what was asked of it",
    }
}

/// A failure in words.
pub fn failure(failure: Failure) -> String {
    match failure {
        Failure::Refused(reason) => format!("the peer refused it ({reason:?})"),
        Failure::Skipped => "the peer went past it".to_owned(),
        Failure::Lost => "this node lost the data with which it was to be made".to_owned(),
        Failure::Closed => "the channel was closed without it".to_owned(),
    }
}
