//! Callers: they want channels, payments and closes, under keys of their own, and ask again under the same key when a crash
//! took the answer. What they are told is what the auditor holds the nodes to.

use std::collections::BTreeMap;

use tokio::sync::oneshot;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, ChannelId};
use towpath_node::clock;
use towpath_node::idempotency::{Claim, Claimed, Key, Outcome, content_of};
use towpath_node::stepped::Networked;
use towpath_node::worker::{Call, CallError, Input, Opened, Paid, PayRequest, Risk, Wait};
use towpath_protocol::Life;
use towpath_sim::audit::Told;
use towpath_sim::genesis::COIN;
use towpath_sim::rng::Rng;
use towpath_sim::violation::{Violation, must};

use crate::diary;
use crate::machine::Machine;
use crate::plan::Plan;

/// How long a caller waits before it asks again.
const AGAIN_MS: u64 = 1_500;

/// The dispute window of all channels: the shortest that the ledger allows.
pub const WINDOW_MS: u64 = 9 * 60_000;

type Waiting<T> = oneshot::Receiver<Result<T, CallError>>;

/// What a payer was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Nothing,
    Settled,
    /// It was not made, and never will be.
    Failed,
}

struct Payment {
    channel: ChannelId,
    payer: usize,
    payee: usize,
    amount: u64,
    told: Answer,
    word: String,
    answer: Option<Waiting<Paid>>,
    again_ms: u64,
}

/// A channel that somebody wants, or that there is.
struct Slot {
    opener: usize,
    acceptor: usize,
    stage: Stage,
    openings: u64,
}

enum Stage {
    Empty,
    Opening { word: String, amount: u64, answer: Option<Waiting<Opened>> },
    Open(ChannelId),
}

/// See the module.
pub struct Callers {
    slots: Vec<Slot>,
    payments: Vec<Payment>,
    /// Of each node, the payments of which nobody has been told the end.
    open: BTreeMap<usize, Vec<usize>>,
    /// Every channel that somebody was told is agreed on: opener, acceptor.
    pub channels: BTreeMap<ChannelId, (usize, usize)>,
    rng: Rng,
    burst: u64,
    churn: u64,
}

impl Callers {
    /// Callers that want channels between most pairs.
    pub fn new(plan: &Plan, mut rng: Rng) -> Self {
        let mut slots = Vec::new();
        for one in 0..plan.nodes {
            for other in one + 1..plan.nodes {
                let (opener, acceptor) = if rng.chance(500) { (one, other) } else { (other, one) };
                if slots.is_empty() || rng.chance(600) {
                    slots.push(Slot { opener, acceptor, stage: Stage::Empty, openings: 0 });
                }
            }
        }
        let (payments, open, channels) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Self { slots, payments, open, channels, rng, burst: plan.burst, churn: plan.churn }
    }

    /// Somebody wants something.
    pub fn work(&mut self, machines: &[std::rc::Rc<Machine>], now_ms: u64) {
        let slot = self.rng.index(self.slots.len());
        let Slot { opener, acceptor, stage, .. } = &self.slots[slot];
        let (opener, acceptor) = (*opener, *acceptor);
        let Stage::Open(channel) = stage else {
            if matches!(stage, Stage::Empty) {
                let amount = self.rng.between(200_000, COIN / 2);
                let wanted = &mut self.slots[slot];
                wanted.openings += 1;
                let word = format!("open {slot} {}", wanted.openings);
                wanted.stage = Stage::Opening { word, amount, answer: None };
            }
            return self.ask_to_open(slot, machines);
        };
        let channel = *channel;
        let life = life_of(&machines[opener], &channel);
        if matches!(life, Some(Life::Settled(_))) {
            self.slots[slot].stage = Stage::Empty;
            return;
        }
        if self.rng.chance(self.churn) {
            let closer = if self.rng.chance(500) { (opener, acceptor) } else { (acceptor, opener) };
            return ask_to_close(&machines[closer.0], &machines[closer.1], channel, Close::Together);
        }
        if life != Some(Life::Active) && !self.rng.chance(100) {
            return;
        }
        let (payer, payee) = if self.rng.chance(600) { (opener, acceptor) } else { (acceptor, opener) };
        for _ in 0..self.rng.between(1, self.burst) {
            let index = self.payments.len();
            let (amount, word) = (self.rng.between(1, 3_000), format!("pay {index}"));
            let (told, answer) = (Answer::Nothing, None);
            self.payments.push(Payment { channel, payer, payee, amount, told, word, answer, again_ms: 0 });
            self.open.entry(payer).or_default().push(index);
            diary::count("payments asked for");
            self.ask_to_pay(index, machines, now_ms);
        }
    }

