//! Many channels in one transaction: what they owe to one lock is one output. Nobody signs such a transaction, so whoever
//! settles the same channels makes the same bytes.

use std::collections::BTreeMap;

use towpath_crypto::codec;

use super::{Place, SettleError};
use crate::limits;
use crate::rules::Account;
use crate::types::{Amount, ChannelTerms, OutPoint, Output, Transaction, TxBody, Witness};

/// What became of channels that were to be paid out.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Batched {
    /// All that can be, in as few transactions as the ledger's bounds allow.
    pub transactions: Vec<Transaction>,
    /// Those that can't be, and why.
    pub refused: Vec<(OutPoint, SettleError)>,
}

/// A channel that is paid out.
pub(super) trait Payable {
    /// Where it is on the ledger.
    fn outpoint(&self) -> OutPoint;

    /// Its terms.
    fn terms(&self) -> &ChannelTerms;

    /// Its witness with a fee, and what is left for the parties then.
    fn pay(&self, fee: Amount) -> Result<(Witness, Account), SettleError>;
}

/// Pays out one.
pub(super) fn one(place: &Place<'_>, channel: &impl Payable) -> Result<Transaction, SettleError> {
    let mut batch = Batch::new(place);
    batch.add(Share::of(place, channel, batch.overhead())?)?;
    Ok(batch.transaction())
}

/// Pays out many.
pub(super) fn all(place: &Place<'_>, channels: impl IntoIterator<Item = impl Payable>) -> Batched {
    let mut done = Batched::default();
    let mut batch = Batch::new(place);
    for channel in channels {
        let added = Share::of(place, &channel, batch.overhead()).and_then(|share| {
            if batch.has_room(&share) {
                return batch.add(share);
            }
            done.transactions.push(std::mem::replace(&mut batch, Batch::new(place)).transaction());
            batch.add(Share::of(place, &channel, batch.overhead())?)
        });
        if let Err(error) = added {
            done.refused.push((channel.outpoint(), error));
        }
    }
    if !batch.inputs.is_empty() {
        done.transactions.push(batch.transaction());
    }
    done
}

/// What one channel brings into a transaction.
struct Share {
    outpoint: OutPoint,
    witness: Witness,
    outputs: Vec<Output>,
    bytes: usize,
}

impl Share {
    /// A channel pays for its own bytes, and for `overhead` of what the transaction has beside them.
    fn of(place: &Place<'_>, channel: &impl Payable, overhead: usize) -> Result<Self, SettleError> {
        let outpoint = channel.outpoint();
        let make = |fee: Amount| -> Result<(Witness, Vec<Output>, usize), SettleError> {
            let (witness, account) = channel.pay(fee)?;
            let outputs = place.pays(channel.terms(), &account)?;
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

    /// The bytes that the next channel pays for beside its own: the first pays for the transaction.
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
