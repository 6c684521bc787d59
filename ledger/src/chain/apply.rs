//! Applies transactions one on top of the other and adds up what they change; shared by building and executing, so that
//! a block which was built is valid.

use std::collections::BTreeMap;

use super::effects::{BlockEffects, TransactionResult};
use super::error::BlockError;
use super::params::ChainParams;
use super::validators::ValidatorSet;
use crate::limits;
use crate::proof::{RecordedSecret, StateEntry, StateKey, tree_changes};
use crate::rules::{BlockContext, Changes, Lane, Signatures, TxError, apply_transaction};
use crate::tree::{self, NodeSource, TreeBatch};
use crate::types::{
    Amount, AssetId, ChainId, Digest, Entry, Header, OutPoint, Payload, Secret, Time, Transaction,
};
use crate::view::{Overlay, View};

/// The ledger after its last block: what the next one is judged against.
#[derive(Debug)]
pub struct Tip<'a, V, S> {
    /// The ledger.
    pub chain: ChainId,
    /// Its parameters.
    pub params: &'a ChainParams,
    /// The validators that decide the next block.
    pub validators: &'a ValidatorSet,
    /// The last block's header.
    pub parent: &'a Header,
    /// Outputs and secrets after it.
    pub view: &'a V,
    /// The state tree; its newest version is that of `parent`.
    pub nodes: &'a S,
}

impl<V, S> Clone for Tip<'_, V, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<V, S> Copy for Tip<'_, V, S> {}

/// Transactions whose signatures were found valid before, by the [leaf](crate::merkle::leaf) that names their very bytes.
pub trait Verified {
    /// Whether all signatures of the transaction with this leaf are known to be valid.
    fn is_verified(&self, leaf: &Digest) -> bool;
}

/// Nothing was verified before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoneVerified;

impl Verified for NoneVerified {
    fn is_verified(&self, _: &Digest) -> bool {
        false
    }
}

/// A block in the making.
pub(super) struct Applier<'a, V: View, S> {
    tip: Tip<'a, V, S>,
    height: u64,
    time: Time,
    overlay: Overlay<'a, V>,
    results: Vec<TransactionResult>,
    /// Encoded bytes of all transactions.
    pub(super) bytes: u64,
    /// Encoded bytes of those outside of the reserved lane.
    pub(super) general_bytes: u64,
    fees: Amount,
}

impl<'a, V: View, S: NodeSource> Applier<'a, V, S> {
    pub(super) fn new(tip: Tip<'a, V, S>, time: Time) -> Self {
        Self {
            tip,
            height: tip.parent.height + 1,
            time,
            overlay: Overlay::new(tip.view),
            results: Vec::new(),
            bytes: 0,
            general_bytes: 0,
            fees: Amount::ZERO,
        }
    }

    /// What a transaction would change here.
    pub(super) fn examine(
        &self,
        transaction: &Transaction,
        leaf: &Digest,
        verified: &impl Verified,
    ) -> Result<Changes, TxError> {
        let context = BlockContext {
            chain: self.tip.chain,
            height: self.height,
            time: self.time,
            params: &self.tip.params.rules,
        };
        let signatures =
            if verified.is_verified(leaf) { Signatures::AlreadyVerified } else { Signatures::Verify };
        apply_transaction(transaction, &self.overlay, &context, signatures)
    }

    /// Puts a transaction on top.
    pub(super) fn push(&mut self, transaction: &Transaction, changes: Changes) -> Result<(), BlockError> {
        let index = self.results.len();
        check_supply(&self.tip.chain, transaction, &changes)
            .map_err(|asset| BlockError::Supply { index, asset })?;
        // Fees come out of outputs whose sum is a supply, so that they never add up past the largest amount.
        self.fees =
            self.fees.checked_add(changes.fee).ok_or(BlockError::Supply { index, asset: AssetId::NATIVE })?;
        self.bytes += changes.bytes;
        match changes.lane {
            Lane::General => self.general_bytes += changes.bytes,
            Lane::Reserved => {}
        }
        self.overlay.apply(&changes);
        self.results.push(TransactionResult { id: transaction.id(), changes });
        Ok(())
    }