    /// The opener's node is asked, unless an answer is still to come.
    fn ask_to_open(&mut self, slot: usize, machines: &[std::rc::Rc<Machine>]) {
        let wanted = &self.slots[slot];
        let (machine, peer) = (&machines[wanted.opener], machines[wanted.acceptor].id);
        let Stage::Opening { word, amount, answer: None } = &wanted.stage else { return };
        let (word, amount) = (word.clone(), *amount);
        let process = machine.process.borrow();
        let Some(process) = process.as_ref() else { return };
        let parts = process.parts().clone();
        let content = content_of("open", &(peer, amount));
        let claim: Claim = match parts.idempotency.claim(Key::of(&word), content, clock::now_ms()) {
            Ok(claim) => claim,
            Err(Claimed::Before(Outcome::Opening { channel })) => return self.opened(slot, channel),
            Err(_) => return,
        };
        let (sender, receiver) = oneshot::channel();
        machine.is_touched.set(true);
        parts.runtime.clone().spawn(async move {
            // A peer that cannot be wanted cannot be asked either, which is told by the opening.
            let _ = parts.net.want(peer, Vec::new()).await;
            // Who asked may have gone.
            let _ = sender.send(towpath_sim::open(parts, peer, (amount, 0), WINDOW_MS, claim).await);
        });
        if let Stage::Opening { answer, .. } = &mut self.slots[slot].stage {
            *answer = Some(receiver);
        }
    }

    fn opened(&mut self, slot: usize, channel: ChannelId) {
        let wanted = &mut self.slots[slot];
        wanted.stage = Stage::Open(channel);
        self.channels.insert(channel, (wanted.opener, wanted.acceptor));
        diary::count("channels opened");
        diary::note("opened", wanted.opener, &channel.0.0);
    }

