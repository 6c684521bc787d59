//! The wallet's part of the API.

use towpath_api::{
    ApiError, Code, Direction, HistoryEntry, HistoryKind, HistoryPage, HistoryQuery, NewAddress, Units,
    Wallet, WalletSend, WalletSent,
};
use towpath_ledger::{AssetId, Payload, Payout, Transaction, Witness};
use towpath_store::Position;

use super::{Node, ledger_busy, store_error};
use crate::ledger::{FundsCall, FundsError, Input};
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
        FundsError::NoMoreAddresses { .. } => Code::TooManyRequests,
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
        let amount = request.amount.into();
        let key = request.idempotency_key.map(|word| towpath_crypto::hash::sha256(word.as_bytes()).0);
        let asked = self.ledger.ask(|reply| Input::Funds(FundsCall::Send { to, amount, key, reply })).await;
        let (tx, fee) = asked.map_err(ledger_busy)?.map_err(|error| funds_error(&error))?;
        Ok(WalletSent { tx: tx.to_string(), fee: fee.into() })
    }

    pub(super) fn history(&self, query: &HistoryQuery) -> Result<HistoryPage, ApiError> {
        let key = self.seed.wallet_key(0).public();
        let before = query.before.as_deref().map(position).transpose()?;
        let limit = usize::try_from(query.limit.unwrap_or(50).min(HISTORY_MAX)).unwrap_or(usize::MAX);
        let page = self.chain.history(&key, before, limit).map_err(|error| store_error(&error))?;
        let mut entries = Vec::with_capacity(page.rows.len());
        for row in page.rows {
            let Some(movement) = row.movements.iter().find(|movement| movement.asset == AssetId::NATIVE)
            else {
                continue;
            };
            let (spent, received) = (movement.spent.units(), movement.received.units());
            let (direction, amount) = if received >= spent {
                (Direction::In, received - spent)
            } else {
                (Direction::Out, spent - received)
            };
            let transaction =
                self.chain.transaction(&row.transaction).map_err(|error| store_error(&error))?;
            entries.push(HistoryEntry {
                tx: row.transaction.to_string(),
                kind: transaction
                    .as_ref()
                    .map_or(HistoryKind::Genesis, |(_, transaction)| kind_of(transaction)),
                direction,
                amount: Units(amount),
                fee: None,
                height: Some(row.height),
                time_ms: Some(row.time.0),
                channel: transaction.and_then(|(_, transaction)| channel_in(&transaction)),
            });
        }
        let next = page.older.map(|older| format!("{}.{}", older.height, older.index));
        Ok(HistoryPage { entries, next })
    }
}

fn position(text: &str) -> Result<Position, ApiError> {
    let parts = text.split_once('.');
    let parsed = parts.and_then(|(height, index)| Some((height.parse().ok()?, index.parse().ok()?)));
    let (height, index) = parsed
        .ok_or_else(|| ApiError::new(Code::InvalidRequest, "`before` is the `next` of an earlier answer"))?;
    Ok(Position { height, index })
}

fn kind_of(transaction: &Transaction) -> HistoryKind {
    let opens =
        transaction.body.outputs.iter().any(|output| matches!(output.lock, towpath_ledger::Lock::Channel(_)));
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
