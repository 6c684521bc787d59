//! What two parties of a channel say to each other, with one encoding, an explicit version and a bound on everything.

use bincode::{Decode, Encode};
use towpath_crypto::codec::{self, CodecError};
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::schnorr::{WalletKey, WalletSignature};
use towpath_crypto::{Amount, ChainId};
use towpath_ledger::{AssetId, ChannelId, CoSigned, OutPoint, Output, Party, Payout, StateSignature, Time};

use crate::epoch::Hello;
use crate::limits::{FUNDING_INPUTS_MAX, MESSAGE_BYTES_MAX, REQUESTS_MAX, UPDATES_MAX, WALLET_KEYS_MAX};
use crate::tower::TowerMessage;
use crate::update::{Content, Transfer, Update, UpdateError};

/// The version of the encoding: the first byte of every message.
pub const MESSAGE_VERSION: u8 = 1;

/// The opener's name for an opening, until the channel's id is known: 32 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub struct OpenId(pub [u8; 32]);

/// Everything that travels between two nodes about channels.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Message {
    /// A wants a channel.
    Open(Box<Open>),
    /// B agrees, and has signed the first version.
    Accept(Box<Accept>),
    /// B does not want it.
    Decline(Decline),
    /// About a channel that both know.
    Channel(ChannelId, ChannelMessage),
    /// Between a watchtower and its client.
    Tower(TowerMessage),
    /// Which of the sender's processes speaks: the first word of a session.
    Hello(Hello),
    /// The receiver's process is not the newest of its node: this one is.
    Stale(Hello),
}

/// Where a message belongs: what a node needs to know to find its machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// To an opening that has no channel id yet.
    Opening(OpenId),
    /// To a channel.
    Channel(ChannelId),
    /// To the node's tower, or to its books about other towers.
    Tower,
    /// To the session.
    Session,
}

/// One spendable output that a party brings to the funding.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct FundingInput {
    /// Which output.
    pub outpoint: OutPoint,
    /// What it is: part of what wallet keys sign.
    pub output: Output,
}

/// How the channel is paid for.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Funding {
    /// By A alone, in a transaction that B need not see: `first_input` is its first input and `index` the channel's
    /// output in it. One transaction can fund many channels.
    Single {
        /// The first input of the funding transaction.
        first_input: OutPoint,
        /// The channel's output.
        index: u32,
    },
    /// By both, in a transaction that both assemble alike: A's inputs, then B's; the channel, then A's change, then B's.
    Dual {
        /// A's inputs; at least one.
        inputs: Vec<FundingInput>,
        /// What A takes back.
        change: Vec<Output>,
    },
}

/// A wants a channel: terms without B's part.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Open {
    /// A's name for this opening.
    pub open: OpenId,
    /// The ledger.
    pub chain: ChainId,
    /// The asset.
    pub asset: AssetId,
    /// A's key for this channel alone.
    pub key: PublicKey,
    /// Where A is paid.
    pub payout: Payout,
    /// What A brings: its first balance.
    pub amount_a: Amount,
    /// What B is asked to bring: its first balance. Zero, or all that B gets as a gift, when A pays alone.
    pub amount_b: Amount,
    /// Who proposes the second version.
    pub sequencer: Party,
    /// See [`towpath_ledger::ChannelTerms`].
    pub dispute_window_ms: u64,
    /// See [`towpath_ledger::ChannelTerms`].
    pub penalty_basis_points: u16,
    /// See [`towpath_ledger::ChannelTerms`].
    pub reserve: Amount,
    /// See [`towpath_ledger::ChannelTerms`].
    pub close_fee_max: Amount,
    /// See [`towpath_ledger::ChannelTerms`].
    pub expiry: Option<Time>,
    /// Who pays, and out of what.
    pub funding: Funding,
    /// The funding transaction is not valid past this ledger time: then an opening that nobody finished is over.
    pub funding_deadline: Time,
}

/// B agrees to an [`Open`].
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Accept {
    /// Which opening.
    pub open: OpenId,
    /// B's key for this channel alone.
    pub key: PublicKey,
    /// Where B is paid.
    pub payout: Payout,
    /// B's inputs; none when A pays alone.
    pub inputs: Vec<FundingInput>,
    /// What B takes back.
    pub change: Vec<Output>,
    /// B's signature on version 1, saying that it holds nothing.
    pub signature: StateSignature,
}

