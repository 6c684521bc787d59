//! The ledger as an auditor counts it: which outputs there are, who spent them, and how each channel ended. It trusts the
//! blocks' order and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use towpath_ledger::genesis::Genesis;
use towpath_ledger::{
    Block, ChannelId, ChannelState, Closing, Lock, OutPoint, Output, Party, Payout, Transaction, Witness,
};
use towpath_node::ledger::Chain;
use towpath_store::StoreError;

use crate::violation::{Violation, must};

/// How a channel ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Which.
    pub channel: ChannelId,
    /// The balances by which it was settled.
    pub state: ChannelState,
    /// Who paid a penalty.
    pub penalized: Option<Party>,
    /// Whether both agreed on it beforehand.
    pub together: bool,
}

/// See the module.
#[derive(Default)]
pub struct Books {
    outputs: BTreeMap<OutPoint, Output>,
    endings: BTreeMap<ChannelId, Ending>,
    /// Each node's wallet: who is who in a channel's terms.
    payouts: Vec<Payout>,
    /// The parties' payouts of each channel.
    parties: BTreeMap<ChannelId, (Payout, Payout)>,
    ids: BTreeSet<ChannelId>,
    issued: u128,
    fees: u128,
    /// Transactions so far.
    pub transactions: u64,
    /// Channels that were closed together.
    pub together: u64,
    /// Channels that were closed alone.
    pub alone: u64,
    /// Channels that ended with a penalty.
    pub penalized: u64,
}

impl Books {
    /// What the genesis made, as `chain` has it.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn begin(&mut self, genesis: &Genesis, chain: &Chain) -> Result<(), StoreError> {
        self.issued = genesis.allocations.iter().map(|it| u128::from(it.amount.units())).sum();
        for allocation in &genesis.allocations {
            if !self.payouts.contains(&allocation.payout) {
                self.payouts.push(allocation.payout.clone());
            }
        }
        for payout in &self.payouts {
            let outputs = chain.outputs_of(payout)?;
            self.outputs.extend(outputs.into_iter().map(|(outpoint, entry)| (outpoint, entry.output)));
        }
        Ok(())
    }

    /// Which party a node is in a channel.
    #[must_use]
    pub fn party_of(&self, node: usize, channel: &ChannelId) -> Option<Party> {
        let (a, b) = self.parties.get(channel)?;
        let payout = self.payouts.get(node)?;
        if payout == a {
            Some(Party::A)
        } else if payout == b {
            Some(Party::B)
        } else {
            None
        }
    }

    /// How a channel ended.
    #[must_use]
    pub fn ending(&self, channel: &ChannelId) -> Option<&Ending> {
        self.endings.get(channel)
    }

    /// One more block; which channels it ended.
    ///
    /// # Errors
    /// When it breaks the books.
    pub fn apply(&mut self, block: &Block) -> Result<Vec<Ending>, Violation> {
        let mut endings = Vec::new();
        for transaction in &block.transactions {
            self.transactions += 1;
            endings.extend(self.enter(transaction)?);
        }
        self.check()?;
        Ok(endings)
    }

    /// All money is somewhere.
    ///
    /// # Errors
    /// When there is more or less of it than the genesis made.
    pub fn check(&self) -> Result<(), Violation> {
        let unspent: u128 = self.outputs.values().map(|it| u128::from(it.amount.units())).sum();
        must(unspent + self.fees == self.issued, "I1 the supply is constant", || {
            format!("{unspent} unspent and {} fees are not {}", self.fees, self.issued)
        })
    }

    fn enter(&mut self, transaction: &Transaction) -> Result<Vec<Ending>, Violation> {
        let id = transaction.id();
        let mut endings = Vec::new();
        let mut spent: u128 = 0;
        for (input, witness) in transaction.body.inputs.iter().zip(&transaction.witnesses) {
            let was = self.outputs.remove(input).ok_or_else(|| {
                Violation::new(
                    "I1 the supply is constant",
                    format!("{id:?} spends {input}, which is not there"),
                )
            })?;
            spent += u128::from(was.amount.units());
            let after = transaction.body.outputs.iter().map(|output| &output.lock);
            if let Some(channel) = channel_of(&was.lock)
                && !after.clone().any(|lock| channel_of(lock) == Some(channel))
            {
                endings.extend(ending(channel, &was.lock, witness));
            }
        }
        let mut made: u128 = 0;
        for (index, output) in (0_u32..).zip(&transaction.body.outputs) {
            made += u128::from(output.amount.units());
            if let Lock::Channel(terms) = &output.lock
                && terms.generation == 0
            {
                must(self.ids.insert(terms.id), "no channel id returns", || terms.id.to_string())?;
                self.parties.insert(terms.id, (terms.payout_a.clone(), terms.payout_b.clone()));
            }
            self.outputs.insert(OutPoint { tx: id, index }, output.clone());
        }
        must(made <= spent, "I1 the supply is constant", || format!("{id:?} makes {made} of {spent}"))?;
        self.fees += spent - made;
        for ending in &endings {
            match (ending.penalized, ending.together) {
                (Some(_), _) => self.penalized += 1,
                (None, true) => self.together += 1,
                (None, false) => self.alone += 1,
            }
            self.endings.insert(ending.channel, ending.clone());
        }
        Ok(endings)
    }
}

fn channel_of(lock: &Lock) -> Option<ChannelId> {
    match lock {
        Lock::Channel(terms) => Some(terms.id),
        Lock::Closing(closing) => Some(closing.terms.id),
        Lock::Wallet(_) | Lock::Conditional(_) => None,
    }
}

/// How a channel ended, by what spent its last output.
fn ending(channel: ChannelId, was: &Lock, witness: &Witness) -> Option<Ending> {
    let posted: Option<&Closing> = match was {
        Lock::Closing(closing) => Some(closing),
        Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => None,
    };
    let penalized = posted.filter(|closing| closing.penalized).map(|closing| closing.author);
    match witness {
        Witness::Cooperative { state, .. } => {
            Some(Ending { channel, state: state.state.clone(), penalized: None, together: true })
        }
        Witness::Answer { state, proof, .. } => {
            let closing = posted?;
            let shown = state.as_ref().map_or(&closing.state, |state| &state.state);
            let penalized = penalized.or_else(|| proof.as_ref().map(|_| closing.author));
            Some(Ending { channel, state: shown.clone(), penalized, together: false })
        }
        Witness::Finalize { .. } => {
            Some(Ending { channel, state: posted?.state.clone(), penalized, together: false })
        }
        Witness::Wallet(_)
        | Witness::Unilateral { .. }
        | Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => None,
    }
}
