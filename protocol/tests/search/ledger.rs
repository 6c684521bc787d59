//! The channel's output on the ledger, under the shipped rules: each step is a whole transaction that
//! `apply_transaction` judges. Two things are the search's own: which fee a step takes, and, on request, the naive
//! penalty, which the shipped rules don't know and which is therefore written into the output by hand.

use towpath_crypto::codec;
use towpath_ledger::rules::audit::Supply;
use towpath_ledger::rules::{BlockContext, Changes, Signatures, Signed, apply_transaction, signatures};
use towpath_ledger::{
    Amount, AssetId, ChannelState, ChannelTerms, Closing, Deadline, Entry, Lock, MemoryView, OutPoint,
    Output, Party, Time, Transaction, TxBody, Witness,
};
use towpath_protocol::{Change, Settlement};

use super::config::PenaltyRule;
use super::intern::{Name, name_of};
use super::resize::coins;
use super::setup::{self, LAST, LATE, POSTED, START};
use super::store::{Ordered, Store};
use super::turn::Fee;
use super::violation::{Kind, Violation, must};

/// A closing as the ledger shows it.
#[derive(Clone, Debug)]
pub struct Shown {
    pub outpoint: OutPoint,
    pub entry: Entry,
    pub closing: Closing,
    /// Whether its deadline is over.
    pub late: bool,
}

/// How the channel was divided.
#[derive(Clone, Debug)]
pub struct Settled {
    pub state: ChannelState,
    pub outcome: Settlement,
    /// What each party got.
    pub paid: [u64; 2],
    pub penalized: Option<Party>,
}

/// Where the channel is.
#[derive(Clone, Debug)]
pub enum Place {
    Open { outpoint: OutPoint, entry: Entry },
    Closing(Box<Shown>),
    Settled(Box<Settled>),
}

/// The ledger, as far as the channel goes.
#[derive(Clone)]
pub struct Ledger {
    view: MemoryView,
    supply: Supply,
    pub place: Place,
    /// Its time, until somebody closes.
    pub clock: Time,
    /// What each party brought into the channel beside its first balance.
    pub brought: [i128; 2],
}

/// One step of the ledger. States, proofs and copies are named by their numbers.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Move {
    /// The adversary closes alone with what an honest party signed.
    Close { claim: u32, fee: Fee },
    /// Anybody posts final balances.
    Together { claim: u32 },
    /// Anybody shows a higher version.
    Supersede { claim: u32, fee: Fee },
    /// Anybody shows what the author held, perhaps with a higher version.
    Penalize { claim: Option<u32>, proof: u32, fee: Fee },
    /// The adversary answers an honest author.
    Answer { claim: Option<u32>, proof: Option<u32>, fee: Fee },
    /// What an honest machine posted.
    Order(u32),
    /// The adversary's resize, which an honest party agreed to.
    Resize(u32),
    /// Time passes the expiry of all resizes that were planned until now.
    Pass,
    /// The tower shows its copy.
    Tower(u32),
    /// The deadline passes.
    Advance,
    /// Anybody pays out after it.
    Finalize,
}

impl Ledger {
    pub fn funded(outpoint: OutPoint, entry: Entry, changes: &[Change]) -> Self {
        let mut view = MemoryView::default();
        view.entries.extend(coins(changes));
        view.entries.insert(outpoint, entry.clone());
        let (supply, place) = (Supply::at_genesis(&view), Place::Open { outpoint, entry });
        Self { supply, view, place, clock: START, brought: [0; 2] }
    }

    pub fn name(&self) -> Name {
        match &self.place {
            Place::Open { outpoint, .. } => name_of(&("open", outpoint, self.clock)),
            Place::Closing(shown) => {
                let entry = codec::encode(&shown.entry);
                name_of(&("closing", shown.outpoint, entry, shown.late, self.brought))
            }
            // What matters of the end is who got what, by what; not the way there.
            Place::Settled(settled) => name_of(&("settled", format!("{settled:?}"), self.brought)),
        }
    }

    /// The output that the channel is in.
    pub fn outpoint(&self) -> Option<OutPoint> {
        match &self.place {
            Place::Open { outpoint, .. } => Some(*outpoint),
            Place::Closing(shown) => Some(shown.outpoint),
            Place::Settled(_) => None,
        }
    }