/// Why an opening is declined.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum DeclineReason {
    /// The terms are outside of what this node, or the ledger, allows.
    Terms,
    /// Too many openings wait.
    Busy,
    /// This node wants no channel with this peer.
    Unwanted,
    /// This node cannot bring what was asked of it.
    Funds,
}

/// B does not want it.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Decline {
    /// Which opening.
    pub open: OpenId,
    /// Why.
    pub reason: DeclineReason,
}

/// The wallet signatures of one funding input, ascending by key.
pub type WalletWitness = Vec<(WalletKey, WalletSignature)>;

/// A message about a channel that both know.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum ChannelMessage {
    /// A has signed version 1 too.
    Created(StateSignature),
    /// B's witnesses for its funding inputs, given only once B holds version 1.
    Witnesses(Vec<WalletWitness>),
    /// The sequencer signs a version.
    Propose(Propose),
    /// The follower signs a version, and acknowledges all before it.
    Ack(Ack),
    /// The follower asks for payments, or for the role.
    Request(Request),
    /// What was proposed or requested is not wanted.
    Refuse(Refuse),
    /// A proposal is missing: everything from this version on is sent again.
    Resend(u64),
    /// What the sender holds, after a reconnect.
    Reestablish(Box<Reestablish>),
    /// The sender wants to close together; the sequencer settles what is open, and finishes.
    Close,
    /// The sender has lost data, and asks for the newest state.
    Recover(Box<Recover>),
    /// The newest state that the sender holds, and where to go on from it.
    Resume(Box<Resume>),
    /// The sequencer wants to resize the channel, and has signed the first state of the next generation.
    Resize(Box<Resize>),
    /// The follower has signed that state too, and the transaction.
    ResizeAgreed(ResizeAgreed),
}

/// When the sequencer wants an answer.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Answer {
    /// At the end of this turn.
    Now,
    /// When it suits.
    Later,
}

/// Version `version` is `base` plus `updates`.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Propose {
    /// The new version.
    pub version: u64,
    /// The version that it is built on.
    pub base: u64,
    /// The changes, in order.
    pub updates: Vec<Update>,
    /// When the sequencer wants to be answered.
    pub answer: Answer,
    /// The sequencer's, with what it holds.
    pub signature: StateSignature,
}

/// The follower's signature on `version`.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Ack {
    /// The newest version that it holds.
    pub version: u64,
    /// Its signature, which says that it holds this version.
    pub signature: StateSignature,
}

/// Whether the follower asks for the sequencer's role.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Role {
    /// It goes on following.
    Keep,
    /// It asks for a handover.
    Take,
}

/// The follower asks the sequencer to include these payments of its own, in order.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Request {
    /// Its payments, ascending by number.
    pub transfers: Vec<Transfer>,
    /// Whether it also asks for the role.
    pub role: Role,
}

/// What is refused.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Refused {
    /// A version, for one of its updates; it and all that was built on it is burnt.
    Proposal {
        /// The version.
        version: u64,
        /// The index of the update.
        update: u16,
    },
    /// A payment that the follower asked for.
    Request {
        /// Its number.
        number: u64,
    },
    /// A resize.
    Resize {
        /// The version of the next generation's first state.
        version: u64,
    },
}

/// What a resize does to the balance of who proposes it; the other's stays as it is.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Change {
    /// It is topped up, out of the proposer's wallet.
    Add(Amount),
    /// Some of it is paid out.
    PayOut(Amount),
}

impl Change {
    /// How much.
    #[must_use]
    pub const fn amount(self) -> Amount {
        match self {
            Self::Add(amount) | Self::PayOut(amount) => amount,
        }
    }

    /// What `before` becomes; none if it does not reach, or is too large to count.
    #[must_use]
    pub const fn of(self, before: Amount) -> Option<Amount> {
        match self {
            Self::Add(amount) => before.checked_add(amount),
            Self::PayOut(amount) => before.checked_sub(amount),
        }
    }
}

