//! Transactions out of a script: payments of every payload, openings, closes, disputes, settlements, resizes. Most are valid
//! where their inputs are; some are too early, pay too little or come too late, as the script has it.

use std::collections::BTreeMap;

use towpath_crypto::codec;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::hash::sha256;
use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::rules::Account;
use towpath_ledger::settle::{self, Agreed, Place, Posting};
use towpath_ledger::*;

use super::replica::Chain;
use crate::script::Script;

/// Wallets.
pub const WALLETS: u8 = 5;

/// Channels that are ever opened.
const CHANNELS_MAX: usize = 6;

/// Secrets that may be revealed.
const SECRETS: u8 = 8;

/// Fees: enough for anything, more, less than most need, nothing.
const FEES: [u64; 6] = [4_000, 4_000, 4_001, 30_000, 600, 0];

/// How far apart, in milliseconds, the times are that a script names.
const TICK_MS: u64 = 3_000;

pub fn wallet(number: u8) -> WalletSecret {
    WalletSecret::from_bytes([number % WALLETS + 1; 32]).expect("a scalar")
}

pub fn key_of(number: u8) -> Payout {
    Payout::Key(wallet(number).public())
}

fn preimage(number: u8) -> Secret {
    Secret::Preimage([number % SECRETS; 32])
}

/// Both keys of a channel.
struct Pair {
    id: ChannelId,
    a: SecretKey,
    b: SecretKey,
}

impl Pair {
    fn of(number: usize) -> (SecretKey, SecretKey) {
        let number = u8::try_from(number).expect("few");
        (SecretKey::from_bytes(&[100 + number; 32]), SecretKey::from_bytes(&[200 + number; 32]))
    }

    fn key(&self, party: Party) -> &SecretKey {
        match party {
            Party::A => &self.a,
            Party::B => &self.b,
        }
    }
}

/// Who makes transactions: the owner of every key.
#[derive(Default)]
pub struct Makers {
    pairs: Vec<Pair>,
}

/// What the maker of a transaction knows: outputs that are on the ledger, and some that may be.
pub struct Ground<'a> {
    pub chain: &'a Chain,
    pub outputs: BTreeMap<OutPoint, Entry>,
    /// When the ledger began, and its time now.
    pub start: Time,
    pub now: Time,
}

