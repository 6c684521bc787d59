//! Resizes: how a party plans one, what an adversary says about one and makes of what an honest party signed for it, and
//! the transaction in which it becomes final. What a wallet has in the channel is counted by who brought it: a party's
//! balance, less what it added, and with what it was paid out, is what its payments made of its first balance.

use std::collections::BTreeMap;

use towpath_crypto::codec;
use towpath_crypto::ed25519::Signature;
use towpath_ledger::{
    Amount, AssetId, ChannelState, ChannelTerms, Digest, Entry, Lock, OutPoint, Output, Party as Seat,
    ResizeIntent, Spend, Time, Transaction, TxBody, TxId, Witness,
};
use towpath_protocol::{
    Change, ChannelMessage, Content, FundingInput, Refuse, RefuseReason, Refused, Resize, ResizeAgreed,
    ResizePlan, WalletWitness,
};

use super::intern::name_of;
use super::ledger::{Ledger, Place};
use super::party::Party;
use super::setup;
use super::store::{Store, complete};
use super::violation::{Kind, Violation, must};

/// So much later is the ledger's time each time that it passes the expiry of what was offered.
const PASS_MS: u64 = 500;
/// So long is a resize valid.
const VALID_MS: u64 = 400;
/// So many resizes of one party are paid for: one in each generation.
const COINS: u32 = 2;

/// A resize as both know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Resized {
    pub by: Seat,
    pub plan: ResizePlan,
    pub body: TxBody,
    /// What the transaction spends.
    pub spent: Vec<Output>,
}

impl Resized {
    /// What the channel holds after it.
    pub fn capacity(&self) -> Amount {
        self.body.outputs.first().map_or(Amount::ZERO, |channel| channel.amount)
    }

    pub fn intent(&self, content: &ChannelState) -> ResizeIntent {
        ResizeIntent { transaction: self.body.id(), channel: content.channel }
    }
}

/// A resize that an adversary proposed and an honest party signed: it can become final whenever the adversary likes.
pub struct Intent {
    pub seat: usize,
    pub resized: Resized,
    pub channel: ChannelState,
    pub signature: Signature,
}

/// What a change makes of what a party brought into the channel.
pub fn brought(before: i128, change: Change) -> i128 {
    match change {
        Change::Add(amount) => before + i128::from(amount.units()),
        Change::PayOut(amount) => before - i128::from(amount.units()),
    }
}

fn wallet(output: Amount, seat: usize) -> Output {
    Output { asset: AssetId::NATIVE, amount: output, lock: Lock::Wallet(setup::wallet(seat)) }
}

fn coin(seat: usize, generation: u32) -> OutPoint {
    OutPoint { tx: TxId(Digest([if seat == 0 { 0x60 } else { 0x61 }; 32])), index: generation }
}

/// What lies in both wallets for a change: a coin for each resize.
pub fn coins(changes: &[Change]) -> BTreeMap<OutPoint, Entry> {
    let mut coins = BTreeMap::new();
    for change in changes {
        let Change::Add(amount) = change else { continue };
        for (seat, generation) in (0..2).flat_map(|seat| (0..COINS).map(move |number| (seat, number))) {
            let entry = Entry { output: wallet(*amount, seat), height: 1, time: setup::START };
            coins.insert(coin(seat, generation), entry);
        }
    }
    coins
}

/// The plan of a party, made when its replica shows this time. There is one for each.
fn plan(seat: usize, change: Change, generation: u32, expiry: Time) -> ResizePlan {
    let (inputs, outputs) = match change {
        Change::Add(amount) => {
            let input = FundingInput { outpoint: coin(seat, generation), output: wallet(amount, seat) };
            (vec![input], Vec::new())
        }
        Change::PayOut(amount) => (Vec::new(), vec![wallet(amount, seat)]),
    };
    ResizePlan { change, inputs, outputs, expiry }
}

/// The plan that a party makes now.
pub fn plan_of(party: &Party, seat: usize, change: Change) -> ResizePlan {
    let generation = party.channel.terms().generation;
    plan(seat, change, generation, party.clock.plus_ms(VALID_MS))
}

