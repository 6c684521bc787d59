//! The wallet as the driver keeps it: coins on the ledger, less those that are promised or spent by what waits.

pub(super) mod shared;

use std::collections::{BTreeMap, BTreeSet};

use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::rules::Params;
use towpath_ledger::{
    Amount, AssetId, ChainId, Lock, OutPoint, Output, Payout, Time, Transaction, TxBody, TxId, Witness,
};
use towpath_store::{Batch, Column, StoreError};

use self::shared::Shared;
use super::host::Chain;
use super::sends::{Made, PendingSend, Sends};
use crate::idempotency::SendState;
use crate::limits;
use crate::wallet::{Coin, Keyring, Rules, Selection, WalletError, payment, select, sign};

/// The row of `Meta` with the number of addresses that were handed out.
const ADDRESSES_ROW: &[u8] = b"wallet/addresses";

/// Bytes of an input and its witness: an outpoint, a variant, and one key with its signature.
const INPUT_BYTES: u64 = 36 + 4 + 8 + 32 + 64;

/// Bytes of a transaction with two wallet outputs and no input, a little more than exactly: the fee is a minimum.
const BASE_BYTES: u64 = 320;

/// Bytes of an output that pays a wallet key.
const CHANGE_BYTES: u64 = 32 + 8 + 4 + 4 + 32;

/// Bytes of an output with a channel's terms, and its keys.
const CHANNEL_OUTPUT_BYTES: u64 = 420;

/// Why the wallet refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FundsError {
    /// The coins do not suffice, or are not ours.
    #[error(transparent)]
    Wallet(#[from] WalletError),
    /// The ledger does not take it.
    #[error("{0}")]
    Refused(String),
    /// The amount is below what an output may have.
    #[error("{amount} is below {least}, the smallest output that the ledger takes")]
    TooSmall {
        /// Asked for.
        amount: Amount,
        /// The least.
        least: Amount,
    },
    /// All addresses are handed out.
    #[error("all {limit} addresses of this wallet are handed out")]
    NoMoreAddresses {
        /// How many.
        limit: u32,
    },
    /// As many fundings of many channels are on their way as are remembered.
    #[error("{limit} openings of many channels are on their way already; wait until some are final")]
    TooManyFundings {
        /// How many.
        limit: usize,
    },
    /// As many payments are on their way as are remembered.
    #[error("{limit} payments are on their way already; wait until some are final")]
    TooManySends {
        /// How many.
        limit: usize,
    },
    /// The database.
    #[error("the database cannot be read: {0}")]
    Store(String),
}

impl From<StoreError> for FundsError {
    fn from(error: StoreError) -> Self {
        Self::Store(error.to_string())
    }
}

/// What the wallet holds, in base units.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct WalletView {
    /// On the ledger.
    pub confirmed: u64,
    /// Of that, what can be spent now.
    pub available: u64,
    /// Of that, what is set aside for channels that are being opened, or spent by transactions that wait.
    pub reserved: u64,
    /// What waiting transactions will bring.
    pub pending: u64,
}

/// Coins that are set aside for a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reserved {
    /// The coins; the first names the reservation.
    pub coins: Vec<Coin>,
    /// What goes back to the wallet; none if nothing does.
    pub change: Option<Output>,
    /// Where this party is paid.
    pub payout: Payout,
}

impl Reserved {
    /// The first coin, by which the reservation is known.
    #[must_use]
    pub fn first_input(&self) -> Option<OutPoint> {
        self.coins.first().map(|coin| coin.outpoint)
    }
}

/// What a reservation is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Purpose {
    /// What this party brings.
    pub amount: Amount,
    /// The most coins: a message that names them has a bound of its own.
    pub inputs_max: usize,
    /// The last ledger time at which the funding is valid. Past it the coins are free, whoever forgot them.
    pub until: Time,
}

/// Coins that are set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Reservation {
    selection: Selection,
    until: Time,
}

/// The wallet.
pub(super) struct Funds {
    chain_id: ChainId,
    params: Params,
    seed: Seed,
    keys: Keyring,
    /// By the first coin of each reservation.
    reserved: BTreeMap<OutPoint, Reservation>,
    /// What the transactions that wait do to this wallet; of those that do something.
    waiting: BTreeMap<TxId, Touch>,
    /// Payments from this wallet that are not final, whether or not they wait in the pool.
    sends: Sends,
    /// Fundings of many channels that are promised and not final, by their first inputs.
    shared: Shared,
}

