//! Payments from the wallet that are not final: a row each, durable before the transaction is handed out, and handed in
//! again until the ledger shows it, or shows that its coins went elsewhere. A pool can drop a transaction, gossip can lose
//! it, and this node can forget with a restart what it made; its coins are spent all the same, for whoever has seen it.
//!
//! Rows of `Meta`: this module's prefix ‖ transaction id.

use std::collections::{BTreeMap, BTreeSet};

use bincode::{Decode, Encode};
use towpath_crypto::codec;
use towpath_crypto::codec::Readable;
use towpath_crypto::readable;
use towpath_ledger::{Amount, OutPoint, Transaction, TxId, limits as ledger_limits};
use towpath_store::{Batch, Column, Scan, Store, StoreError};

use super::host::Chain;
use crate::idempotency::SendState;
use crate::limits;

/// Where the rows are.
const PREFIX: &[u8] = b"wallet-send/";

/// Bytes of a row beside its transaction, at most.
const ROW_BYTES_MORE: u32 = 64;

/// The version of a row's layout: its first byte.
const ROW_VERSION: u8 = 2;

/// A row.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
struct Row {
    version: u8,
    time_ms: u64,
    /// The height of this node's replica when it was made: its coins were on the ledger there.
    height: u64,
    fee: Amount,
    transaction: Transaction,
}

/// A row without a height, of earlier programs.
#[derive(Decode, Encode)]
struct RowV1 {
    version: u8,
    time_ms: u64,
    fee: Amount,
    transaction: Transaction,
}

impl Row {
    fn decode(value: &[u8]) -> Result<Self, StoreError> {
        let limit = usize::try_from(ledger_limits::TRANSACTION_BYTES_MAX + ROW_BYTES_MORE);
        let limit = limit.unwrap_or(usize::MAX);
        let row = if value.first() == Some(&1) {
            codec::decode::<RowV1>(value, limit).map(|RowV1 { version: _, time_ms, fee, transaction }| {
                // No replica is ever so high: only a block that this node sees says what became of it.
                Self { version: ROW_VERSION, time_ms, height: u64::MAX, fee, transaction }
            })
        } else {
            codec::decode::<Self>(value, limit)
        };
        // A row that cannot be read hides a promise: better no wallet than one that spends its coins again.
        row.map_err(|error| StoreError::Corrupt { what: format!("a payment on its way: {error}") })
    }
}

/// When a payment was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Made {
    /// By the node's clock.
    pub(super) time_ms: u64,
    /// By the node's replica.
    pub(super) height: u64,
}

/// A payment that is on its way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PendingSend {
    /// Its transaction.
    pub tx: TxId,
    /// What the wallet has less by it, the fee included, in base units.
    pub amount: u64,
    /// The fee.
    pub fee: Amount,
    /// When it was made, by the node's clock.
    pub time_ms: u64,
}

/// One of them, and how it went so far.
struct Waiting {
    row: Row,
    /// When it was handed in last, by the node's clock, and the blocks since.
    last_ms: u64,
    blocks: u32,
    /// Why it was refused last: said once, not at every try.
    refused: Option<String>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Sends {
    waiting: BTreeMap<TxId, Waiting>,
    /// Which of them spends a coin.
    spends: BTreeMap<OutPoint, TxId>,
}

impl Sends {
    /// Those that the database holds.
    pub(super) fn open(store: &dyn Store) -> Result<Self, StoreError> {
        let mut sends = Self::default();
        let mut scan = Scan::prefix(PREFIX);
        loop {
            let rows = store.scan(Column::Meta, &scan)?;
            let Some((last, _)) = rows.last() else { return Ok(sends) };
            scan = scan.after(last);
            for (_, value) in &rows {
                sends.insert(Row::decode(value)?);
            }
        }
    }

    fn insert(&mut self, row: Row) -> TxId {
        let id = row.transaction.id();
        self.spends.extend(row.transaction.body.inputs.iter().map(|input| (*input, id)));
        self.waiting.insert(id, Waiting { row, last_ms: 0, blocks: 0, refused: None });
        id
    }

    /// Whether no more are taken.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= limits::SENDS
    }

    /// Remembers one, in the batch that makes it durable; it is due at once.
    pub(super) fn add(
        &mut self,
        batch: &mut Batch,
        (transaction, fee): (Transaction, Amount),
        Made { time_ms, height }: Made,
    ) -> TxId {
        let row = Row { version: ROW_VERSION, time_ms, height, fee, transaction };
        let value = codec::encode(&row);
        let id = self.insert(row);
        batch.put(Column::Meta, row_key(&id), value);
        id
    }