/// A resize: the change, and the proposer's part of the transaction, which both assemble alike: the channel's output and
/// then these inputs; the channel of the next generation and then these outputs.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct ResizePlan {
    /// What becomes of the proposer's balance.
    pub change: Change,
    /// What the proposer brings. The transaction's fee comes out of that, or of what is paid out.
    pub inputs: Vec<FundingInput>,
    /// What the proposer takes: what is paid out, and change.
    pub outputs: Vec<Output>,
    /// The last ledger time at which the transaction is valid. Until then no payment is made.
    pub expiry: Time,
}

/// The sequencer, with nothing open, wants to resize the channel.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Resize {
    /// The newest version, which both hold: the next generation goes on from it.
    pub base: u64,
    /// The version of the next generation's first state: above all versions that were ever signed.
    pub version: u64,
    /// What changes.
    pub plan: ResizePlan,
    /// The sequencer's, on that state, saying that it holds nothing of the generation.
    pub signature: StateSignature,
}

/// The follower agrees: the sequencer has all that the transaction needs.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct ResizeAgreed {
    /// The version of the next generation's first state.
    pub version: u64,
    /// The follower's, on that state, saying that it holds it.
    pub signature: StateSignature,
    /// The follower's, on the transaction ([`towpath_ledger::ResizeIntent`]).
    pub intent: Signature,
}

/// Why something is refused.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum RefuseReason {
    /// It does not apply.
    Invalid(UpdateError),
    /// It takes the follower's funds, and the follower did not ask for it.
    NotRequested,
    /// This node accepts no payments now.
    Unwanted,
    /// Too many wait.
    Busy,
    /// The channel is being closed.
    Closing,
    /// The version was refused before.
    Burnt,
    /// The channel that a resize would make is outside of what this node, or the ledger, allows; or the resize expires too
    /// soon, or too late.
    Terms,
}

/// Something is not wanted.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Refuse {
    /// What.
    pub what: Refused,
    /// Why.
    pub reason: RefuseReason,
}

/// What the sender holds. `newest` is at once a proof, an acknowledgement, and what a party that has lost data needs.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Reestablish {
    /// The generation of the sender's terms.
    pub generation: u32,
    /// The newest state for which the sender holds the receiver's signature, completed with its own.
    pub newest: CoSigned,
    /// The first version that the sender will propose, again or anew.
    pub next: u64,
    /// The highest version of the receiver's proposals that the sender has seen, refused ones included.
    pub seen: u64,
}

/// A state with both signatures, and the payment numbers that go with it.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Evidence {
    /// The content. The signatures cover its state, not its payment numbers.
    pub content: Content,
    /// A's signature.
    pub a: StateSignature,
    /// B's.
    pub b: StateSignature,
}

impl Evidence {
    /// The state with both signatures.
    #[must_use]
    pub fn co_signed(&self) -> CoSigned {
        CoSigned { state: self.content.state.clone(), a: self.a, b: self.b }
    }

    /// The version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.content.state.version
    }
}

/// The sender's data is not known to be the newest: it signs nothing until both agree on where to go on.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Recover {
    /// The generation of the sender's terms.
    pub generation: u32,
    /// Counts the questions of this session, from one: evidence that is found later makes a new one.
    pub question: u32,
    /// The newest state with both signatures that the sender found anywhere.
    pub newest: Option<Evidence>,
    /// The sender signs nothing at or below this version, ever again.
    pub floor: u64,
}

/// What a party that asked needs: the newest state, and an empty version far above it that it can sign.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Resume {
    /// The generation of the sender's terms.
    pub generation: u32,
    /// The question that this answers; zero if there was none in this session.
    pub question: u32,
    /// The newest state that the sender holds.
    pub newest: Evidence,
    /// Where to go on; none if nothing is signed any more, because the channel is being closed.
    pub jump: Option<Jump>,
}

/// The same content under a version that neither party can have signed before.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Jump {
    /// The version.
    pub version: u64,
    /// The sender's, saying that it holds the content's version.
    pub signature: StateSignature,
}

