//! The transactions that close channels, made out of what the channels themselves signed. Nothing here needs a wallet:
//! fees come out of the channels' own balances (DESIGN 3), so that a party without coins is safe, too.

use towpath_crypto::codec;
use towpath_crypto::ed25519::Signature;
use towpath_ledger::rules::Params;
use towpath_ledger::{
    Amount, AssetId, ChainId, ChannelState, ChannelTerms, Closing, CoSigned, Deadline, Lock, OutPoint,
    Output, Party, SignedState, StateSignature, Time, Transaction, TxBody, Witness,
};

/// Bytes of a transaction that answers a closing, with a state, a proof and two outputs; a little more than exactly.
pub const ANSWER_BYTES: u64 = 1_100;

/// Where a closing transaction takes place, and what it costs there.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The ledger.
    pub chain: ChainId,
    /// Its parameters.
    pub params: &'a Params,
    /// The asset of the channel.
    pub asset: AssetId,
}

impl Place<'_> {
    fn body(&self, input: OutPoint, outputs: Vec<Output>) -> TxBody {
        TxBody {
            chain: self.chain,
            inputs: vec![input],
            outputs,
            not_before: None,
            expiry: None,
            payload: None,
        }
    }

    fn output(&self, amount: Amount, lock: Lock) -> Output {
        Output { asset: self.asset, amount, lock }
    }

    fn pays(&self, terms: &ChannelTerms, a: Amount, b: Amount) -> Vec<Output> {
        let mut outputs: Vec<Output> = Vec::with_capacity(2);
        for (party, amount) in [(Party::A, a), (Party::B, b)] {
            let lock = Lock::Wallet(terms.payout(party).clone());
            // One output for one lock: the rule sums what is owed by lock.
            match outputs.iter_mut().find(|output| output.lock == lock) {
                Some(output) => output.amount = Amount(output.amount.units().saturating_add(amount.units())),
                None if amount.is_zero() => {}
                None => outputs.push(self.output(amount, lock)),
            }
        }
        outputs
    }

    fn fee_of(&self, transaction: &Transaction) -> Amount {
        if self.asset != AssetId::NATIVE {
            return Amount::ZERO;
        }
        self.params.fee_min(codec::encode(transaction).len() as u64)
    }

    /// Finds the least fee that pays for a transaction which itself depends on the fee: amounts have a fixed size, so
    /// only an output that vanishes changes anything, and two rounds are enough.
    fn settle(&self, make: impl Fn(Amount) -> Option<Transaction>) -> Option<Transaction> {
        let first = make(Amount::ZERO)?;
        let fee = self.fee_of(&first);
        let second = make(fee)?;
        let exact = self.fee_of(&second);
        if exact == fee { Some(second) } else { make(exact) }
    }
}

/// Takes `fee` out of `first`'s balance, and what that lacks out of the other's.
fn charged(balances: (Amount, Amount), first: Party, fee: Amount) -> Option<(Amount, Amount)> {
    let (a, b) = balances;
    let (own, other) = match first {
        Party::A => (a, b),
        Party::B => (b, a),
    };
    let from_own = fee.min(own);
    let own = own.checked_sub(from_own)?;
    let other = other.checked_sub(fee.checked_sub(from_own)?)?;
    Some(match first {
        Party::A => (own, other),
        Party::B => (other, own),
    })
}

/// Both signed final balances. Both parties build the same bytes, so it does not matter who posts it.
#[must_use]
pub fn cooperative(
    place: &Place<'_>,
    funding: OutPoint,
    terms: &ChannelTerms,
    state: &CoSigned,
) -> Option<Transaction> {
    place.settle(|fee| {
        let (a, b) = charged((state.state.balance_a, state.state.balance_b), Party::A, fee)?;
        let body = place.body(funding, place.pays(terms, a, b));
        let witness = Witness::Cooperative { state: Box::new(state.clone()), fee };
        Some(Transaction { body, witnesses: vec![witness] })
    })
}

/// The least fee of a unilateral close, which its author signs before the transaction can be made.
#[must_use]
pub fn unilateral_fee(
    place: &Place<'_>,
    terms: &ChannelTerms,
    (state, capacity): (&ChannelState, Amount),
    author: Party,
) -> Option<Amount> {
    // Everything that counts has a fixed size, so any signatures and any outpoint will do.
    let nowhere = OutPoint { tx: towpath_ledger::TxId(towpath_crypto::Digest::ZERO), index: 0 };
    let signature = Signature([0; 64]);
    let signed = StateSignature { held: 0, signature };
    let state = CoSigned { state: state.clone(), a: signed, b: signed };
    let close =
        Posting { funding: nowhere, capacity, terms, state: &state, author, fee: Amount::ZERO, signature };
    Some(place.fee_of(&unilateral(place, &close)?))
}

