//! What a channel remembers: what was agreed, what is durable, and what lives in memory only.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::{PublicKey, Signature};
use towpath_crypto::{Amount, ChainId};
use towpath_ledger::{
    AssetId, ChannelTerms, Closing, CoSigned, OutPoint, Output, Party, StateSignature, Time,
};

use crate::effect::Effect;
use crate::error::Reject;
use crate::event::{Now, Pacing, Receive, Token};
use crate::limits::RECOVERY_GAP;
use crate::message::{
    ChannelMessage, Evidence, FundingInput, OpenId, Propose, RefuseReason, Refused, Resize, ResizePlan,
    WalletWitness,
};
use crate::opening::Bounds;
use crate::row::Key;
use crate::update::{Content, Transfer};

/// What was agreed when the channel was opened. Written once, and again with the capacity and the generation of a resize.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) struct Fixed {
    pub(crate) open: OpenId,
    pub(crate) chain: ChainId,
    pub(crate) asset: AssetId,
    pub(crate) capacity: Amount,
    pub(crate) terms: ChannelTerms,
    pub(crate) first: Content,
    pub(crate) me: Party,
    pub(crate) peer: PublicKey,
    pub(crate) key_index: u32,
    pub(crate) plan: Plan,
    pub(crate) funding_deadline: Time,
}

/// How the funding transaction is made.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) enum Plan {
    /// By A alone.
    Single { first_input: OutPoint, index: u32 },
    /// By both.
    Dual {
        inputs_a: Vec<FundingInput>,
        change_a: Vec<Output>,
        inputs_b: Vec<FundingInput>,
        change_b: Vec<Output>,
    },
    /// It is not known any more: the channel was found on the ledger.
    Found,
}

/// The newest state for which this party holds the other's signature: what it can post, with its own.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Held {
    /// The version's content.
    pub content: Content,
    /// The other party's signature.
    pub theirs: StateSignature,
    /// This party's own, once it was made; until then the version is a claim.
    pub mine: Option<StateSignature>,
}

impl Held {
    /// The version.
    #[must_use]
    pub const fn version(&self) -> u64 {
        self.content.state.version
    }

    /// Whether there is a state at all: none is known of a channel that was found on the ledger, until somebody shows
    /// one.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.version() > 0
    }

    /// With both signatures, if there are both.
    #[must_use]
    pub fn co_signed(&self, me: Party) -> Option<CoSigned> {
        let mine = self.mine.filter(|_| self.is_known())?;
        let (a, b) = match me {
            Party::A => (mine, self.theirs),
            Party::B => (self.theirs, mine),
        };
        Some(CoSigned { state: self.content.state.clone(), a, b })
    }
}

impl Held {
    /// What can be shown to others, if there are both signatures.
    pub(crate) fn evidence(&self, me: Party) -> Option<Evidence> {
        let CoSigned { a, b, .. } = self.co_signed(me)?;
        Some(Evidence { content: self.content.clone(), a, b })
    }
}

/// A version that this party proposed, until a later one is acknowledged.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) struct OpenProposal {
    pub(crate) propose: Propose,
    pub(crate) content: Content,
    pub(crate) burnt: Option<Burnt>,
}

impl OpenProposal {
    pub(crate) const fn version(&self) -> u64 {
        self.propose.version
    }

    pub(crate) const fn is_burnt(&self) -> bool {
        self.burnt.is_some()
    }

    /// Whether it is where a recovery goes on: the same content, far above all that was ever signed. Nothing is built on
    /// it before it is acknowledged.
    pub(crate) fn is_jump(&self) -> bool {
        self.propose.updates.is_empty()
            && self.propose.version.saturating_sub(self.propose.base) > RECOVERY_GAP
    }

    /// An upper bound of its encoded size, in bytes.
    pub(crate) fn size(&self) -> usize {
        256 + 64 * self.propose.updates.len()
    }
}

/// Why a version is burnt.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) enum Burnt {
    /// The follower refused one of its updates.
    Refused { update: u16, reason: RefuseReason },
    /// It was built on a refused one.
    Dependent,
}