    pub fn closing(&self) -> Option<&Shown> {
        match &self.place {
            Place::Closing(shown) => Some(shown),
            Place::Open { .. } | Place::Settled(_) => None,
        }
    }

    pub fn settled(&self) -> Option<&Settled> {
        match &self.place {
            Place::Settled(settled) => Some(settled),
            Place::Open { .. } | Place::Closing(_) => None,
        }
    }

    /// Makes the changes, and counts all funds again.
    pub fn record(&mut self, transaction: &Transaction, changes: &Changes) -> Result<(), Violation> {
        self.view.apply(changes);
        self.supply.record(transaction, changes);
        self.supply.check(&self.view).map_err(|error| Violation::new(Kind::Supply, error.to_string()))
    }

    fn time(&self) -> Time {
        match &self.place {
            Place::Open { .. } => POSTED,
            Place::Closing(shown) if shown.late => LATE,
            Place::Closing(_) | Place::Settled(_) => LAST,
        }
    }
}

impl Store {
    /// The ledger after a step; none if the rules refuse it.
    pub fn advance(&mut self, from: u32, step: Move) -> Result<Option<u32>, Violation> {
        if let Some(known) = self.moves.get(&(from, step)) {
            return Ok(*known);
        }
        let next = match step {
            Move::Advance => self.pass_deadline(from),
            Move::Pass => self.pass_expiry(from),
            Move::Resize(intent) => self.spend_resize(from, &self.complete_resize(intent))?,
            Move::Close { .. }
            | Move::Together { .. }
            | Move::Supersede { .. }
            | Move::Penalize { .. }
            | Move::Answer { .. }
            | Move::Order(_)
            | Move::Tower(_)
            | Move::Finalize => match self.witness(from, step) {
                Some(Ordered::Witness(witness)) => self.spend(from, &witness)?,
                Some(Ordered::Resize(transaction)) => self.spend_resize(from, &transaction)?,
                None => None,
            },
        };
        let stays = next.is_none() || !self.is_of_another(from, step);
        must(stays, Kind::Generation, || format!("{step:?} counts, with a state of another generation"))?;
        let next = next.map(|next| self.keep_ledger(next));
        self.moves.insert((from, step), next);
        Ok(next)
    }

    fn pass_deadline(&self, from: u32) -> Option<Ledger> {
        let mut ledger = self.ledgers.get(from).clone();
        match &mut ledger.place {
            Place::Closing(shown) if !shown.late => {
                shown.late = true;
                Some(ledger)
            }
            Place::Closing(_) | Place::Open { .. } | Place::Settled(_) => None,
        }
    }

    /// What authorizes a step.
    fn witness(&self, from: u32, step: Move) -> Option<Ordered> {
        let ledger = self.ledgers.get(from);
        let state = |claim: u32| Box::new(self.claims.get(claim).completed.clone());
        let proof = |claim: u32| Box::new(self.claims.get(claim).signed.clone());
        let (most, half) = (self.config.fee_max, self.config.fee_max / 2);
        let witness = match step {
            Move::Close { claim, fee } => {
                let author = setup::party(1 - self.claims.get(claim).seat);
                Some(self.close(state(claim), author, fee.of(most)))
            }
            Move::Together { claim } => Some(Witness::Cooperative { state: state(claim), fee: Amount::ZERO }),
            Move::Supersede { claim, fee } => {
                Some(Witness::Supersede { state: state(claim), fee: fee.of(half) })
            }
            Move::Penalize { claim, proof: number, fee } => {
                let (state, proof, fee) = (claim.map(state), proof(number), fee.of(half));
                Some(Witness::Penalize { state, proof, fee })
            }
            Move::Answer { claim, proof: number, fee } => {
                self.answer(ledger.closing()?, claim.map(state), number.map(proof), fee.of(most))
            }
            Move::Order(number) => {
                let order = self.orders.get(number);
                return (ledger.outpoint() == Some(order.spends)).then(|| order.what.clone());
            }
            Move::Tower(number) => self.tower(ledger.closing()?, number),
            Move::Finalize => Some(Witness::Finalize { pending: Vec::new(), fee: Amount::ZERO }),
            Move::Advance | Move::Pass | Move::Resize(_) => None,
        };
        witness.map(|witness| Ordered::Witness(Box::new(witness)))
    }

