//! Callers: they want channels opened, payments made and channels closed, under keys of their own, and ask again under
//! the same key when a crash took the answer. What they are told is what the auditor holds the nodes to.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, ChannelId};
use towpath_node::idempotency::{Claim, Claimed, Key, Outcome, content_of};
use towpath_node::ledger::{FundsCall, Input as LedgerInput, Purpose};
use towpath_node::worker::{Call, CallError, Input, OpenRequest, Opened, Paid, PayRequest, Risk, Wait};
use towpath_protocol::{ClosingStage, Life};

use crate::genesis::COIN;
use crate::plan::{MINUTE_MS, Plan};
use crate::rng::Rng;
use crate::tally::Work;
use crate::violation::{Violation, must};
use crate::world::{What, World};

/// How long a caller waits before it asks again.
const AGAIN_MS: u64 = 1_500;

/// Where an answer comes.
type Waiting<T> = oneshot::Receiver<Result<T, CallError>>;

/// What a payer was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// It is settled, under this number.
    Settled(u64),
    /// It was not made, and never will be.
    Failed,
}

/// A payment that somebody wants.
pub struct Payment {
    /// Through which channel.
    pub channel: ChannelId,
    /// Who pays.
    pub payer: usize,
    /// Who is paid.
    pub payee: usize,
    /// How much.
    pub amount: u64,
    /// What the payer was told.
    pub told: Told,
    word: String,
    answer: Option<Waiting<Paid>>,
    again_ms: u64,
}

/// A channel that somebody wants, or that there is.
pub struct Slot {
    /// Who opens it.
    pub opener: usize,
    /// The other party.
    pub acceptor: usize,
    /// Where it stands.
    pub stage: Stage,
    openings: u64,
}

/// Where a slot stands.
pub enum Stage {
    /// There is no channel.
    Empty,
    /// It is being opened.
    Opening {
        /// The caller's word.
        word: String,
        /// What both bring.
        amounts: (u64, u64),
        /// The answer.
        answer: Option<Waiting<Opened>>,
    },
    /// There is one.
    Open(ChannelId),
}

/// See the module.
pub struct Callers {
    /// Channels.
    pub slots: Vec<Slot>,
    /// Payments, all of them.
    pub payments: Vec<Payment>,
    /// Of each node, the payments of which it has not been told the end.
    open: BTreeMap<usize, Vec<usize>>,
    /// Every channel that somebody was told is agreed on: opener, acceptor.
    pub channels: BTreeMap<ChannelId, (usize, usize)>,
    /// Whether channels are closed in the end.
    closes_all: bool,
}

impl Callers {
    /// Callers that want channels between most pairs.
    #[must_use]
    pub fn new(plan: &Plan, rng: &mut Rng) -> Self {
        let mut slots = Vec::new();
        for one in 0..plan.nodes {
            for other in one + 1..plan.nodes {
                let (opener, acceptor) = if rng.chance(500) { (one, other) } else { (other, one) };
                if slots.is_empty() || rng.chance(700) || other == plan.nodes - 1 {
                    slots.push(Slot { opener, acceptor, stage: Stage::Empty, openings: 0 });
                }
            }
        }
        let (payments, open, channels) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { slots, payments, open, channels, closes_all: rng.chance(500) }
    }

    /// A node is gone, and whoever waited for it hears nothing.
    pub fn forget_answers(&mut self, node: usize) {
        for index in self.open.get(&node).into_iter().flatten() {
            self.payments[*index].answer = None;
        }
        for slot in self.slots.iter_mut().filter(|slot| slot.opener == node) {
            if let Stage::Opening { answer, .. } = &mut slot.stage {
                *answer = None;
            }
        }
    }

    /// Who still waits for an answer, in words; but for nodes that never come back.
    pub fn waits(&self, is_gone: impl Fn(usize) -> bool) -> Option<String> {
        let mut paying = self.open.iter().filter(|(node, open)| !open.is_empty() && !is_gone(**node));
        if let Some((node, open)) = paying.next() {
            let payment = open.first().and_then(|index| self.payments.get(*index));
            let channel = payment.map_or_else(String::new, |payment| payment.channel.to_string());
            return Some(format!(
                "node {node} has not said what became of {} payments, as in {channel}",
                open.len()
            ));
        }
        let opens = |slot: &&Slot| matches!(&slot.stage, Stage::Opening { answer: Some(_), .. });
        let slot = self.slots.iter().find(opens)?;
        Some(format!("node {} has not said whether it has a channel with {}", slot.opener, slot.acceptor))
    }
}

