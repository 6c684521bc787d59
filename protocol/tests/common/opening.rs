//! Two nodes that open a channel: each as far as it is, its disk, its wallet, and a ledger under both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use towpath_crypto::{Amount, Digest};
use towpath_ledger::{OutPoint, Output, Time, Transaction, TxId};
use towpath_protocol::{
    Acceptance, Channel, ChannelMessage, Contribution, Effect, Event, Funding, FundingInput, Immediate,
    LedgerEvent, Life, Message, Now, Offer, Open, Outcome, Reject, StateSigner,
};

use super::ledger::{Ledger, native, wallet, witness};
use super::world::{Crypto, bounds, contribution, identity, keys, open, verify_with};

/// Who pays for the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Payers {
    A,
    Both,
}

/// How far a node is with the opening.
#[derive(Clone)]
pub enum Stage {
    Nothing,
    Offered(Box<Offer>),
    Accepted(Box<Acceptance>),
    Channel(Box<Channel>),
}

/// One node.
pub struct End {
    pub stage: Stage,
    pub rows: BTreeMap<Vec<u8>, Vec<u8>>,
    pub facts: Vec<Effect>,
    /// What the machine ordered and the node has not done yet.
    pub orders: VecDeque<Effect>,
    /// What the replica shows and the machine was not told yet.
    pub news: VecDeque<LedgerEvent>,
    keys: Arc<dyn StateSigner>,
}

/// Both, and everything between them.
pub struct Opening {
    pub ends: [End; 2],
    pub wires: [VecDeque<Message>; 2],
    pub now: Now,
    pub ledger: Ledger,
    pub pool: VecDeque<Transaction>,
    pub crypto: Crypto,
    pub offer: Open,
    pub gift: Contribution,
    /// How many messages were sent.
    pub sent: usize,
    /// After so many messages none is sent any more, by anybody.
    pub silent_after: usize,
    pub connected: bool,
    /// Refusals of messages.
    pub rejects: Vec<Reject>,
}

pub const AMOUNTS: (u64, u64) = (600, 400);
pub const COIN: u64 = 1_500;

fn coin(side: usize) -> OutPoint {
    OutPoint { tx: TxId(Digest([3; 32])), index: if side == 0 { 0 } else { 1 } }
}

fn input(side: usize) -> FundingInput {
    let output = native(Amount(COIN), towpath_ledger::Lock::Wallet(wallet(side)));
    FundingInput { outpoint: coin(side), output }
}

fn change(side: usize, brought: u64) -> Vec<Output> {
    vec![native(Amount(COIN - brought), towpath_ledger::Lock::Wallet(wallet(side)))]
}

/// What A offers, and what B brings.
pub fn terms(crypto: Crypto, payers: Payers) -> (Open, Contribution) {
    let mut offer = open(crypto, AMOUNTS.0, AMOUNTS.1, 0);
    let mut gift = contribution();
    if payers == Payers::Both {
        offer.funding = Funding::Dual { inputs: vec![input(0)], change: change(0, AMOUNTS.0) };
        gift.inputs = vec![input(1)];
        gift.change = change(1, AMOUNTS.1);
    }
    (offer, gift)
}

impl Opening {
    /// A is about to offer.
    pub fn new(crypto: Crypto, payers: Payers) -> Self {
        let end = |seed| End {
            stage: Stage::Nothing,
            rows: BTreeMap::new(),
            facts: Vec::new(),
            orders: VecDeque::new(),
            news: VecDeque::new(),
            keys: keys(crypto, seed),
        };
        let (offer, gift) = terms(crypto, payers);
        Self {
            ends: [end(1), end(2)],
            wires: [VecDeque::new(), VecDeque::new()],
            now: Now { local_ms: 1_000, ledger: Time(1_000) },
            ledger: Ledger::new(crypto, &[(coin(0), 0, COIN), (coin(1), 1, COIN)]),
            pool: VecDeque::new(),
            crypto,
            offer,
            gift,
            sent: 0,
            silent_after: usize::MAX,
            connected: true,
            rejects: Vec::new(),
        }
    }

