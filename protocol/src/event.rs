//! What goes into a channel's machine: time, the peer, callers, the wallet and the ledger, all as values.

use std::sync::Arc;

use towpath_crypto::Amount;
use towpath_ledger::{Closing, CoSigned, Entry, OutPoint, Time};

use crate::life::Settlement;
use crate::message::{ChannelMessage, Evidence, ResizePlan, WalletWitness};
use crate::opening::Bounds;

/// The time of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Now {
    /// The node's own clock, in milliseconds; for pacing and time-outs only, never for a verdict (FAULTS L22).
    pub local_ms: u64,
    /// The time of the newest block that this node's own replica has applied.
    pub ledger: Time,
}

/// A caller's mark on a command; it comes back with the command's outcome.
pub type Token = u64;

/// Something that happened to a channel. Everything but [`Event::TurnEnd`] only changes the machine in memory; what
/// follows from it is signed, written and sent at the end of the turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A session with the peer began; messages of earlier ones never arrive any more.
    Connected,
    /// The session ended.
    Disconnected,
    /// The peer said something, in this session, in order.
    Message(ChannelMessage),
    /// A caller wants something.
    Command {
        /// Comes back with the outcome.
        token: Token,
        /// What.
        command: Command,
    },
    /// A caller resizes the channel. Refused at once, or answered with `Done` when it is proposed to the peer, or with
    /// `Declined` if that can't be done before it expires.
    Resize {
        /// Comes back with the outcome.
        token: Token,
        /// How.
        plan: Box<ResizePlan>,
    },
    /// What resized channels this node allows; not stored. Without it all resizes are refused.
    Bounds(Arc<Bounds>),
    /// The wallet's witnesses for this party's inputs of the funding, or of a resize (answers [`crate::Effect::SignFunding`]).
    FundingSigned(Vec<WalletWitness>),
    /// This node's own replica saw something of the channel.
    Ledger(LedgerEvent),
    /// A watchtower, or somebody else, shows a state that both parties are said to have signed.
    Shown(Box<CoSigned>),
    /// The newest version is to carry both signatures, so that it can be given to a watchtower (SPEC T-51).
    Complete,
    /// Something about what this node has lost, or may have.
    Recovery(RecoveryEvent),
    /// The turn's events are all in, and their signatures verified: sign, write and send.
    TurnEnd,
}

/// What a caller wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Pay the other party. Refused at once, or answered with `Sent` or `Declined`.
    Pay {
        /// How much.
        amount: Amount,
        /// For the payee.
        memo: Option<[u8; 32]>,
    },
    /// Close together with the peer.
    Close,
    /// Close alone with the newest state.
    ForceClose {
        /// The ledger fee, taken out of this party's balance.
        fee: Amount,
    },
    /// Close alone with the newest state that this party knows of, although it has lost data: if the peer holds a newer
    /// one, this costs the penalty. For the operator who has no one left to ask.
    CloseAtRisk {
        /// The ledger fee, taken out of this party's balance.
        fee: Amount,
    },
    /// Ask for the sequencer's role, or do nothing if this party has it.
    TakeSequencer,
    /// Give the role away, or do nothing if the other party has it.
    HandOver,
    /// How often acknowledgements are asked for; not stored.
    SetPacing(Pacing),
    /// Whether payments are accepted; not stored.
    SetReceive(Receive),
}

/// How a sequencer asks for acknowledgements.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pacing {
    /// At each so many proposals; at least one. They also come by themselves, later.
    pub ack_every: u64,
}

impl Default for Pacing {
    fn default() -> Self {
        Self { ack_every: 1 }
    }
}

/// Whether this party accepts payments from the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Receive {
    /// All.
    #[default]
    Any,
    /// None: proposals and requests that pay this party are refused.
    Nothing,
}

/// What this node's own replica of the ledger says about the channel. Only final blocks are reported.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LedgerEvent {
    /// An output with this channel's id exists: the channel as it was opened, or resized.
    Funded {
        /// Where.
        outpoint: OutPoint,
        /// What.
        entry: Box<Entry>,
    },
    /// The channel became a closing output, or one closing output became another.
    Closing {
        /// Where.
        outpoint: OutPoint,
        /// When it was made.
        created: Time,
        /// What.
        closing: Box<Closing>,
        /// The fee that this node would pay to answer or supersede, out of this party's balance.
        fee: Amount,
    },
    /// The channel is gone: its value went to the payout locks.
    Settled {
        /// The version by which it was divided.
        version: u64,
        /// How.
        outcome: Settlement,
    },
}

/// What a driver tells a channel about what this node has lost, or may have.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RecoveryEvent {
    /// The stored rows may be an old copy: the database is behind its anchor, or came out of a backup. Nothing is signed
    /// before the channel is recovered.
    Distrust,
    /// A source other than the peer shows a state: a watchtower, or a node that keeps a copy. It may be any source: what
    /// counts is both signatures.
    Found(Box<Evidence>),
    /// All such sources have answered, or the time that they had is over: the peer is asked.
    Searched,
}
