//! A small ledger, two parties and a stranger: everything is deterministic, and audited after every step.

use towpath_crypto::Amount;
use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::schnorr::WalletSecret;

use crate::rules::audit::Supply;
use crate::rules::{BlockContext, Changes, Params, Signatures, TxError, apply_transaction};
use crate::types::*;
use crate::view::MemoryView;

/// The ledger that everything is for.
pub const CHAIN: ChainId = ChainId(Digest([0xc4; 32]));

/// The time at which each world starts.
pub const START: Time = Time(1_700_000_000_000);

/// The dispute window of [`World::terms`].
pub const WINDOW_MS: u64 = 3_600_000;

/// What each genesis output holds.
pub const COIN: Amount = Amount(10_000_000);

/// The capacity of [`World::open`].
pub const CAPACITY: Amount = Amount(1_000_000);

/// A party's secrets.
#[derive(Clone)]
pub struct Person {
    /// For its channels.
    pub channel: SecretKey,
    /// For its wallet.
    pub wallet: WalletSecret,
}

impl Person {
    /// The one with this number.
    pub fn new(number: u8) -> Self {
        Self {
            channel: SecretKey::from_bytes(&[number; 32]),
            wallet: WalletSecret::from_bytes([number; 32]).expect("a small number is a scalar"),
        }
    }

    /// Where it is paid.
    pub fn payout(&self) -> Payout {
        Payout::Key(self.wallet.public())
    }

    /// An output to it.
    pub fn paid(&self, amount: Amount) -> Output {
        Output { asset: AssetId::NATIVE, amount, lock: Lock::Wallet(self.payout()) }
    }
}

/// Who opens channels.
pub fn alice() -> Person {
    Person::new(1)
}

/// Who accepts them.
pub fn bob() -> Person {
    Person::new(2)
}

/// Who has no part in them.
pub fn carol() -> Person {
    Person::new(3)
}

/// The one of the channel's parties.
pub fn person(party: Party) -> Person {
    match party {
        Party::A => alice(),
        Party::B => bob(),
    }
}

/// How an input is authorized.
#[derive(Clone)]
pub enum How {
    /// A wallet key signs.
    Key(WalletSecret),
    /// With this witness.
    Witness(Witness),
    /// Both channel keys sign the transaction.
    Resize(ChannelId),
}

/// A transaction in the making.
#[derive(Clone)]
pub struct Draft {
    /// What it spends, and why it may.
    pub inputs: Vec<(OutPoint, How)>,
    /// What it makes.
    pub outputs: Vec<Output>,
    /// What it records.
    pub payload: Option<Payload>,
}

impl Draft {
    /// One input.
    pub fn of(outpoint: OutPoint, how: How, outputs: Vec<Output>) -> Self {
        Self { inputs: vec![(outpoint, how)], outputs, payload: None }
    }

    /// One more input.
    pub fn with(mut self, outpoint: OutPoint, how: How) -> Self {
        self.inputs.push((outpoint, how));
        self
    }

    /// The body.
    pub fn body(&self) -> TxBody {
        TxBody {
            chain: CHAIN,
            inputs: self.inputs.iter().map(|(outpoint, _)| *outpoint).collect(),
            outputs: self.outputs.clone(),
            not_before: None,
            expiry: None,
            payload: self.payload.clone(),
        }
    }

    /// The signed transaction.
    pub fn sign(&self, view: &MemoryView) -> Transaction {
        sign_body(self.body(), self.inputs.iter().map(|(_, how)| how), view)
    }
}

/// Signs a body.
pub fn sign_body<'a>(
    body: TxBody,
    hows: impl IntoIterator<Item = &'a How>,
    view: &MemoryView,
) -> Transaction {
    let missing = carol().paid(Amount(1));
    let output = |outpoint| view.entries.get(outpoint).map_or(missing.clone(), |entry| entry.output.clone());
    let spend = Spend { transaction: body.id(), spent: body.inputs.iter().map(output).collect() };
    let witness = |how: &How| match how {
        How::Key(secret) => Witness::Wallet(vec![(secret.public(), secret.sign(&CHAIN, &spend))]),
        How::Witness(witness) => witness.clone(),
        How::Resize(channel) => {
            let intent = ResizeIntent { transaction: body.id(), channel: *channel };
            let (a, b) = (alice().channel.sign(&CHAIN, &intent), bob().channel.sign(&CHAIN, &intent));
            Witness::Resize { a, b }
        }
    };
    let witnesses = hows.into_iter().map(witness).collect();
    Transaction { body, witnesses }
}