impl World {
    /// Somebody wants something.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn work(&mut self) -> Result<(), Violation> {
        if self.is_calm {
            return Ok(());
        }
        let gap = self.rng.gap(self.plan.work_gap_ms);
        self.after(gap, What::Work);
        let slot = self.rng.index(self.callers.slots.len());
        let Slot { opener, acceptor, stage, .. } = &self.callers.slots[slot];
        let (opener, acceptor) = (*opener, *acceptor);
        match stage {
            Stage::Empty => self.want_channel(slot),
            Stage::Opening { .. } => self.ask_to_open(slot),
            Stage::Open(channel) => {
                let channel = *channel;
                if matches!(self.life_of(opener, &channel), Some(Life::Settled(_))) {
                    self.callers.slots[slot].stage = Stage::Empty;
                    return Ok(());
                }
                if self.rng.chance(self.plan.churn) {
                    let forth = self.rng.chance(500);
                    let (node, peer) = if forth { (opener, acceptor) } else { (acceptor, opener) };
                    let (alone, peer) = (self.rng.chance(300), self.stations[peer].id);
                    return self.ask_to_close((node, peer), channel, alone);
                }
                if self.life_of(opener, &channel) != Some(Life::Active) && !self.rng.chance(100) {
                    return Ok(());
                }
                let forth = self.rng.chance(600);
                let (payer, payee) = if forth { (opener, acceptor) } else { (acceptor, opener) };
                let count = if self.rng.chance(120) { self.rng.between(2, 24) } else { 1 };
                for _ in 0..count {
                    self.want_payment(channel, payer, payee);
                }
                self.step_if_up(payer)
            }
        }
    }

    fn step_if_up(&mut self, node: usize) -> Result<(), Violation> {
        if self.stations[node].process.is_some() { self.step(node) } else { Ok(()) }
    }

    fn want_channel(&mut self, slot: usize) -> Result<(), Violation> {
        let amount = self.rng.between(200_000, COIN / 2);
        let peer_amount =
            if self.plan.dual && self.rng.chance(500) { self.rng.between(50_000, 400_000) } else { 0 };
        let wanted = &mut self.callers.slots[slot];
        wanted.openings += 1;
        let word = format!("open {slot} {}", wanted.openings);
        wanted.stage = Stage::Opening { word, amounts: (amount, peer_amount), answer: None };
        self.ask_to_open(slot)
    }

    /// The opener's node is asked, unless an answer is still to come.
    fn ask_to_open(&mut self, slot: usize) -> Result<(), Violation> {
        let wanted = &self.callers.slots[slot];
        let (node, peer) = (wanted.opener, self.stations[wanted.acceptor].id);
        let Stage::Opening { word, amounts, answer: None } = &wanted.stage else { return Ok(()) };
        let (word, amounts) = (word.clone(), *amounts);
        let station = &self.stations[node];
        let Some(process) = station.process.as_ref() else { return Ok(()) };
        let content = content_of("open", &(peer, amounts));
        let clock_ms = station.moment(self.now_ms).clock_ms;
        let parts = process.parts().clone();
        let claim = match parts.idempotency.claim(Key::of(&word), content, clock_ms) {
            Ok(claim) => claim,
            Err(Claimed::Before(Outcome::Opening { channel })) => {
                self.opened(slot, channel);
                return Ok(());
            }
            Err(Claimed::UnderWay | Claimed::Full) => return Ok(()),
            Err(other) => {
                return Err(Violation::new(
                    "a key names one call",
                    format!("node {node}: {word}: {other:?}"),
                ));
            }
        };
        let window_ms = self.plan.window_ms;
        let (sender, receiver) = oneshot::channel();
        self.runtime.spawn(async move {
            let opened = open(parts, peer, amounts, window_ms, claim).await;
            // Who asked may have gone.
            let _ = sender.send(opened);
        });
        if let Stage::Opening { answer, .. } = &mut self.callers.slots[slot].stage {
            *answer = Some(receiver);
        }
        self.step(node)
    }

    fn opened(&mut self, slot: usize, channel: ChannelId) {
        let wanted = &mut self.callers.slots[slot];
        wanted.stage = Stage::Open(channel);
        self.callers.channels.insert(channel, (wanted.opener, wanted.acceptor));
        self.tally.work(Work::Opened);
    }

    fn want_payment(&mut self, channel: ChannelId, payer: usize, payee: usize) {
        let amount =
            if self.rng.chance(30) { self.rng.between(1, COIN) } else { self.rng.between(1, 20_000) };
        let index = self.callers.payments.len();
        let word = format!("pay {index}");
        let (told, answer) = (Told::Nothing, None);
        let payment = Payment { channel, payer, payee, amount, told, word, answer, again_ms: 0 };
        self.callers.payments.push(payment);
        self.callers.open.entry(payer).or_default().push(index);
        self.tally.work(Work::Asked);
        self.ask_to_pay(index);
    }

    /// The payer's node is asked, for the first time or again.
    fn ask_to_pay(&mut self, index: usize) {
        let payment = &mut self.callers.payments[index];
        payment.again_ms = self.now_ms + AGAIN_MS;
        let station = &self.stations[payment.payer];
        let Some(process) = station.process.as_ref() else { return };
        let peer = self.stations[payment.payee].id;
        let (channel, amount) = (payment.channel, Amount(payment.amount));
        let key = Key::of(&payment.word);
        let content = content_of("pay", &(channel, amount));
        let clock_ms = station.moment(self.now_ms).clock_ms;
        let parts = process.parts();
        let (reply, receiver) = oneshot::channel();
        let call = match parts.idempotency.claim(key, content, clock_ms) {
            Ok(claim) => {
                let request =
                    PayRequest { channel, amount, memo: None, claim: Some(claim), wait: Wait::Settled };
                Call::Pay { request, reply }
            }
            Err(Claimed::Before(Outcome::Payment(_))) => {
                self.tally.work(Work::Repeated);
                Call::PaidBefore { channel, key, wait: Wait::Settled, reply }
            }
            Err(_) => return,
        };
        if parts.workers.offer(&peer, Input::Call(Box::new(call))).is_ok() {
            payment.answer = Some(receiver);
        }
    }

    /// A node is asked to close a channel.
    fn ask_to_close(
        &mut self,
        (node, peer): (usize, PublicKey),
        channel: ChannelId,
        alone: bool,
    ) -> Result<(), Violation> {
        let Some(process) = self.stations[node].process.as_ref() else { return Ok(()) };
        // What becomes of it is seen on the ledger.
        let (reply, _unheard) = oneshot::channel();
        let call = if alone {
            Call::ForceClose { channel, risk: Risk::None, reply }
        } else {
            Call::Close { channel, force_after_ms: Some(5 * MINUTE_MS), reply }
        };
        let _ = process.parts().workers.offer(&peer, Input::Call(Box::new(call)));
        self.step(node)
    }

    /// Takes the answers that a node gave, and asks again where none came.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn hear_answers(&mut self, node: usize) -> Result<(), Violation> {
        self.hear_openings(node);
        let Some(open) = self.callers.open.get_mut(&node) else { return Ok(()) };
        let mut still = std::mem::take(open);
        let mut heard = Ok(());
        still.retain(|index| {
            if heard.is_err() {
                return true;
            }
            match self.hear_payment(*index) {
                Ok(is_open) => is_open,
                Err(violation) => {
                    heard = Err(violation);
                    true
                }
            }
        });
        self.callers.open.insert(node, still);
        heard
    }

    /// Whether the payer still waits.
    fn hear_payment(&mut self, index: usize) -> Result<bool, Violation> {
        let payment = &mut self.callers.payments[index];
        let answer = match payment.answer.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(answer)) => Some(answer),
            Some(Err(oneshot::error::TryRecvError::Empty)) => return Ok(true),
            Some(Err(oneshot::error::TryRecvError::Closed)) | None => None,
        };
        payment.answer = None;
        let told = match answer {
            Some(Ok(paid)) => {
                let (amount, wanted) = (paid.amount.units(), payment.amount);
                must(amount == wanted && paid.is_settled, "I7 what is told holds", || {
                    format!("payment {index} of {wanted}: told {paid:?}")
                })?;
                Told::Settled(paid.number)
            }
            Some(Err(CallError::Busy | CallError::Unknown | CallError::Recovering)) | None => {
                if self.now_ms >= payment.again_ms {
                    self.ask_to_pay(index);
                }
                return Ok(true);
            }
            Some(Err(_)) => Told::Failed,
        };
        payment.told = told;
        let (payer, settled) = (payment.payer, matches!(told, Told::Settled(_)));
        self.tally.work(if settled { Work::Settled } else { Work::Failed });
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        self.trace.step(
            "told",
            self.now_ms,
            payer,
            &[index.to_le_bytes(), u64::from(settled).to_le_bytes()].concat(),
        );
        Ok(false)
    }

    fn hear_openings(&mut self, node: usize) {
        for slot in 0..self.callers.slots.len() {
            let wanted = &mut self.callers.slots[slot];
            let Stage::Opening { answer: Some(answer), .. } = &mut wanted.stage else { continue };
            if wanted.opener != node {
                continue;
            }
            match answer.try_recv() {
                Ok(Ok(opened)) => self.opened(slot, opened.channel),
                Ok(Err(_)) => wanted.stage = Stage::Empty,
                Err(oneshot::error::TryRecvError::Empty) => {}
                Err(oneshot::error::TryRecvError::Closed) => {
                    if let Stage::Opening { answer, .. } = &mut wanted.stage {
                        *answer = None;
                    }
                }
            }
        }
    }

    /// Channels that are over make room for new ones; after the faults, what cannot go on is closed, and in half of the
    /// worlds everything is.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn wind_up(&mut self) -> Result<(), Violation> {
        let rogue = self.plan.rogue();
        for node in (0..self.stations.len()).filter(|node| rogue != Some(*node)).collect::<Vec<_>>() {
            let Some(process) = self.stations[node].process.as_ref() else { continue };
            let channels = process.workers().channels();
            let channels: Vec<_> = channels.map(|it| (it.id(), *it.peer(), it.life())).collect();
            for (channel, peer, life) in channels {
                let with_rogue = self.place_of(&peer) == rogue && rogue.is_some();
                // A rogue may ask to close together, and then say no more.
                let waits = life == Life::Closing(ClosingStage::Draining) && with_rogue;
                if waits || life == Life::Active && (with_rogue || self.callers.closes_all) {
                    self.ask_to_close((node, peer), channel, with_rogue)?;
                }
            }
        }
        for node in 0..self.stations.len() {
            if self.stations[node].process.is_some() {
                self.step(node)?;
            }
        }
        Ok(())
    }

    /// Where a channel stands for a node.
    #[must_use]
    pub fn life_of(&self, node: usize, channel: &ChannelId) -> Option<Life> {
        let process = self.stations[node].process.as_ref()?;
        process.workers().channel(channel).map(towpath_protocol::Channel::life)
    }
}

