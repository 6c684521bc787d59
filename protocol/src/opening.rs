//! Openings before both hold version 1: A's offer and B's acceptance, each consumed by the channel that it becomes.
//!
//! An offer promises nothing and lives in memory. An acceptance has signed version 1, and is stored. Who may open how
//! many at once is the node's business (FAULTS C2); what terms are possible is decided here.

use std::collections::BTreeSet;
use std::sync::Arc;

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::{Amount, Digest};
use towpath_ledger::rules::{Params, TermsFault, check_state, check_terms};
use towpath_ledger::{
    AssetId, ChainId, ChannelId, ChannelTerms, Lock, OutPoint, Output, Party, Payout, StateSignature,
};

use crate::accepts::Accepts;
use crate::canary::{Canary, sings};
use crate::channel::{Channel, Fixed, Plan};
use crate::effect::{Effect, Outcome};
use crate::error::{Reject, RestoreError};
use crate::event::Now;
use crate::limits::OPEN_TIMEOUT_MS;
use crate::message::{Accept, ChannelMessage, Funding, FundingInput, Message, Open};
use crate::row::Key;
use crate::signer::{Guard, Mark, StateSigner};
use crate::update::Content;
use crate::verify::Verifier;

/// What terms this node, and its ledger, allow.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The ledger.
    pub chain: ChainId,
    /// Its parameters.
    pub params: Params,
    /// How far ahead a funding's deadline may be, in milliseconds of ledger time: how long inputs can be tied.
    pub funding_ms_max: u64,
    /// What this node asks for beyond what the ledger does.
    pub accepts: Accepts,
}

/// Who a party of a new channel is.
#[derive(Clone)]
pub struct Identity {
    /// The peer's node.
    pub peer: PublicKey,
    /// Which of the node's channel keys it uses: one that no other channel uses.
    pub key_index: u32,
    /// That key.
    pub keys: Arc<dyn StateSigner>,
}

/// What B brings to a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contribution {
    /// Where B is paid.
    pub payout: Payout,
    /// B's inputs; none when A pays alone.
    pub inputs: Vec<FundingInput>,
    /// What B takes back.
    pub change: Vec<Output>,
}

/// A's opening, until B accepts.
#[derive(Clone)]
pub struct Offer {
    open: Open,
    identity: Identity,
    bounds: Bounds,
    deadline_ms: u64,
}

impl Offer {
    /// Offers a channel; send [`Offer::message`]. `open.key` must be the identity's.
    ///
    /// # Errors
    /// [`Reject::Terms`] if the bounds don't allow it.
    pub fn new(open: Open, identity: Identity, bounds: &Bounds, now: Now) -> Result<Self, Reject> {
        check_open(&open, bounds, now)?;
        if open.key != identity.keys.public() {
            return Err(Reject::Terms("another key than this channel's"));
        }
        let deadline_ms = now.local_ms.saturating_add(OPEN_TIMEOUT_MS);
        Ok(Self { open, identity, bounds: bounds.clone(), deadline_ms })
    }

    /// What to send to B; the same bytes each time.
    #[must_use]
    pub fn message(&self) -> Message {
        Message::Open(Box::new(self.open.clone()))
    }

    /// What was offered.
    #[must_use]
    pub const fn open(&self) -> &Open {
        &self.open
    }

    /// The local time, in milliseconds, after which the offer is void: drop it.
    #[must_use]
    pub const fn deadline_ms(&self) -> u64 {
        self.deadline_ms
    }

    /// B accepted: the channel. End its first turn with [`crate::Event::TurnEnd`]; then it is stored, and speaks.
    ///
    /// # Errors
    /// [`Reject`] if the answer does not fit; the offer still stands.
    pub fn on_accept(
        &self,
        accept: &Accept,
        now: Now,
        verifier: &mut dyn Verifier,
    ) -> Result<Channel, Reject> {
        Ok(self.agreed(accept, now, verifier)?.sign(now))
    }

