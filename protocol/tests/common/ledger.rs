//! The ledger of a test: the real rules over a view in memory, and the little that a node adds to make transactions of
//! what a machine orders. Fees are zero unless a machine signed for one, so that what is paid is exact.

use towpath_crypto::schnorr::WalletSecret;
use towpath_ledger::rules::audit::Supply;
use towpath_ledger::rules::{
    BlockContext, Changes, Signatures, Signed, TxError, apply_transaction, signatures,
};
use towpath_ledger::{
    Amount, AssetId, Closing, Deadline, Entry, Lock, MemoryView, OutPoint, Output, Party, Payout, Spend,
    Time, Transaction, TxBody, Witness,
};
use towpath_protocol::{Channel, Effect, LedgerEvent, Settlement, Verifier, WalletWitness};

use super::fast::FastVerifier;
use super::world::{Crypto, chain, params, payout};

/// The fee that a node would pay to answer a closing.
pub const ANSWER_FEE: u64 = 3;

/// A ledger.
pub struct Ledger {
    pub view: MemoryView,
    supply: Supply,
    height: u64,
    crypto: Crypto,
}

/// The wallet key of a side.
pub fn secret(side: usize) -> WalletSecret {
    let seed = if side == 0 { 1 } else { 2 };
    WalletSecret::from_bytes([seed; 32]).expect("a scalar")
}

/// Where a side is paid.
pub fn wallet(side: usize) -> Payout {
    payout(if side == 0 { 1 } else { 2 })
}

/// The signature of a wallet on a transaction that spends these outputs.
pub fn witness(side: usize, body: &TxBody, spent: Vec<Output>) -> WalletWitness {
    let spend = Spend { transaction: body.id(), spent };
    let key = secret(side);
    vec![(key.public(), key.sign(&chain(), &spend))]
}

impl Ledger {
    /// A ledger on which these coins lie: at an outpoint, in the wallet of a side, of an amount.
    pub fn new(crypto: Crypto, coins: &[(OutPoint, usize, u64)]) -> Self {
        let mut view = MemoryView::default();
        for (outpoint, side, amount) in coins {
            let output = native(Amount(*amount), Lock::Wallet(wallet(*side)));
            view.entries.insert(*outpoint, Entry { output, height: 0, time: Time(1) });
        }
        Self { supply: Supply::at_genesis(&view), view, height: 0, crypto }
    }

    /// What lies in the wallet of a side.
    pub fn wealth(&self, side: usize) -> u64 {
        let lock = Lock::Wallet(wallet(side));
        let coins = self.view.entries.values().filter(|entry| entry.output.lock == lock);
        coins.map(|entry| entry.output.amount.0).sum()
    }

    /// Applies one transaction in a block of this time, and audits the ledger. Returns what a replica reports of it.
    pub fn apply(&mut self, transaction: &Transaction, time: Time) -> Result<Vec<LedgerEvent>, TxError> {
        self.height += 1;
        let params = params();
        let context = BlockContext { chain: chain(), height: self.height, time, params: &params };
        for check in signatures(transaction, &self.view, &context)? {
            let holds = match (&check.signed, self.crypto) {
                (Signed::Channel(check), Crypto::Fast) => FastVerifier.verify(*check),
                (Signed::Channel(_), Crypto::Real) | (Signed::Wallet(_), _) => check.verify(),
            };
            if !holds {
                return Err(TxError::BadSignature(check.input));
            }
        }
        let changes = apply_transaction(transaction, &self.view, &context, Signatures::AlreadyVerified)?;
        self.view.apply(&changes);
        self.supply.record(transaction, &changes);
        self.supply.check(&self.view).expect("the ledger adds up after every transaction");
        Ok(events(transaction, &changes))
    }

    /// The closing at an outpoint.
    pub fn closing(&self, outpoint: &OutPoint) -> Option<(Entry, Closing)> {
        let entry = self.view.entries.get(outpoint)?.clone();
        match entry.output.lock.clone() {
            Lock::Closing(closing) => Some((entry, *closing)),
            Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => None,
        }
    }

