//! What becomes of channels' outputs on the ledger, block by block, as one node's replica has it.

use std::collections::BTreeMap;
use std::time::Instant;

use towpath_api::{Block, Code, Lock, Transaction, TransactionStatus, TxOutput, Units};

use super::wait::{Node, until};
use crate::error::TestnetError;

/// A transaction that spent the output of a channel that is followed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The channel.
    pub channel: String,
    /// The transaction.
    pub tx: String,
    /// By what right it spent it: `unilateral`, `answer`, `penalize`, ...
    pub witness: String,
    /// The height of its block.
    pub height: u64,
    /// The ledger time of its block.
    pub time_ms: u64,
    /// When the block was there, by this machine's clock.
    pub seen: Instant,
    /// What is left on the ledger of the channel; nothing once it is paid out.
    pub closing: Option<ClosingSeen>,
    /// Everything that the transaction pays.
    pub outputs: Vec<TxOutput>,
    /// How many outputs it spends.
    pub inputs: usize,
}

/// A closing as the ledger shows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClosingSeen {
    /// All that is in it.
    pub amount: Units,
    /// The version that is shown.
    pub version: u64,
    /// What the opener has in it.
    pub opener: Units,
    /// What the acceptor has in it.
    pub acceptor: Units,
    /// Until when it can be answered.
    pub deadline_ms: Option<u64>,
    /// Whether its author is proven to have known better.
    pub penalized: bool,
}

/// Follows outputs of channels.
pub struct Trail<'a> {
    node: &'a Node,
    next: u64,
    /// Outputs, and whose they are.
    open: BTreeMap<String, String>,
}

impl<'a> Trail<'a> {
    /// From the next block on.
    ///
    /// # Errors
    /// When the node does not answer.
    pub async fn from_tip(node: &'a Node) -> Result<Self, TestnetError> {
        let tip = node.client.ledger().await.map_err(node.call())?.height;
        Ok(Self { node, next: tip + 1, open: BTreeMap::new() })
    }

    /// Follows the output of a channel, too.
    pub fn follow(&mut self, channel: &str, outpoint: &str) {
        self.open.insert(outpoint.to_owned(), channel.to_owned());
    }

    /// Waits for the next block that spends an output that is followed.
    ///
    /// # Errors
    /// When there is none for long, or the node does not answer.
    pub async fn next(&mut self, what: &str) -> Result<Vec<Step>, TestnetError> {
        until(what, async || {
            let steps = self.look().await?;
            Ok((!steps.is_empty()).then_some(steps))
        })
        .await
    }

    /// What the blocks since the last look did.
    async fn look(&mut self) -> Result<Vec<Step>, TestnetError> {
        let mut steps = Vec::new();
        while let Some(block) = self.block().await? {
            let seen = Instant::now();
            for tx in &block.transactions {
                let tx = self.node.client.transaction(tx).await.map_err(self.node.call())?;
                self.take(&block, seen, &tx, &mut steps);
            }
            self.next += 1;
        }
        Ok(steps)
    }

    async fn block(&self) -> Result<Option<Block>, TestnetError> {
        match self.node.client.block(&self.next.to_string()).await {
            Ok(block) => Ok(Some(block)),
            Err(error) if error.code() == Some(Code::BlockNotFound) => Ok(None),
            Err(error) => Err(self.node.call()(error)),
        }
    }

    fn take(&mut self, block: &Block, seen: Instant, tx: &Transaction, steps: &mut Vec<Step>) {
        debug_assert_eq!(tx.status, TransactionStatus::Final, "it is in a block");
        for input in &tx.inputs {
            let Some(channel) = self.open.remove(&input.outpoint) else { continue };
            let closing = tx.outputs.iter().find_map(|output| closing_of(output, &channel));
            if let Some((outpoint, _)) = &closing {
                self.open.insert(outpoint.clone(), channel.clone());
            }
            steps.push(Step {
                channel,
                tx: tx.id.clone(),
                witness: input.witness.clone(),
                height: block.height,
                time_ms: block.time_ms,
                seen,
                closing: closing.map(|(_, closing)| closing),
                outputs: tx.outputs.clone(),
                inputs: tx.inputs.len(),
            });
        }
    }
}

fn closing_of(output: &TxOutput, of: &str) -> Option<(String, ClosingSeen)> {
    match &output.lock {
        Lock::Closing { channel, version, balance_a, balance_b, deadline_ms, penalized } if channel == of => {
            let seen = ClosingSeen {
                amount: output.amount,
                version: *version,
                opener: *balance_a,
                acceptor: *balance_b,
                deadline_ms: *deadline_ms,
                penalized: *penalized,
            };
            Some((output.outpoint.clone(), seen))
        }
        Lock::Closing { .. } | Lock::Wallet { .. } | Lock::Channel { .. } | Lock::Conditional { .. } => None,
    }
}