/// What a transaction does to the wallet.
#[derive(Debug)]
struct Touch {
    /// Coins that it spends.
    spends: Vec<OutPoint>,
    /// What it pays to the wallet, in base units.
    brings: u64,
}

impl Funds {
    /// The wallet of `seed`, with as many addresses as were handed out before; at least one.
    pub(super) fn open(seed: Seed, chain: &Chain, params: Params) -> Result<Self, FundsError> {
        let row = chain.meta(ADDRESSES_ROW)?;
        let handed_out = row.and_then(|row| row.try_into().ok()).map_or(1, u32::from_be_bytes);
        let mut funds = Self {
            chain_id: chain.chain(),
            params,
            seed,
            keys: Keyring::default(),
            reserved: BTreeMap::new(),
            waiting: BTreeMap::new(),
            sends: Sends::open(&**chain.store())?,
            shared: Shared::default(),
        };
        for index in 0..handed_out.clamp(1, limits::ADDRESSES) {
            funds.keys.push(funds.seed.wallet_key(index));
        }
        let sends = funds.sends.newest_first().into_iter();
        let sends: Vec<_> = sends.map(|(id, transaction, ..)| (id, funds.touch(transaction))).collect();
        funds.waiting.extend(sends);
        funds.open_shared(chain)?;
        Ok(funds)
    }

    /// The payments that are on their way.
    pub(super) const fn sends(&mut self) -> &mut Sends {
        &mut self.sends
    }

    /// Remembers a payment that is to be handed out, in the batch that must be durable first.
    pub(super) fn promise(&mut self, batch: &mut Batch, made: (Transaction, Amount), when: Made) -> TxId {
        let touch = self.touch(&made.0);
        let id = self.sends.add(batch, made, when);
        self.waiting.insert(id, touch);
        id
    }

    /// The payments that are on their way, for readers, newest first.
    pub(super) fn pending(&self) -> Vec<PendingSend> {
        let describe = |(tx, transaction, fee, time_ms): (TxId, &Transaction, Amount, u64)| {
            let outputs = &transaction.body.outputs;
            let paid = outputs.iter().fold(fee.units(), |sum, it| sum.saturating_add(it.amount.units()));
            let amount = paid.saturating_sub(self.touch(transaction).brings);
            PendingSend { tx, amount, fee, time_ms }
        };
        self.sends.newest_first().into_iter().map(describe).collect()
    }

    /// The first address.
    pub(super) fn primary(&self) -> Payout {
        self.keys.primary().expect("a wallet has at least one address")
    }

    /// How many addresses were handed out.
    pub(super) fn handed_out(&self) -> u32 {
        u32::try_from(self.keys.len()).unwrap_or(u32::MAX)
    }

    /// The next address, and the row that remembers it: nothing may be paid to it before that is durable.
    pub(super) fn next_address(&mut self) -> Result<(Payout, Batch), FundsError> {
        let index = u32::try_from(self.keys.len()).unwrap_or(u32::MAX);
        if index >= limits::ADDRESSES {
            return Err(FundsError::NoMoreAddresses { limit: limits::ADDRESSES });
        }
        let secret = self.seed.wallet_key(index);
        let payout = Payout::Key(secret.public());
        self.keys.push(secret);
        let mut batch = Batch::new();
        batch.put(Column::Meta, ADDRESSES_ROW, (index + 1).to_be_bytes());
        Ok((payout, batch))
    }

    fn coins(&self, chain: &Chain, now: Time) -> Result<Vec<Coin>, FundsError> {
        let mut coins = Vec::new();
        for payout in self.keys.payouts() {
            for (outpoint, entry) in chain.outputs_of(&payout)? {
                if entry.output.asset == AssetId::NATIVE && entry.time <= now {
                    coins.push(Coin { outpoint, amount: entry.output.amount, payout: payout.clone() });
                }
            }
        }
        Ok(coins)
    }

    fn is_set_aside(&self, outpoint: &OutPoint) -> bool {
        let holds = |reservation: &Reservation| {
            reservation.selection.coins.iter().any(|coin| coin.outpoint == *outpoint)
        };
        self.reserved.values().any(holds) || self.shared.spends(outpoint)
    }

    /// Coins that waiting transactions spend.
    fn spent(&self) -> BTreeSet<OutPoint> {
        let waiting = self.waiting.values().flat_map(|touch| touch.spends.iter().copied());
        waiting.chain(self.sends.spent()).collect()
    }

