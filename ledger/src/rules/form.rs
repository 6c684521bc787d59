//! What can be said about a transaction without reading the ledger: counts, sizes, duplicates, keys, payload.
//! Cheapest first, so that a hostile one costs little (SPEC L-1 to L-9).

use std::collections::BTreeSet;

use towpath_crypto::codec;

use super::error::{PayloadFault, TxError};
use super::params::Params;
use crate::limits;
use crate::types::{ChainId, Lock, Output, Payload, Secret, Transaction, TxBody, TxId};

/// What a transaction's form says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Form {
    /// Its id.
    pub id: TxId,
    /// Its encoded size, witnesses included.
    pub bytes: u64,
}

/// Checks what needs no ledger.
///
/// # Errors
/// [`TxError`] says what is wrong; never [`TxError::View`].
pub fn check_form(transaction: &Transaction, chain: &ChainId, params: &Params) -> Result<Form, TxError> {
    let body = &transaction.body;
    if body.chain != *chain {
        return Err(TxError::OtherChain(body.chain));
    }
    check_counts(transaction)?;
    let bytes = codec::encode(transaction).len() as u64;
    let limit = u64::from(params.transaction_bytes_max);
    if bytes > limit {
        return Err(TxError::TooLarge { bytes, limit });
    }
    check_inputs(body)?;
    for (index, output) in body.outputs.iter().enumerate() {
        check_output(index, output)?;
    }
    if let (Some(from), Some(until)) = (body.not_before, body.expiry)
        && from > until
    {
        return Err(TxError::EmptyValidity);
    }
    body.payload.as_ref().map_or(Ok(()), check_payload).map_err(TxError::BadPayload)?;
    Ok(Form { id: body.id(), bytes })
}

fn check_counts(transaction: &Transaction) -> Result<(), TxError> {
    let body = &transaction.body;
    within("inputs", body.inputs.len(), limits::INPUTS_MAX)?;
    within("outputs", body.outputs.len(), limits::OUTPUTS_MAX)?;
    let (inputs, witnesses) = (body.inputs.len(), transaction.witnesses.len());
    if inputs == witnesses { Ok(()) } else { Err(TxError::WitnessCount { witnesses, inputs }) }
}

fn within(what: &'static str, count: usize, most: usize) -> Result<(), TxError> {
    if (1..=most).contains(&count) { Ok(()) } else { Err(TxError::Count { what, count, least: 1, most }) }
}

fn check_inputs(body: &TxBody) -> Result<(), TxError> {
    let mut seen = BTreeSet::new();
    match body.inputs.iter().find(|outpoint| !seen.insert(**outpoint)) {
        Some(twice) => Err(TxError::DuplicateInput(*twice)),
        None => Ok(()),
    }
}

fn check_output(index: usize, output: &Output) -> Result<(), TxError> {
    if output.amount.is_zero() {
        return Err(TxError::ZeroOutput(index));
    }
    let checked = match &output.lock {
        Lock::Wallet(payout) => payout.check(),
        Lock::Conditional(conditional) => conditional.check(),
        // Bound field by field when the ledger's part is checked: an opening by its terms, the rest by its input.
        Lock::Channel(_) | Lock::Closing(_) => Ok(()),
    };
    checked.map_err(|fault| TxError::BadLock { index, fault })
}

fn check_payload(payload: &Payload) -> Result<(), PayloadFault> {
    match payload {
        Payload::Reveal(secrets) => check_secrets(secrets),
        Payload::Issue { amount, symbol } => {
            if amount.is_zero() {
                return Err(PayloadFault::ZeroIssue);
            }
            let fits = (1..=limits::SYMBOL_BYTES_MAX).contains(&symbol.len());
            let plain = symbol.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if fits && plain { Ok(()) } else { Err(PayloadFault::BadSymbol) }
        }
        Payload::Anchor(_) => Ok(()),
    }
}

fn check_secrets(secrets: &[Secret]) -> Result<(), PayloadFault> {
    if !(1..=limits::SECRETS_MAX).contains(&secrets.len()) {
        return Err(PayloadFault::SecretCount);
    }
    if secrets.is_sorted_by(|left, right| left < right) { Ok(()) } else { Err(PayloadFault::UnsortedSecrets) }
}