    /// What the block changes, with the state root that its header must name.
    pub(super) fn finish(self) -> Result<BlockEffects, BlockError> {
        let forgotten = self.forgotten()?;
        let net = Net::of(&self.results);
        let come = net
            .created
            .iter()
            .map(|(outpoint, entry)| (StateKey::Output(*outpoint), StateEntry::Output(entry.clone())));
        let secrets = net.secrets.iter().map(|(key, time, secret)| {
            (StateKey::Secret(*key), StateEntry::Secret(RecordedSecret { time: *time, secret: *secret }))
        });
        let gone: Vec<StateKey> = (net.spent.keys().map(|outpoint| StateKey::Output(*outpoint)))
            .chain(forgotten.iter().map(|(_, key)| StateKey::Secret(*key)))
            .collect();
        let changes = tree_changes(come.chain(secrets), &gone);
        let (state_root, tree): (Digest, TreeBatch) =
            tree::update(self.tip.nodes, Some(self.tip.parent.height), self.height, &changes)?;
        Ok(BlockEffects {
            height: self.height,
            time: self.time,
            spent: net.spent.into_iter().collect(),
            created: net.created.into_iter().collect(),
            secrets: net.secrets,
            forgotten,
            fees: self.fees,
            state_root,
            tree,
            transactions: self.results,
        })
    }

    fn forgotten(&self) -> Result<Vec<(Time, Digest)>, BlockError> {
        let retention = self.tip.params.rules.secret_retention_ms;
        let Some(last) = self.time.0.checked_sub(retention).and_then(|time| time.checked_sub(1)) else {
            return Ok(Vec::new());
        };
        Ok(self.tip.view.secrets_until(Time(last), limits::SECRETS_FORGOTTEN_MAX)?)
    }
}

/// The changes of a whole block: what is made and spent within it cancels out.
#[derive(Default)]
struct Net {
    spent: BTreeMap<OutPoint, Entry>,
    created: BTreeMap<OutPoint, Entry>,
    secrets: Vec<(Digest, Time, Secret)>,
}

impl Net {
    fn of(results: &[TransactionResult]) -> Self {
        let mut net = Self::default();
        for TransactionResult { changes, .. } in results {
            for (outpoint, entry) in &changes.spent {
                if net.created.remove(outpoint).is_none() {
                    net.spent.insert(*outpoint, entry.clone());
                }
            }
            net.created.extend(changes.created.iter().cloned());
            net.secrets.extend(changes.secrets.iter().copied());
        }
        net
    }
}

/// The second layer of FAULTS L6: whatever the rules said, no transaction changes a supply but by its fee and by what it
/// issues. Counted anew, from the entries.
fn check_supply(chain: &ChainId, transaction: &Transaction, changes: &Changes) -> Result<(), AssetId> {
    let mut balance: BTreeMap<AssetId, i128> = BTreeMap::new();
    let mut add = |asset: AssetId, amount: i128| *balance.entry(asset).or_default() += amount;
    for (_, entry) in &changes.spent {
        add(entry.output.asset, entry.output.amount.units().into());
    }
    for (_, entry) in &changes.created {
        add(entry.output.asset, -i128::from(entry.output.amount.units()));
    }
    add(AssetId::NATIVE, -i128::from(changes.fee.units()));
    if let (Some(Payload::Issue { amount, .. }), Some(first)) =
        (&transaction.body.payload, transaction.body.inputs.first())
    {
        add(AssetId::issued_by(chain, first), amount.units().into());
    }
    balance.into_iter().find(|(_, sum)| *sum != 0).map_or(Ok(()), |(asset, _)| Err(asset))
}
