//! Paying out closings whose deadline is over: one, or as many as fit into one transaction. Nobody signs it, so whoever
//! finalizes the same closings makes the same bytes.

use std::collections::BTreeMap;

use towpath_crypto::codec;

use super::{Place, SettleError, account_of};
use crate::limits;
use crate::types::{Amount, Closing, OutPoint, Output, Transaction, TxBody, Witness};

/// What became of closings that were to be paid out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Finalized {
    /// All that can be, in as few transactions as the ledger's bounds allow.
    pub transactions: Vec<Transaction>,
    /// Those that can't be, and why.
    pub refused: Vec<(OutPoint, SettleError)>,
}

/// Pays out a closing whose deadline is over.
///
/// # Errors
/// [`SettleError`] if its balances do not bear the fee, or conditional payments are pending.
pub fn finalize(
    place: &Place<'_>,
    outpoint: OutPoint,
    closing: &Closing,
) -> Result<Transaction, SettleError> {
    let mut batch = Batch::new(place);
    batch.add(Share::of(place, outpoint, closing, batch.overhead())?)?;
    Ok(batch.transaction())
}

/// Pays out closings whose deadlines are over. What they owe to one lock is one output.
#[must_use]
pub fn finalize_all<'a>(
    place: &Place<'_>,
    closings: impl IntoIterator<Item = (OutPoint, &'a Closing)>,
) -> Finalized {
    let mut done = Finalized::default();
    let mut batch = Batch::new(place);
    for (outpoint, closing) in closings {
        let added = Share::of(place, outpoint, closing, batch.overhead()).and_then(|share| {
            if batch.has_room(&share) {
                return batch.add(share);
            }
            done.transactions.push(std::mem::replace(&mut batch, Batch::new(place)).transaction());
            batch.add(Share::of(place, outpoint, closing, batch.overhead())?)
        });
        if let Err(error) = added {
            done.refused.push((outpoint, error));
        }
    }
    if !batch.inputs.is_empty() {
        done.transactions.push(batch.transaction());
    }
    done
}

/// What one closing brings into a transaction.
struct Share {
    outpoint: OutPoint,
    witness: Witness,
    outputs: Vec<Output>,
    bytes: usize,
}

impl Share {
    /// A closing pays for its own bytes, and for `overhead` of what the transaction has beside them.
    fn of(
        place: &Place<'_>,
        outpoint: OutPoint,
        closing: &Closing,
        overhead: usize,
    ) -> Result<Self, SettleError> {
        if !closing.state.pending_total.is_zero() {
            return Err(SettleError::Pending(closing.state.pending_total));
        }
        let make = |fee: Amount| -> Result<(Witness, Vec<Output>, usize), SettleError> {
            let mut account = account_of(closing)?;
            account.draw_from_both(closing.author, fee)?;
            let witness = Witness::Finalize { pending: Vec::new(), fee };
            let outputs = place.pays(&closing.terms, &account)?;
            let paid: usize = outputs.iter().map(|output| codec::encode(output).len()).sum();
            let bytes = codec::encode(&outpoint).len() + codec::encode(&witness).len() + paid;
            Ok((witness, outputs, bytes))
        };
        let (_, _, bytes) = make(Amount::ZERO)?;
        let (witness, outputs, _) = make(place.fee_of_bytes(bytes + overhead))?;
        Ok(Self { outpoint, witness, outputs, bytes })
    }
}

/// A transaction in the making.
struct Batch {
    body: TxBody,
    inputs: Vec<(OutPoint, Witness)>,
    /// What is owed, by the encoding of the lock.
    outputs: BTreeMap<Vec<u8>, Output>,
    bytes: usize,
    bytes_max: usize,
}

impl Batch {
    fn new(place: &Place<'_>) -> Self {
        let body = TxBody {
            chain: place.chain,
            inputs: Vec::new(),
            outputs: Vec::new(),
            not_before: None,
            expiry: None,
            payload: None,
        };
        let bytes = codec::encode(&Transaction { body: body.clone(), witnesses: Vec::new() }).len();
        let bytes_max = usize::try_from(place.params.transaction_bytes_max).unwrap_or(usize::MAX);
        Self { body, inputs: Vec::new(), outputs: BTreeMap::new(), bytes, bytes_max }
    }

    /// The bytes that the next closing pays for beside its own: the first pays for the transaction.
    fn overhead(&self) -> usize {
        if self.inputs.is_empty() { self.bytes } else { 0 }
    }

    fn has_room(&self, share: &Share) -> bool {
        self.inputs.is_empty()
            || (self.bytes + share.bytes <= self.bytes_max
                && self.inputs.len() < limits::INPUTS_MAX
                && self.outputs.len() + share.outputs.len() <= limits::OUTPUTS_MAX)
    }

    fn add(&mut self, share: Share) -> Result<(), SettleError> {
        let mut sums = Vec::with_capacity(share.outputs.len());
        for output in share.outputs {
            let lock = codec::encode(&output.lock);
            let owed = self.outputs.get(&lock).map_or(Amount::ZERO, |owed| owed.amount);
            let amount = owed.checked_add(output.amount).ok_or(SettleError::Overflow)?;
            sums.push((lock, Output { amount, ..output }));
        }
        self.outputs.extend(sums);
        self.inputs.push((share.outpoint, share.witness));
        self.bytes += share.bytes;
        Ok(())
    }

    fn transaction(mut self) -> Transaction {
        let witnesses;
        (self.body.inputs, witnesses) = self.inputs.into_iter().unzip();
        self.body.outputs = self.outputs.into_values().collect();
        Transaction { body: self.body, witnesses }
    }
}
