//! Fundings of many channels by one transaction (SPEC P-70 to P-74). The transaction is remembered before it is handed out,
//! in one row: from then on these channels are funded by it, and by nothing else, whatever stops in between; without the
//! row none of them is. So a crash leaves no funding half made.
//!
//! Rows of `Meta`: this module's prefix ‖ first input (transaction id, output's index).

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::readable;
use towpath_ledger::{
    Amount, AssetId, Lock, OutPoint, Output, Time, Transaction, TxBody, limits as ledger_limits,
};
use towpath_protocol::Share;
use towpath_store::{Batch, Column, Scan, StoreError};

use super::{
    Chain, Coin, Funds, FundsError, Purpose, Reservation, Reserved, Selection, WalletError, select, sign,
};
use crate::ledger::{SharedFunding, sends};
use crate::limits;

/// Where the rows are.
const PREFIX: &[u8] = b"wallet-funding/";

/// Bytes of a row beside its transaction, at most.
const ROW_BYTES_MORE: u32 = 64;

/// Bytes of an output with a channel's terms, at most: a peer's payout can be to many keys. Coins are chosen for this
/// much; the fee is of what the transaction really has, so no peer can make it too small for the others.
const CHANNEL_OUTPUT_BYTES_MAX: u64 = 1_024;

/// The version of a row's layout: its first byte.
const ROW_VERSION: u8 = 2;

/// A row.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
struct Row {
    version: u8,
    /// The height of this node's replica when it was made: its coins were on the ledger there.
    height: u64,
    /// What it spends: a replica that is not there yet knows none of it.
    spent: Vec<Output>,
    body: TxBody,
}

/// A row of earlier programs, without what it spends.
#[derive(Encode, Decode)]
struct RowV1 {
    version: u8,
    body: TxBody,
}

/// How its rows are read.
pub(in crate::ledger) fn decoders() -> Vec<Readable> {
    readable![(256 << 10) + 64 => Row, RowV1]
}

impl Row {
    fn decode(value: &[u8]) -> Result<Self, StoreError> {
        let limit = usize::try_from(ledger_limits::TRANSACTION_BYTES_MAX + ROW_BYTES_MORE);
        let limit = limit.unwrap_or(usize::MAX);
        let row = if value.first() == Some(&1) {
            codec::decode::<RowV1>(value, limit).map(|RowV1 { version: _, body }| {
                // No replica is ever so high: only a block that this node sees says what became of it.
                Self { version: ROW_VERSION, height: u64::MAX, spent: Vec::new(), body }
            })
        } else {
            codec::decode::<Self>(value, limit)
        };
        // A row that cannot be read hides a promise: better no wallet than one that spends its coins again.
        row.map_err(|error| StoreError::Corrupt { what: format!("a funding of many channels: {error}") })
    }
}

/// A funding that is promised.
struct Promised {
    body: TxBody,
    /// What it spends; empty while that is not known.
    spent: Vec<Output>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Shared {
    promised: BTreeMap<OutPoint, Promised>,
    /// Rows that are to be deleted with the next batch; if that is lost, the next start finds them again.
    gone: Vec<OutPoint>,
}

impl Shared {
    /// Whether a funding begins with this coin.
    pub(super) fn is_promised(&self, first_input: &OutPoint) -> bool {
        self.promised.contains_key(first_input)
    }

    /// Whether a funding spends this coin.
    pub(super) fn spends(&self, outpoint: &OutPoint) -> bool {
        self.promised.values().any(|promised| promised.body.inputs.contains(outpoint))
    }

    /// A coin is spent: a funding whose first input it is, is final or void.
    pub(super) fn remove(&mut self, first_input: &OutPoint) {
        if self.promised.remove(first_input).is_some() {
            self.gone.push(*first_input);
        }
    }

