//! Channels on the real ledger of a simulated cluster: opened, closed with an old state, answered.

use towpath_crypto::ed25519::SecretKey;
use towpath_crypto::schnorr::WalletSecret;
use towpath_crypto::{ChainId, Digest};
use towpath_ledger::chain::{ChainParams, Validator, ValidatorSet};
use towpath_ledger::genesis::{Allocation, AssetName, Genesis};
use towpath_ledger::*;

use super::sim::secret;

/// When the ledger starts.
pub const START: Time = Time(1_790_000_000_000);
/// What each wallet has.
pub const COIN: Amount = Amount(1_000_000_000);
/// What each channel holds.
const CAPACITY: Amount = Amount(100_000_000);
const FEE: Amount = Amount(20_000);

pub fn wallet(number: u32) -> WalletSecret {
    let mut bytes = [0; 32];
    bytes[28..].copy_from_slice(&(number + 1).to_be_bytes());
    WalletSecret::from_bytes(bytes).expect("a small number above zero is a scalar")
}

fn paid(number: u32, amount: u64) -> Output {
    let lock = Lock::Wallet(Payout::Key(wallet(number).public()));
    Output { asset: AssetId::NATIVE, amount: Amount(amount), lock }
}

/// A ledger of so many validators and wallets, with the default parameters but for `change`.
pub fn genesis(validators: u8, wallets: u32, change: impl FnOnce(&mut ChainParams)) -> Genesis {
    let mut params = ChainParams::default();
    change(&mut params);
    let member = |index| Validator { key: secret(index).public(), power: 1 };
    let allocation =
        |number| Allocation { payout: Payout::Key(wallet(number).public()), asset: None, amount: COIN };
    let genesis = Genesis {
        name: "simulated".into(),
        time: START,
        native: AssetName { symbol: "TOW".into(), decimals: 6 },
        params,
        validators: ValidatorSet::new((0..validators).map(member).collect()).expect("distinct keys"),
        assets: Vec::new(),
        allocations: (0..wallets).map(allocation).collect(),
    };
    genesis.check().expect("a proper genesis");
    genesis
}

/// Wallet `number` spends its coin.
fn spend(chain: ChainId, number: u32, outputs: Vec<Output>) -> Transaction {
    let inputs = vec![OutPoint { tx: TxId(chain.0), index: number }];
    let body = TxBody { chain, inputs, outputs, not_before: None, expiry: None, payload: None };
    let signed = Spend { transaction: body.id(), spent: vec![paid(number, COIN.units())] };
    let key = wallet(number);
    let witnesses = vec![Witness::Wallet(vec![(key.public(), key.sign(&chain, &signed))])];
    Transaction { body, witnesses }
}

/// An ordinary payment of many outputs, for a high fee.
pub fn bulky(chain: ChainId, number: u32) -> Transaction {
    spend(chain, number, vec![paid(number, 3_000_000); 300])
}

/// A channel between a wallet and its neighbour.
pub struct Channel {
    chain: ChainId,
    terms: ChannelTerms,
    a: SecretKey,
    b: SecretKey,
    pub open: Transaction,
}

impl Channel {
    pub fn new(genesis: &Genesis, number: u32) -> Self {
        let chain = genesis.chain_id();
        let key = |side: u8| {
            let mut bytes = [side; 32];
            bytes[..4].copy_from_slice(&number.to_le_bytes());
            SecretKey::from_bytes(&bytes)
        };
        let (a, b) = (key(101), key(102));
        let (key_a, key_b) = (a.public(), b.public());
        let coin = OutPoint { tx: TxId(chain.0), index: number };
        let terms = ChannelTerms {
            id: ChannelId::derive(&chain, &coin, 0, &key_a, &key_b),
            generation: 0,
            key_a,
            key_b,
            payout_a: Payout::Key(wallet(number).public()),
            payout_b: Payout::Key(wallet(number + 1).public()),
            dispute_window_ms: genesis.params.rules.dispute_window_ms_min,
            penalty_basis_points: 5_000,
            reserve: Amount::ZERO,
            close_fee_max: Amount(1_000_000),
            expiry: None,
        };
        let lock = Lock::Channel(Box::new(terms.clone()));
        let funded = Output { asset: AssetId::NATIVE, amount: CAPACITY, lock };
        let rest = paid(number, COIN.units() - CAPACITY.units() - FEE.units());
        let open = spend(chain, number, vec![funded, rest]);
        Self { chain, terms, a, b, open }
    }

