//! Whether a transaction is valid on top of a view, and what it changes: the one door to the rules.

use towpath_crypto::Amount;

use super::channel::{self, Answer, Registry, Spot};
use super::demands::Demands;
use super::error::TxError;
use super::form::{Form, check_form};
use super::lane::Lane;
use super::params::Params;
use super::signature::SignatureCheck;
use super::wallet::Spending;
use super::{secrets, value};
use crate::types::{
    ChainId, ChannelTerms, Closing, Digest, Entry, Lock, OutPoint, Secret, Time, Transaction, TxId, Witness,
};
use crate::view::View;

/// The block in which a transaction is to be applied.
#[derive(Debug, Clone, Copy)]
pub struct BlockContext<'a> {
    /// The ledger.
    pub chain: ChainId,
    /// The block's height.
    pub height: u64,
    /// The block's time.
    pub time: Time,
    /// The parameters of the rules.
    pub params: &'a Params,
}

/// Whether signatures are still to be verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// Verify them.
    Verify,
    /// Every check that [`signatures`] gives for these very bytes was found valid before.
    AlreadyVerified,
}

/// What a valid transaction changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    /// The outputs that it spends, in the order of its inputs.
    pub spent: Vec<(OutPoint, Entry)>,
    /// The outputs that it makes, in their order.
    pub created: Vec<(OutPoint, Entry)>,
    /// The secrets that it records: the condition's key, the time, the secret.
    pub secrets: Vec<(Digest, Time, Secret)>,
    /// Its fee, native.
    pub fee: Amount,
    /// Its encoded size.
    pub bytes: u64,
    /// Which part of a block it may use.
    pub lane: Lane,
}

/// Applies one transaction on top of `view`; form, then what the ledger says, then signatures.
///
/// # Errors
/// [`TxError`] says why the transaction is refused; nothing is changed either way.
pub fn apply_transaction<V: View + ?Sized>(
    transaction: &Transaction,
    view: &V,
    context: &BlockContext<'_>,
    signatures: Signatures,
) -> Result<Changes, TxError> {
    let (changes, checks) = examine(transaction, view, context)?;
    match signatures {
        Signatures::AlreadyVerified => Ok(changes),
        Signatures::Verify => match checks.iter().find(|check| !check.verify()) {
            Some(bad) => Err(TxError::BadSignature(bad.input)),
            None => Ok(changes),
        },
    }
}

/// The signatures on which `transaction` rests, once everything else about it was found valid. They follow from its bytes
/// alone, since an outpoint names its output for ever: a verdict may be cached under the hash of the bytes.
///
/// # Errors
/// [`TxError`] if it is refused whatever its signatures say.
pub fn signatures<V: View + ?Sized>(
    transaction: &Transaction,
    view: &V,
    context: &BlockContext<'_>,
) -> Result<Vec<SignatureCheck>, TxError> {
    examine(transaction, view, context).map(|(_, checks)| checks)
}

fn examine<V: View + ?Sized>(
    transaction: &Transaction,
    view: &V,
    context: &BlockContext<'_>,
) -> Result<(Changes, Vec<SignatureCheck>), TxError> {
    let form = check_form(transaction, &context.chain, context.params)?;
    check_time(transaction, context.time)?;
    let spent = spent_entries(transaction, view)?;
    let secrets = secrets::recorded(transaction.body.payload.as_ref(), view, context.time)?;
    let demands = gather(transaction, &form, &spent, &Registry::new(&view, &secrets), context)?;
    let met = demands.meet(&transaction.body, context)?;
    let fee = value::fee(&transaction.body, &spent, form.bytes, context)?;
    if fee < met.drawn {
        return Err(TxError::FeePocketed { drawn: met.drawn, fee });
    }
    let lane = Lane::of(transaction, &met);
    let created = created_entries(transaction, &form, context);
    Ok((Changes { spent, created, secrets, fee, bytes: form.bytes, lane }, met.checks))
}