/// The ledger, at some block.
#[derive(Clone)]
pub struct World {
    /// Its outputs and secrets.
    pub view: MemoryView,
    /// What should exist.
    pub supply: Supply,
    /// Its parameters.
    pub params: Params,
    /// The height of the next block.
    pub height: u64,
    /// The time of the next block.
    pub time: Time,
}

impl World {
    /// Ten coins for each of the three.
    pub fn new() -> Self {
        let params = Params { dispute_window_ms_min: 600_000, ..Params::default() };
        params.check().expect("the defaults are within their bounds");
        let mut view = MemoryView::default();
        for number in 1..=3 {
            for index in 0..10 {
                let output = Person::new(number).paid(COIN);
                view.entries.insert(coin(number, index), Entry { output, height: 0, time: Time(0) });
            }
        }
        Self { supply: Supply::at_genesis(&view), view, params, height: 1, time: START }
    }

    /// The block that the next transaction is in.
    pub fn context(&self) -> BlockContext<'_> {
        BlockContext { chain: CHAIN, height: self.height, time: self.time, params: &self.params }
    }

    /// Whether a transaction would be accepted; nothing changes.
    pub fn check(&self, transaction: &Transaction) -> Result<Changes, TxError> {
        apply_transaction(transaction, &self.view, &self.context(), Signatures::Verify)
    }

    /// Applies a transaction and audits the ledger.
    pub fn apply(&mut self, transaction: &Transaction) -> Result<Changes, TxError> {
        let changes = self.check(transaction)?;
        self.view.apply(&changes);
        self.supply.record(transaction, &changes);
        self.supply.check(&self.view).expect("the ledger adds up after every transaction");
        Ok(changes)
    }

    /// Applies a draft.
    pub fn submit(&mut self, draft: &Draft) -> Result<Changes, TxError> {
        let transaction = draft.sign(&self.view);
        self.apply(&transaction)
    }

    /// Lets time pass.
    pub fn wait_ms(&mut self, ms: u64) {
        self.height += 1;
        self.time = self.time.plus_ms(ms);
    }

    /// What lies in wallets of `person`, in native units.
    pub fn holdings(&self, person: &Person) -> u64 {
        let lock = Lock::Wallet(person.payout());
        self.view
            .entries
            .values()
            .filter(|entry| entry.output.lock == lock && entry.output.asset == AssetId::NATIVE)
            .map(|entry| entry.output.amount.units())
            .sum()
    }

    /// The terms of a channel of Alice and Bob that `funding` opens as its first output.
    pub fn terms(funding: &OutPoint) -> ChannelTerms {
        let (key_a, key_b) = (alice().channel.public(), bob().channel.public());
        ChannelTerms {
            id: ChannelId::derive(&CHAIN, funding, 0, &key_a, &key_b),
            generation: 0,
            key_a,
            key_b,
            payout_a: alice().payout(),
            payout_b: bob().payout(),
            dispute_window_ms: WINDOW_MS,
            penalty_basis_points: 5_000,
            reserve: Amount(10_000),
            close_fee_max: Amount(10_000),
            expiry: None,
        }
    }

    /// Opens a channel with Alice's coin of this index.
    pub fn open(&mut self, index: u32) -> Open {
        let funding = coin(1, index);
        let terms = Self::terms(&funding);
        let draft = opening(funding, terms.clone(), CAPACITY);
        let changes = self.submit(&draft).expect("a healthy opening");
        Open { outpoint: changes.created[0].0, terms, capacity: CAPACITY }
    }
}

/// A genesis output.
pub fn coin(number: u8, index: u32) -> OutPoint {
    OutPoint { tx: TxId(Digest([number; 32])), index }
}

/// A fee that every test transaction can afford, and that is enough for it.
pub const FEE: Amount = Amount(20_000);