    /// B accepted, and A signs nothing yet: for an opening that waits for others (SPEC P-71).
    ///
    /// # Errors
    /// [`Reject`] if the answer does not fit; the offer still stands.
    pub fn agreed(&self, accept: &Accept, now: Now, verifier: &mut dyn Verifier) -> Result<Agreed, Reject> {
        if accept.open != self.open.open {
            return Err(Reject::WrongChannel);
        }
        let fixed = agree(&self.open, accept, &self.identity, Party::A, (&self.bounds, now))?;
        if accept.signature.held != 0 {
            return Err(Reject::Held { held: accept.signature.held });
        }
        if !verifier.verify(accept.signature.check(&accept.key, &fixed.chain, &fixed.first.state)) {
            return Err(Reject::Signature);
        }
        Ok(Agreed { fixed, keys: Arc::clone(&self.identity.keys), theirs: accept.signature })
    }
}

/// A's opening that B has accepted, and of which A has signed nothing: dropped, it never was.
#[derive(Clone)]
pub struct Agreed {
    fixed: Fixed,
    keys: Arc<dyn StateSigner>,
    theirs: StateSignature,
}

impl Agreed {
    /// The id of the channel that it would be.
    #[must_use]
    pub const fn id(&self) -> ChannelId {
        self.fixed.terms.id
    }

    /// Signs version 1: the channel. End its first turn with [`crate::Event::TurnEnd`]; then it is stored, and speaks.
    #[must_use]
    pub fn sign(self, now: Now) -> Channel {
        let Self { fixed, keys, theirs } = self;
        let mut guard = Guard::new(Arc::clone(&keys), Mark::NONE);
        let mine = guard
            .sign_state(&fixed.chain, &fixed.first.state, 1)
            .expect("a signer that has signed nothing signs the first version");
        let mark = *guard.mark();
        let mut channel = Channel::created(Arc::new(fixed), keys, mark, (mine, theirs), now);
        channel.begin();
        channel
    }
}

/// B's opening, until A has signed version 1 too.
#[derive(Clone)]
pub struct Acceptance {
    stored: Stored,
    keys: Arc<dyn StateSigner>,
    deadline_ms: u64,
}

/// What is stored of an acceptance.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub(crate) struct Stored {
    pub(crate) fixed: Fixed,
    pub(crate) mark: Mark,
    pub(crate) accept: Accept,
}

impl Acceptance {
    /// Accepts an offer. The outcome stores the acceptance, and then sends it.
    ///
    /// # Errors
    /// [`Reject::Terms`] if the bounds don't allow it, or A does not bring what it promises.
    pub fn new(
        open: &Open,
        contribution: Contribution,
        identity: &Identity,
        bounds: &Bounds,
        now: Now,
    ) -> Result<(Self, Outcome), Reject> {
        check_open(open, bounds, now)?;
        let Contribution { payout, inputs, change } = contribution;
        let key = identity.keys.public();
        let unsigned = towpath_crypto::ed25519::Signature([0; 64]);
        let signature = StateSignature { held: 0, signature: unsigned };
        let mut accept = Accept { open: open.open, key, payout, inputs, change, signature };
        let fixed = agree(open, &accept, identity, Party::B, (bounds, now))?;
        let mut guard = Guard::new(Arc::clone(&identity.keys), Mark::NONE);
        accept.signature = guard
            .sign_state(&fixed.chain, &fixed.first.state, 0)
            .expect("a signer that has signed nothing signs the first version");
        let stored = Stored { fixed, mark: *guard.mark(), accept };
        let mut write = vec![(Key::Acceptance.bytes(), Some(Key::Acceptance.value(&stored)))];
        if sings(Canary::AcceptanceNotWritten) {
            write.clear();
        }
        let deadline_ms = now.local_ms.saturating_add(OPEN_TIMEOUT_MS);
        let acceptance = Self { stored, keys: Arc::clone(&identity.keys), deadline_ms };
        let effects = vec![Effect::Send(acceptance.message())];
        Ok((acceptance, Outcome { write, effects }))
    }