    fn free_coins(&self, chain: &Chain, now: Time) -> Result<Vec<Coin>, FundsError> {
        let (coins, spent) = (self.coins(chain, now)?, self.spent());
        let is_free = |coin: &Coin| !spent.contains(&coin.outpoint) && !self.is_set_aside(&coin.outpoint);
        Ok(coins.into_iter().filter(is_free).collect())
    }

    pub(super) fn view(&self, chain: &Chain, now: Time) -> Result<WalletView, FundsError> {
        let spent = self.spent();
        let pending = self.waiting.values().fold(0_u64, |sum, touch| sum.saturating_add(touch.brings));
        let mut view = WalletView { pending, ..WalletView::default() };
        for coin in self.coins(chain, now)? {
            let units = coin.amount.units();
            view.confirmed = view.confirmed.saturating_add(units);
            if spent.contains(&coin.outpoint) || self.is_set_aside(&coin.outpoint) {
                view.reserved = view.reserved.saturating_add(units);
            } else {
                view.available = view.available.saturating_add(units);
            }
        }
        Ok(view)
    }

    const fn rules(&self, inputs_max: usize) -> Rules {
        Rules { inputs_max, output_min: self.params.output_min }
    }

    fn fee(&self, inputs: usize, more_bytes: u64) -> Amount {
        let inputs = u64::try_from(inputs).unwrap_or(u64::MAX);
        self.params
            .fee_min(BASE_BYTES.saturating_add(more_bytes).saturating_add(INPUT_BYTES.saturating_mul(inputs)))
    }

    /// A signed payment. Its coins are taken as spent until it is known what became of it.
    pub(super) fn send(
        &mut self,
        chain: &Chain,
        now: Time,
        to: Payout,
        amount: Amount,
    ) -> Result<(Transaction, Amount), FundsError> {
        if amount < self.params.output_min {
            return Err(FundsError::TooSmall { amount, least: self.params.output_min });
        }
        if self.sends.is_full() {
            return Err(FundsError::TooManySends { limit: limits::SENDS });
        }
        let coins = self.free_coins(chain, now)?;
        let selection =
            select(coins, amount, self.rules(limits::WALLET_INPUTS), |inputs| self.fee(inputs, 0))?;
        let body = payment(self.chain_id, &selection, to, amount, self.primary());
        let transaction = self.sign_all(body, &selection)?;
        Ok((transaction, selection.fee))
    }

    fn sign_all(&self, body: TxBody, selection: &Selection) -> Result<Transaction, FundsError> {
        let spent: Vec<Output> = selection
            .coins
            .iter()
            .map(|coin| Output {
                asset: AssetId::NATIVE,
                amount: coin.amount,
                lock: Lock::Wallet(coin.payout.clone()),
            })
            .collect();
        Ok(sign(body, &spent, &self.keys)?)
    }

    /// Sets coins aside for a channel.
    pub(super) fn reserve(
        &mut self,
        chain: &Chain,
        now: Time,
        purpose: Purpose,
    ) -> Result<Reserved, FundsError> {
        let Purpose { amount, inputs_max, until } = purpose;
        let coins = self.free_coins(chain, now)?;
        let rules = self.rules(inputs_max.min(limits::WALLET_INPUTS));
        let selection = select(coins, amount, rules, |inputs| self.fee(inputs, CHANNEL_OUTPUT_BYTES))?;
        let change = (!selection.change.is_zero()).then(|| Output {
            asset: AssetId::NATIVE,
            amount: selection.change,
            lock: Lock::Wallet(self.primary()),
        });
        let reserved = Reserved { coins: selection.coins.clone(), change, payout: self.primary() };
        if let Some(first) = reserved.first_input() {
            self.reserved.insert(first, Reservation { selection, until });
        }
        Ok(reserved)
    }

    /// Sets coins aside that were before a restart, and on which more depends than on this wallet.
    pub(super) fn keep(&mut self, coins: &[(OutPoint, Output)], until: Time) {
        let coins = coins.iter().filter_map(|(outpoint, output)| {
            let Lock::Wallet(payout) = &output.lock else { return None };
            Some(Coin { outpoint: *outpoint, amount: output.amount, payout: payout.clone() })
        });
        let coins: Vec<Coin> = coins.collect();
        let Some(first) = coins.first().map(|coin| coin.outpoint) else { return };
        let selection = Selection { coins, fee: Amount::ZERO, change: Amount::ZERO };
        self.reserved.entry(first).or_insert(Reservation { selection, until });
    }