    /// Fundings that are not valid any more at `now`.
    pub(super) fn expire(&mut self, now: Time) {
        let is_late = |promised: &Promised| promised.body.expiry.is_some_and(|expiry| expiry < now);
        let late: Vec<OutPoint> = self
            .promised
            .iter()
            .filter(|(_, promised)| is_late(promised))
            .map(|(first_input, _)| *first_input)
            .collect();
        late.iter().for_each(|first_input| self.remove(first_input));
    }
}

fn row_key(first_input: &OutPoint) -> Vec<u8> {
    [PREFIX, first_input.tx.0.0.as_slice(), first_input.index.to_be_bytes().as_slice()].concat()
}

impl Funds {
    /// Those that were promised before the start. Their coins are set aside as long as they are valid.
    pub(super) fn open_shared(&mut self, chain: &Chain) -> Result<(), FundsError> {
        let now = chain.tip().header().time;
        let mut scan = Scan::prefix(PREFIX);
        loop {
            let rows = chain.store().scan(Column::Meta, &scan)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            scan = scan.after(last);
            for (_, value) in &rows {
                self.restore_shared(chain, Row::decode(value)?, now)?;
            }
        }
    }

    /// What became of a funding is decided by what the ledger shows, never by what it does not: after a restore the replica begins
    /// at the genesis, where its coins are not made yet, and whoever took it for void would leave channels without their funding
    /// and spend its coins again.
    fn restore_shared(&mut self, chain: &Chain, row: Row, now: Time) -> Result<(), FundsError> {
        let Row { version: _, height, spent, body } = row;
        let (Some(first), Some(until)) = (body.inputs.first().copied(), body.expiry) else { return Ok(()) };
        let is_final = chain.transaction_place(&body.id())?.is_some();
        if until < now || is_final || sends::is_void(chain, height, &body.inputs)? {
            self.shared.gone.push(first);
            return Ok(());
        }
        let spent = if spent.is_empty() { on_ledger(chain, &body)?.unwrap_or_default() } else { spent };
        let coins = body.inputs.iter().zip(&spent).filter_map(|(outpoint, output)| {
            let Lock::Wallet(payout) = &output.lock else { return None };
            Some(Coin { outpoint: *outpoint, amount: output.amount, payout: payout.clone() })
        });
        let selection = Selection { coins: coins.collect(), fee: Amount::ZERO, change: Amount::ZERO };
        self.reserved.insert(first, Reservation { selection, until });
        self.shared.promised.insert(first, Promised { body, spent });
        Ok(())
    }

    /// Sets coins aside for so many channels, and for change: that is always there, since it has place 0.
    pub(in crate::ledger) fn reserve_shared(
        &mut self,
        chain: &Chain,
        now: Time,
        purpose: Purpose,
        channels: usize,
    ) -> Result<Reserved, FundsError> {
        if self.shared.promised.len() >= limits::SHARED_FUNDINGS {
            return Err(FundsError::TooManyFundings { limit: limits::SHARED_FUNDINGS });
        }
        let Purpose { amount, inputs_max, until } = purpose;
        let overflow = FundsError::Wallet(WalletError::Overflow);
        let target = amount.checked_add(self.params.output_min).ok_or(overflow)?;
        let bytes = u64::try_from(channels).unwrap_or(u64::MAX).saturating_mul(CHANNEL_OUTPUT_BYTES_MAX);
        let (coins, rules) =
            (self.free_coins(chain, now)?, self.rules(inputs_max.min(limits::WALLET_INPUTS)));
        let selection = select(coins, target, rules, |inputs| self.fee(inputs, bytes))?;
        let reserved = Reserved { coins: selection.coins.clone(), change: None, payout: self.primary() };
        if let Some(first) = reserved.first_input() {
            self.reserved.insert(first, Reservation { selection, until });
        }
        Ok(reserved)
    }