impl Ground<'_> {
    fn place(&self) -> Place<'_> {
        Place { chain: self.chain.id, params: &self.chain.params.rules, asset: AssetId::NATIVE }
    }

    /// One of the outputs that `is` takes.
    fn pick<T>(
        &self,
        script: &mut Script<'_>,
        is: impl Fn(&OutPoint, &Entry) -> Option<T>,
    ) -> Option<Option<T>> {
        let mut all: Vec<T> = self.outputs.iter().filter_map(|(point, entry)| is(point, entry)).collect();
        let at = script.below(all.len().min(256))?;
        Some((at < all.len()).then(|| all.swap_remove(at)))
    }

    fn coin(&self, script: &mut Script<'_>) -> Option<Option<(OutPoint, Entry)>> {
        self.pick(script, |point, entry| match entry.output.lock {
            Lock::Wallet(_) => Some((*point, entry.clone())),
            Lock::Channel(_) | Lock::Closing(_) | Lock::Conditional(_) => None,
        })
    }

    fn native_coin(&self, script: &mut Script<'_>) -> Option<Option<(OutPoint, Entry)>> {
        self.pick(script, |point, entry| match entry.output.lock {
            Lock::Wallet(_) if entry.output.asset == AssetId::NATIVE => Some((*point, entry.clone())),
            Lock::Wallet(_) | Lock::Channel(_) | Lock::Closing(_) | Lock::Conditional(_) => None,
        })
    }

    fn channel(&self, script: &mut Script<'_>) -> Option<Option<(OutPoint, Amount, ChannelTerms)>> {
        self.pick(script, |point, entry| match &entry.output.lock {
            Lock::Channel(terms) => Some((*point, entry.output.amount, terms.as_ref().clone())),
            Lock::Wallet(_) | Lock::Closing(_) | Lock::Conditional(_) => None,
        })
    }

    fn closing(&self, script: &mut Script<'_>) -> Option<Option<(OutPoint, Entry, Closing)>> {
        self.pick(script, |point, entry| match &entry.output.lock {
            Lock::Closing(closing) => Some((*point, entry.clone(), closing.as_ref().clone())),
            Lock::Wallet(_) | Lock::Channel(_) | Lock::Conditional(_) => None,
        })
    }

    fn conditional(&self, script: &mut Script<'_>) -> Option<Option<(OutPoint, Entry, Conditional)>> {
        self.pick(script, |point, entry| match &entry.output.lock {
            Lock::Conditional(lock) => Some((*point, entry.clone(), lock.as_ref().clone())),
            Lock::Wallet(_) | Lock::Channel(_) | Lock::Closing(_) => None,
        })
    }

    fn has_conditional(&self) -> bool {
        self.outputs.values().any(|entry| matches!(entry.output.lock, Lock::Conditional(_)))
    }

    fn body(&self, inputs: Vec<OutPoint>, outputs: Vec<Output>) -> TxBody {
        TxBody { chain: self.chain.id, inputs, outputs, not_before: None, expiry: None, payload: None }
    }

    /// Adds the wallet's witness where none is yet; the inputs' owners are known by their locks.
    fn sign(&self, body: TxBody, others: &BTreeMap<OutPoint, Witness>) -> Transaction {
        let spent = |point: &OutPoint| self.outputs.get(point).map(|entry| entry.output.clone());
        let spend = Spend { transaction: body.id(), spent: body.inputs.iter().filter_map(spent).collect() };
        let witness = |point: &OutPoint| {
            others.get(point).cloned().unwrap_or_else(|| {
                let keys = self.outputs.get(point).map_or(Vec::new(), |entry| signers(&entry.output.lock));
                let sign = |key: &WalletSecret| (key.public(), key.sign(&self.chain.id, &spend));
                Witness::Wallet(keys.iter().map(sign).collect())
            })
        };
        Transaction { witnesses: body.inputs.iter().map(witness).collect(), body }
    }

    /// The same with a wallet's coin beside it, which pays the fee.
    fn sponsored(&self, transaction: Transaction, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        let Some((point, entry)) = self.native_coin(script)? else { return Some(None) };
        let Some(rest) = entry.output.amount.checked_sub(fee(script)?) else { return Some(None) };
        let Transaction { mut body, witnesses } = transaction;
        let others = body.inputs.iter().copied().zip(witnesses).collect();
        body.inputs.push(point);
        body.outputs.push(Output { amount: rest, ..entry.output });
        Some(Some(self.sign(body, &others)))
    }
}

fn fee(script: &mut Script<'_>) -> Option<Amount> {
    Some(Amount(FEES[script.below(FEES.len())?]))
}

/// Who signs for a lock.
fn signers(lock: &Lock) -> Vec<WalletSecret> {
    let of = |key| (0..WALLETS).map(wallet).find(|wallet| wallet.public() == key);
    match lock {
        Lock::Wallet(Payout::Key(key)) => of(*key).into_iter().collect(),
        Lock::Wallet(Payout::Timelock(timelock)) => of(timelock.key).into_iter().collect(),
        Lock::Wallet(Payout::Multisig(multisig)) => {
            multisig.keys.iter().take(usize::from(multisig.required)).filter_map(|key| of(*key)).collect()
        }
        Lock::Channel(_) | Lock::Closing(_) | Lock::Conditional(_) => Vec::new(),
    }
}

/// Where somebody is paid.
fn payout(script: &mut Script<'_>, now: Time) -> Option<Payout> {
    let number = script.byte()?;
    Some(match number {
        0..20 => {
            let mut keys: Vec<_> = (0..3).map(|more| wallet(number + more).public()).collect();
            keys.sort();
            Payout::Multisig(Multisig { required: 2, keys })
        }
        20..40 => {
            let not_before = now.plus_ms(u64::from(number - 20) * TICK_MS);
            Payout::Timelock(Timelock { not_before, key: wallet(number).public() })
        }
        40.. => key_of(number),
    })
}

/// Outputs of one lock and asset as one: what is owed to a lock is owed in one output.
fn merged(outputs: Vec<Output>) -> Vec<Output> {
    let mut all: Vec<Output> = Vec::new();
    for output in outputs.into_iter().filter(|output| !output.amount.is_zero()) {
        match all.iter_mut().find(|other| (&other.lock, other.asset) == (&output.lock, output.asset)) {
            Some(other) => other.amount = other.amount.checked_add(output.amount).unwrap_or(Amount::MAX),
            None => all.push(output),
        }
    }
    all
}

