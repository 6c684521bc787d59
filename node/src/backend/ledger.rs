//! The ledger's part of the API: read from the database.

use towpath_api::{
    ApiError, Block, Certificate, Code, LedgerInfo, Lock, MempoolInfo, OutputInfo, Submitted, Transaction,
    TransactionStatus, TxInput, TxOutput, Units, ValidatorInfo,
};
use towpath_crypto::codec;
use towpath_ledger::{self as ledger, AssetId, Deadline, OutPoint, TxId, Witness, limits};

use super::{Node, ledger_busy, store_error};
use crate::ledger::{Input, Status, SubmitError};
use crate::worker::node_text;

impl Node {
    pub(super) fn ledger_info(&self) -> Result<LedgerInfo, ApiError> {
        let tip = self.chain.tip();
        let Status { mempool_transactions: transactions, mempool_bytes: bytes, .. } = *self.status.borrow();
        let members = self.genesis.validators.members();
        let fees = self.fees()?;
        Ok(LedgerInfo {
            chain: self.chain.chain().to_string(),
            chain_name: self.genesis.name.clone(),
            height: tip.height(),
            tip: tip.id().to_string(),
            time_ms: tip.header().time.0,
            state_root: tip.header().state_root.to_string(),
            validators: members
                .iter()
                .map(|member| ValidatorInfo { node: node_text(&member.key), power: member.power })
                .collect(),
            supply: Units(
                crate::ledger::supply(&self.chain, self.issued()).map_err(|error| store_error(&error))?,
            ),
            fees: Units(fees),
            mempool: MempoolInfo { transactions, bytes },
        })
    }

    pub(super) fn block(&self, text: &str) -> Result<Block, ApiError> {
        let not_found = || ApiError::new(Code::BlockNotFound, format!("no block {text}"));
        let height = match text {
            "latest" => self.chain.tip().height(),
            _ if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().map_err(|_| not_found())?,
            _ => {
                let id = self.find_block(text)?;
                self.chain.height_of(&id).map_err(|error| store_error(&error))?.ok_or_else(not_found)?
            }
        };
        let block = self.chain.block(height).map_err(|error| store_error(&error))?.ok_or_else(not_found)?;
        let certificate = self.chain.certificate(height).map_err(|error| store_error(&error))?;
        let header = &block.header;
        Ok(Block {
            id: block.id().to_string(),
            height,
            parent: header.parent.to_string(),
            time_ms: header.time.0,
            proposer: node_text(&header.proposer),
            transactions_root: header.transactions_root.to_string(),
            state_root: header.state_root.to_string(),
            validators: header.validators.to_string(),
            transactions: block.transactions.iter().map(|transaction| transaction.id().to_string()).collect(),
            size_bytes: size_of(&block),
            certificate: certificate.map(|certificate| Certificate {
                round: certificate.round,
                signers: certificate.signatures.iter().map(|(key, _)| node_text(key)).collect(),
            }),
        })
    }

    /// A final transaction, or one that waits here for a block.
    pub(super) async fn transaction(&self, text: &str) -> Result<Transaction, ApiError> {
        let id = self.find_transaction(text)?;
        if let Some(found) = self.final_transaction(&id)? {
            return Ok(found);
        }
        let asked = self.ledger.ask(|reply| Input::Waiting { id, reply }).await;
        if let Some(waiting) = asked.map_err(ledger_busy)? {
            return Ok(describe(&waiting, TransactionStatus::Pending, None));
        }
        // It may have become final between the two questions.
        self.final_transaction(&id)?.ok_or_else(|| {
            ApiError::new(Code::TransactionNotFound, format!("no transaction {text} is final or waits here"))
                .with_hint("one that was sent by another node gets here within moments, or was refused there")
        })
    }

    pub(super) fn final_transaction(&self, id: &TxId) -> Result<Option<Transaction>, ApiError> {
        let found = self.chain.transaction(id).map_err(|error| store_error(&error))?;
        let Some((place, transaction)) = found else { return Ok(None) };
        let header = self.chain.header(place.height).map_err(|error| store_error(&error))?;
        Ok(Some(describe(&transaction, TransactionStatus::Final, Some((place.height, header)))))
    }

