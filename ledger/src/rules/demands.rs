//! What the inputs of a transaction demand of it: signatures, payments, and the outputs in which channels go on.
//!
//! Gathered input by input, then held against the outputs (SPEC L-17 to L-19). Payments are summed over all inputs for
//! each lock, and one output must pay at least that sum: so a hub's payouts merge, nobody can count one output twice, and
//! nobody who makes the transaction can pay a creditor in crumbs that cost more to spend than they are worth.

use std::collections::BTreeMap;

use towpath_crypto::Amount;

use super::apply::BlockContext;
use super::channel::{check_opening, check_terms};
use super::error::TxError;
use super::signature::SignatureCheck;
use crate::types::{
    AssetId, ChannelId, ChannelTerms, Closing, Conditional, Lock, OutPoint, Output, Payout, TxBody,
};

/// A lock to which something is owed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Creditor {
    /// A party, or the payee or payer of a conditional payment.
    Payout(Payout),
    /// A conditional payment that is still open.
    Conditional(Box<Conditional>),
}

/// What must be paid to whom.
#[derive(Debug, Clone)]
pub(super) struct Due {
    /// To whom.
    pub(super) creditor: Creditor,
    /// In which asset.
    pub(super) asset: AssetId,
    /// How much.
    pub(super) amount: Amount,
}

impl Due {
    /// The output that pays it.
    pub(super) fn output(&self) -> Output {
        let lock = match &self.creditor {
            Creditor::Payout(payout) => Lock::Wallet(payout.clone()),
            Creditor::Conditional(conditional) => Lock::Conditional(conditional.clone()),
        };
        Output { asset: self.asset, amount: self.amount, lock }
    }
}

/// What an output is to the demands.
enum Payment {
    /// It pays what its lock is owed.
    Due,
    /// Nobody demands it.
    Free,
}

/// The output in which a channel goes on.
#[derive(Debug)]
enum Successor {
    /// This very one.
    Closing(Output),
    /// One with these terms; its amount is the new capacity.
    Resized(AssetId, ChannelTerms),
}

/// Everything demanded.
#[derive(Debug, Default)]
pub(super) struct Demands {
    checks: Vec<SignatureCheck>,
    owed: BTreeMap<(AssetId, Creditor), Amount>,
    successors: BTreeMap<ChannelId, Successor>,
    drawn: Amount,
}

/// What is left to check once the outputs are found to be right.
#[derive(Debug)]
pub(super) struct Met {
    /// The signatures.
    pub(super) checks: Vec<SignatureCheck>,
    /// The fees that were taken out of channels: the transaction must pay at least as much.
    pub(super) drawn: Amount,
    /// How many outputs no input demands, channels apart.
    pub(super) free_outputs: usize,
    /// How many channels are opened.
    pub(super) openings: usize,
}

impl Demands {
    /// Demands that this signature is valid.
    pub(super) fn sign(&mut self, check: SignatureCheck) {
        self.checks.push(check);
    }

    /// Demands that at least this is paid; nothing is owed where nothing is left.
    pub(super) fn owe(&mut self, due: &Due) -> Result<(), TxError> {
        if due.amount.is_zero() {
            return Ok(());
        }
        let owed = self.owed.entry((due.asset, due.creditor.clone())).or_default();
        *owed = owed.checked_add(due.amount).ok_or(TxError::Overflow)?;
        Ok(())
    }

    /// Demands that this much of the channels' funds is really paid as fee.
    pub(super) fn draw(&mut self, fee: Amount) -> Result<(), TxError> {
        self.drawn = self.drawn.checked_add(fee).ok_or(TxError::Overflow)?;
        Ok(())
    }

    /// Demands exactly one output of this channel, and that it is this one.
    pub(super) fn continue_as(&mut self, channel: ChannelId, closing: Output) -> Result<(), TxError> {
        self.succeed(channel, Successor::Closing(closing))
    }

    /// Demands exactly one output of this channel, with these terms.
    pub(super) fn resize_to(&mut self, asset: AssetId, terms: ChannelTerms) -> Result<(), TxError> {
        self.succeed(terms.id, Successor::Resized(asset, terms))
    }