const fn native(amount: Amount, lock: Lock) -> Output {
    Output { asset: AssetId::NATIVE, amount, lock }
}

impl Makers {
    /// A transaction, if the script has one and there is what it would spend.
    pub fn make(&mut self, ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        match script.below(16)? {
            0..6 => pay(ground, script),
            6 | 7 => self.open(ground, script),
            8 => self.cooperative(ground, script),
            9 | 10 => self.unilateral(ground, script),
            11 | 12 => self.dispute(ground, script),
            13 | 14 if ground.has_conditional() && script.flip()? => resolve(ground, script),
            13 | 14 => finalize(ground, script),
            _ => self.resize(ground, script),
        }
    }

    fn pair(&self, id: &ChannelId) -> Option<&Pair> {
        self.pairs.iter().find(|pair| pair.id == *id)
    }

    /// One channel or two, out of one coin.
    fn open(&mut self, ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        let Some((point, entry)) = ground.native_coin(script)? else { return Some(None) };
        let (count, share) = (1 + script.below(2)?, 2 + u64::try_from(script.below(6)?).unwrap_or(0));
        let capacity = Amount(entry.output.amount.units() / (2 * share));
        let mut outputs = Vec::new();
        let mut rest = entry.output.amount.checked_sub(fee(script)?);
        for index in (0..).take(count) {
            if self.pairs.len() >= CHANNELS_MAX {
                return Some(None);
            }
            let number = self.pairs.len();
            let (a, b) = Pair::of(number);
            let (key_a, key_b) = (a.public(), b.public());
            let id = ChannelId::derive(&ground.chain.id, &point, index, &key_a, &key_b);
            let first = script.byte()?;
            let terms = ChannelTerms {
                id,
                generation: 0,
                key_a,
                key_b,
                payout_a: key_of(first),
                payout_b: key_of(if first % 7 == 0 { first } else { first.wrapping_add(1) }),
                dispute_window_ms: ground.chain.params.rules.dispute_window_ms_min,
                penalty_basis_points: 5_000,
                reserve: Amount::ZERO,
                close_fee_max: capacity.share(500),
                expiry: None,
            };
            rest = rest.and_then(|rest| rest.checked_sub(capacity));
            outputs.push(native(capacity, Lock::Channel(Box::new(terms))));
            self.pairs.push(Pair { id, a, b });
        }
        let Some(rest) = rest else { return Some(None) };
        outputs.push(Output { amount: rest, ..entry.output });
        let body = ground.body(vec![point], outputs);
        Some(Some(ground.sign(body, &BTreeMap::new())))
    }

    fn cooperative(&self, ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        let Some((funding, capacity, terms)) = ground.channel(script)? else { return Some(None) };
        let Some(pair) = self.pair(&terms.id) else { return Some(None) };
        let mut state = state(&terms, (capacity, ground.start), script.byte()?).0;
        let whole = state.balance_a.checked_add(state.pending_total).unwrap_or(Amount::ZERO);
        (state.balance_a, state.pending_total, state.pending_root) = (whole, Amount::ZERO, Digest::ZERO);
        state.is_final = true;
        let state = co_signed(ground, pair, state);
        let agreed = Agreed { funding, terms: &terms, state: &state };
        Some(settle::cooperative(&ground.place(), &agreed).ok())
    }

    fn unilateral(&self, ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        let Some((funding, capacity, terms)) = ground.channel(script)? else { return Some(None) };
        let Some(pair) = self.pair(&terms.id) else { return Some(None) };
        let (state, _) = state(&terms, (capacity, ground.start), script.byte()?);
        let author = if script.flip()? { Party::A } else { Party::B };
        let place = ground.place();
        let Ok(fee) = settle::unilateral_fee(&place, &terms, (&state, capacity), author) else {
            return Some(None);
        };
        let intent = CloseIntent { state: state.clone(), author, fee };
        let signature = pair.key(author).sign(&ground.chain.id, &intent);
        let state = co_signed(ground, pair, state);
        let posting = Posting { funding, capacity, terms: &terms, state: &state, author, fee, signature };
        let Ok(close) = settle::unilateral(&place, &posting) else { return Some(None) };
        if script.below(3)? == 0 { ground.sponsored(close, script) } else { Some(Some(close)) }
    }

