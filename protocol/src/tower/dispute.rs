//! The transactions with which a tower contests closings: many channels in one, each paying for itself out of its own
//! balance as far as the ledger lets it (`docs/decisions/close-fees.md`; SPEC T-33 to T-36).

use towpath_crypto::{Amount, codec};
use towpath_ledger::rules::Account;
use towpath_ledger::settle::{Place, deadline_of};
use towpath_ledger::{
    AssetId, Closing, CoSigned, Deadline, Lock, OutPoint, Output, SignedState, Time, Transaction, TxBody,
    Witness,
};

/// A closing as the ledger has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Posted {
    /// Where.
    pub outpoint: OutPoint,
    /// When it was made: its deadline counts from there unless it says another.
    pub created: Time,
    /// In which asset.
    pub asset: AssetId,
    /// What it holds.
    pub amount: Amount,
    /// The closing.
    pub closing: Box<Closing>,
}

impl Posted {
    /// The last block time at which it can be contested.
    #[must_use]
    pub const fn deadline(&self) -> Time {
        deadline_of(&self.closing, self.created)
    }
}

/// What a tower shows against a closing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Move {
    pub(super) state: Option<Box<CoSigned>>,
    pub(super) proof: Option<Box<SignedState>>,
}

impl Move {
    /// What `newest`, a state that both signed, and `proof`, which the author signed, show against `closing`; `None` if nothing.
    pub(super) fn against(
        closing: &Closing,
        newest: Option<&CoSigned>,
        proof: Option<&SignedState>,
    ) -> Option<Self> {
        let state = newest.filter(|newest| newest.state.version > closing.state.version);
        let proof = proof.filter(|proof| !closing.penalized && proof.signature.held > closing.posted_version);
        let shown = Self { state: state.cloned().map(Box::new), proof: proof.cloned().map(Box::new) };
        (shown.state.is_some() || shown.proof.is_some()).then_some(shown)
    }

    /// The same without the proof, which may cost more than the channel lets a tower take.
    pub(super) fn without_proof(&self) -> Option<Self> {
        self.proof.as_ref()?;
        self.state.as_ref()?;
        Some(Self { state: self.state.clone(), proof: None })
    }

    /// The witness, if there is anything to show.
    fn witness(&self, fee: Amount) -> Option<Witness> {
        match (&self.state, &self.proof) {
            (state, Some(proof)) => {
                Some(Witness::Penalize { state: state.clone(), proof: proof.clone(), fee })
            }
            (Some(state), None) => Some(Witness::Supersede { state: state.clone(), fee }),
            (None, None) => None,
        }
    }

    /// The closing that follows, with `fee` taken out of the other party's balance.
    fn next(&self, posted: &Posted, fee: Amount) -> Option<Closing> {
        let mut next = (*posted.closing).clone();
        next.penalized |= self.proof.is_some();
        if let Some(state) = &self.state {
            next.state = state.state.clone();
        }
        next.deadline = Deadline::At(posted.deadline());
        next.other_fees = next.other_fees.checked_add(fee)?;
        Some(next)
    }
}

/// One input of a dispute, with the output in which its channel goes on.
#[derive(Clone, Debug)]
pub(super) struct Part {
    posted: Posted,
    shown: Move,
    /// The most that may be taken out of the channel.
    room: Amount,
    /// The least fee of its own bytes.
    cost: Amount,
}

impl Part {
    pub(super) fn new(place: &Place<'_>, posted: &Posted, shown: Move) -> Option<Self> {
        let mut part = Self { posted: posted.clone(), shown, room: Amount::ZERO, cost: Amount::ZERO };
        let (output, witness) = part.make(Amount::ZERO)?;
        let bytes = codec::encode(&part.posted.outpoint).len()
            + codec::encode(&output).len()
            + codec::encode(&witness).len();
        part.cost = place.params.fee_min(bytes as u64);
        part.room = part.room_left()?;
        Some(part)
    }

    /// What the ledger lets anyone take: out of what is left for the other party, half of its bound in all (C-44). Fees
    /// are native, so nothing comes out of a channel of another asset.
    fn room_left(&self) -> Option<Amount> {
        let Posted { asset, closing, .. } = &self.posted;
        if *asset != AssetId::NATIVE {
            return Some(Amount::ZERO);
        }
        let account = Account::of_closing(&self.shown.next(&self.posted, Amount::ZERO)?)?;
        Some(account.room(closing.author.other(), closing.terms.close_fee_max.share(5_000)))
    }

    /// Whether the channel pays for its own part.
    pub(super) fn pays_for_itself(&self, overhead: Amount) -> bool {
        self.cost.checked_add(overhead).is_some_and(|cost| cost <= self.room)
    }

    fn make(&self, fee: Amount) -> Option<(Output, Witness)> {
        let amount = self.posted.amount.checked_sub(fee)?;
        let lock = Lock::Closing(Box::new(self.shown.next(&self.posted, fee)?));
        Some((Output { asset: self.posted.asset, amount, lock }, self.shown.witness(fee)?))
    }
}

/// A transaction that contests closings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dispute {
    /// All channel inputs first, with their outputs in the same places. No witness of them signs the transaction, so a
    /// wallet input and its change can be added.
    pub transaction: Transaction,
    /// What it lacks to pay the least fee of its bytes as they are; zero if it can be sent as it is.
    pub short: Amount,
}

/// The fee of what a transaction has beside its inputs and outputs.
pub(super) fn overhead(place: &Place<'_>) -> Amount {
    place.params.fee_min(towpath_ledger::limits::TRANSACTION_OVERHEAD_BYTES)
}

/// The transaction of `parts`. Each pays for its own bytes as far as it may; what they have in common, and what one lacks,
/// the others pay as far as they may.
pub(super) fn assemble(place: &Place<'_>, parts: &[Part]) -> Option<Dispute> {
    let own: Vec<Amount> = parts.iter().map(|part| part.cost.min(part.room)).collect();
    let needed = place.params.fee_min(codec::encode(&transaction(place, parts, &own)?).len() as u64);
    let paid = Amount::checked_sum(own.iter().copied())?;
    let mut missing = needed.checked_sub(paid).unwrap_or(Amount::ZERO);
    let mut fees = Vec::with_capacity(parts.len());
    for (part, own) in parts.iter().zip(own) {
        let more = part.room.checked_sub(own)?.min(missing);
        missing = missing.checked_sub(more)?;
        fees.push(own.checked_add(more)?);
    }
    Some(Dispute { transaction: transaction(place, parts, &fees)?, short: missing })
}

fn transaction(place: &Place<'_>, parts: &[Part], fees: &[Amount]) -> Option<Transaction> {
    let made: Option<Vec<(Output, Witness)>> =
        parts.iter().zip(fees).map(|(part, fee)| part.make(*fee)).collect();
    let (outputs, witnesses) = made?.into_iter().unzip();
    let body = TxBody {
        chain: place.chain,
        inputs: parts.iter().map(|part| part.posted.outpoint).collect(),
        outputs,
        not_before: None,
        expiry: None,
        payload: None,
    };
    Some(Transaction { body, witnesses })
}