    fn close(&self, state: Box<towpath_ledger::CoSigned>, author: Party, fee: Amount) -> Witness {
        let intent = towpath_ledger::CloseIntent { state: state.state.clone(), author, fee };
        let signature = self.keys[setup::index(author)].sign_close_intent(&setup::chain(), &intent);
        Witness::Unilateral { state, author, fee, signature }
    }

    fn answer(
        &self,
        shown: &Shown,
        state: Option<Box<towpath_ledger::CoSigned>>,
        proof: Option<Box<towpath_ledger::SignedState>>,
        fee: Amount,
    ) -> Option<Witness> {
        let other = shown.closing.author.other();
        let settles = state.as_ref().map_or_else(|| shown.closing.state.clone(), |state| state.state.clone());
        let penalized = shown.closing.penalized || proof.is_some();
        let answer = towpath_ledger::CloseAnswer { closing: shown.outpoint, state: settles, penalized, fee };
        let signature = self.keys[setup::index(other)].sign_answer(&setup::chain(), &answer);
        Some(Witness::Answer { state, proof, pending: Vec::new(), fee, signature })
    }

    /// What a tower shows: its state if that is newer, and its proof if it proves something.
    fn tower(&self, shown: &Shown, number: u32) -> Option<Witness> {
        let copy = self.copies.get(number);
        let closing = &shown.closing;
        if copy.state.state.generation != closing.terms.generation {
            return None;
        }
        let newer = copy.state.state.version > closing.state.version;
        let signer = if copy.proof.signature == copy.state.a { Party::A } else { Party::B };
        let proves = signer == closing.author
            && !closing.penalized
            && copy.proof.signature.held > closing.posted_version;
        let state = newer.then(|| Box::new(copy.state.clone()));
        match (state, proves) {
            (state, true) => {
                Some(Witness::Penalize { state, proof: Box::new(copy.proof.clone()), fee: Amount::ZERO })
            }
            (Some(state), false) => Some(Witness::Supersede { state, fee: Amount::ZERO }),
            (None, false) => None,
        }
    }

    /// Applies the transaction with this witness, under the shipped rules.
    fn spend(&self, from: u32, witness: &Witness) -> Result<Option<Ledger>, Violation> {
        let ledger = self.ledgers.get(from);
        let Some(transaction) = self.transaction(ledger, witness) else { return Ok(None) };
        let Some(changes) = self.judge(ledger, &transaction, ledger.time()) else { return Ok(None) };
        self.applied(ledger, &transaction, witness, &changes).map(Some)
    }

    /// What the shipped rules say to a transaction in a block of this time: what it changes, or nothing.
    pub fn judge(&self, ledger: &Ledger, transaction: &Transaction, time: Time) -> Option<Changes> {
        let params = setup::params();
        let context = BlockContext { chain: setup::chain(), height: 9, time, params: &params };
        let checks = signatures(transaction, &ledger.view, &context).ok()?;
        let valid = checks.iter().all(|check| match &check.signed {
            Signed::Channel(check) => setup::verify(self.config.crypto, *check),
            Signed::Wallet(check) => check.verify(),
        });
        valid.then(|| {
            apply_transaction(transaction, &ledger.view, &context, Signatures::AlreadyVerified)
                .expect("found valid a moment ago")
        })
    }

    /// Whether a step shows a state, or a proof, of another generation than the channel is in.
    pub fn is_of_another(&self, from: u32, step: Move) -> bool {
        let shown = match &self.ledgers.get(from).place {
            Place::Open { entry, .. } => match &entry.output.lock {
                Lock::Channel(terms) => terms.generation,
                Lock::Wallet(_) | Lock::Closing(_) | Lock::Conditional(_) => return false,
            },
            Place::Closing(shown) => shown.closing.terms.generation,
            Place::Settled(_) => return false,
        };
        let other = |claim: u32| self.claims.get(claim).content.state.generation != shown;
        match step {
            Move::Close { claim, .. } | Move::Together { claim } | Move::Supersede { claim, .. } => {
                other(claim)
            }
            Move::Penalize { claim, proof, .. } => claim.is_some_and(other) || other(proof),
            Move::Answer { claim, proof, .. } => claim.is_some_and(other) || proof.is_some_and(other),
            Move::Tower(copy) => self.copies.get(copy).state.state.generation != shown,
            Move::Order(_) | Move::Resize(_) | Move::Pass | Move::Advance | Move::Finalize => false,
        }
    }