/// The first content of the next generation, and the transaction that leads there, as both make them.
fn made(party: &Party, by: Seat, version: u64, plan: &ResizePlan) -> Option<(Content, Resized)> {
    let mut content = party.channel.held().content.clone();
    let state = &mut content.state;
    let balance = match by {
        Seat::A => &mut state.balance_a,
        Seat::B => &mut state.balance_b,
    };
    *balance = plan.change.of(*balance)?;
    state.version = version;
    state.generation += 1;
    let terms = ChannelTerms { generation: state.generation, ..party.channel.terms().clone() };
    let channel =
        Output { asset: AssetId::NATIVE, amount: state.total()?, lock: Lock::Channel(Box::new(terms)) };
    let inputs = plan.inputs.iter().map(|input| input.outpoint);
    let before = Output {
        asset: AssetId::NATIVE,
        amount: party.channel.capacity(),
        lock: Lock::Channel(Box::new(party.channel.terms().clone())),
    };
    let spent = std::iter::once(before).chain(plan.inputs.iter().map(|input| input.output.clone())).collect();
    let body = TxBody {
        chain: setup::chain(),
        inputs: party.channel.funding().into_iter().chain(inputs).collect(),
        outputs: std::iter::once(channel).chain(plan.outputs.iter().cloned()).collect(),
        not_before: None,
        expiry: Some(plan.expiry),
        payload: None,
    };
    Some((content, Resized { by, plan: plan.clone(), body, spent }))
}

/// A wallet signs its inputs of a transaction.
pub fn sign_wallet(seat: usize, body: &TxBody, spent: &[Output], inputs: usize) -> Vec<WalletWitness> {
    let spend = Spend { transaction: body.id(), spent: spent.to_vec() };
    let key = setup::wallet_secret(seat);
    let signature = key.sign(&setup::chain(), &spend);
    (0..inputs).map(|_| vec![(key.public(), signature)]).collect()
}

impl Store {
    /// As the sequencer, the adversary offers to resize, in each way that the search knows, on the newest state that both hold.
    pub fn offer_resizes(&self, party: &Party) -> Vec<ChannelMessage> {
        let seat = 1 - party.seat;
        let (held, terms) = (party.channel.held(), party.channel.terms());
        let signed = party.claims.last_key_value().map_or(0, |(version, _)| *version);
        let version = held.version().max(signed) + 1;
        let may = self.config.budget.resizes[seat] > 0 && version <= self.config.versions_max;
        if !may || terms.generation >= COINS {
            return Vec::new();
        }
        let offers = self.config.changes.iter().filter_map(|change| {
            let plan = plan_of(party, seat, *change);
            let (content, _) = made(party, setup::party(seat), version, &plan)?;
            let signature = complete(self.keys[seat].as_ref(), &content, 0);
            let base = held.version();
            Some(ChannelMessage::Resize(Box::new(Resize { base, version, plan, signature })))
        });
        offers.collect()
    }

    /// As the follower, the adversary agrees to a resize, or refuses it: the one under way, or one that has expired.
    pub fn answer_resizes(&self, party: &Party) -> Vec<ChannelMessage> {
        let next = party.channel.terms().generation + 1;
        let keys = self.keys[1 - party.seat].as_ref();
        let mut messages = Vec::new();
        for number in party.claims.values() {
            let claim = self.claims.get(*number);
            let Some(resized) = claim.resized.as_ref().filter(|_| claim.content.state.generation == next)
            else {
                continue;
            };
            let version = claim.version();
            let signature = complete(keys, &claim.content, version);
            let intent = keys.sign_resize(&setup::chain(), &resized.intent(&claim.content.state));
            messages.push(ChannelMessage::ResizeAgreed(ResizeAgreed { version, signature, intent }));
            let what = Refused::Resize { version };
            messages.push(ChannelMessage::Refuse(Refuse { what, reason: RefuseReason::Unwanted }));
        }
        messages
    }