/// A close that this party posted.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) struct Posted {
    pub(crate) version: u64,
    pub(crate) fee: Amount,
    pub(crate) signature: Signature,
}

/// What this node has of the channel is not known to be the newest: nothing is signed before it is recovered. The newest
/// state that any source showed is what is held.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) struct Lost {
    /// The highest version that any source proved, the ledger included.
    pub(crate) proven: u64,
    /// Nothing at or below this version is signed, ever again.
    pub(crate) floor: u64,
}

/// The witnesses of a funding by both, as far as they are known.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Default, Debug)]
pub(crate) struct Witnesses {
    pub(crate) a: Option<Vec<WalletWitness>>,
    pub(crate) b: Option<Vec<WalletWitness>>,
}

/// A resize for which this party signed the first state of the next generation, until the ledger has decided.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) struct Resizing {
    /// Who proposed it.
    pub(crate) by: Party,
    /// The version on which both stand.
    pub(crate) base: u64,
    pub(crate) plan: ResizePlan,
    /// The first content of the next generation.
    pub(crate) content: Content,
    /// This party's signature on it.
    pub(crate) mine: StateSignature,
    /// The other's.
    pub(crate) theirs: Option<StateSignature>,
    /// This party's signature on the transaction: from then on it may become final.
    pub(crate) intent: Option<Signature>,
    /// The other's.
    pub(crate) intent_theirs: Option<Signature>,
    /// The proposer's witnesses, in its own row.
    pub(crate) witnesses: Option<Vec<WalletWitness>>,
}

impl Resizing {
    pub(crate) const fn version(&self) -> u64 {
        self.content.state.version
    }

    /// Whether the transaction may become final, as far as this party knows.
    pub(crate) const fn is_sealed(&self) -> bool {
        self.intent.is_some()
    }
}

/// Whose turn it is, as one party sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turnholder {
    /// This party proposes.
    Sequencer,
    /// This party proposed to hand the role over, and waits for the acknowledgement.
    HandingOver,
    /// The other party proposes.
    Follower,
}

/// The session with the peer, as far as the channel cares.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Link {
    /// There is one.
    pub(crate) connected: bool,
    /// This party said what it holds.
    pub(crate) sent: bool,
    /// The other did.
    pub(crate) received: bool,
    /// What was open was sent again: payments flow.
    pub(crate) up: bool,
    /// The highest number of a payment that was requested in this session.
    pub(crate) requested: u64,
    /// The role was asked for in this session.
    pub(crate) role_requested: bool,
    /// The close was asked for in this session.
    pub(crate) close_sent: bool,
    /// This party has lost data, and asked for the newest state.
    pub(crate) asked: bool,
    /// How often it asked: the number of the question that counts.
    pub(crate) question: u32,
    /// And was answered.
    pub(crate) answered: bool,
    /// The peer has lost data, too: it signs nothing at or below this version.
    pub(crate) floor_peer: Option<u64>,
    /// The peer's question; zero if it did not ask.
    pub(crate) question_peer: u32,
    /// This party said where to go on.
    pub(crate) resumed: bool,
    /// The session was up when the channel was resized, and both say anew what they hold: payments are taken meanwhile.
    pub(crate) renewing: bool,
    /// The peer proposed something while this party could sign nothing: it is asked for again.
    pub(crate) missed: bool,
}

/// A payment that a caller was promised an answer for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Queued {
    pub(crate) token: Token,
    pub(crate) amount: Amount,
    pub(crate) memo: Option<[u8; 32]>,
}

/// What this party wants to do when it can.
#[derive(Clone, Default, Debug)]
pub(crate) struct Wishes {
    /// Give the sequencer's role away.
    pub(crate) hand_over: bool,
    /// Get it.
    pub(crate) take: bool,
    /// Post a close with this fee.
    pub(crate) post: Option<(Token, Amount)>,
    /// Others who asked for it in the same turn; a turn's inputs bound them.
    pub(crate) post_too: Vec<Token>,
    /// Even though a newer state may exist.
    pub(crate) at_risk: bool,
    /// Resize the channel, once nothing is open.
    pub(crate) resize: Option<(Token, Box<ResizePlan>)>,
}