/// A fee that a cooperative close may take out of the channel, and that is enough for it.
pub const CLOSE_FEE: u64 = 560;

/// The same for settling a closing without pending payments.
pub const SETTLE_FEE: u64 = 310;

/// `left - right`, in tests.
pub fn minus(left: Amount, right: Amount) -> Amount {
    left.checked_sub(right).expect("tests subtract the smaller")
}

/// Opens a channel with a coin of Alice's.
pub fn opening(funding: OutPoint, terms: ChannelTerms, capacity: Amount) -> Draft {
    let channel = Output { asset: AssetId::NATIVE, amount: capacity, lock: Lock::Channel(Box::new(terms)) };
    let change = alice().paid(minus(minus(COIN, capacity), FEE));
    Draft::of(funding, How::Key(alice().wallet), vec![channel, change])
}

/// An open channel.
#[derive(Clone)]
pub struct Open {
    /// Where it is.
    pub outpoint: OutPoint,
    /// Its terms.
    pub terms: ChannelTerms,
    /// What it holds.
    pub capacity: Amount,
}

impl Open {
    /// A state in which Alice has `a` and Bob the rest.
    pub fn state(&self, version: u64, a: u64) -> ChannelState {
        ChannelState {
            channel: self.terms.id,
            tag: ChannelTag(Digest([0x7a; 32])),
            generation: self.terms.generation,
            version,
            is_final: false,
            sequencer: Party::A,
            balance_a: Amount(a),
            balance_b: minus(self.capacity, Amount(a)),
            pending_total: Amount::ZERO,
            pending_root: Digest::ZERO,
        }
    }

    /// A final one.
    pub fn final_state(&self, version: u64, a: u64) -> ChannelState {
        ChannelState { is_final: true, ..self.state(version, a) }
    }

    /// A state in which these payments are taken out of Alice's balance.
    pub fn state_with(&self, version: u64, a: u64, pending: &[PendingPayment]) -> ChannelState {
        let total = PendingPayment::total(pending).expect("small amounts");
        let mut state = self.state(version, a);
        state.balance_a = minus(state.balance_a, total);
        state.pending_total = total;
        state.pending_root = PendingPayment::root(pending);
        state
    }

    /// The channel closed alone.
    pub fn unilateral(&self, author: Party, state: &CoSigned, fee: u64) -> Draft {
        let fee = Amount(fee);
        let intent = CloseIntent { state: state.state.clone(), author, fee };
        let signature = person(author).channel.sign(&CHAIN, &intent);
        let witness = Witness::Unilateral { state: Box::new(state.clone()), author, fee, signature };
        let closing = Closing {
            terms: self.terms.clone(),
            capacity: self.capacity,
            state: state.state.clone(),
            posted_version: state.state.version,
            author,
            deadline: Deadline::FromCreation,
            penalized: false,
            author_fees: fee,
            other_fees: Amount::ZERO,
        };
        Draft::of(self.outpoint, How::Witness(witness), vec![closing_output(closing)])
    }

    /// The channel closed together: each is paid its balance, less the fee out of Alice's.
    pub fn cooperative(&self, state: &CoSigned, fee: u64) -> Draft {
        let witness = Witness::Cooperative { state: Box::new(state.clone()), fee: Amount(fee) };
        let a = minus(state.state.balance_a, Amount(fee));
        let outputs = vec![alice().paid(a), bob().paid(state.state.balance_b)];
        Draft::of(self.outpoint, How::Witness(witness), outputs)
    }
}

/// Signed by both; each says that it holds the version before.
pub fn cosign(state: &ChannelState) -> CoSigned {
    let held = state.version.saturating_sub(1);
    cosign_held(state, held, held)
}

/// Signed by both, with what each says to hold.
pub fn cosign_held(state: &ChannelState, held_a: u64, held_b: u64) -> CoSigned {
    CoSigned {
        state: state.clone(),
        a: StateSignature::sign(&alice().channel, &CHAIN, state, held_a),
        b: StateSignature::sign(&bob().channel, &CHAIN, state, held_b),
    }
}

