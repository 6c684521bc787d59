//! The wallet's part of the API.

use std::sync::Arc;

use towpath_api::{
    ApiError, Code, Direction, HistoryEntry, HistoryKind, HistoryPage, HistoryQuery, NewAddress, Units,
    Wallet, WalletSend, WalletSent,
};
use towpath_crypto::schnorr::WalletKey;
use towpath_ledger::{Amount, AssetId, Payload, Payout, Transaction, Witness};
use towpath_store::Position;

use super::history::{Merged, Moved};
use super::once::{Once, deadline, other_kind};
use super::{Node, ledger_busy, store_error};
use crate::idempotency::{Outcome, SendState, content_of};
use crate::ledger::{FundsCall, FundsError, Input, PendingSend};
use crate::wallet::WalletError;

/// Entries of one page of history.
const HISTORY_MAX: u32 = 500;

pub(super) fn funds_error(error: &FundsError) -> ApiError {
    let code = match error {
        FundsError::Wallet(WalletError::Insufficient { .. } | WalletError::TooFragmented { .. }) => {
            Code::InsufficientFunds
        }
        FundsError::Wallet(WalletError::Overflow) | FundsError::TooSmall { .. } => Code::InvalidAmount,
        FundsError::Wallet(WalletError::UnknownKey(_)) | FundsError::Refused(_) => Code::TransactionRejected,
        FundsError::NoMoreAddresses { .. }
        | FundsError::TooManySends { .. }
        | FundsError::TooManyFundings { .. } => Code::TooManyRequests,
        FundsError::Store(_) => Code::Internal,
    };
    ApiError::new(code, error.to_string())
}

impl Node {
    pub(super) async fn wallet(&self) -> Result<Wallet, ApiError> {
        let asked =
            self.ledger.ask(|reply| Input::Funds(FundsCall::View(reply))).await.map_err(ledger_busy)?;
        let view = asked.map_err(|error| funds_error(&error))?;
        Ok(Wallet {
            confirmed: Units(view.confirmed),
            available: Units(view.available),
            reserved: Units(view.reserved),
            pending: Units(view.pending),
            in_channels: Units(self.board.balance()),
        })
    }

    pub(super) async fn new_address(&self) -> Result<NewAddress, ApiError> {
        let asked =
            self.ledger.ask(|reply| Input::Funds(FundsCall::NewAddress(reply))).await.map_err(ledger_busy)?;
        let payout = asked.map_err(|error| funds_error(&error))?;
        Ok(NewAddress { address: payout.to_string() })
    }

    pub(super) async fn send(&self, request: WalletSend) -> Result<WalletSent, ApiError> {
        self.check_signing()?;
        let to: Payout = request
            .to
            .parse()
            .map_err(|error| ApiError::new(Code::InvalidId, format!("the address: {error}")))?;
        let amount: Amount = request.amount.into();
        let content = content_of("send", &(&to, amount));
        let claim = match self.once(request.idempotency_key.as_deref(), content, deadline(None)).await? {
            Once::First(claim) => claim,
            Once::Again(_, outcome) => return sent_before(&outcome),
        };
        let asked = self.ledger.ask(|reply| Input::Funds(FundsCall::Send { to, amount, claim, reply })).await;
        let (tx, fee) = asked.map_err(ledger_busy)?.map_err(|error| funds_error(&error))?;
        Ok(WalletSent { tx: tx.to_string(), fee: fee.into() })
    }

    /// What happened to all of the wallet's keys, newest first; the first page begins with what is on its way.
    pub(super) async fn history(self: Arc<Self>, query: HistoryQuery) -> Result<HistoryPage, ApiError> {
        let before = query.before.as_deref().map(position).transpose()?;
        let limit = usize::try_from(query.limit.unwrap_or(50).min(HISTORY_MAX)).unwrap_or(usize::MAX);
        let keys =
            self.ledger.ask(|reply| Input::Funds(FundsCall::Keys(reply))).await.map_err(ledger_busy)?;
        // Asked for before the blocks are read: what becomes final in between is among those, and is not lost.
        let pending = match before {
            Some(_) => Vec::new(),
            None => {
                let asked = self.ledger.ask(|reply| Input::Funds(FundsCall::Pending(reply))).await;
                asked.map_err(ledger_busy)?
            }
        };
        // A wallet of very many addresses takes as many reads.
        let read = tokio::task::spawn_blocking(move || {
            let mut entries = self.pending_entries(&pending)?;
            let page = self.read_history(&keys, before, limit)?;
            // What became final just now is the newest of all, and so on the first page.
            entries.retain(|entry| page.entries.iter().all(|known| known.tx != entry.tx));
            entries.extend(page.entries);
            Ok(HistoryPage { entries, ..page })
        });
        read.await.map_err(|error| ApiError::new(Code::Internal, error.to_string()))?
    }

    /// Of the payments that were on their way a moment ago, those that are not final by now.
    fn pending_entries(&self, pending: &[PendingSend]) -> Result<Vec<HistoryEntry>, ApiError> {
        let mut entries = Vec::with_capacity(pending.len());
        for send in pending {
            if self.chain.transaction_place(&send.tx).map_err(|error| store_error(&error))?.is_none() {
                entries.push(pending_entry(send));
            }
        }
        Ok(entries)
    }