    /// Sets coins free again, unless a funding that is promised spends them.
    pub(super) fn release(&mut self, first_input: &OutPoint) {
        if !self.shared.is_promised(first_input) {
            self.reserved.remove(first_input);
        }
    }

    /// Sets free what was set aside for fundings that are not valid any more at `now`. Who reserved should have said so;
    /// what it said may have been lost.
    pub(super) fn expire(&mut self, now: Time) {
        self.reserved.retain(|_, reservation| reservation.until >= now);
        self.shared.expire(now);
    }

    /// The funding that this party pays alone: the channel first, then the change. After a restart the reservation is
    /// made anew around its first input: the channel's id depends on nothing else of the transaction.
    pub(super) fn fund(
        &mut self,
        chain: &Chain,
        now: Time,
        first_input: OutPoint,
        output: Output,
        expiry: Time,
    ) -> Result<Transaction, FundsError> {
        if !self.reserved.contains_key(&first_input) {
            self.reserve_again(chain, now, first_input, (output.amount, expiry))?;
        }
        let reservation =
            self.reserved.get(&first_input).cloned().ok_or(FundsError::Refused("no such coin".into()))?;
        let selection = reservation.selection;
        let mut outputs = vec![output];
        if !selection.change.is_zero() {
            let lock = Lock::Wallet(self.primary());
            outputs.push(Output { asset: AssetId::NATIVE, amount: selection.change, lock });
        }
        let body = TxBody {
            chain: self.chain_id,
            inputs: selection.coins.iter().map(|coin| coin.outpoint).collect(),
            outputs,
            not_before: None,
            expiry: Some(expiry),
            payload: None,
        };
        self.sign_all(body, &selection)
    }

    fn reserve_again(
        &mut self,
        chain: &Chain,
        now: Time,
        first_input: OutPoint,
        (amount, until): (Amount, Time),
    ) -> Result<(), FundsError> {
        let mut coins = self.free_coins(chain, now)?;
        let Some(place) = coins.iter().position(|coin| coin.outpoint == first_input) else {
            return Err(FundsError::Refused(
                "the coin that this channel was to be funded with is spent".into(),
            ));
        };
        let first = coins.swap_remove(place);
        let fee = |inputs: usize| self.fee(inputs, CHANNEL_OUTPUT_BYTES);
        let rest = amount.checked_sub(first.amount).unwrap_or(Amount::ZERO);
        let selection =
            if rest.is_zero() && first.amount.checked_sub(amount).is_some_and(|left| left >= fee(1)) {
                select(vec![first], amount, self.rules(1), fee)?
            } else {
                // The first coin pays what it can, the others the rest and the fee for all.
                let rules = self.rules(limits::WALLET_INPUTS - 1);
                let mut more = select(coins, rest, rules, |inputs| fee(inputs + 1))?;
                more.coins.insert(0, first);
                more
            };
        self.reserved.insert(first_input, Reservation { selection, until });
        Ok(())
    }

    /// The transaction with one coin more, and its change: what it lacks for its fee, and what these two cost. One input and
    /// one output, so that it stays in the reserved lane (ledger SPEC L-23).
    pub(super) fn sponsor(
        &mut self,
        chain: &Chain,
        now: Time,
        mut transaction: Transaction,
        short: Amount,
    ) -> Result<Transaction, FundsError> {
        let more = self.params.fee_min(INPUT_BYTES.saturating_add(CHANGE_BYTES));
        let overflow = FundsError::Wallet(WalletError::Overflow);
        let needed = short.checked_add(more).ok_or(overflow.clone())?;
        let enough = needed.checked_add(self.params.output_min).ok_or(overflow.clone())?;
        let mut coins = self.free_coins(chain, now)?;
        coins.retain(|coin| coin.amount >= enough);
        // The smallest that suffices: large coins are for channels.
        let coin = coins.into_iter().min_by_key(|coin| coin.amount);
        let Some(coin) = coin else {
            let available = Amount(self.view(chain, now)?.available);
            return Err(FundsError::Wallet(WalletError::Insufficient { needed: enough, available }));
        };
        let mut spent = Vec::with_capacity(transaction.body.inputs.len() + 1);
        for input in &transaction.body.inputs {
            let entry = chain.output(input)?;
            spent.push(entry.ok_or(FundsError::Refused("it is answered already".into()))?.output);
        }
        let lock = Lock::Wallet(coin.payout.clone());
        spent.push(Output { asset: AssetId::NATIVE, amount: coin.amount, lock });
        let change = coin.amount.checked_sub(needed).ok_or(overflow)?;
        transaction.body.inputs.push(coin.outpoint);
        let lock = Lock::Wallet(self.primary());
        transaction.body.outputs.push(Output { asset: AssetId::NATIVE, amount: change, lock });
        let place = spent.len() - 1..spent.len();
        let witness = self.sign_funding(&transaction.body, &spent, place)?;
        transaction.witnesses.extend(witness);
        Ok(transaction)
    }

