//! Conservation: per asset, what goes in comes out, but for the fee and what is issued (SPEC L-14 to L-16).

use std::collections::BTreeMap;

use towpath_crypto::Amount;

use super::apply::BlockContext;
use super::error::TxError;
use crate::types::{AssetId, Entry, OutPoint, Output, Payload, TxBody};

type Totals = BTreeMap<AssetId, Amount>;

/// The fee of a transaction whose assets balance.
pub(super) fn fee(
    body: &TxBody,
    spent: &[(OutPoint, Entry)],
    bytes: u64,
    context: &BlockContext<'_>,
) -> Result<Amount, TxError> {
    let mut inputs = totals(spent.iter().map(|(_, entry)| &entry.output))?;
    issue(body, &context.chain, &mut inputs)?;
    let outputs = totals(&body.outputs)?;
    let fee = difference(&inputs, &outputs, AssetId::NATIVE)?;
    let others = inputs.keys().chain(outputs.keys()).filter(|asset| **asset != AssetId::NATIVE);
    for asset in others {
        if !difference(&inputs, &outputs, *asset)?.is_zero() {
            return Err(unbalanced(&inputs, &outputs, *asset));
        }
    }
    let least = context.params.fee_min(bytes);
    if fee < least { Err(TxError::FeeTooLow { fee, least }) } else { Ok(fee) }
}

fn totals<'a>(outputs: impl IntoIterator<Item = &'a Output>) -> Result<Totals, TxError> {
    let mut totals = Totals::new();
    for output in outputs {
        add(&mut totals, output.asset, output.amount)?;
    }
    Ok(totals)
}

fn add(totals: &mut Totals, asset: AssetId, amount: Amount) -> Result<(), TxError> {
    let total = totals.entry(asset).or_default();
    *total = total.checked_add(amount).ok_or(TxError::Overflow)?;
    Ok(())
}

/// An issued asset comes out of nothing, once: its id is a hash over an input, which is spent only once.
fn issue(body: &TxBody, chain: &crate::types::ChainId, inputs: &mut Totals) -> Result<(), TxError> {
    match (&body.payload, body.inputs.first()) {
        (Some(Payload::Issue { amount, .. }), Some(first)) => {
            add(inputs, AssetId::issued_by(chain, first), *amount)
        }
        (Some(Payload::Issue { .. } | Payload::Reveal(_) | Payload::Anchor(_)) | None, _) => Ok(()),
    }
}

fn total(totals: &Totals, asset: AssetId) -> Amount {
    totals.get(&asset).copied().unwrap_or(Amount::ZERO)
}

fn difference(inputs: &Totals, outputs: &Totals, asset: AssetId) -> Result<Amount, TxError> {
    total(inputs, asset).checked_sub(total(outputs, asset)).ok_or_else(|| unbalanced(inputs, outputs, asset))
}

fn unbalanced(inputs: &Totals, outputs: &Totals, asset: AssetId) -> TxError {
    TxError::Unbalanced { asset, inputs: total(inputs, asset), outputs: total(outputs, asset) }
}