    pub fn offer(&mut self) {
        let offer = Offer::new(self.offer.clone(), identity(self.crypto, 1), &bounds(), self.now);
        let offer = offer.expect("fine terms");
        self.send(0, offer.message());
        self.ends[0].stage = Stage::Offered(Box::new(offer));
    }

    fn send(&mut self, side: usize, message: Message) {
        let message = Message::decode(&message.encode()).expect("our own messages decode");
        self.sent += 1;
        if self.connected && self.sent <= self.silent_after {
            self.wires[1 - side].push_back(message);
        }
    }

    /// Whether anything can still happen without time passing.
    pub fn is_busy(&self) -> bool {
        let ends = self.ends.iter().any(|end| !end.orders.is_empty() || !end.news.is_empty());
        ends || !self.pool.is_empty() || self.wires.iter().any(|wire| !wire.is_empty())
    }

    /// The next thing that happens: a message, an order, a report or a block. The order is fixed.
    pub fn step(&mut self) {
        for side in 0..2 {
            if let Some(message) = self.wires[side].pop_front() {
                return self.hear(side, message);
            }
            if let Some(order) = self.ends[side].orders.pop_front() {
                return self.obey(side, order);
            }
            if let Some(news) = self.ends[side].news.pop_front() {
                return self.turn(side, Some(Event::Ledger(news)));
            }
        }
        self.block(1_000);
    }

    pub fn step_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..200 {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("it never happens");
    }

    pub fn run(&mut self) {
        self.step_until(|opening| !opening.is_busy());
    }

    fn hear(&mut self, side: usize, message: Message) {
        let (crypto, now) = (self.crypto, self.now);
        match (self.ends[side].stage.clone(), message) {
            (Stage::Nothing, Message::Open(open)) => {
                let accepted =
                    Acceptance::new(&open, self.gift.clone(), &identity(crypto, 2), &bounds(), now);
                let (acceptance, outcome) = accepted.expect("fine terms");
                self.ends[side].stage = Stage::Accepted(Box::new(acceptance));
                self.carry_out(side, outcome);
            }
            (Stage::Accepted(acceptance), Message::Open(_)) => self.send(side, acceptance.message()),
            (Stage::Offered(offer), Message::Accept(accept)) => {
                match verify_with(crypto, |verifier| offer.on_accept(&accept, now, verifier)) {
                    Ok(channel) => self.becomes(side, channel),
                    Err(reject) => self.rejects.push(reject),
                }
            }
            (Stage::Accepted(acceptance), Message::Channel(_, message)) => {
                match verify_with(crypto, |verifier| acceptance.on_message(&message, now, verifier)) {
                    Ok(channel) => self.becomes(side, channel),
                    Err(reject) => self.rejects.push(reject),
                }
            }
            (Stage::Channel(_), Message::Channel(_, message)) => {
                self.turn(side, Some(Event::Message(message)));
            }
            // Repeated, or for nobody: a node drops it.
            (
                Stage::Nothing | Stage::Offered(_) | Stage::Accepted(_) | Stage::Channel(_),
                Message::Open(_)
                | Message::Accept(_)
                | Message::Decline(_)
                | Message::Channel(..)
                | Message::Tower(_)
                | Message::Hello(_)
                | Message::Stale(_),
            ) => {}
        }
    }

    fn becomes(&mut self, side: usize, channel: Channel) {
        self.ends[side].stage = Stage::Channel(Box::new(channel));
        self.turn(side, None);
    }

    /// One turn of the machine of `side`, if there is one.
    pub fn turn(&mut self, side: usize, event: Option<Event>) {
        let (crypto, now) = (self.crypto, self.now);
        let Stage::Channel(channel) = &mut self.ends[side].stage else { return };
        if let Some(event) = event {
            let before = format!("{channel:?}");
            if let Err(reject) = verify_with(crypto, |verifier| channel.step(event, now, verifier)) {
                assert_eq!(before, format!("{channel:?}"), "refused without a trace: {reject}");
                self.rejects.push(reject);
            }
        }
        let outcome = channel.step(Event::TurnEnd, now, &mut Immediate).expect("a turn always ends");
        channel.check().expect("the machine's invariants hold");
        self.carry_out(side, outcome);
    }