    /// This party's witnesses for a funding by both. What they spend is set aside as long as the funding is valid: after
    /// a restart nothing else remembers it.
    pub(super) fn sign_funding(
        &mut self,
        body: &TxBody,
        spent: &[Output],
        range: std::ops::Range<usize>,
    ) -> Result<Vec<Witness>, FundsError> {
        let message = towpath_ledger::Spend { transaction: body.id(), spent: spent.to_vec() };
        let inputs = body.inputs.get(range.clone());
        let (Some(inputs), Some(outputs)) = (inputs, spent.get(range)) else {
            return Err(FundsError::Wallet(WalletError::UnknownKey(spent.len())));
        };
        let mut witnesses = Vec::with_capacity(outputs.len());
        let mut coins = Vec::with_capacity(outputs.len());
        for (index, (outpoint, output)) in inputs.iter().zip(outputs).enumerate() {
            let witness = self.keys.witness(&self.chain_id, &message, &output.lock);
            let (Some(witness), Lock::Wallet(payout)) = (witness, &output.lock) else {
                return Err(FundsError::Wallet(WalletError::UnknownKey(index)));
            };
            witnesses.push(witness);
            coins.push(Coin { outpoint: *outpoint, amount: output.amount, payout: payout.clone() });
        }
        if let (Some(first), Some(until)) = (inputs.first().copied(), body.expiry)
            && !self.is_set_aside(&first)
        {
            let selection = Selection { coins, fee: Amount::ZERO, change: Amount::ZERO };
            self.reserved.insert(first, Reservation { selection, until });
        }
        Ok(witnesses)
    }

    /// The keys of all addresses that were handed out, oldest first.
    pub(super) fn keys(&self) -> Vec<WalletKey> {
        self.keys.keys().to_vec()
    }

    /// A valid transaction waits, whoever made it: coins that it spends are spent, and what it pays to us is on its way.
    pub(super) fn waits(&mut self, id: TxId, transaction: &Transaction) {
        let touch = self.touch(transaction);
        if touch.brings > 0 || !touch.spends.is_empty() {
            self.waiting.insert(id, touch);
        }
    }

    fn touch(&self, transaction: &Transaction) -> Touch {
        let inputs = transaction.body.inputs.iter().zip(&transaction.witnesses);
        let is_key = |key: &WalletKey| self.keys.holds(&Payout::Key(*key));
        let ours = inputs.filter(|(_, witness)| {
            matches!(witness, Witness::Wallet(signatures) if signatures.iter().any(|(key, _)| is_key(key)))
        });
        let spends: Vec<OutPoint> = ours.map(|(input, _)| *input).collect();
        let brings = transaction.body.outputs.iter().fold(0_u64, |sum, output| match &output.lock {
            // The same that counts as confirmed once it is final.
            Lock::Wallet(payout @ Payout::Key(_))
                if output.asset == AssetId::NATIVE && self.keys.holds(payout) =>
            {
                sum.saturating_add(output.amount.units())
            }
            Lock::Wallet(_) | Lock::Channel(_) | Lock::Closing(_) | Lock::Conditional(_) => sum,
        });
        Touch { spends, brings }
    }

    /// A transaction is final: what it spent is gone. The payments of this wallet that end with it, and how.
    pub(super) fn is_final(&mut self, transaction: &Transaction) -> Vec<(TxId, SendState)> {
        let id = transaction.id();
        self.waiting.remove(&id);
        for input in &transaction.body.inputs {
            self.reserved.remove(input);
            self.shared.remove(input);
        }
        self.sends.is_final(&id, &transaction.body.inputs)
    }

    /// Forgets the transactions that wait no more: their coins are free again, or gone. Payments of this wallet wait until
    /// it is known what became of them, even if no pool has them.
    pub(super) fn keep_waiting(&mut self, waits: impl Fn(&TxId) -> bool) {
        let Self { waiting, sends, .. } = self;
        waiting.retain(|id, _| sends.contains(id) || waits(id));
    }
}