    /// A newer state, a proof, both, or the other party's answer.
    fn dispute(&self, ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        let Some((outpoint, entry, closing)) = ground.closing(script)? else { return Some(None) };
        let Some(pair) = self.pair(&closing.terms.id) else { return Some(None) };
        let (newer, _) = state(&closing.terms, (closing.capacity, ground.start), script.byte()?);
        let held = u64::from(script.byte()?);
        let key = pair.key(closing.author);
        let signature = StateSignature::sign(key, &ground.chain.id, &newer, held);
        let proof = SignedState { state: newer.clone(), signature };
        let newer = co_signed(ground, pair, newer);
        let (place, made) = (ground.place(), (entry.time, entry.output.amount));
        let made = match script.below(6)? {
            0 | 1 => settle::supersede(&place, outpoint, made, &closing, &newer),
            2 => settle::penalize(&place, outpoint, made, &closing, (None, &proof)),
            3 => settle::penalize(&place, outpoint, made, &closing, (Some(&newer), &proof)),
            _ => {
                let fee = settle::answer_fee(&place, &closing);
                let state = newer.state.version > closing.state.version;
                let settled = if state { newer.state.clone() } else { closing.state.clone() };
                let penalized = closing.penalized;
                let answer = CloseAnswer { closing: outpoint, state: settled, penalized, fee };
                let signature = pair.key(closing.author.other()).sign(&ground.chain.id, &answer);
                let state = state.then(|| Box::new(newer.clone()));
                let answer = settle::Answer { state, proof: None, fee, signature };
                settle::answer(&place, outpoint, &closing, &answer)
            }
        };
        let Ok(dispute) = made else { return Some(None) };
        if script.below(3)? == 0 { ground.sponsored(dispute, script) } else { Some(Some(dispute)) }
    }

    fn resize(&self, ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
        let Some((funding, capacity, terms)) = ground.channel(script)? else { return Some(None) };
        let Some(pair) = self.pair(&terms.id) else { return Some(None) };
        let Some((coin, entry)) = ground.native_coin(script)? else { return Some(None) };
        let (part, fee) = (Amount(capacity.units() / 8), fee(script)?);
        let brought = entry.output.amount.checked_sub(fee);
        let (capacity, change) = if script.flip()? {
            (capacity.checked_add(part), brought.and_then(|rest| rest.checked_sub(part)))
        } else {
            (capacity.checked_sub(part), brought.and_then(|rest| rest.checked_add(part)))
        };
        let (Some(capacity), Some(change)) = (capacity, change) else { return Some(None) };
        let next = ChannelTerms { generation: terms.generation + 1, ..terms.clone() };
        let outputs =
            vec![native(capacity, Lock::Channel(Box::new(next))), Output { amount: change, ..entry.output }];
        let body = ground.body(vec![funding, coin], outputs);
        let intent = ResizeIntent { transaction: body.id(), channel: terms.id };
        let (a, b) = (pair.a.sign(&ground.chain.id, &intent), pair.b.sign(&ground.chain.id, &intent));
        Some(Some(ground.sign(body, &BTreeMap::from([(funding, Witness::Resize { a, b })]))))
    }
}

/// A version of a channel: A has paid a 64th with each; each second has a payment that waits for a secret.
fn state(
    terms: &ChannelTerms,
    (capacity, start): (Amount, Time),
    byte: u8,
) -> (ChannelState, Vec<PendingPayment>) {
    let version = 1 + byte % 48;
    let part = capacity.units() / 64;
    let paid = part * u64::from(version);
    let mut pending = Vec::new();
    if version.is_multiple_of(2) && part > 0 {
        pending.push(PendingPayment {
            number: 1,
            payer: Party::A,
            amount: Amount(part),
            condition: preimage(version).condition().expect("any preimage has one"),
            expiry: start.plus_ms(u64::from(version) * 10 * TICK_MS),
        });
    }
    let total = PendingPayment::total(&pending).unwrap_or(Amount::ZERO);
    let state = ChannelState {
        channel: terms.id,
        tag: ChannelTag(sha256(&terms.id.0.0)),
        generation: terms.generation,
        version: u64::from(version),
        is_final: false,
        sequencer: Party::A,
        balance_a: Amount(capacity.units() - paid - total.units()),
        balance_b: Amount(paid),
        pending_total: total,
        pending_root: PendingPayment::root(&pending),
    };
    (state, pending)
}

fn co_signed(ground: &Ground<'_>, pair: &Pair, state: ChannelState) -> CoSigned {
    let a = StateSignature::sign(&pair.a, &ground.chain.id, &state, state.version - 1);
    let b = StateSignature::sign(&pair.b, &ground.chain.id, &state, state.version);
    CoSigned { state, a, b }
}