    /// The coins that they spend.
    pub(super) fn spent(&self) -> impl Iterator<Item = OutPoint> + '_ {
        self.spends.keys().copied()
    }

    pub(super) fn contains(&self, id: &TxId) -> bool {
        self.waiting.contains_key(id)
    }

    /// The transactions, with their fees and times, newest first.
    pub(super) fn newest_first(&self) -> Vec<(TxId, &Transaction, Amount, u64)> {
        let mut all: Vec<_> = self
            .waiting
            .iter()
            .map(|(id, send)| (*id, &send.row.transaction, send.row.fee, send.row.time_ms))
            .collect();
        all.sort_by_key(|(id, _, _, time_ms)| std::cmp::Reverse((*time_ms, *id)));
        all
    }

    /// A transaction is final: those that it ends, and how.
    pub(super) fn is_final(&mut self, id: &TxId, inputs: &[OutPoint]) -> Vec<(TxId, SendState)> {
        let touched: BTreeSet<TxId> =
            inputs.iter().filter_map(|input| self.spends.get(input).copied()).collect();
        for send in &touched {
            self.remove(send);
        }
        let end = |send: TxId| (send, if send == *id { SendState::Final } else { SendState::Void });
        touched.into_iter().map(end).collect()
    }

    /// At the start: those that ended while nobody looked, and how. A crash can come between a block and what it means.
    pub(super) fn catch_up(&mut self, chain: &Chain) -> Result<Vec<(TxId, SendState)>, StoreError> {
        let mut ended = Vec::new();
        for (id, send) in &self.waiting {
            if chain.transaction_place(id)?.is_some() {
                ended.push((*id, SendState::Final));
                continue;
            }
            if is_void(chain, send.row.height, &send.row.transaction.body.inputs)? {
                ended.push((*id, SendState::Void));
            }
        }
        for (id, _) in &ended {
            self.remove(id);
        }
        Ok(ended)
    }

    fn remove(&mut self, id: &TxId) {
        let Some(send) = self.waiting.remove(id) else { return };
        for input in &send.row.transaction.body.inputs {
            self.spends.remove(input);
        }
    }

    /// A block is applied.
    pub(super) fn on_block(&mut self) {
        for send in self.waiting.values_mut() {
            send.blocks = send.blocks.saturating_add(1);
        }
    }

    /// Those that are to be handed in now.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<Transaction> {
        let mut due = Vec::new();
        for send in self.waiting.values_mut() {
            if is_due(now_ms.saturating_sub(send.last_ms), send.blocks) {
                (send.last_ms, send.blocks) = (now_ms, 0);
                due.push(send.row.transaction.clone());
            }
        }
        due
    }

    /// One is not taken now; whether that was not said yet.
    pub(super) fn refused(&mut self, id: &TxId, reason: &str) -> bool {
        let Some(send) = self.waiting.get_mut(id) else { return false };
        let is_news = send.refused.as_deref() != Some(reason);
        send.refused = Some(reason.to_owned());
        is_news
    }
}

/// Whether another transaction spent a coin of one that is not final, and that this node made at this height. A coin that is not on the ledger is no sign of that
/// by itself: after a restore the replica begins at the genesis, where the coin is not made yet, and whoever is told that the
/// payment is void pays again. It is one if the replica is where the coin was, and has every block since.
pub(super) fn is_void(chain: &Chain, height: u64, inputs: &[OutPoint]) -> Result<bool, StoreError> {
    let tip = chain.tip().height();
    if tip <= height || chain.block(height + 1)?.is_none() {
        return Ok(false);
    }
    for input in inputs {
        if chain.output(input)?.is_none() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The same rhythm as for what channels owe the ledger.
const fn is_due(waited_ms: u64, blocks: u32) -> bool {
    waited_ms >= limits::CLOSE_AGAIN_MS
        || (blocks >= limits::CLOSE_AGAIN_BLOCKS && waited_ms >= limits::CLOSE_AGAIN_MS_MIN)
}

fn row_key(id: &TxId) -> Vec<u8> {
    [PREFIX, id.0.0.as_slice()].concat()
}

/// Forgets one, in the batch that tells what became of it.
pub(super) fn forget(batch: &mut Batch, id: &TxId) {
    batch.delete(Column::Meta, row_key(id));
}

/// How its rows are read.
pub(crate) fn decoders() -> Vec<Readable> {
    readable![256 << 10 => Row, RowV1]
}