    fn applied(
        &self,
        ledger: &Ledger,
        transaction: &Transaction,
        witness: &Witness,
        changes: &Changes,
    ) -> Result<Ledger, Violation> {
        let mut next = ledger.clone();
        next.record(transaction, changes)?;
        let disputes =
            matches!(witness, Witness::Supersede { .. } | Witness::Penalize { .. } | Witness::Answer { .. });
        let late = ledger.closing().is_some_and(|shown| shown.late);
        must(!(disputes && late), Kind::LateDispute, || "a dispute after the deadline".into())?;
        let closing = changes.created.iter().find_map(|(outpoint, entry)| match &entry.output.lock {
            Lock::Closing(closing) => Some((*outpoint, entry.clone(), closing.as_ref().clone())),
            Lock::Wallet(_) | Lock::Channel(_) | Lock::Conditional(_) => None,
        });
        next.place = match closing {
            None => Place::Settled(Box::new(settled(&self.terms, ledger, witness, changes))),
            Some((outpoint, mut entry, mut closing)) => {
                if self.config.penalty == PenaltyRule::Naive && matches!(witness, Witness::Supersede { .. }) {
                    closing.penalized = true;
                    entry.output.lock = Lock::Closing(Box::new(closing.clone()));
                    next.view.entries.insert(outpoint, entry.clone());
                }
                Place::Closing(Box::new(Shown { outpoint, entry, closing, late: false }))
            }
        };
        Ok(next)
    }

    /// The one transaction that does what the witness authorizes.
    fn transaction(&self, ledger: &Ledger, witness: &Witness) -> Option<Transaction> {
        let outputs = match (&ledger.place, witness) {
            (Place::Open { entry, .. }, Witness::Unilateral { state, author, fee, .. }) => {
                let Lock::Channel(terms) = &entry.output.lock else { return None };
                let closing = Closing {
                    terms: terms.as_ref().clone(),
                    capacity: entry.output.amount,
                    state: state.state.clone(),
                    posted_version: state.state.version,
                    author: *author,
                    deadline: Deadline::FromCreation,
                    penalized: false,
                    author_fees: *fee,
                    other_fees: Amount::ZERO,
                };
                vec![still_closing(closing)?]
            }
            (Place::Open { .. }, Witness::Cooperative { state, .. }) => {
                payouts(&self.terms, [state.state.balance_a, state.state.balance_b])
            }
            (Place::Closing(shown), _) => spend_closing(shown, witness)?,
            (Place::Open { .. } | Place::Settled(_), _) => return None,
        };
        let body = TxBody {
            chain: setup::chain(),
            inputs: vec![ledger.outpoint()?],
            outputs,
            not_before: None,
            expiry: None,
            payload: None,
        };
        Some(Transaction { body, witnesses: vec![witness.clone()] })
    }
}