    /// The transaction of a plan, for coins that are set aside, and its fee. Nothing is promised by it yet.
    pub(in crate::ledger) fn plan_shared(
        &self,
        plan: &SharedFunding,
    ) -> Result<(Transaction, Amount), FundsError> {
        let reservation = self.reserved.get(&plan.first_input);
        let reservation = reservation.ok_or(FundsError::Refused("no such coin".into()))?;
        let overflow = FundsError::Wallet(WalletError::Overflow);
        let native = |amount| Output { asset: AssetId::NATIVE, amount, lock: Lock::Wallet(self.primary()) };
        let mut outputs = vec![native(Amount::ZERO)];
        outputs.extend(plan.shares.iter().map(|share| match share {
            Share::Channel(output) => (**output).clone(),
            Share::Back(amount) => native(*amount),
        }));
        let coins = reservation.selection.coins.iter();
        let brought = Amount::checked_sum(coins.clone().map(|coin| coin.amount)).ok_or(overflow.clone())?;
        let paid = Amount::checked_sum(outputs.iter().map(|output| output.amount)).ok_or(overflow.clone())?;
        let mut body = TxBody {
            chain: self.chain_id,
            inputs: coins.map(|coin| coin.outpoint).collect(),
            outputs,
            not_before: None,
            expiry: Some(plan.expiry),
            payload: None,
        };
        // Amounts and signatures have one length each, so it is as long with the change as without it.
        let spent: Vec<Output> = reservation.selection.coins.iter().map(output_of).collect();
        let bytes = codec::encode(&sign(body.clone(), &spent, &self.keys)?).len();
        let fee = self.params.fee_min(u64::try_from(bytes).unwrap_or(u64::MAX));
        let change = brought.checked_sub(paid).and_then(|left| left.checked_sub(fee)).ok_or(overflow)?;
        if let Some(first) = body.outputs.first_mut() {
            first.amount = change;
        }
        Ok((sign(body, &spent, &self.keys)?, fee))
    }

    /// Remembers a funding, in the batch that must be durable before it is handed out; its coins are set aside.
    pub(in crate::ledger) fn promise_shared(&mut self, batch: &mut Batch, height: u64, body: TxBody) {
        let Some(first) = body.inputs.first().copied() else { return };
        let coins = self.reserved.get(&first).map(|reservation| &reservation.selection.coins);
        let spent: Vec<Output> = coins.into_iter().flatten().map(output_of).collect();
        let row = Row { version: ROW_VERSION, height, spent: spent.clone(), body: body.clone() };
        batch.put(Column::Meta, row_key(&first), codec::encode(&row));
        self.shared.promised.insert(first, Promised { body, spent });
    }

    /// Deletes the rows of fundings that are final or void.
    pub(in crate::ledger) fn forget_shared(&mut self, batch: &mut Batch) {
        for first_input in std::mem::take(&mut self.shared.gone) {
            // Its coin may be the first of a newer funding by now, if the old one expired.
            if !self.shared.promised.contains_key(&first_input) {
                batch.delete(Column::Meta, row_key(&first_input));
            }
        }
    }

    /// The funding in which a channel has this place; none if it is not made yet.
    pub(in crate::ledger) fn shared_again(
        &self,
        chain: &Chain,
        first_input: &OutPoint,
        (index, output): (u32, &Output),
    ) -> Result<Option<Transaction>, FundsError> {
        let Some(Promised { body, spent }) = self.shared.promised.get(first_input) else {
            if self.reserved.contains_key(first_input) {
                return Ok(None);
            }
            return Err(FundsError::Refused("the funding that it was to share was never made".into()));
        };
        let place = usize::try_from(index).ok().and_then(|index| body.outputs.get(index));
        if place != Some(output) {
            return Err(FundsError::Refused("it is not in the funding that it was to share".into()));
        }
        let spent = if spent.is_empty() { on_ledger(chain, body)? } else { Some(spent.clone()) };
        // On a replica that is not there yet, or behind the block that made it final: it is asked for again.
        let spent = spent.ok_or(FundsError::Refused("a coin of the funding is not on the ledger".into()))?;
        Ok(Some(sign(body.clone(), &spent, &self.keys)?))
    }
}

fn output_of(coin: &Coin) -> Output {
    Output { asset: AssetId::NATIVE, amount: coin.amount, lock: Lock::Wallet(coin.payout.clone()) }
}

/// What a transaction spends; none if some of that is not on the ledger, yet or any more.
fn on_ledger(chain: &Chain, body: &TxBody) -> Result<Option<Vec<Output>>, StoreError> {
    let mut outputs = Vec::with_capacity(body.inputs.len());
    for input in &body.inputs {
        let Some(entry) = chain.output(input)? else { return Ok(None) };
        outputs.push(entry.output);
    }
    Ok(Some(outputs))
}