    /// The payer's node is asked, for the first time or again.
    fn ask_to_pay(&mut self, index: usize, machines: &[std::rc::Rc<Machine>], now_ms: u64) {
        let payment = &mut self.payments[index];
        payment.again_ms = now_ms + AGAIN_MS;
        let machine = &machines[payment.payer];
        let process = machine.process.borrow();
        let Some(process) = process.as_ref() else { return };
        let (peer, channel, amount) = (machines[payment.payee].id, payment.channel, Amount(payment.amount));
        let key = Key::of(&payment.word);
        let parts = process.parts();
        let (reply, receiver) = oneshot::channel();
        let content = content_of("pay", &(channel, amount));
        let call = match parts.idempotency.claim(key, content, clock::now_ms()) {
            Ok(claim) => {
                let request =
                    PayRequest { channel, amount, memo: None, claim: Some(claim), wait: Wait::Settled };
                Call::Pay { request, reply }
            }
            Err(Claimed::Before(Outcome::Payment(_))) => {
                diary::count("calls repeated after a crash");
                Call::PaidBefore { channel, key, wait: Wait::Settled, reply }
            }
            Err(_) => return,
        };
        if parts.workers.offer(&peer, Input::Call(Box::new(call))).is_ok() {
            payment.answer = Some(receiver);
            machine.is_touched.set(true);
        }
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

    /// Takes the answers that a node gave, and asks again where none came.
    ///
    /// # Errors
    /// What must hold, and does not.
    pub fn hear(
        &mut self,
        node: usize,
        machines: &[std::rc::Rc<Machine>],
        now_ms: u64,
    ) -> Result<(), Violation> {
        for slot in 0..self.slots.len() {
            let wanted = &mut self.slots[slot];
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
        let mut still = Vec::new();
        for index in self.open.remove(&node).unwrap_or_default() {
            if self.hear_payment(index, machines, now_ms)? {
                still.push(index);
            }
        }
        self.open.insert(node, still);
        Ok(())
    }

    /// Whether the payer still waits.
    fn hear_payment(
        &mut self,
        index: usize,
        machines: &[std::rc::Rc<Machine>],
        now_ms: u64,
    ) -> Result<bool, Violation> {
        let payment = &mut self.payments[index];
        let answer = match payment.answer.as_mut().map(oneshot::Receiver::try_recv) {
            Some(Ok(answer)) => Some(answer),
            Some(Err(oneshot::error::TryRecvError::Empty)) => return Ok(true),
            Some(Err(oneshot::error::TryRecvError::Closed)) | None => None,
        };
        payment.answer = None;
        payment.told = match answer {
            Some(Ok(paid)) => {
                must(
                    paid.amount.units() == payment.amount && paid.is_settled,
                    "I7 what is told holds",
                    || format!("payment {index} of {}: told {paid:?}", payment.amount),
                )?;
                Answer::Settled
            }
            Some(Err(CallError::Busy | CallError::Unknown | CallError::Recovering)) | None => {
                if now_ms >= payment.again_ms {
                    self.ask_to_pay(index, machines, now_ms);
                }
                return Ok(true);
            }
            Some(Err(_)) => Answer::Failed,
        };
        let settled = payment.told == Answer::Settled;
        diary::count(if settled { "payments settled" } else { "payments refused or failed" });
        let number = u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes();
        diary::note(if settled { "settled" } else { "failed" }, payment.payer, &number);
        Ok(false)
    }

    /// After the faults: openings that nobody has an answer to are asked for once more, and channels are closed if they are
    /// to be; those as well of which the opener was told that there are none. Those with a party that has gone are closed alone.
    pub fn wind_up(&mut self, machines: &[std::rc::Rc<Machine>], closes_all: bool, gone: Option<usize>) {
        for slot in 0..self.slots.len() {
            if matches!(self.slots[slot].stage, Stage::Opening { .. }) {
                self.ask_to_open(slot, machines);
            }
        }
        for machine in machines {
            for (channel, peer) in active(machine) {
                let Some(peer) = machines.iter().find(|other| other.id == peer) else { continue };
                if gone == Some(peer.place) && peer.process.borrow().is_none() {
                    ask_to_close(machine, peer, channel, Close::Alone);
                } else if closes_all {
                    ask_to_close(machine, peer, channel, Close::Together);
                }
            }
        }
    }

    /// Whether nobody waits for anything.
    pub fn is_idle(&self) -> bool {
        self.open.values().all(Vec::is_empty)
            && self.slots.iter().all(|slot| !matches!(slot.stage, Stage::Opening { .. }))
    }

    /// What both sides of a channel were told, from the view of `node`.
    pub fn told(&self, channel: &ChannelId, node: usize) -> Told {
        let settled = self.payments.iter().filter(|it| it.channel == *channel && it.told == Answer::Settled);
        let (own, theirs): (Vec<_>, Vec<_>) = settled.partition(|it| it.payer == node);
        let sum = |payments: Vec<&Payment>| payments.iter().map(|it| it.amount).sum();
        Told { sent: sum(own), received: Some(sum(theirs)) }
    }
}

/// A node's channels that payments go through, and with whom they are.
fn active(machine: &Machine) -> Vec<(ChannelId, PublicKey)> {
    let process = machine.process.borrow();
    let channels = process.iter().flat_map(|process| process.workers().channels());
    let active = channels.filter(|channel| channel.life() == Life::Active);
    active.map(|channel| (channel.id(), *channel.peer())).collect()
}

/// Where a channel stands for a node.
fn life_of(machine: &Machine, channel: &ChannelId) -> Option<Life> {
    let process = machine.process.borrow();
    let channel = process.as_ref().and_then(|process: &Networked| process.workers().channel(channel))?;
    Some(channel.life())
}

/// How a channel is to be closed.
#[derive(Clone, Copy)]
enum Close {
    Together,
    Alone,
}

/// A node is asked to close a channel.
fn ask_to_close(machine: &Machine, peer: &Machine, channel: ChannelId, close: Close) {
    let process = machine.process.borrow();
    let Some(process) = process.as_ref() else { return };
    // What becomes of it is seen on the ledger.
    let (reply, _unheard) = oneshot::channel();
    let call = match close {
        Close::Together => Call::Close { channel, force_after_ms: None, reply },
        Close::Alone => Call::ForceClose { channel, risk: Risk::None, reply },
    };
    let _ = process.parts().workers.offer(&peer.id, Input::Call(Box::new(call)));
    machine.is_touched.set(true);
}