/// A closing that the ledger showed.
#[derive(Clone, Debug)]
pub(crate) struct SeenClosing {
    pub(crate) outpoint: OutPoint,
    pub(crate) closing: Closing,
    pub(crate) deadline: Time,
    pub(crate) fee: Amount,
}

/// What a turn gathers until its end.
#[derive(Clone, Default, Debug)]
pub(crate) struct Turn {
    pub(crate) effects: Vec<Effect>,
    /// To write; a later change of a row replaces an earlier one.
    pub(crate) rows: BTreeMap<Key, Option<Vec<u8>>>,
    /// The live row changed.
    pub(crate) dirty: bool,
    /// To refuse.
    pub(crate) refusals: Vec<(Refused, RefuseReason)>,
    /// An acknowledgement is due.
    pub(crate) ack_due: bool,
    /// The newest version is to carry both signatures, acknowledged or not.
    pub(crate) complete: bool,
    /// Open proposals from this version on are missing at the peer.
    pub(crate) resend_from: Option<u64>,
    /// Proposals of the peer from this version on are missing here.
    pub(crate) missing: Option<u64>,
    /// A cooperative close can be posted.
    pub(crate) submit: bool,
    /// A version was held or acknowledged: one log entry a turn is enough.
    pub(crate) held_changed: bool,
    /// A closing to react to.
    pub(crate) closing: Option<Box<SeenClosing>>,
    /// The peer has lost data, and signs nothing at or below this version.
    pub(crate) recover: Option<u64>,
    /// A resize to agree to: the offer, and the content that it makes.
    pub(crate) resize: Option<Box<(Resize, Content)>>,
    /// What was said about the resize is to be said again.
    pub(crate) resize_again: bool,
    /// The close is to be signed again: it was for a generation that is over. With this fee, if it can be paid.
    pub(crate) post_anew: Option<Amount>,
}

/// What lives in memory only: a crash forgets it, and loses nothing that anyone was told.
#[derive(Clone, Default, Debug)]
pub(crate) struct Memory {
    pub(crate) now: Now,
    pub(crate) link: Link,
    pub(crate) queue: VecDeque<Queued>,
    pub(crate) queue_total: Amount,
    /// The follower's requests, as its sequencer keeps them; the follower has them durable.
    pub(crate) inbox: BTreeMap<u64, Transfer>,
    /// Proposals behind a gap.
    pub(crate) buffered: BTreeMap<u64, Propose>,
    /// The next version that the peer may propose.
    pub(crate) expected: u64,
    /// Versions below this one were used by this party, as the peer remembers.
    pub(crate) floor: u64,
    pub(crate) wishes: Wishes,
    /// Payments that won't be proposed again, by number, with the burnt version that contained them.
    pub(crate) failing: BTreeMap<u64, (u64, RefuseReason)>,
    /// Since when a claim waits for its acknowledgement.
    pub(crate) claim_since_ms: Option<u64>,
    /// Proposals since an acknowledgement was asked for.
    pub(crate) unasked: u64,
    pub(crate) pacing: Pacing,
    pub(crate) receive: Receive,
    /// Every source of states but the peer was asked.
    pub(crate) searched: bool,
    /// What is signed after the loss lies above all that time allows, by the clock of this process.
    pub(crate) floor_raised: bool,
    /// What resized channels this node allows.
    pub(crate) bounds: Option<Arc<Bounds>>,
    /// What the peer said of the next generation, which this node's own replica does not show yet; only the newest word.
    pub(crate) early: Option<ChannelMessage>,
    /// A closing that was not answered, because a newer state may yet be found.
    pub(crate) unanswered: Option<Box<SeenClosing>>,
    pub(crate) turn: Turn,
}

impl Memory {
    /// Everything that waits for callers, declined.
    pub(crate) fn decline_queue(&mut self, reason: Reject) {
        self.queue_total = Amount::ZERO;
        let declined = self.queue.drain(..).map(|queued| Effect::Declined { token: queued.token, reason });
        self.turn.effects.extend(declined);
    }
}

/// The open proposals of a party, shared with the clones that a driver takes.
pub(crate) type OpenProposals = VecDeque<Arc<OpenProposal>>;