/// A coin to somebody and back, perhaps with a payload or for a part of time only.
fn pay(ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
    let Some((point, entry)) = ground.coin(script)? else { return Some(None) };
    let (asset, whole) = (entry.output.asset, entry.output.amount);
    let mut inputs = vec![point];
    let mut outputs = Vec::new();
    let part = Amount(whole.units() / (1 + u64::try_from(script.below(4)?).unwrap_or(0)));
    let to = Lock::Wallet(payout(script, ground.now)?);
    let fee = fee(script)?;
    let rest = whole.checked_sub(part).unwrap_or(Amount::ZERO);
    if asset == AssetId::NATIVE {
        let part = part.checked_sub(fee).unwrap_or(Amount::ZERO);
        outputs.extend([native(part, to), Output { amount: rest, ..entry.output }]);
    } else {
        let Some((other, paying)) = ground.native_coin(script)? else { return Some(None) };
        let change = paying.output.amount.checked_sub(fee).unwrap_or(Amount::ZERO);
        inputs.push(other);
        outputs.extend([
            Output { asset, amount: part, lock: to },
            Output { amount: rest, ..entry.output },
            Output { amount: change, ..paying.output },
        ]);
    }
    let mut body = ground.body(inputs, outputs);
    match script.below(8)? {
        0 | 1 => body.payload = Some(Payload::Reveal(vec![preimage(script.byte()?)])),
        2 => {
            let (amount, asset) =
                (Amount(1 + script.number()?), AssetId::issued_by(&ground.chain.id, &point));
            body.outputs.push(Output { asset, amount, lock: Lock::Wallet(key_of(1)) });
            body.payload = Some(Payload::Issue { amount, symbol: "COIN".to_owned() });
        }
        3 => body.payload = Some(Payload::Anchor(sha256(&codec::encode(&point)))),
        4 => body.expiry = Some(ground.now.plus_ms(u64::from(script.byte()? % 8) * TICK_MS)),
        5 => body.not_before = Some(ground.now.plus_ms(u64::from(script.byte()? % 4) * TICK_MS)),
        _ => {}
    }
    body.outputs.retain(|output| !output.amount.is_zero());
    Some(Some(ground.sign(body, &BTreeMap::new())))
}

/// After the window, by anyone: what waits for a secret goes to one, the other, or waits on.
fn finalize(ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
    let Some((outpoint, _, closing)) = ground.closing(script)? else { return Some(None) };
    if closing.state.pending_total.is_zero() {
        return Some(settle::finalize(&ground.place(), outpoint, &closing).ok());
    }
    let version = u8::try_from(closing.state.version).unwrap_or(0);
    let (_, pending) = state(&closing.terms, (closing.capacity, ground.start), version.wrapping_sub(1));
    let Some(account) = Account::of_closing(&closing) else { return Some(None) };
    let to = |party| Lock::Wallet(closing.terms.payout(party).clone());
    let mut outputs: Vec<Output> =
        [Party::A, Party::B].map(|party| native(account.left(party), to(party))).to_vec();
    let goes = script.below(3)?;
    for payment in &pending {
        let lock = match goes {
            0 => to(payment.payer.other()),
            1 => to(payment.payer),
            _ => Lock::Conditional(Box::new(Conditional {
                condition: payment.condition,
                expiry: payment.expiry,
                payee: closing.terms.payout(payment.payer.other()).clone(),
                payer: closing.terms.payout(payment.payer).clone(),
            })),
        };
        outputs.push(native(payment.amount, lock));
    }
    let body = ground.body(vec![outpoint], merged(outputs));
    let witness = Witness::Finalize { pending, fee: Amount::ZERO };
    ground.sponsored(Transaction { body, witnesses: vec![witness] }, script)
}

/// A payment that waited for a secret, to one or the other.
fn resolve(ground: &Ground<'_>, script: &mut Script<'_>) -> Option<Option<Transaction>> {
    let Some((outpoint, entry, lock)) = ground.conditional(script)? else { return Some(None) };
    let to = if script.flip()? { lock.payee } else { lock.payer };
    let body = ground.body(vec![outpoint], vec![native(entry.output.amount, Lock::Wallet(to))]);
    let witness = Witness::Resolve { fee: Amount::ZERO };
    ground.sponsored(Transaction { body, witnesses: vec![witness] }, script)
}
