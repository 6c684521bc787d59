//! The transactions that close channels, made out of what the channels themselves signed. Nothing here needs a wallet:
//! fees come out of the channels' own balances (DESIGN 3), so that a party without coins is safe, too. Who is owed what
//! is counted by the ledger's own [`Account`].

use towpath_crypto::codec;
use towpath_crypto::ed25519::Signature;

use crate::rules::{Account, Params};
use crate::types::{
    Amount, AssetId, ChainId, ChannelState, ChannelTerms, Closing, CoSigned, Deadline, Digest, Lock, OutPoint,
    Output, Party, SignedState, StateSignature, Time, Transaction, TxBody, TxId, Witness,
};

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
    fn transaction(&self, inputs: Vec<(OutPoint, Witness)>, outputs: Vec<Output>) -> Transaction {
        let (inputs, witnesses) = inputs.into_iter().unzip();
        let body =
            TxBody { chain: self.chain, inputs, outputs, not_before: None, expiry: None, payload: None };
        Transaction { body, witnesses }
    }

    fn output(&self, amount: Amount, lock: Lock) -> Output {
        Output { asset: self.asset, amount, lock }
    }

    /// One output for one lock: the ledger's rule sums what is owed by lock.
    fn pay(&self, outputs: &mut Vec<Output>, terms: &ChannelTerms, account: &Account) {
        for party in [Party::A, Party::B] {
            let (amount, lock) = (account.left(party), Lock::Wallet(terms.payout(party).clone()));
            match outputs.iter_mut().find(|output| output.lock == lock) {
                Some(output) => output.amount = Amount(output.amount.units().saturating_add(amount.units())),
                None if amount.is_zero() => {}
                None => outputs.push(self.output(amount, lock)),
            }
        }
    }

    fn pays(&self, terms: &ChannelTerms, account: &Account) -> Vec<Output> {
        let mut outputs = Vec::with_capacity(2);
        self.pay(&mut outputs, terms, account);
        outputs
    }

    fn fee_of(&self, transaction: &Transaction) -> Amount {
        if self.asset != AssetId::NATIVE {
            return Amount::ZERO;
        }
        self.params.fee_min(u64::try_from(codec::encode(transaction).len()).unwrap_or(u64::MAX))
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

/// Both signed final balances. Both parties build the same bytes, so it does not matter who posts it.
#[must_use]
pub fn cooperative(
    place: &Place<'_>,
    funding: OutPoint,
    terms: &ChannelTerms,
    state: &CoSigned,
) -> Option<Transaction> {
    place.settle(|fee| {
        let mut account = Account::of_channel(terms, &state.state);
        account.draw_from_both(Party::A, fee).ok()?;
        let witness = Witness::Cooperative { state: Box::new(state.clone()), fee };
        Some(place.transaction(vec![(funding, witness)], place.pays(terms, &account)))
    })
}

/// Stands in where only the size counts.
const NOWHERE: OutPoint = OutPoint { tx: TxId(Digest::ZERO), index: 0 };

/// Stands in where only the size counts.
fn unsigned(state: &ChannelState) -> CoSigned {
    let signed = StateSignature { held: 0, signature: Signature([0; 64]) };
    CoSigned { state: state.clone(), a: signed, b: signed }
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
    let (state, signature) = (unsigned(state), Signature([0; 64]));
    let (funding, fee) = (NOWHERE, Amount::ZERO);
    let close = Posting { funding, capacity, terms, state: &state, author, fee, signature };
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
    let witness = Witness::Unilateral {
        state: Box::new(posting.state.clone()),
        author: posting.author,
        fee: posting.fee,
        signature: posting.signature,
    };
    let output = place.output(amount, Lock::Closing(Box::new(closing)));
    Some(place.transaction(vec![(posting.funding, witness)], vec![output]))
}

/// Pays out a closing whose deadline is over. Only for states without pending conditional payments.
#[must_use]
pub fn finalize(place: &Place<'_>, outpoint: OutPoint, closing: &Closing) -> Option<Transaction> {
    if !closing.state.pending_total.is_zero() {
        return None;
    }
    place.settle(|fee| finalized(place, &[(outpoint, closing, fee)]))
}

/// Pays out many closings whose deadlines are over in one transaction: what all of them owe to one payout lock is one
/// output, and each bears its share of a fee that is smaller than all theirs alone. Those that cannot be paid out are
/// left out.
#[must_use]
pub fn finalize_all(place: &Place<'_>, closings: &[(OutPoint, &Closing)]) -> Option<Transaction> {
    let alone: Vec<(OutPoint, &Closing, Amount)> = closings
        .iter()
        .filter_map(|&(outpoint, closing)| {
            let fee = place.fee_of(&finalize(place, outpoint, closing)?);
            Some((outpoint, closing, fee))
        })
        .collect();
    let whole = finalized(place, &alone)?;
    let sum = |parts: &[(OutPoint, &Closing, Amount)]| -> u128 {
        parts.iter().map(|(_, _, fee)| u128::from(fee.units())).sum()
    };
    let (together, apart) = (u128::from(place.fee_of(&whole).units()), sum(&alone));
    if apart == 0 {
        return Some(whole);
    }
    let share = |fee: Amount| {
        // Rounded up, and never more than alone (SPEC C-45).
        let share = (u128::from(fee.units()) * together).div_ceil(apart);
        Amount(u64::try_from(share).unwrap_or(u64::MAX)).min(fee)
    };
    let shared: Vec<_> =
        alone.iter().map(|&(outpoint, closing, fee)| (outpoint, closing, share(fee))).collect();
    let cheaper = finalized(place, &shared)?;
    // A fee that shrinks can bring an output back that had vanished, and with it bytes to pay for.
    if u128::from(place.fee_of(&cheaper).units()) <= sum(&shared) { Some(cheaper) } else { Some(whole) }
}

fn finalized(place: &Place<'_>, parts: &[(OutPoint, &Closing, Amount)]) -> Option<Transaction> {
    let (mut inputs, mut outputs) = (Vec::with_capacity(parts.len()), Vec::new());
    for &(outpoint, closing, fee) in parts {
        let mut account = Account::of_closing(closing)?;
        account.draw_from_both(closing.author, fee).ok()?;
        place.pay(&mut outputs, &closing.terms, &account);
        inputs.push((outpoint, Witness::Finalize { pending: Vec::new(), fee }));
    }
    (!inputs.is_empty()).then(|| place.transaction(inputs, outputs))
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

/// The fee of the largest answer to `closing`: with a state, a proof and an output for each party. It is signed before
/// it is known which of them are needed, and what is too little would be refused.
#[must_use]
pub fn answer_fee(place: &Place<'_>, closing: &Closing) -> Amount {
    let state = unsigned(&closing.state);
    let proof = SignedState { state: closing.state.clone(), signature: state.a };
    let outputs = [Party::A, Party::B]
        .map(|party| place.output(closing.capacity, Lock::Wallet(closing.terms.payout(party).clone())));
    let witness = Witness::Answer {
        state: Some(Box::new(state)),
        proof: Some(Box::new(proof)),
        pending: Vec::new(),
        fee: Amount::ZERO,
        signature: Signature([0; 64]),
    };
    place.fee_of(&place.transaction(vec![(NOWHERE, witness)], outputs.to_vec()))
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
    let mut account = Account::of_closing(&settled)?;
    account.draw(closing.author.other(), answer.fee, closing.terms.close_fee_max).ok()?;
    let witness = Witness::Answer {
        state: answer.state.clone(),
        proof: answer.proof.clone(),
        pending: Vec::new(),
        fee: answer.fee,
        signature: answer.signature,
    };
    Some(place.transaction(vec![(outpoint, witness)], place.pays(&closing.terms, &account)))
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
    place.settle(|fee| {
        let mut newer = closing.clone();
        newer.state = state.state.clone();
        newer.deadline = Deadline::At(deadline_of(closing, created));
        newer.other_fees = newer.other_fees.checked_add(fee)?;
        let output = place.output(amount.checked_sub(fee)?, Lock::Closing(Box::new(newer)));
        let witness = Witness::Supersede { state: Box::new(state.clone()), fee };
        Some(place.transaction(vec![(outpoint, witness)], vec![output]))
    })
}

/// The last ledger time at which a closing that was made at `created` can be answered (SPEC C-30).
#[must_use]
pub const fn deadline_of(closing: &Closing, created: Time) -> Time {
    match closing.deadline {
        Deadline::FromCreation => created.plus_ms(closing.terms.dispute_window_ms),
        Deadline::At(deadline) => deadline,
    }
}

/// How a channel was paid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PaidOut {
    /// The version by which it was divided.
    pub version: u64,
    /// What A got.
    pub a: Amount,
    /// What B got.
    pub b: Amount,
    /// What ledger fees took of it, over all its closing transactions.
    pub fees: Amount,
    /// What the author forfeited to the other party.
    pub forfeit: Amount,
}

/// How a channel's output `was` was paid out, read off the witness that spent it; none if that did not pay it out.
#[must_use]
pub fn paid_out(was: &Lock, capacity: Amount, by: &Witness) -> Option<PaidOut> {
    let (closing, drawn) = match (was, by) {
        (Lock::Channel(terms), Witness::Cooperative { state, fee }) => {
            let mut account = Account::of_channel(terms, &state.state);
            account.draw_from_both(Party::A, *fee).ok()?;
            return counted(&account, state.state.version, capacity, Amount::ZERO);
        }
        (Lock::Closing(closing), Witness::Cooperative { state, fee }) => {
            (Closing { state: state.state.clone(), ..(**closing).clone() }, (Party::A, *fee))
        }
        (Lock::Closing(closing), Witness::Finalize { fee, .. }) => {
            ((**closing).clone(), (closing.author, *fee))
        }
        (Lock::Closing(closing), Witness::Answer { state, proof, fee, .. }) => {
            let mut settled = (**closing).clone();
            settled.penalized |= proof.is_some();
            if let Some(state) = state {
                settled.state = state.state.clone();
            }
            (settled, (closing.author.other(), *fee))
        }
        _ => return None,
    };
    let mut account = Account::of_closing(&closing)?;
    account.draw_from_both(drawn.0, drawn.1).ok()?;
    let share = if closing.penalized { closing.terms.penalty_basis_points } else { 0 };
    let forfeit = closing.state.balance(closing.author).share(share);
    counted(&account, closing.state.version, closing.capacity, forfeit)
}

fn counted(account: &Account, version: u64, capacity: Amount, forfeit: Amount) -> Option<PaidOut> {
    let (a, b) = (account.left(Party::A), account.left(Party::B));
    let fees = capacity.checked_sub(a)?.checked_sub(b)?;
    Some(PaidOut { version, a, b, fees, forfeit })
}

#[cfg(test)]
mod tests;