/// What a step makes of a closing.
fn spend_closing(shown: &Shown, witness: &Witness) -> Option<Vec<Output>> {
    let mut closing = shown.closing.clone();
    let deadline = Deadline::At(shown.entry.time.plus_ms(closing.terms.dispute_window_ms));
    let (state, proof, fee) = match witness {
        Witness::Supersede { state, fee } => (Some(state), None, *fee),
        Witness::Penalize { state, proof, fee } => (state.as_ref(), Some(proof), *fee),
        Witness::Answer { state, proof, fee, .. } => (state.as_ref(), proof.as_ref(), *fee),
        Witness::Cooperative { state, fee } => (Some(state), None, *fee),
        Witness::Finalize { fee, .. } => (None, None, *fee),
        Witness::Wallet(_)
        | Witness::Unilateral { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => {
            return None;
        }
    };
    closing.penalized |= proof.is_some();
    if let Some(state) = state {
        closing.state = state.state.clone();
    }
    closing.other_fees = closing.other_fees.checked_add(fee)?;
    match witness {
        Witness::Supersede { .. } | Witness::Penalize { .. } => {
            if closing.deadline == Deadline::FromCreation {
                closing.deadline = deadline;
            }
            Some(vec![still_closing(closing)?])
        }
        Witness::Answer { .. } | Witness::Cooperative { .. } | Witness::Finalize { .. } => {
            Some(payouts(&closing.terms, shares(&closing)?))
        }
        Witness::Wallet(_)
        | Witness::Unilateral { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => None,
    }
}

fn still_closing(closing: Closing) -> Option<Output> {
    let fees = closing.author_fees.checked_add(closing.other_fees)?;
    let amount = closing.capacity.checked_sub(fees)?;
    Some(Output { asset: AssetId::NATIVE, amount, lock: Lock::Closing(Box::new(closing)) })
}

fn payouts(terms: &ChannelTerms, shares: [Amount; 2]) -> Vec<Output> {
    let paid = |party, amount| Output {
        asset: AssetId::NATIVE,
        amount,
        lock: Lock::Wallet(terms.payout(party).clone()),
    };
    let outputs = [Party::A, Party::B].into_iter().zip(shares);
    outputs.filter(|(_, amount)| !amount.is_zero()).map(|(party, amount)| paid(party, amount)).collect()
}

/// What is left for A and B: the forfeit, then the fees of each, and what one lacks out of the other's (SPEC C-41, C-42).
fn shares(closing: &Closing) -> Option<[Amount; 2]> {
    let (author, other) = (closing.author, closing.author.other());
    let (mut own, mut others) = (closing.state.balance(author), closing.state.balance(other));
    if closing.penalized {
        let forfeit = own.share(closing.terms.penalty_basis_points);
        own = own.checked_sub(forfeit)?;
        others = others.checked_add(forfeit)?;
    }
    let bear = |first: Amount, second: Amount, fee: Amount| {
        let from_first = fee.min(first);
        Some((first.checked_sub(from_first)?, second.checked_sub(fee.checked_sub(from_first)?)?))
    };
    let (own, others) = bear(own, others, closing.author_fees)?;
    let (others, own) = bear(others, own, closing.other_fees)?;
    Some(match author {
        Party::A => [own, others],
        Party::B => [others, own],
    })
}

/// How a channel ended, by what spent its last output.
fn settled(terms: &ChannelTerms, ledger: &Ledger, witness: &Witness, changes: &Changes) -> Settled {
    let closing = ledger.closing().map(|shown| &shown.closing);
    let (state, proof) = match witness {
        Witness::Cooperative { state, .. } => (Some(state), None),
        Witness::Answer { state, proof, .. } => (state.as_ref(), proof.as_ref()),
        Witness::Finalize { .. }
        | Witness::Wallet(_)
        | Witness::Unilateral { .. }
        | Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => (None, None),
    };
    let state =
        state.map(|state| state.state.clone()).or_else(|| closing.map(|closing| closing.state.clone()));
    let state = state.expect("a channel is settled by a state");
    let penalized =
        closing.filter(|closing| closing.penalized || proof.is_some()).map(|closing| closing.author);
    let posted = closing.map(|closing| (closing.posted_version, closing.author));
    let outcome = match (witness, penalized, posted) {
        (Witness::Cooperative { .. }, _, _) | (_, _, None) => Settlement::Cooperative,
        (_, Some(_), _) => Settlement::Penalized,
        (_, None, Some((version, _))) if state.version > version => Settlement::Resolved,
        (_, None, Some(_)) => Settlement::Unilateral,
    };
    let paid = [Party::A, Party::B].map(|party| {
        let lock = Lock::Wallet(terms.payout(party).clone());
        let to = changes.created.iter().filter(|(_, entry)| entry.output.lock == lock);
        to.map(|(_, entry)| entry.output.amount.units()).sum()
    });
    Settled { state, outcome, paid, penalized }
}
