//! Fundings of many channels by one transaction (SPEC P-70 to P-74). The transaction is remembered before it is handed out,
//! in one row: from then on these channels are funded by it, and by nothing else, whatever stops in between; without the
//! row none of them is. So a crash leaves no funding half made.
//!
//! Rows of `Meta`: this module's prefix ‖ first input (transaction id, output's index).

use std::collections::BTreeMap;

use bincode::{Decode, Encode};
use towpath_crypto::codec;
use towpath_ledger::{
    Amount, AssetId, Lock, OutPoint, Output, Time, Transaction, TxBody, limits as ledger_limits,
};
use towpath_protocol::Share;
use towpath_store::{Batch, Column, Scan, StoreError};

use super::{
    Chain, Coin, Funds, FundsError, Purpose, Reservation, Reserved, Selection, WalletError, select, sign,
};
use crate::ledger::SharedFunding;
use crate::limits;

/// Where the rows are.
const PREFIX: &[u8] = b"wallet-funding/";

/// Bytes of a row beside its transaction, at most.
const ROW_BYTES_MORE: u32 = 64;

/// Bytes of an output with a channel's terms, at most: a peer's payout can be to many keys. Coins are chosen for this
/// much; the fee is of what the transaction really has, so no peer can make it too small for the others.
const CHANNEL_OUTPUT_BYTES_MAX: u64 = 1_024;

/// A row.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
struct Row {
    /// The version of this layout.
    version: u8,
    body: TxBody,
}

/// See the module.
#[derive(Default)]
pub(super) struct Shared {
    bodies: BTreeMap<OutPoint, TxBody>,
    /// Rows that are to be deleted with the next batch; if that is lost, the next start finds them again.
    gone: Vec<OutPoint>,
}

impl Shared {
    /// Whether a funding begins with this coin.
    pub(super) fn is_promised(&self, first_input: &OutPoint) -> bool {
        self.bodies.contains_key(first_input)
    }

    /// A coin is spent: a funding whose first input it is, is final or void.
    pub(super) fn remove(&mut self, first_input: &OutPoint) {
        if self.bodies.remove(first_input).is_some() {
            self.gone.push(*first_input);
        }
    }

    /// Fundings that are not valid any more at `now`.
    pub(super) fn expire(&mut self, now: Time) {
        let is_late = |body: &TxBody| body.expiry.is_some_and(|expiry| expiry < now);
        let late: Vec<OutPoint> = self
            .bodies
            .iter()
            .filter(|(_, body)| is_late(body))
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
        let limit =
            usize::try_from(ledger_limits::TRANSACTION_BYTES_MAX + ROW_BYTES_MORE).unwrap_or(usize::MAX);
        let now = chain.tip().header().time;
        let mut scan = Scan::prefix(PREFIX);
        loop {
            let rows = chain.store().scan(Column::Meta, &scan)?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            scan = scan.after(last);
            for (_, value) in &rows {
                // A row that cannot be read hides a promise: better no wallet than one that spends its coins again.
                let row = codec::decode::<Row>(value, limit).map_err(|error| StoreError::Corrupt {
                    what: format!("a funding of many channels: {error}"),
                })?;
                self.restore_shared(chain, row.body, now)?;
            }
        }
    }

    fn restore_shared(&mut self, chain: &Chain, body: TxBody, now: Time) -> Result<(), FundsError> {
        let (Some(first), Some(until)) = (body.inputs.first().copied(), body.expiry) else { return Ok(()) };
        match spent(chain, &body)? {
            Some(outputs) if until >= now => {
                let coins = body.inputs.iter().zip(&outputs).filter_map(|(outpoint, output)| {
                    let Lock::Wallet(payout) = &output.lock else { return None };
                    Some(Coin { outpoint: *outpoint, amount: output.amount, payout: payout.clone() })
                });
                let selection = Selection { coins: coins.collect(), fee: Amount::ZERO, change: Amount::ZERO };
                self.reserved.insert(first, Reservation { selection, until });
                self.shared.bodies.insert(first, body);
            }
            // It is final, or void.
            Some(_) | None => self.shared.gone.push(first),
        }
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
        if self.shared.bodies.len() >= limits::SHARED_FUNDINGS {
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
        chain: &Chain,
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
        let bytes = codec::encode(&self.sign_shared(chain, &body)?).len();
        let fee = self.params.fee_min(u64::try_from(bytes).unwrap_or(u64::MAX));
        let change = brought.checked_sub(paid).and_then(|left| left.checked_sub(fee)).ok_or(overflow)?;
        if let Some(first) = body.outputs.first_mut() {
            first.amount = change;
        }
        Ok((self.sign_shared(chain, &body)?, fee))
    }

    /// Remembers a funding, in the batch that must be durable before it is handed out.
    pub(in crate::ledger) fn promise_shared(&mut self, batch: &mut Batch, body: TxBody) {
        if let Some(first) = body.inputs.first().copied() {
            batch.put(Column::Meta, row_key(&first), codec::encode(&Row { version: 1, body: body.clone() }));
            self.shared.bodies.insert(first, body);
        }
    }

    /// Deletes the rows of fundings that are final or void.
    pub(in crate::ledger) fn forget_shared(&mut self, batch: &mut Batch) {
        for first_input in std::mem::take(&mut self.shared.gone) {
            // Its coin may be the first of a newer funding by now, if the old one expired.
            if !self.shared.bodies.contains_key(&first_input) {
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
        let Some(body) = self.shared.bodies.get(first_input) else {
            if self.reserved.contains_key(first_input) {
                return Ok(None);
            }
            return Err(FundsError::Refused("the funding that it was to share was never made".into()));
        };
        let place = usize::try_from(index).ok().and_then(|index| body.outputs.get(index));
        if place != Some(output) {
            return Err(FundsError::Refused("it is not in the funding that it was to share".into()));
        }
        self.sign_shared(chain, body).map(Some)
    }

    fn sign_shared(&self, chain: &Chain, body: &TxBody) -> Result<Transaction, FundsError> {
        let outputs = spent(chain, body)?;
        let outputs = outputs.ok_or(FundsError::Refused("a coin of the funding is spent".into()))?;
        Ok(sign(body.clone(), &outputs, &self.keys)?)
    }
}

/// What a transaction spends; none if some of that is spent already.
fn spent(chain: &Chain, body: &TxBody) -> Result<Option<Vec<Output>>, StoreError> {
    let mut outputs = Vec::with_capacity(body.inputs.len());
    for input in &body.inputs {
        let Some(entry) = chain.output(input)? else { return Ok(None) };
        outputs.push(entry.output);
    }
    Ok(Some(outputs))
}