    fn state(&self, version: u64) -> CoSigned {
        let state = ChannelState {
            channel: self.terms.id,
            generation: 0,
            version,
            is_final: false,
            sequencer: Party::A,
            balance_a: Amount(CAPACITY.units() - version * 1_000_000),
            balance_b: Amount(version * 1_000_000),
            pending_total: Amount::ZERO,
            pending_root: Digest::ZERO,
        };
        let a = StateSignature::sign(&self.a, &self.chain, &state, version - 1);
        let b = StateSignature::sign(&self.b, &self.chain, &state, version);
        CoSigned { state, a, b }
    }

    /// A closes alone with version 1.
    pub fn close(&self) -> Transaction {
        let posted = self.state(1);
        let intent = CloseIntent { state: posted.state.clone(), author: Party::A, fee: FEE };
        let closing = Closing {
            terms: self.terms.clone(),
            capacity: CAPACITY,
            state: posted.state.clone(),
            posted_version: 1,
            author: Party::A,
            deadline: Deadline::FromCreation,
            penalized: false,
            author_fees: FEE,
            other_fees: Amount::ZERO,
        };
        let signature = self.a.sign(&self.chain, &intent);
        let witness = Witness::Unilateral { state: Box::new(posted), author: Party::A, fee: FEE, signature };
        let amount = CAPACITY.units() - FEE.units();
        self.go_on(OutPoint { tx: self.open.id(), index: 0 }, amount, closing, witness)
    }

    /// Where the closing is.
    pub fn closing(&self) -> OutPoint {
        OutPoint { tx: self.close().id(), index: 0 }
    }

    /// Anyone answers with version 9; none if the close is not on the ledger.
    pub fn answer(&self, view: &MemoryView) -> Option<Transaction> {
        let entry = view.entries.get(&self.closing())?;
        let Lock::Closing(old) = &entry.output.lock else { return None };
        let newer = self.state(9);
        let next = Closing {
            state: newer.state.clone(),
            deadline: Deadline::At(old.deadline(entry.time)),
            other_fees: FEE,
            ..old.as_ref().clone()
        };
        let witness = Witness::Supersede { state: Box::new(newer), fee: FEE };
        let amount = entry.output.amount.units() - FEE.units();
        Some(self.go_on(self.closing(), amount, next, witness))
    }

    /// The version at which the closing stands, and when its window ends.
    pub fn stands(&self, view: &MemoryView) -> Option<(u64, Time)> {
        let mut closings = view.entries.values().filter_map(|entry| match &entry.output.lock {
            Lock::Closing(closing) => Some((closing, entry.time)),
            Lock::Wallet(_) | Lock::Channel(_) | Lock::Conditional(_) => None,
        });
        let (closing, created) = closings.find(|(closing, _)| closing.terms.id == self.terms.id)?;
        Some((closing.state.version, closing.deadline(created)))
    }

    fn go_on(&self, input: OutPoint, amount: u64, closing: Closing, witness: Witness) -> Transaction {
        let lock = Lock::Closing(Box::new(closing));
        let output = Output { asset: AssetId::NATIVE, amount: Amount(amount), lock };
        let (inputs, outputs) = (vec![input], vec![output]);
        let body =
            TxBody { chain: self.chain, inputs, outputs, not_before: None, expiry: None, payload: None };
        Transaction { body, witnesses: vec![witness] }
    }
}
