//! All that is interned, and what was computed once: parties, claims, messages, orders, ledgers, turns.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use towpath_crypto::codec;
use towpath_ledger::{
    ChannelTerms, CoSigned, OutPoint, SignedState, StateClaim, StateSignature, Transaction, Witness,
};
use towpath_protocol::{Bounds, ChannelMessage, Content, Effect, Message, Outcome, StateSigner};

use super::adversary::Posts;
use super::config::Config;
use super::intern::{Interner, Map, name_of};
use super::ledger::{Ledger, Move};
use super::party::{Claim, Facts, Party};
use super::resize::{Intent, Resized, brought};
use super::setup::{self, Beginning};
use super::turn::{Cut, Signing, TurnKey, Turned};
use super::violation::{Kind, Violation, must};

/// What an honest machine posted: anybody can put it into a block from then on.
pub struct Order {
    /// What it spends.
    pub spends: OutPoint,
    pub what: Ordered,
}

/// What an order is.
#[derive(Clone)]
pub enum Ordered {
    /// What authorizes a transaction of the channel alone.
    Witness(Box<Witness>),
    /// A resize, whole.
    Resize(Box<Transaction>),
}

/// What a tower was given: the newest state, and the other party's signature on it as the proof of what that held.
#[derive(Clone)]
pub struct Copy {
    pub state: CoSigned,
    pub proof: SignedState,
}

/// Everything that is known of a search, but for which worlds were visited.
pub struct Store {
    pub config: Config,
    pub terms: ChannelTerms,
    pub bounds: Arc<Bounds>,
    pub keys: [Arc<dyn StateSigner>; 2],
    pub parties: Interner<Party>,
    pub claims: Interner<Claim>,
    pub messages: Interner<ChannelMessage>,
    pub orders: Interner<Order>,
    pub copies: Interner<Copy>,
    pub intents: Interner<Intent>,
    pub ledgers: Interner<Ledger>,
    /// What a party released, each set once.
    pub released: Interner<()>,
    pub turns: Map<TurnKey, Result<Rc<Turned>, Violation>>,
    pub moves: Map<(u32, Move), Option<u32>>,
    pub alphabets: Map<u32, Rc<[u32]>>,
    pub tellings: Map<(u32, Cut), Rc<[u32]>>,
    pub postings: Map<(u32, u32), Rc<Posts>>,
    /// The first parties, by seat.
    pub first: [u32; 2],
    /// The ledger that shows the funding.
    pub funded: u32,
}

impl Store {
    pub fn new(config: Config) -> Self {
        let Beginning { sides, keys, funding, entry } = setup::begin(&config);
        let mut store = Self {
            terms: sides[0].0.terms().clone(),
            bounds: Arc::new(setup::bounds()),
            keys,
            parties: Interner::new(),
            claims: Interner::new(),
            messages: Interner::new(),
            orders: Interner::new(),
            copies: Interner::new(),
            intents: Interner::new(),
            ledgers: Interner::new(),
            released: Interner::new(),
            turns: Map::default(),
            moves: Map::default(),
            alphabets: Map::default(),
            tellings: Map::default(),
            postings: Map::default(),
            first: [0; 2],
            funded: 0,
            config,
        };
        for (seat, (channel, outcomes)) in sides.into_iter().enumerate() {
            let (rows, facts) = (Arc::new(BTreeMap::new()), Facts::default());
            let first = store.config.balances[seat];
            let mut party = Party {
                seat,
                channel,
                rows,
                facts,
                claims: BTreeMap::new(),
                first,
                intents: BTreeSet::new(),
                released: 0,
                brought: 0,
                clock: setup::START,
            };
            for outcome in outcomes {
                store.write(&mut party, &outcome);
            }
            store.allow_resizes(&mut party.channel);
            let first = party.channel.held().clone();
            let mine = first.mine.expect("both parties have signed version 1");
            store.release(&mut party, first.content, mine, 0).expect("the first signature");
            store.first[seat] = store.keep(party);
        }
        store.funded = store.keep_ledger(Ledger::funded(funding, entry, store.config.changes));
        store
    }

    /// Makes the rows of an outcome durable.
    pub fn write(&self, party: &mut Party, outcome: &Outcome) {
        // Where nothing crashes nobody reads them.
        let is_read = self.config.budget.crashes > 0;
        if outcome.write.is_empty() || !is_read {
            return;
        }
        let rows = Arc::make_mut(&mut party.rows);
        for (key, value) in &outcome.write {
            match value {
                Some(value) => rows.insert(key.clone(), value.as_slice().into()),
                None => rows.remove(key),
            };
        }
    }