    /// Whether B, paid by `payout`, could accept an offer, as far as that needs no key of B's: so that no key is drawn,
    /// and no coin set aside, for an offer that B can't accept.
    ///
    /// # Errors
    /// [`Reject`] as [`Acceptance::new`] would; what B brings is not looked at.
    pub fn check(open: &Open, payout: &Payout, bounds: &Bounds, now: Now) -> Result<(), Reject> {
        let capacity = check_open(open, bounds, now)?;
        let terms = terms_of(open, &STAND_IN, payout, ChannelId(Digest::ZERO));
        check_terms(&terms, (open.asset, capacity), &bounds.params, now.ledger)?;
        bounds.accepts.check(&terms, (open.asset, capacity), (open.chain, &bounds.params))?;
        let no_tag = towpath_ledger::ChannelTag(Digest::ZERO);
        let first = Content::first(&terms, no_tag, (open.amount_a, open.amount_b), open.sequencer);
        Ok(check_state(&terms, capacity, &first.state)?)
    }

    /// The acceptance that wrote this row; it gets a fresh deadline.
    ///
    /// # Errors
    /// [`RestoreError`] if the row is damaged, newer than this program, or another key's.
    pub fn restore(row: (&[u8], &[u8]), keys: Arc<dyn StateSigner>, now: Now) -> Result<Self, RestoreError> {
        let stored = Self::read(row)?;
        if stored.accept.key != keys.public() {
            return Err(RestoreError::Key);
        }
        Ok(Self { stored, keys, deadline_ms: now.local_ms.saturating_add(OPEN_TIMEOUT_MS) })
    }

    /// Which key the row is for; `None` if it is not the row of an acceptance.
    ///
    /// # Errors
    /// [`RestoreError`] if it is one, and damaged.
    pub fn key_index_of(row: (&[u8], &[u8])) -> Result<Option<u32>, RestoreError> {
        if Key::parse(row.0) != Some(Key::Acceptance) {
            return Ok(None);
        }
        Self::read(row).map(|stored| Some(stored.fixed.key_index))
    }

    fn read((key, value): (&[u8], &[u8])) -> Result<Stored, RestoreError> {
        match Key::parse(key) {
            Some(Key::Acceptance) => Key::Acceptance.read(value),
            Some(_) | None => Err(RestoreError::Missing("acceptance")),
        }
    }

    /// What the opener called the opening.
    #[must_use]
    pub const fn open_id(&self) -> &crate::message::OpenId {
        &self.stored.accept.open
    }

    /// The channel's id.
    #[must_use]
    pub const fn id(&self) -> ChannelId {
        self.stored.fixed.terms.id
    }

    /// The peer's node.
    #[must_use]
    pub const fn peer(&self) -> &PublicKey {
        &self.stored.fixed.peer
    }

    /// What B puts into the channel.
    #[must_use]
    pub fn brought(&self) -> Amount {
        self.stored.fixed.brought()
    }

    /// What to send to A, also when it repeats its offer; the same bytes each time.
    #[must_use]
    pub fn message(&self) -> Message {
        Message::Accept(Box::new(self.stored.accept.clone()))
    }

    /// Whether the acceptance is void unless the ledger shows its channel: drop it then, with [`Acceptance::forget`] (SPEC P-19a).
    /// What needs B's witnesses can't be funded without them, and B has given none. What A funds alone can be there
    /// until the deadline of the funding, whatever became of A's signature on its way.
    #[must_use]
    pub fn is_void(&self, now: Now) -> bool {
        let needs_witnesses = !self.stored.accept.inputs.is_empty();
        now.local_ms > self.deadline_ms
            && (needs_witnesses || now.ledger > self.stored.fixed.funding_deadline)
    }

    /// The ledger shows its channel, so it stands for longer.
    pub const fn renew(&mut self, now: Now) {
        self.deadline_ms = now.local_ms.saturating_add(OPEN_TIMEOUT_MS);
    }

    /// Deletes the row.
    #[must_use]
    pub fn forget(&self) -> Outcome {
        Outcome { write: vec![(Key::Acceptance.bytes(), None)], effects: vec![Effect::FundingReleased] }
    }