    fn read_history(
        &self,
        keys: &[WalletKey],
        before: Option<Position>,
        limit: usize,
    ) -> Result<HistoryPage, ApiError> {
        // The newest of all are among the newest of each; one more than asked for tells whether there are older ones.
        let mut merged = Merged::default();
        for key in keys {
            let page = self.chain.history(key, before, limit + 1).map_err(|error| store_error(&error))?;
            merged.add(page.rows, limit + 1);
        }
        let mut moves = merged.newest_first();
        let next =
            (moves.len() > limit).then(|| moves.get(limit.saturating_sub(1)).map(|last| last.position));
        moves.truncate(limit);
        let entries = moves
            .iter()
            .filter(|moved| moved.is_any())
            .map(|moved| self.entry(moved, keys))
            .collect::<Result<_, _>>()?;
        let next = next.flatten().map(|last| format!("{}.{}", last.height, last.index));
        Ok(HistoryPage { entries, next })
    }

    fn entry(&self, moved: &Moved, keys: &[WalletKey]) -> Result<HistoryEntry, ApiError> {
        let found = self.chain.transaction(&moved.transaction).map_err(|error| store_error(&error))?;
        let transaction = found.map(|(_, transaction)| transaction);
        let (direction, amount) = moved.net();
        Ok(HistoryEntry {
            tx: moved.transaction.to_string(),
            kind: transaction.as_ref().map_or(HistoryKind::Genesis, kind_of),
            direction,
            amount: Units(amount),
            fee: transaction.as_ref().and_then(|transaction| fee_of(transaction, moved, keys)).map(Units),
            height: Some(moved.position.height),
            time_ms: Some(moved.time.0),
            channel: transaction.as_ref().and_then(channel_in),
        })
    }
}

/// A repeated send: what became of the first.
fn sent_before(outcome: &Outcome) -> Result<WalletSent, ApiError> {
    match outcome {
        Outcome::Send { tx, state: SendState::Void, .. } => {
            let detail = format!("another transaction spent the coins of {tx}: this payment was never made");
            Err(ApiError::new(Code::TransactionRejected, detail))
        }
        Outcome::Send { tx, fee, state: SendState::Pending | SendState::Final } => {
            Ok(WalletSent { tx: tx.to_string(), fee: (*fee).into() })
        }
        Outcome::Payment(_)
        | Outcome::Opening { .. }
        | Outcome::Openings { .. }
        | Outcome::Stream { .. }
        | Outcome::Resize { .. } => Err(other_kind()),
    }
}

/// A payment that is on its way.
fn pending_entry(send: &PendingSend) -> HistoryEntry {
    HistoryEntry {
        tx: send.tx.to_string(),
        kind: HistoryKind::Transfer,
        direction: Direction::Out,
        amount: Units(send.amount),
        fee: Some(send.fee.into()),
        height: None,
        time_ms: None,
        channel: None,
    }
}

fn position(text: &str) -> Result<Position, ApiError> {
    let parts = text.split_once('.');
    let parsed = parts.and_then(|(height, index)| Some((height.parse().ok()?, index.parse().ok()?)));
    let (height, index) = parsed
        .ok_or_else(|| ApiError::new(Code::InvalidRequest, "`before` is the `next` of an earlier answer"))?;
    Ok(Position { height, index })
}

/// The fee of a transaction that this wallet paid alone: what all its keys put in, less all that came out.
fn fee_of(transaction: &Transaction, moved: &Moved, keys: &[WalletKey]) -> Option<u64> {
    let is_ours = |witness: &Witness| match witness {
        Witness::Wallet(signatures) => {
            !signatures.is_empty() && signatures.iter().all(|(key, _)| keys.contains(key))
        }
        Witness::Cooperative { .. }
        | Witness::Unilateral { .. }
        | Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Answer { .. }
        | Witness::Finalize { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => false,
    };
    if !transaction.witnesses.iter().all(is_ours) {
        return None;
    }
    let native = transaction.body.outputs.iter().filter(|output| output.asset == AssetId::NATIVE);
    let paid = native.fold(0_u64, |sum, output| sum.saturating_add(output.amount.units()));
    moved.spent.checked_sub(paid)
}

fn kind_of(transaction: &Transaction) -> HistoryKind {
    let opens =
        transaction.body.outputs.iter().any(|output| matches!(output.lock, towpath_ledger::Lock::Channel(_)));
    if transaction.witnesses.iter().any(|witness| matches!(witness, Witness::Resize { .. })) {
        return HistoryKind::ChannelResize;
    }
    let closes = transaction.witnesses.iter().any(|witness| !matches!(witness, Witness::Wallet(_)));
    match (closes, opens, &transaction.body.payload) {
        (true, _, _) => HistoryKind::ChannelClose,
        (false, true, _) => HistoryKind::ChannelOpen,
        (false, false, Some(Payload::Issue { .. })) => HistoryKind::Other,
        (false, false, _) => HistoryKind::Transfer,
    }
}

fn channel_in(transaction: &Transaction) -> Option<String> {
    let in_outputs =
        transaction.body.outputs.iter().find_map(|output| crate::ledger::channel_of(&output.lock));
    let in_witnesses = transaction.witnesses.iter().find_map(|witness| match witness {
        Witness::Cooperative { state, .. } => Some(state.state.channel),
        _ => None,
    });
    in_outputs.or(in_witnesses).map(|channel| channel.to_string())
}