/// A closing as an output: the capacity less the fees.
pub fn closing_output(closing: Closing) -> Output {
    let amount = minus(minus(closing.capacity, closing.author_fees), closing.other_fees);
    Output { asset: AssetId::NATIVE, amount, lock: Lock::Closing(Box::new(closing)) }
}

/// A closing on the ledger.
#[derive(Clone)]
pub struct Posted {
    /// Where it is.
    pub outpoint: OutPoint,
    /// What it says.
    pub closing: Closing,
    /// When its window ends.
    pub deadline: Time,
}

impl Posted {
    /// The closing that a transaction made as its first output.
    pub fn of(changes: &Changes) -> Self {
        let (outpoint, entry) = changes.created[0].clone();
        let Lock::Closing(closing) = entry.output.lock else { panic!("the first output is a closing") };
        let deadline = match closing.deadline {
            Deadline::FromCreation => entry.time.plus_ms(closing.terms.dispute_window_ms),
            Deadline::At(time) => time,
        };
        Self { outpoint, closing: *closing, deadline }
    }

    fn next(&self, witness: Witness, change: impl FnOnce(&mut Closing)) -> Draft {
        let mut closing = self.closing.clone();
        closing.deadline = Deadline::At(self.deadline);
        change(&mut closing);
        Draft::of(self.outpoint, How::Witness(witness), vec![closing_output(closing)])
    }

    /// Superseded by a newer state.
    pub fn supersede(&self, state: &CoSigned, fee: u64) -> Draft {
        let fee = Amount(fee);
        let witness = Witness::Supersede { state: Box::new(state.clone()), fee };
        self.next(witness, |closing| {
            closing.state = state.state.clone();
            closing.other_fees = closing.other_fees.checked_add(fee).expect("small amounts");
        })
    }

    /// Penalized by a claim of its author's.
    pub fn penalize(&self, state: Option<&CoSigned>, proof: &SignedState, fee: u64) -> Draft {
        let fee = Amount(fee);
        let boxed = state.map(|state| Box::new(state.clone()));
        let witness = Witness::Penalize { state: boxed, proof: Box::new(proof.clone()), fee };
        self.next(witness, |closing| {
            closing.penalized = true;
            if let Some(state) = state {
                closing.state = state.state.clone();
            }
            closing.other_fees = closing.other_fees.checked_add(fee).expect("small amounts");
        })
    }

    /// Settled after the deadline; the outputs are up to the caller.
    pub fn finalize(&self, pending: &[PendingPayment], fee: u64, outputs: Vec<Output>) -> Draft {
        let witness = Witness::Finalize { pending: pending.to_vec(), fee: Amount(fee) };
        Draft::of(self.outpoint, How::Witness(witness), outputs)
    }

    /// Answered by the other party; the outputs are up to the caller.
    pub fn answer(
        &self,
        (state, proof): (Option<&CoSigned>, Option<&SignedState>),
        pending: &[PendingPayment],
        fee: u64,
        outputs: Vec<Output>,
    ) -> Draft {
        let signed = CloseAnswer {
            closing: self.outpoint,
            state: state.map_or(&self.closing.state, |state| &state.state).clone(),
            penalized: self.closing.penalized || proof.is_some(),
            fee: Amount(fee),
        };
        let witness = Witness::Answer {
            state: state.map(|state| Box::new(state.clone())),
            proof: proof.map(|proof| Box::new(proof.clone())),
            pending: pending.to_vec(),
            fee: Amount(fee),
            signature: person(self.closing.author.other()).channel.sign(&CHAIN, &signed),
        };
        Draft::of(self.outpoint, How::Witness(witness), outputs)
    }
}

/// A claim of `party`: its signature on `state`, saying that it holds `held`.
pub fn claim(party: Party, state: &ChannelState, held: u64) -> SignedState {
    let signature = StateSignature::sign(&person(party).channel, &CHAIN, state, held);
    SignedState { state: state.clone(), signature }
}

/// A payment of Alice to Bob, locked by the hash of `secret`.
pub fn hash_payment(number: u64, amount: u64, secret: &Secret, expiry: Time) -> PendingPayment {
    let condition = secret.condition().expect("a usable secret");
    PendingPayment { number, payer: Party::A, amount: Amount(amount), condition, expiry }
}