    pub(super) async fn submit(&self, encoded: &[u8]) -> Result<Submitted, ApiError> {
        let limit = usize::try_from(limits::TRANSACTION_BYTES_MAX).unwrap_or(usize::MAX);
        let transaction = codec::decode(encoded, limit).map_err(|error| {
            ApiError::new(Code::TransactionRejected, format!("not a transaction: {error}"))
        })?;
        let transaction = Box::new(transaction);
        let asked = self.ledger.ask(|reply| Input::Submit { transaction, reply: Some(reply) }).await;
        match asked.map_err(ledger_busy)? {
            Ok(id) => Ok(Submitted { tx: id.to_string() }),
            Err(error @ (SubmitError::Refused(_) | SubmitError::Final)) => {
                Err(ApiError::new(Code::TransactionRejected, error.to_string()))
            }
            Err(error @ SubmitError::Stopping) => Err(ApiError::new(Code::NotReady, error.to_string())),
        }
    }

    pub(super) fn output(&self, text: &str) -> Result<OutputInfo, ApiError> {
        let outpoint = self.find_output(text)?;
        let found = self.chain.output(&outpoint).map_err(|error| store_error(&error))?;
        let entry =
            found.ok_or_else(|| ApiError::new(Code::OutputNotFound, format!("no unspent output {text}")))?;
        Ok(OutputInfo {
            outpoint: outpoint.to_string(),
            asset: asset_of(entry.output.asset),
            amount: entry.output.amount.into(),
            lock: lock_of(&entry.output.lock),
            height: entry.height,
            time_ms: entry.time.0,
        })
    }
}

/// A transaction for readers; `block` is the height of its block, and that block's header.
fn describe(
    transaction: &ledger::Transaction,
    status: TransactionStatus,
    block: Option<(u64, Option<ledger::Header>)>,
) -> Transaction {
    let id = transaction.id();
    let (height, header) = block.map_or((None, None), |(height, header)| (Some(height), header));
    let inputs = transaction.body.inputs.iter().zip(&transaction.witnesses);
    Transaction {
        id: id.to_string(),
        status,
        block: header.as_ref().map(|header| header.id().to_string()),
        height,
        time_ms: header.map(|header| header.time.0),
        inputs: inputs
            .map(|(outpoint, witness)| TxInput {
                outpoint: outpoint.to_string(),
                witness: name_of(witness).to_owned(),
            })
            .collect(),
        outputs: (0_u32..)
            .zip(&transaction.body.outputs)
            .map(|(index, output)| TxOutput {
                outpoint: OutPoint { tx: id, index }.to_string(),
                asset: asset_of(output.asset),
                amount: output.amount.into(),
                lock: lock_of(&output.lock),
            })
            .collect(),
        payload: transaction.body.payload.as_ref().map(|payload| hex::encode(codec::encode(payload))),
        size_bytes: size_of(transaction),
        hex: hex::encode(codec::encode(transaction)),
    }
}

fn size_of(value: &impl bincode::Encode) -> u64 {
    u64::try_from(codec::encode(value).len()).unwrap_or(u64::MAX)
}

fn asset_of(asset: AssetId) -> Option<String> {
    (asset != AssetId::NATIVE).then(|| asset.to_string())
}

/// A lock for readers.
#[must_use]
pub fn lock_of(lock: &ledger::Lock) -> Lock {
    match lock {
        ledger::Lock::Wallet(payout) => Lock::Wallet { address: payout.to_string() },
        ledger::Lock::Channel(terms) => Lock::Channel {
            channel: terms.id.to_string(),
            generation: terms.generation,
            dispute_window_ms: terms.dispute_window_ms,
        },
        ledger::Lock::Closing(closing) => Lock::Closing {
            channel: closing.terms.id.to_string(),
            version: closing.state.version,
            balance_a: closing.state.balance_a.into(),
            balance_b: closing.state.balance_b.into(),
            deadline_ms: match closing.deadline {
                Deadline::FromCreation => None,
                Deadline::At(deadline) => Some(deadline.0),
            },
            penalized: closing.penalized,
        },
        ledger::Lock::Conditional(conditional) => Lock::Conditional {
            expiry_ms: conditional.expiry.0,
            payee: conditional.payee.to_string(),
            payer: conditional.payer.to_string(),
        },
    }
}

const fn name_of(witness: &Witness) -> &'static str {
    match witness {
        Witness::Wallet(_) => "wallet",
        Witness::Cooperative { .. } => "cooperative",
        Witness::Unilateral { .. } => "unilateral",
        Witness::Supersede { .. } => "supersede",
        Witness::Penalize { .. } => "penalize",
        Witness::Answer { .. } => "answer",
        Witness::Finalize { .. } => "finalize",
        Witness::Resize { .. } => "resize",
        Witness::Resolve { .. } => "resolve",
    }
}