    pub fn keep(&mut self, mut party: Party) -> u32 {
        let released = name_of(&(party.seat, &party.claims, &party.intents));
        party.released = self.released.intern(released, || ());
        let name = party.name(&self.config);
        self.parties.intern(name, || party)
    }

    pub fn keep_ledger(&mut self, ledger: Ledger) -> u32 {
        let name = ledger.name();
        self.ledgers.intern(name, || ledger)
    }

    pub fn keep_message(&mut self, message: ChannelMessage) -> u32 {
        let whole = Message::Channel(self.terms.id, message);
        let name = name_of(&whole.encode());
        let Message::Channel(_, message) = whole else { unreachable!("it was just put together") };
        self.messages.intern(name, || message)
    }

    pub fn keep_order(&mut self, spends: OutPoint, witness: Witness) -> u32 {
        let name = name_of(&(spends, codec::encode(&witness)));
        self.orders.intern(name, || Order { spends, what: Ordered::Witness(Box::new(witness)) })
    }

    /// The resize that an honest party broadcasts.
    fn keep_resize(&mut self, transaction: &Transaction) -> Option<u32> {
        let spends = transaction.body.inputs.first().copied()?;
        let name = name_of(&(spends, codec::encode(transaction)));
        let what = || Ordered::Resize(Box::new(transaction.clone()));
        Some(self.orders.intern(name, || Order { spends, what: what() }))
    }

    pub fn keep_copy(&mut self, copy: Copy) -> u32 {
        let name = name_of(&(codec::encode(&copy.state), codec::encode(&copy.proof)));
        self.copies.intern(name, || copy)
    }

    /// A signature of `party` leaves it (I4: never on two contents of one version).
    pub fn release(
        &mut self,
        party: &mut Party,
        content: Content,
        signature: StateSignature,
        updates: u16,
    ) -> Result<(), Violation> {
        self.release_as(party, content, signature, (updates, None))
    }

    /// The same, of the first state of a generation.
    pub fn release_resized(
        &mut self,
        party: &mut Party,
        content: Content,
        signature: StateSignature,
        resized: Resized,
    ) -> Result<(), Violation> {
        self.release_as(party, content, signature, (0, Some(resized)))
    }

    fn release_as(
        &mut self,
        party: &mut Party,
        content: Content,
        signature: StateSignature,
        (updates, resized): (u16, Option<Resized>),
    ) -> Result<(), Violation> {
        let seat = party.seat;
        let version = content.state.version;
        let key = *self.terms.key(setup::party(seat));
        let holds = setup::verify(self.config.crypto, signature.check(&key, &setup::chain(), &content.state));
        must(holds, Kind::Machine, || format!("a signature on version {version} that does not hold"))?;
        let own = resized.as_ref().filter(|resized| resized.by == setup::party(seat));
        let brought = own.map_or(party.brought, |own| brought(party.brought, own.plan.change));
        let capacity = match &resized {
            None => party.channel.capacity(),
            Some(resized) => resized.capacity(),
        };
        let name = name_of(&(seat, codec::encode(&content), codec::encode(&signature), brought));
        let keys = &self.keys;
        let number = self.claims.intern(name, || {
            let state = content.state.clone();
            let other = complete(keys[1 - seat].as_ref(), &content, 0);
            let (a, b) = if seat == 0 { (signature, other) } else { (other, signature) };
            let completed = CoSigned { state: state.clone(), a, b };
            assert_eq!(state.total(), Some(capacity), "I2");
            let signed = SignedState { state, signature };
            Claim { seat, content, signed, completed, updates, resized, brought }
        });
        let known = *party.claims.entry(version).or_insert(number);
        let same = self.claims.get(known).signed == self.claims.get(number).signed;
        must(same, Kind::TwoContents, || format!("two contents for version {version}"))
    }