/// What a node's API does for a caller that wants a channel: coins are set aside, then the peer is asked.
///
/// # Errors
/// Why there is none.
pub async fn open(
    parts: towpath_node::worker::Parts,
    peer: PublicKey,
    (amount, peer_amount): (u64, u64),
    window_ms: u64,
    claim: Claim,
) -> Result<Opened, CallError> {
    let deadline = parts.chain.tip().header().time.plus_ms(5 * MINUTE_MS);
    let purpose = Purpose { amount: Amount(amount), inputs_max: 16, until: deadline };
    let asked = parts.ledger.ask(|reply| LedgerInput::Funds(FundsCall::Reserve { purpose, reply })).await;
    let coins = asked.map_err(|_busy| CallError::Busy)??;
    let first_input = coins.first_input();
    let request = OpenRequest {
        peer,
        amount: Amount(amount),
        peer_amount: Amount(peer_amount),
        dispute_window_ms: Some(window_ms),
        reserve: Amount::ZERO,
        coins,
        deadline,
        expiry: None,
        claim: Some(claim),
    };
    let opened = parts.workers.ask(&peer, |reply| Call::Open { request, reply }).await;
    match opened {
        Ok(opened) => opened,
        Err(_busy) => {
            if let Some(first_input) = first_input {
                let _ = parts.ledger.offer(LedgerInput::Funds(FundsCall::Release { first_input }));
            }
            Err(CallError::Busy)
        }
    }
}