    /// An honest party offers a resize: its signature on the first state of the next generation leaves it.
    pub fn release_offer(&mut self, party: &mut Party, offer: &Resize) -> Result<(), Violation> {
        let by = setup::party(party.seat);
        let made = made(party, by, offer.version, &offer.plan);
        let (content, resized) = made.ok_or_else(|| machine("an offer that cannot be"))?;
        self.release_resized(party, content, offer.signature, resized)
    }

    /// An honest party agrees to a resize: its signatures on the first state of the next generation and on the transaction
    /// leave it.
    pub fn release_agreed(&mut self, party: &mut Party, agreed: &ResizeAgreed) -> Result<(), Violation> {
        let under_way = party.channel.resizing().ok_or_else(|| machine("nothing was agreed to"))?;
        let (by, generation) = (under_way.by, party.channel.terms().generation);
        let plan = plan(setup::index(by), under_way.change, generation, under_way.expiry);
        let made = made(party, by, agreed.version, &plan);
        let (content, resized) = made.ok_or_else(|| machine("an agreement to what cannot be"))?;
        must(resized.body.id() == under_way.transaction, Kind::Machine, || {
            "a resize that nobody asked for".into()
        })?;
        let (seat, channel, signature) = (party.seat, content.state.clone(), agreed.intent);
        let intent = Intent { seat, resized: resized.clone(), channel, signature };
        let name = name_of(&(seat, codec::encode(&resized.body), codec::encode(&intent.channel)));
        party.intents.insert(self.intents.intern(name, || intent));
        self.release_resized(party, content, agreed.signature, resized)
    }

    /// The transaction of a resize that the adversary proposed.
    pub fn complete_resize(&self, number: u32) -> Transaction {
        let intent = self.intents.get(number);
        let Resized { plan, body, spent, .. } = &intent.resized;
        let adversary = 1 - intent.seat;
        let own = self.keys[adversary].sign_resize(&setup::chain(), &intent.resized.intent(&intent.channel));
        let (a, b) = if adversary == 0 { (own, intent.signature) } else { (intent.signature, own) };
        let wallet = sign_wallet(adversary, body, spent, plan.inputs.len());
        let wallet = wallet.into_iter().map(Witness::Wallet);
        let witnesses = std::iter::once(Witness::Resize { a, b }).chain(wallet).collect();
        Transaction { body: body.clone(), witnesses }
    }

    /// The ledger after a resize; none if the rules refuse it.
    pub fn spend_resize(&self, from: u32, transaction: &Transaction) -> Result<Option<Ledger>, Violation> {
        let ledger = self.ledgers.get(from);
        let Place::Open { entry: before, .. } = &ledger.place else { return Ok(None) };
        let Some(changes) = self.judge(ledger, transaction, ledger.clock) else { return Ok(None) };
        let mut next = ledger.clone();
        next.record(transaction, &changes)?;
        let goes_on = changes.created.iter().find(|(_, entry)| matches!(entry.output.lock, Lock::Channel(_)));
        let (outpoint, entry) = goes_on.cloned().ok_or_else(|| machine("a resize without a channel"))?;
        // Whose wallet signed is who proposed; who is paid out is named by the output.
        let by = transaction.body.inputs.get(1).map_or_else(
            || usize::from(transaction.body.outputs.get(1).is_some_and(|out| *out == wallet(out.amount, 1))),
            |input| usize::from(input.tx == coin(1, 0).tx),
        );
        let grown = i128::from(entry.output.amount.units()) - i128::from(before.output.amount.units());
        next.brought[by] += grown;
        next.place = Place::Open { outpoint, entry };
        Ok(Some(next))
    }

    /// The ledger's time passes the expiry of every resize that was planned until now.
    pub fn pass_expiry(&self, from: u32) -> Option<Ledger> {
        let mut ledger = self.ledgers.get(from).clone();
        match ledger.place {
            Place::Open { .. } => {
                ledger.clock = ledger.clock.plus_ms(PASS_MS);
                Some(ledger)
            }
            Place::Closing(_) | Place::Settled(_) => None,
        }
    }
}

fn machine(what: &str) -> Violation {
    Violation::new(Kind::Machine, what)
}