    /// What leaves with an effect: signatures, a message, an order.
    pub fn run(&mut self, party: &mut Party, effect: &Effect, turned: &mut Turned) -> Result<(), Violation> {
        match effect {
            Effect::Send(Message::Channel(_, message)) => {
                self.release_message(party, message)?;
                turned.sent.push(self.keep_message(message.clone()));
            }
            Effect::PostClose { funding, state, author, fee, signature } => {
                self.release_state(party, state)?;
                let (state, author, fee, signature) = (state.clone(), *author, *fee, *signature);
                let witness = Witness::Unilateral { state, author, fee, signature };
                turned.orders.push(self.keep_order(*funding, witness));
            }
            Effect::SubmitClose { funding, state } => {
                self.release_state(party, state)?;
                let fee = towpath_ledger::Amount::ZERO;
                turned
                    .orders
                    .push(self.keep_order(*funding, Witness::Cooperative { state: state.clone(), fee }));
            }
            Effect::Answer { closing, state, proof, settles: _, fee, signature } => {
                if let Some(state) = state {
                    self.release_state(party, state)?;
                }
                let (state, proof, fee, signature) = (state.clone(), proof.clone(), *fee, *signature);
                let witness = Witness::Answer { state, proof, pending: Vec::new(), fee, signature };
                turned.orders.push(self.keep_order(*closing, witness));
            }
            Effect::SignFunding { body, spent, from, to } => {
                turned.to_sign =
                    Some(Signing { body: body.clone(), spent: spent.clone(), inputs: to - from });
            }
            Effect::Broadcast(transaction) => turned.orders.extend(self.keep_resize(transaction)),
            Effect::Supersede { closing, state } => {
                self.release_state(party, state)?;
                let fee = towpath_ledger::Amount::ZERO;
                turned
                    .orders
                    .push(self.keep_order(*closing, Witness::Supersede { state: state.clone(), fee }));
            }
            _ => {}
        }
        Ok(())
    }

    fn release_message(&mut self, party: &mut Party, message: &ChannelMessage) -> Result<(), Violation> {
        match message {
            ChannelMessage::Propose(propose) => {
                let held = party.channel.held();
                let base = if propose.base == held.version() {
                    Some(held.content.clone())
                } else {
                    party.claims.get(&propose.base).map(|number| self.claims.get(*number).content.clone())
                };
                let content =
                    base.and_then(|base| base.next(propose.version, &propose.updates, &self.terms).ok());
                let content = content.ok_or_else(|| {
                    Violation::new(Kind::Machine, format!("version {} has no base", propose.version))
                })?;
                let updates = u16::try_from(propose.updates.len()).expect("a proposal is bounded");
                self.release(party, content, propose.signature, updates)
            }
            ChannelMessage::Ack(ack) => self.release_held(party, ack.version, ack.signature),
            ChannelMessage::Reestablish(theirs) => self.release_state(party, &theirs.newest),
            ChannelMessage::Recover(theirs) => match &theirs.newest {
                Some(newest) => self.release_state(party, &newest.co_signed()),
                None => Ok(()),
            },
            ChannelMessage::Resume(theirs) => {
                self.release_state(party, &theirs.newest.co_signed())?;
                let Some(jump) = &theirs.jump else { return Ok(()) };
                let content = party.channel.held().content.next(jump.version, &[], &self.terms);
                let content = content.expect("a jump adds nothing, so it always applies");
                self.release(party, content, jump.signature, 0)
            }
            ChannelMessage::Created(signature) => self.release_held(party, 1, *signature),
            ChannelMessage::Resize(offer) => self.release_offer(party, offer),
            ChannelMessage::ResizeAgreed(agreed) => self.release_agreed(party, agreed),
            ChannelMessage::Witnesses(_)
            | ChannelMessage::Request(_)
            | ChannelMessage::Refuse(_)
            | ChannelMessage::Resend(_)
            | ChannelMessage::Close => Ok(()),
        }
    }

    fn release_held(
        &mut self,
        party: &mut Party,
        version: u64,
        signature: StateSignature,
    ) -> Result<(), Violation> {
        let content = party.channel.held().content.clone();
        must(content.state.version == version, Kind::Machine, || format!("version {version} is not held"))?;
        self.release(party, content, signature, 0)
    }

    /// A co-signed state leaves: always the newest that is held.
    fn release_state(&mut self, party: &mut Party, state: &CoSigned) -> Result<(), Violation> {
        let content = party.channel.held().content.clone();
        must(content.state == state.state, Kind::Machine, || "a state that is not held".into())?;
        self.release(party, content, *state.signature(setup::party(party.seat)), 0)
    }
}

/// A signature on a content, saying `held`.
pub fn complete(keys: &dyn StateSigner, content: &Content, held: u64) -> StateSignature {
    let claim = StateClaim { state: content.state.clone(), held };
    StateSignature { held, signature: keys.sign_state(&setup::chain(), &claim) }
}