/// What the author of a unilateral close posts.
#[derive(Clone, Copy, Debug)]
pub struct Posting<'a> {
    /// The channel's output.
    pub funding: OutPoint,
    /// Its amount.
    pub capacity: Amount,
    /// Its terms.
    pub terms: &'a ChannelTerms,
    /// The newest state.
    pub state: &'a CoSigned,
    /// Who closes.
    pub author: Party,
    /// Out of the author's balance.
    pub fee: Amount,
    /// The author's.
    pub signature: Signature,
}

/// One party closes alone.
#[must_use]
pub fn unilateral(place: &Place<'_>, posting: &Posting<'_>) -> Option<Transaction> {
    let closing = Closing {
        terms: posting.terms.clone(),
        capacity: posting.capacity,
        state: posting.state.state.clone(),
        posted_version: posting.state.state.version,
        author: posting.author,
        deadline: Deadline::FromCreation,
        penalized: false,
        author_fees: posting.fee,
        other_fees: Amount::ZERO,
    };
    let amount = posting.capacity.checked_sub(posting.fee)?;
    let body = place.body(posting.funding, vec![place.output(amount, Lock::Closing(Box::new(closing)))]);
    let witness = Witness::Unilateral {
        state: Box::new(posting.state.clone()),
        author: posting.author,
        fee: posting.fee,
        signature: posting.signature,
    };
    Some(Transaction { body, witnesses: vec![witness] })
}

/// What is left for A and B of a closing that settles by its state: after the forfeit and the fees taken so far.
#[must_use]
pub fn shares(closing: &Closing) -> Option<(Amount, Amount)> {
    let (author, other) = (closing.author, closing.author.other());
    let (mut own, mut others) = (closing.state.balance(author), closing.state.balance(other));
    if closing.penalized {
        let forfeit = own.share(closing.terms.penalty_basis_points);
        own = own.checked_sub(forfeit)?;
        others = others.checked_add(forfeit)?;
    }
    let balances = match author {
        Party::A => (own, others),
        Party::B => (others, own),
    };
    let balances = charged(balances, author, closing.author_fees)?;
    charged(balances, other, closing.other_fees)
}

/// Pays out a closing whose deadline is over. Only for states without pending conditional payments.
#[must_use]
pub fn finalize(place: &Place<'_>, outpoint: OutPoint, closing: &Closing) -> Option<Transaction> {
    if !closing.state.pending_total.is_zero() {
        return None;
    }
    place.settle(|fee| {
        let (a, b) = charged(shares(closing)?, closing.author, fee)?;
        let body = place.body(outpoint, place.pays(&closing.terms, a, b));
        Some(Transaction { body, witnesses: vec![Witness::Finalize { pending: Vec::new(), fee }] })
    })
}

/// What the other party answers a closing with.
#[derive(Clone, Debug)]
pub struct Answer {
    /// A newer state than the posted one.
    pub state: Option<Box<CoSigned>>,
    /// The proof that the author knew better.
    pub proof: Option<Box<SignedState>>,
    /// Out of the answering party's balance.
    pub fee: Amount,
    /// The answering party's.
    pub signature: Signature,
}

/// Settles a closing at once, in the name of the party that did not close.
#[must_use]
pub fn answer(
    place: &Place<'_>,
    outpoint: OutPoint,
    closing: &Closing,
    answer: &Answer,
) -> Option<Transaction> {
    let mut settled = closing.clone();
    settled.penalized |= answer.proof.is_some();
    if let Some(state) = &answer.state {
        settled.state = state.state.clone();
    }
    let (a, b) = charged(shares(&settled)?, closing.author.other(), answer.fee)?;
    let body = place.body(outpoint, place.pays(&closing.terms, a, b));
    let witness = Witness::Answer {
        state: answer.state.clone(),
        proof: answer.proof.clone(),
        pending: Vec::new(),
        fee: answer.fee,
        signature: answer.signature,
    };
    Some(Transaction { body, witnesses: vec![witness] })
}

/// Replaces the posted state by a newer one; the deadline stays.
#[must_use]
pub fn supersede(
    place: &Place<'_>,
    outpoint: OutPoint,
    (created, amount): (Time, Amount),
    closing: &Closing,
    state: &CoSigned,
) -> Option<Transaction> {
    let deadline = match closing.deadline {
        Deadline::FromCreation => created.plus_ms(closing.terms.dispute_window_ms),
        Deadline::At(deadline) => deadline,
    };
    place.settle(|fee| {
        let mut newer = closing.clone();
        newer.state = state.state.clone();
        newer.deadline = Deadline::At(deadline);
        newer.other_fees = newer.other_fees.checked_add(fee)?;
        let output = place.output(amount.checked_sub(fee)?, Lock::Closing(Box::new(newer)));
        let witness = Witness::Supersede { state: Box::new(state.clone()), fee };
        Some(Transaction { body: place.body(outpoint, vec![output]), witnesses: vec![witness] })
    })
}