    fn succeed(&mut self, channel: ChannelId, successor: Successor) -> Result<(), TxError> {
        // A channel has one unspent output at any time, so two inputs never lead to the same channel.
        match self.successors.insert(channel, successor) {
            None => Ok(()),
            Some(_) => Err(TxError::TwiceContinued(channel)),
        }
    }

    /// Holds the demands against the outputs.
    pub(super) fn meet(mut self, body: &TxBody, context: &BlockContext<'_>) -> Result<Met, TxError> {
        let (mut free_outputs, mut openings) = (0, 0);
        for (index, output) in body.outputs.iter().enumerate() {
            match &output.lock {
                Lock::Wallet(payout) => match self.pay(output, Creditor::Payout(payout.clone())) {
                    Payment::Due => {}
                    Payment::Free => {
                        check_dust(index, output, context)?;
                        free_outputs += 1;
                    }
                },
                Lock::Conditional(conditional) => {
                    match self.pay(output, Creditor::Conditional(conditional.clone())) {
                        Payment::Due => {}
                        Payment::Free => return Err(TxError::Undemanded(index)),
                    }
                }
                Lock::Channel(terms) if terms.generation == 0 => {
                    open(index, output, terms, body, context)?;
                    openings += 1;
                }
                Lock::Channel(terms) => self.resized(index, output, terms, context)?,
                Lock::Closing(closing) => self.closing(index, output, closing)?,
            }
        }
        self.all_met()?;
        Ok(Met { checks: self.checks, drawn: self.drawn, free_outputs, openings })
    }

    /// Takes an output as the payment of what its lock is owed, if it is enough.
    fn pay(&mut self, output: &Output, creditor: Creditor) -> Payment {
        let key = (output.asset, creditor);
        match self.owed.get(&key) {
            Some(owed) if output.amount >= *owed => {
                self.owed.remove(&key);
                Payment::Due
            }
            Some(_) | None => Payment::Free,
        }
    }

    fn resized(
        &mut self,
        index: usize,
        output: &Output,
        terms: &ChannelTerms,
        context: &BlockContext<'_>,
    ) -> Result<(), TxError> {
        match self.successors.remove(&terms.id) {
            Some(Successor::Resized(asset, expected)) if asset == output.asset && expected == *terms => {
                check_terms(terms, (asset, output.amount), context.params, context.time)
                    .map_err(|fault| TxError::BadTerms { index, fault })
            }
            Some(Successor::Resized(..) | Successor::Closing(_)) => Err(TxError::WrongSuccessor(index)),
            None => Err(TxError::Undemanded(index)),
        }
    }

    fn closing(&mut self, index: usize, output: &Output, closing: &Closing) -> Result<(), TxError> {
        match self.successors.remove(&closing.terms.id) {
            Some(Successor::Closing(expected)) if expected == *output => Ok(()),
            Some(Successor::Closing(_) | Successor::Resized(..)) => Err(TxError::WrongSuccessor(index)),
            None => Err(TxError::Undemanded(index)),
        }
    }

    fn all_met(&self) -> Result<(), TxError> {
        if let Some(channel) = self.successors.keys().next() {
            return Err(TxError::NotContinued(*channel));
        }
        match self.owed.values().next() {
            Some(owed) => Err(TxError::Underpaid(*owed)),
            None => Ok(()),
        }
    }
}

fn check_dust(index: usize, output: &Output, context: &BlockContext<'_>) -> Result<(), TxError> {
    let least = context.params.output_min;
    if output.asset == AssetId::NATIVE && output.amount < least {
        return Err(TxError::Dust { index, least });
    }
    Ok(())
}

fn open(
    index: usize,
    output: &Output,
    terms: &ChannelTerms,
    body: &TxBody,
    context: &BlockContext<'_>,
) -> Result<(), TxError> {
    let first: &OutPoint = body.inputs.first().ok_or(TxError::Undemanded(index))?;
    let position = u32::try_from(index).map_err(|_| TxError::Overflow)?;
    check_opening(terms, (output.asset, output.amount), (first, position), context)
        .map_err(|fault| TxError::BadTerms { index, fault })
}
