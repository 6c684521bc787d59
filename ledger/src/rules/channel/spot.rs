//! Where a channel rule stands: one input of one transaction, the block it is in, and the secrets known there.

use std::collections::BTreeMap;

use towpath_crypto::{Amount, codec, ed25519};

use super::fault::ChannelFault;
use crate::limits;
use crate::rules::BlockContext;
use crate::rules::demands::{Creditor, Demands, Due};
use crate::rules::error::TxError;
use crate::rules::signature::{SignatureCheck, Signed};
use crate::types::{
    AssetId, ChannelTerms, CoSigned, Condition, Digest, Entry, Lock, OutPoint, Output, Party, Payout, Secret,
    Time, Witness,
};
use crate::view::View;

/// The secrets recorded before this block, and by this very transaction.
pub(in crate::rules) struct Registry<'a> {
    view: &'a dyn View,
    recorded: BTreeMap<Digest, Time>,
}

impl<'a> Registry<'a> {
    pub(in crate::rules) fn new(view: &'a dyn View, recorded: &[(Digest, Time, Secret)]) -> Self {
        Self { view, recorded: recorded.iter().map(|(key, time, _)| (*key, *time)).collect() }
    }

    pub(super) fn time(&self, condition: &Condition) -> Result<Option<Time>, TxError> {
        let key = condition.key();
        match self.recorded.get(&key) {
            Some(time) => Ok(Some(*time)),
            None => Ok(self.view.secret_time(&key)?),
        }
    }
}

/// One input.
#[derive(Clone, Copy)]
pub(in crate::rules) struct Spot<'a> {
    /// Its position.
    pub(in crate::rules) input: usize,
    /// The output that it spends.
    pub(in crate::rules) outpoint: &'a OutPoint,
    /// That output, and the block that made it.
    pub(in crate::rules) entry: &'a Entry,
    /// Its witness.
    pub(in crate::rules) witness: &'a Witness,
    /// The secrets known.
    pub(in crate::rules) registry: &'a Registry<'a>,
    /// The block.
    pub(in crate::rules) context: &'a BlockContext<'a>,
}

impl Spot<'_> {
    /// This input is refused for `fault`.
    pub(super) fn refuse(&self, fault: impl Into<ChannelFault>) -> TxError {
        TxError::Channel { input: self.input, fault: fault.into() }
    }

    /// Demands a signature of a channel key.
    pub(super) fn sign(&self, check: ed25519::Check, demands: &mut Demands) {
        demands.sign(SignatureCheck { input: self.input, signed: Signed::Channel(check) });
    }

    /// Demands that each party signed the state, with its own key: A's is never taken for B's.
    pub(super) fn both_sign(&self, terms: &ChannelTerms, state: &CoSigned, demands: &mut Demands) {
        for party in [Party::A, Party::B] {
            let signature = state.signature(party);
            self.sign(signature.check(terms.key(party), &self.context.chain, &state.state), demands);
        }
    }

    /// An output of the asset of this input.
    pub(super) fn output(&self, amount: Amount, lock: Lock) -> Output {
        Output { asset: self.entry.output.asset, amount, lock }
    }

    /// So much of the asset of this input is due to `payout`.
    pub(super) fn due(&self, amount: Amount, payout: &Payout) -> Due {
        let creditor = Creditor::Payout(payout.clone());
        Due { creditor, asset: self.entry.output.asset, amount }
    }

    /// The least fee that a transaction of this input and these payments alone would pay: what may be taken where nobody
    /// signed for a fee and nothing is urgent. Nothing for another asset, since fees are native.
    pub(super) fn least_cost(&self, dues: &[Due]) -> Amount {
        if self.entry.output.asset != AssetId::NATIVE {
            return Amount::ZERO;
        }
        let outputs: usize = dues.iter().map(|due| codec::encode(&due.output()).len()).sum();
        let input = codec::encode(self.outpoint).len() + codec::encode(self.witness).len();
        self.context.params.fee_min(limits::TRANSACTION_OVERHEAD_BYTES + (input + outputs) as u64)
    }
}