    /// What a node makes of a machine's order; nothing of what is not about the ledger, or comes too late.
    pub fn transaction(&self, channel: &Channel, effect: &Effect) -> Option<Transaction> {
        match effect {
            Effect::Fund { first_input, index, output, expiry } => {
                assert_eq!(*index, 0, "the test's wallet puts the channel first");
                let coin = &self.view.entries.get(first_input)?.output;
                let change = native(coin.amount.checked_sub(output.amount)?, coin.lock.clone());
                let mut body = body(*first_input, vec![output.clone(), change]);
                body.expiry = Some(*expiry);
                let witness = witness(0, &body, vec![coin.clone()]);
                Some(Transaction { body, witnesses: vec![Witness::Wallet(witness)] })
            }
            Effect::Broadcast(transaction) => Some(transaction.clone()),
            Effect::SubmitClose { funding, state } => {
                let outputs = pays(state.state.balance_a, state.state.balance_b);
                let witness = Witness::Cooperative { state: state.clone(), fee: Amount::ZERO };
                Some(Transaction { body: body(*funding, outputs), witnesses: vec![witness] })
            }
            Effect::PostClose { funding, state, author, fee, signature } => {
                let closing = Closing {
                    terms: channel.terms().clone(),
                    capacity: channel.capacity(),
                    state: state.state.clone(),
                    posted_version: state.state.version,
                    author: *author,
                    deadline: Deadline::FromCreation,
                    penalized: false,
                    author_fees: *fee,
                    other_fees: Amount::ZERO,
                };
                let output = native(channel.capacity().checked_sub(*fee)?, Lock::Closing(Box::new(closing)));
                let (state, author, fee, signature) = (state.clone(), *author, *fee, *signature);
                let witness = Witness::Unilateral { state, author, fee, signature };
                Some(Transaction { body: body(*funding, vec![output]), witnesses: vec![witness] })
            }
            Effect::Answer { closing, state, proof, fee, signature, .. } => {
                let (_, mut settled) = self.closing(closing)?;
                settled.penalized |= proof.is_some();
                if let Some(state) = state {
                    settled.state = state.state.clone();
                }
                let other = settled.author.other();
                let (mut a, mut b) = shares(&settled);
                *match other {
                    Party::A => &mut a,
                    Party::B => &mut b,
                } -= fee.0;
                let (state, proof, fee, signature) = (state.clone(), proof.clone(), *fee, *signature);
                let witness = Witness::Answer { state, proof, pending: Vec::new(), fee, signature };
                let outputs = pays(Amount(a), Amount(b));
                Some(Transaction { body: body(*closing, outputs), witnesses: vec![witness] })
            }
            Effect::Supersede { closing, state } => {
                let (entry, posted) = self.closing(closing)?;
                let deadline = match posted.deadline {
                    Deadline::FromCreation => entry.time.plus_ms(posted.terms.dispute_window_ms),
                    Deadline::At(time) => time,
                };
                let newer =
                    Closing { state: state.state.clone(), deadline: Deadline::At(deadline), ..posted };
                let output = native(entry.output.amount, Lock::Closing(Box::new(newer)));
                let witness = Witness::Supersede { state: state.clone(), fee: Amount::ZERO };
                Some(Transaction { body: body(*closing, vec![output]), witnesses: vec![witness] })
            }
            Effect::Finalize { closing, .. } => {
                let (_, posted) = self.closing(closing)?;
                let (a, b) = shares(&posted);
                let witness = Witness::Finalize { pending: Vec::new(), fee: Amount::ZERO };
                let outputs = pays(Amount(a), Amount(b));
                Some(Transaction { body: body(*closing, outputs), witnesses: vec![witness] })
            }
            Effect::CloseAlone | Effect::Done { .. } | Effect::Declined { .. } | Effect::Online(_) => None,
            other => panic!("not an order: {other:?}"),
        }
    }
}

fn pays(a: Amount, b: Amount) -> Vec<Output> {
    [a, b]
        .into_iter()
        .enumerate()
        .filter(|(_, amount)| !amount.is_zero())
        .map(|(side, amount)| native(amount, Lock::Wallet(wallet(side))))
        .collect()
}

pub fn native(amount: Amount, lock: Lock) -> Output {
    Output { asset: AssetId::NATIVE, amount, lock }
}

pub fn body(input: OutPoint, outputs: Vec<Output>) -> TxBody {
    let inputs = vec![input];
    TxBody { chain: chain(), inputs, outputs, not_before: None, expiry: None, payload: None }
}

/// What is left for A and B of a closing, in plain arithmetic: the forfeit first, then each one's fees, and what one
/// lacks the other bears.
pub fn shares(closing: &Closing) -> (u64, u64) {
    let (mut author, mut other) =
        (closing.state.balance(closing.author).0, closing.state.balance(closing.author.other()).0);
    if closing.penalized {
        let forfeit = author * u64::from(closing.terms.penalty_basis_points) / 10_000;
        author -= forfeit;
        other += forfeit;
    }
    let short = closing.author_fees.0.saturating_sub(author);
    author -= closing.author_fees.0 - short;
    other -= short;
    let short = closing.other_fees.0.saturating_sub(other);
    other -= closing.other_fees.0 - short;
    author -= short;
    match closing.author {
        Party::A => (author, other),
        Party::B => (other, author),
    }
}

/// What a transaction did to channels, as a replica reports it.
fn events(transaction: &Transaction, changes: &Changes) -> Vec<LedgerEvent> {
    let mut events = Vec::new();
    for (outpoint, entry) in &changes.created {
        match &entry.output.lock {
            Lock::Channel(_) => {
                events.push(LedgerEvent::Funded { outpoint: *outpoint, entry: Box::new(entry.clone()) });
            }
            Lock::Closing(closing) => events.push(LedgerEvent::Closing {
                outpoint: *outpoint,
                created: entry.time,
                closing: closing.clone(),
                fee: Amount(ANSWER_FEE),
            }),
            Lock::Wallet(_) | Lock::Conditional(_) => {}
        }
    }
    if !events.is_empty() {
        return events;
    }
    let spent = changes.spent.iter().zip(&transaction.witnesses);
    events.extend(spent.filter_map(|((_, entry), witness)| settled(&entry.output.lock, witness)));
    events
}

fn settled(lock: &Lock, witness: &Witness) -> Option<LedgerEvent> {
    let (version, outcome) = match (lock, witness) {
        (Lock::Channel(_) | Lock::Closing(_), Witness::Cooperative { state, .. }) => {
            (state.state.version, Settlement::Cooperative)
        }
        (Lock::Closing(closing), Witness::Answer { state, proof, .. }) => {
            let version = state.as_ref().map_or(closing.state.version, |state| state.state.version);
            (version, outcome(closing, version, proof.is_some()))
        }
        (Lock::Closing(closing), Witness::Finalize { .. }) => {
            (closing.state.version, outcome(closing, closing.state.version, false))
        }
        _ => return None,
    };
    Some(LedgerEvent::Settled { version, outcome })
}

fn outcome(closing: &Closing, version: u64, proven: bool) -> Settlement {
    match (closing.penalized || proven, version > closing.posted_version) {
        (true, _) => Settlement::Penalized,
        (false, true) => Settlement::Resolved,
        (false, false) => Settlement::Unilateral,
    }
}