    /// A's signature on version 1, by itself or in what A holds: the channel. End its first turn.
    ///
    /// # Errors
    /// [`Reject`] if the message does not belong here or the signature does not hold; the acceptance still stands.
    pub fn on_message(
        &self,
        message: &ChannelMessage,
        now: Now,
        verifier: &mut dyn Verifier,
    ) -> Result<Channel, Reject> {
        let Stored { fixed, mark, accept } = &self.stored;
        let (signature, reestablish) = match message {
            ChannelMessage::Created(signature) => (*signature, None),
            ChannelMessage::Reestablish(theirs) if theirs.newest.state == fixed.first.state => {
                (theirs.newest.a, Some(theirs))
            }
            ChannelMessage::Witnesses(_)
            | ChannelMessage::Propose(_)
            | ChannelMessage::Ack(_)
            | ChannelMessage::Request(_)
            | ChannelMessage::Refuse(_)
            | ChannelMessage::Resend(_)
            | ChannelMessage::Reestablish(_)
            | ChannelMessage::Close
            | ChannelMessage::Recover(_)
            | ChannelMessage::Resume(_)
            | ChannelMessage::Resize(_)
            | ChannelMessage::ResizeAgreed(_) => return Err(Reject::NotReestablished(message.name())),
        };
        if signature.held != 1 {
            return Err(Reject::Held { held: signature.held });
        }
        if !verifier.verify(signature.check(&fixed.terms.key_a, &fixed.chain, &fixed.first.state)) {
            return Err(Reject::Signature);
        }
        let (fixed, keys) = (Arc::new(fixed.clone()), Arc::clone(&self.keys));
        let mut channel = Channel::created(fixed, keys, *mark, (accept.signature, signature), now);
        channel.begin();
        if let Some(theirs) = reestablish {
            let event = crate::event::Event::Message(ChannelMessage::Reestablish(theirs.clone()));
            channel.step(event, now, verifier)?;
        }
        Ok(channel)
    }
}

/// The terms that follow from an offer and its acceptance; both compute the same.
fn agree(
    open: &Open,
    accept: &Accept,
    identity: &Identity,
    me: Party,
    (bounds, now): (&Bounds, Now),
) -> Result<Fixed, Reject> {
    let capacity = open.amount_a.checked_add(open.amount_b).ok_or(Reject::Terms("amounts too large"))?;
    let (first_input, index, plan) = match &open.funding {
        Funding::Single { first_input, index } => {
            if !accept.inputs.is_empty() || !accept.change.is_empty() {
                return Err(Reject::Terms("inputs to a channel that the opener funds alone"));
            }
            (*first_input, *index, Plan::Single { first_input: *first_input, index: *index })
        }
        // Who brings nothing has nothing to sign, and the other would wait for its witnesses until the deadline.
        Funding::Dual { .. } if accept.inputs.is_empty() => return Err(Reject::Terms("no inputs")),
        Funding::Dual { inputs, change } => {
            check_side(&accept.inputs, &accept.change, open.amount_b, open.asset)?;
            let distinct: BTreeSet<OutPoint> =
                inputs.iter().chain(&accept.inputs).map(|input| input.outpoint).collect();
            if distinct.len() != inputs.len() + accept.inputs.len() {
                return Err(Reject::Terms("one input twice"));
            }
            let first = inputs.first().ok_or(Reject::Terms("no inputs"))?;
            let plan = Plan::Dual {
                inputs_a: inputs.clone(),
                change_a: change.clone(),
                inputs_b: accept.inputs.clone(),
                change_b: accept.change.clone(),
            };
            (first.outpoint, 0, plan)
        }
    };
    let id = ChannelId::derive(&open.chain, &first_input, index, &open.key, &accept.key);
    let terms = terms_of(open, &accept.key, &accept.payout, id);
    check_terms(&terms, (open.asset, capacity), &bounds.params, now.ledger)?;
    bounds.accepts.check(&terms, (open.asset, capacity), (open.chain, &bounds.params))?;
    let theirs = terms.key(me.other());
    let tag = identity.keys.tag(theirs, &terms.id).ok_or(Reject::Terms("a weak key"))?;
    let first = Content::first(&terms, tag, (open.amount_a, open.amount_b), open.sequencer);
    check_state(&terms, capacity, &first.state)?;
    Ok(Fixed {
        open: open.open,
        chain: open.chain,
        asset: open.asset,
        capacity,
        terms,
        first,
        me,
        peer: identity.peer,
        key_index: identity.key_index,
        plan,
        funding_deadline: open.funding_deadline,
    })
}