impl Message {
    /// Where it belongs.
    #[must_use]
    pub const fn route(&self) -> Route {
        match self {
            Self::Open(open) => Route::Opening(open.open),
            Self::Accept(accept) => Route::Opening(accept.open),
            Self::Decline(decline) => Route::Opening(decline.open),
            Self::Channel(channel, _) => Route::Channel(*channel),
            Self::Tower(_) => Route::Tower,
            Self::Hello(_) | Self::Stale(_) => Route::Session,
        }
    }

    /// The one encoding: the version, then the message.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![MESSAGE_VERSION];
        bytes.extend(codec::encode(self));
        bytes
    }

    /// Decodes at most [`MESSAGE_BYTES_MAX`] bytes, and checks every bound.
    ///
    /// # Errors
    /// [`CodecError`] for another version, malformed or non-canonical bytes, and for lists past their bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let Some((&MESSAGE_VERSION, body)) = bytes.split_first() else {
            return Err(CodecError::Malformed("not a message of version 1".into()));
        };
        let message: Self = codec::decode(body, MESSAGE_BYTES_MAX)?;
        message.check_bounds()?;
        Ok(message)
    }

    fn check_bounds(&self) -> Result<(), CodecError> {
        match self {
            Self::Open(open) => {
                check_payout(&open.payout)?;
                match &open.funding {
                    Funding::Single { .. } => Ok(()),
                    Funding::Dual { inputs, change } => check_funding(inputs, change),
                }
            }
            Self::Accept(accept) => {
                check_payout(&accept.payout)?;
                check_funding(&accept.inputs, &accept.change)
            }
            Self::Decline(_) | Self::Hello(_) | Self::Stale(_) => Ok(()),
            Self::Channel(_, message) => message.check_bounds(),
            Self::Tower(message) => message.check_bounds(),
        }
    }
}

impl ChannelMessage {
    fn check_bounds(&self) -> Result<(), CodecError> {
        match self {
            Self::Witnesses(witnesses) => {
                at_most(witnesses.len(), FUNDING_INPUTS_MAX)?;
                witnesses.iter().try_for_each(|witness| at_most(witness.len(), WALLET_KEYS_MAX))
            }
            Self::Propose(propose) => at_most(propose.updates.len(), UPDATES_MAX),
            Self::Request(request) => at_most(request.transfers.len(), REQUESTS_MAX),
            Self::Resize(resize) => check_funding(&resize.plan.inputs, &resize.plan.outputs),
            Self::Created(_)
            | Self::Ack(_)
            | Self::Refuse(_)
            | Self::Resend(_)
            | Self::Reestablish(_)
            | Self::Close
            | Self::Recover(_)
            | Self::Resume(_)
            | Self::ResizeAgreed(_) => Ok(()),
        }
    }

    /// Whether a party that has lost data can use it.
    pub(crate) const fn is_about_recovery(&self) -> bool {
        matches!(self, Self::Reestablish(_) | Self::Recover(_) | Self::Resume(_))
    }

    /// Its name, for errors and logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created(_) => "created",
            Self::Witnesses(_) => "witnesses",
            Self::Propose(_) => "propose",
            Self::Ack(_) => "ack",
            Self::Request(_) => "request",
            Self::Refuse(_) => "refuse",
            Self::Resend(_) => "resend",
            Self::Reestablish(_) => "reestablish",
            Self::Close => "close",
            Self::Recover(_) => "recover",
            Self::Resume(_) => "resume",
            Self::Resize(_) => "resize",
            Self::ResizeAgreed(_) => "resize agreed",
        }
    }
}

fn at_most(count: usize, limit: usize) -> Result<(), CodecError> {
    if count > limit { Err(CodecError::TooLong { length: count, limit }) } else { Ok(()) }
}

pub(crate) fn check_payout(payout: &Payout) -> Result<(), CodecError> {
    match payout {
        Payout::Key(_) | Payout::Timelock(_) => Ok(()),
        Payout::Multisig(multisig) => at_most(multisig.keys.len(), WALLET_KEYS_MAX),
    }
}

pub(crate) fn check_funding(inputs: &[FundingInput], change: &[Output]) -> Result<(), CodecError> {
    at_most(inputs.len(), FUNDING_INPUTS_MAX)?;
    at_most(change.len(), FUNDING_INPUTS_MAX)
}