fn gather(
    transaction: &Transaction,
    form: &Form,
    spent: &[(OutPoint, Entry)],
    registry: &Registry<'_>,
    context: &BlockContext<'_>,
) -> Result<Demands, TxError> {
    let mut demands = Demands::default();
    let spending = Spending::new(transaction, form.id, spent, context);
    for (input, ((outpoint, entry), witness)) in spent.iter().zip(&transaction.witnesses).enumerate() {
        let spot = Spot { input, outpoint, entry, witness, registry, context };
        check_input(&spot, form.id, &spending, &mut demands)?;
    }
    Ok(demands)
}

fn check_time(transaction: &Transaction, now: Time) -> Result<(), TxError> {
    match (transaction.body.not_before, transaction.body.expiry) {
        (Some(from), _) if now < from => Err(TxError::TooEarly(from)),
        (_, Some(until)) if now > until => Err(TxError::Expired(until)),
        _ => Ok(()),
    }
}

fn spent_entries<V: View + ?Sized>(
    transaction: &Transaction,
    view: &V,
) -> Result<Vec<(OutPoint, Entry)>, TxError> {
    let find = |outpoint: &OutPoint| {
        let entry = view.entry(outpoint)?.ok_or(TxError::MissingInput(*outpoint))?;
        Ok((*outpoint, entry))
    };
    transaction.body.inputs.iter().map(find).collect()
}

fn check_input(
    spot: &Spot<'_>,
    transaction: TxId,
    spending: &Spending,
    demands: &mut Demands,
) -> Result<(), TxError> {
    match &spot.entry.output.lock {
        Lock::Wallet(payout) => {
            let Witness::Wallet(signatures) = spot.witness else {
                return Err(TxError::WitnessKind(spot.input));
            };
            spending.check(spot.input, payout, signatures, demands)
        }
        Lock::Channel(terms) => spend_channel(spot, terms, transaction, demands),
        Lock::Closing(closing) => spend_closing(spot, closing, demands),
        Lock::Conditional(conditional) => {
            let Witness::Resolve { fee } = spot.witness else {
                return Err(TxError::WitnessKind(spot.input));
            };
            channel::resolve(spot, conditional, *fee, demands)
        }
    }
}

fn spend_channel(
    spot: &Spot<'_>,
    terms: &ChannelTerms,
    transaction: TxId,
    demands: &mut Demands,
) -> Result<(), TxError> {
    match spot.witness {
        Witness::Cooperative { state, fee } => {
            channel::cooperative_channel(spot, terms, state, *fee, demands)
        }
        Witness::Unilateral { state, author, fee, signature } => {
            channel::unilateral(spot, terms, (state, *author, *fee), signature, demands)
        }
        Witness::Resize { a, b } => channel::resize(spot, terms, (a, b), transaction, demands),
        Witness::Wallet(_)
        | Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Answer { .. }
        | Witness::Finalize { .. }
        | Witness::Resolve { .. } => Err(TxError::WitnessKind(spot.input)),
    }
}

fn spend_closing(spot: &Spot<'_>, closing: &Closing, demands: &mut Demands) -> Result<(), TxError> {
    match spot.witness {
        Witness::Cooperative { state, fee } => {
            channel::cooperative_closing(spot, closing, state, *fee, demands)
        }
        Witness::Supersede { state, fee } => channel::supersede(spot, closing, state, *fee, demands),
        Witness::Penalize { state, proof, fee } => {
            channel::penalize(spot, closing, (state.as_deref(), proof), *fee, demands)
        }
        Witness::Answer { state, proof, pending, fee, signature } => {
            let (state, proof) = (state.as_deref(), proof.as_deref());
            let answer = Answer { state, proof, pending, fee: *fee, signature };
            channel::answer(spot, closing, &answer, demands)
        }
        Witness::Finalize { pending, fee } => channel::finalize(spot, closing, pending, *fee, demands),
        Witness::Wallet(_)
        | Witness::Unilateral { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => Err(TxError::WitnessKind(spot.input)),
    }
}

fn created_entries(
    transaction: &Transaction,
    form: &Form,
    context: &BlockContext<'_>,
) -> Vec<(OutPoint, Entry)> {
    (0u32..)
        .zip(&transaction.body.outputs)
        .map(|(index, output)| {
            let entry = Entry { output: output.clone(), height: context.height, time: context.time };
            (OutPoint { tx: form.id, index }, entry)
        })
        .collect()
}