fn terms_of(open: &Open, key_b: &PublicKey, payout_b: &Payout, id: ChannelId) -> ChannelTerms {
    ChannelTerms {
        id,
        generation: 0,
        key_a: open.key,
        key_b: *key_b,
        payout_a: open.payout.clone(),
        payout_b: payout_b.clone(),
        dispute_window_ms: open.dispute_window_ms,
        penalty_basis_points: open.penalty_basis_points,
        reserve: open.reserve,
        close_fee_max: open.close_fee_max,
        expiry: open.expiry,
    }
}

/// Stands in for a key of B's that is not drawn yet: the base point, a usable key that nobody signs with.
const STAND_IN: PublicKey = {
    let mut bytes = [0x66; 32];
    bytes[0] = 0x58;
    PublicKey(bytes)
};

/// What can be said about an offer before anybody accepts it (FAULTS C21): its capacity, if it is possible.
fn check_open(open: &Open, bounds: &Bounds, now: Now) -> Result<Amount, Reject> {
    let capacity = open.amount_a.checked_add(open.amount_b).ok_or(Reject::Terms("amounts too large"))?;
    let claims = [
        (open.chain == bounds.chain, "another ledger"),
        (!capacity.is_zero(), "nothing in it"),
        (open.expiry.is_none_or(|expiry| expiry > open.funding_deadline), "expires before it is funded"),
        (open.funding_deadline > now.ledger, "funding deadline in the past"),
        (open.funding_deadline.ms_since(now.ledger) <= bounds.funding_ms_max, "funding deadline too far"),
    ];
    if let Some((_, why)) = claims.into_iter().find(|(holds, _)| !holds) {
        return Err(Reject::Terms(why));
    }
    open.payout.check().map_err(TermsFault::from)?;
    // The acceptor's payout is not known yet, so the smallest stands in: what fails with that is not worth an offer.
    let smallest = Payout::Key(WalletKey([0; 32]));
    let terms = terms_of(open, &open.key, &smallest, ChannelId(Digest::ZERO));
    bounds.accepts.check(&terms, (open.asset, capacity), (open.chain, &bounds.params))?;
    match &open.funding {
        Funding::Single { .. } => {}
        Funding::Dual { inputs, .. } if inputs.is_empty() => return Err(Reject::Terms("no inputs")),
        Funding::Dual { inputs, change } => check_side(inputs, change, open.amount_a, open.asset)?,
    }
    Ok(capacity)
}

/// One party brings what it promises, out of wallet outputs: else the other's fee would make up for it.
fn check_side(
    inputs: &[FundingInput],
    change: &[Output],
    amount: Amount,
    asset: AssetId,
) -> Result<(), Reject> {
    if inputs.iter().any(|input| !matches!(input.output.lock, Lock::Wallet(_))) {
        return Err(Reject::Terms("an input that is not a wallet's"));
    }
    let of_asset = |output: &Output| (output.asset == asset).then_some(output.amount);
    let brought = Amount::checked_sum(inputs.iter().filter_map(|input| of_asset(&input.output)));
    let taken = Amount::checked_sum(change.iter().filter_map(of_asset));
    let needed = taken.and_then(|taken| taken.checked_add(amount));
    match (brought, needed) {
        (Some(brought), Some(needed)) if brought >= needed => Ok(()),
        (Some(_), Some(_)) => Err(Reject::Terms("a party brings less than it promises")),
        (None, _) | (_, None) => Err(Reject::Terms("amounts too large")),
    }
}