    fn carry_out(&mut self, side: usize, outcome: Outcome) {
        let end = &mut self.ends[side];
        for (key, value) in outcome.write {
            match value {
                Some(value) => end.rows.insert(key, value),
                None => end.rows.remove(&key),
            };
        }
        for effect in outcome.effects {
            match effect {
                Effect::Send(message) => self.send(side, message),
                fact if fact.is_fact() => self.ends[side].facts.push(fact),
                order => self.ends[side].orders.push_back(order),
            }
        }
    }

    /// What a node does about an order of its machine.
    fn obey(&mut self, side: usize, order: Effect) {
        if let Effect::SignFunding { body, spent, from, to } = order {
            let own = (from..to).map(|_| witness(side, &body, spent.clone())).collect();
            return self.turn(side, Some(Event::FundingSigned(own)));
        }
        let Stage::Channel(channel) = &self.ends[side].stage else { return };
        self.pool.extend(self.ledger.transaction(channel, &order));
    }

    pub fn block(&mut self, ms: u64) {
        self.now.ledger = self.now.ledger.plus_ms(ms);
        for transaction in std::mem::take(&mut self.pool) {
            // The same funding again is refused: its inputs are spent.
            let events = self.ledger.apply(&transaction, self.now.ledger).unwrap_or_default();
            self.ends.iter_mut().for_each(|end| end.news.extend(events.iter().cloned()));
        }
        for side in 0..2 {
            self.turn(side, None);
        }
    }

    pub fn disconnect(&mut self) {
        self.connected = false;
        self.wires.iter_mut().for_each(VecDeque::clear);
        for side in 0..2 {
            self.turn(side, Some(Event::Disconnected));
        }
    }

    /// A session begins: A repeats an offer that was not answered.
    pub fn connect(&mut self) {
        self.connected = true;
        for side in 0..2 {
            match self.ends[side].stage.clone() {
                Stage::Offered(offer) => self.send(side, offer.message()),
                Stage::Nothing | Stage::Accepted(_) => {}
                Stage::Channel(_) => self.turn(side, Some(Event::Connected)),
            }
        }
    }

    /// A node stops, and starts again from its disk. An offer is only in memory; the user asks again.
    pub fn restart(&mut self, side: usize) {
        self.disconnect();
        let end = &mut self.ends[side];
        end.orders.clear();
        let rows = || end.rows.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
        let acceptance = rows().find_map(|row| match Acceptance::key_index_of(row) {
            Ok(Some(_)) => Some(Acceptance::restore(row, Arc::clone(&end.keys), self.now)),
            Ok(None) => None,
            Err(error) => panic!("the acceptance can be read: {error}"),
        });
        end.stage = match acceptance {
            Some(acceptance) => Stage::Accepted(Box::new(acceptance.expect("what was written can be read"))),
            None if end.rows.is_empty() => Stage::Nothing,
            None => {
                let channel = Channel::restore(rows(), Arc::clone(&end.keys));
                Stage::Channel(Box::new(channel.expect("what was written can be read")))
            }
        };
        if side == 0 && matches!(self.ends[0].stage, Stage::Nothing) {
            self.offer();
        }
        self.turn(side, None);
    }

    pub fn channel(&self, side: usize) -> Option<&Channel> {
        match &self.ends[side].stage {
            Stage::Channel(channel) => Some(channel),
            Stage::Nothing | Stage::Offered(_) | Stage::Accepted(_) => None,
        }
    }

    pub fn life(&self, side: usize) -> Option<Life> {
        self.channel(side).map(Channel::life)
    }

    /// The last message about the channel on the way to `side`.
    pub fn last_message(&self, side: usize) -> Option<ChannelMessage> {
        self.wires[side].iter().rev().find_map(|message| match message {
            Message::Channel(_, message) => Some(message.clone()),
            Message::Open(_)
            | Message::Accept(_)
            | Message::Decline(_)
            | Message::Tower(_)
            | Message::Hello(_)
            | Message::Stale(_) => None,
        })
    }
}
