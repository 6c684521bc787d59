//! The resizes' part of the API: coins or a fee, the worker's word, and what the ledger made of it.

use tokio::time::Instant;
use towpath_api::{ApiError, Change as Wanted, ResizeChannel, ResizeState, ResizeWait, Resized};
use towpath_ledger::{Amount, TxId};
use towpath_protocol::Change;
use towpath_protocol::limits::{FUNDING_INPUTS_MAX, RESIZE_MS_MAX};

use super::Node;
use super::channels::{call_error, timed_out};
use super::once::{Once, deadline, other_kind};
use super::wallet::funds_error;
use super::{busy, ledger_busy};
use crate::idempotency::{Claim, Outcome, content_of};
use crate::ledger::{FundsCall, Input, Purpose};
use crate::worker::{Call, ChannelView, ResizeRequest};

/// How far ahead a resize expires, in milliseconds of ledger time: half of what peers accept, since theirs may be some
/// blocks behind.
const RESIZE_MS: u64 = RESIZE_MS_MAX / 2;

/// Bytes by which a resize is larger than a funding, a little more than exactly: the channel's input and both signatures.
const MORE_BYTES: u64 = 256;

impl Node {
    pub(super) async fn resize_channel(
        &self,
        channel: &str,
        request: ResizeChannel,
    ) -> Result<Resized, ApiError> {
        self.check_signing()?;
        let view = self.find(channel)?;
        let change = match request.change {
            Wanted::Add(amount) => Change::Add(amount.into()),
            Wanted::PayOut(amount) => Change::PayOut(amount.into()),
        };
        let until = deadline(request.timeout_ms);
        let content = content_of("resize", &(view.id, change));
        let tx = match self.once(request.idempotency_key.as_deref(), content, until).await? {
            Once::First(claim) => self.propose_resize(&view, change, claim, until).await?,
            Once::Again(_, Outcome::Resize { tx }) => tx,
            Once::Again(
                _,
                Outcome::Payment(_)
                | Outcome::Opening { .. }
                | Outcome::Openings { .. }
                | Outcome::Stream { .. }
                | Outcome::Send { .. },
            ) => return Err(other_kind()),
        };
        let is_open = |view: &ChannelView| view.resizing.is_some_and(|resizing| resizing.transaction == tx);
        let is_there = |view: &ChannelView| request.wait == ResizeWait::Proposed || !is_open(view);
        let left = until.saturating_duration_since(Instant::now());
        let view = self.wait_for(view.id, left, is_there, "the resize").await?;
        let state = match self.final_transaction(&tx)? {
            Some(_) => ResizeState::Final,
            None if is_open(&view) => ResizeState::Pending,
            None => ResizeState::Void,
        };
        Ok(Resized { channel: view.to_api(self.ledger_time()), state, tx: tx.to_string() })
    }

    /// Sets coins aside if some are needed, and has the worker propose the resize.
    async fn propose_resize(
        &self,
        view: &ChannelView,
        change: Change,
        claim: Option<Claim>,
        until: Instant,
    ) -> Result<TxId, ApiError> {
        // One at a time: a caller who asked for the peer's to be decided may have heard of it a moment before this node did.
        let left = until.saturating_duration_since(Instant::now());
        self.wait_for(view.id, left, |view| view.resizing.is_none(), "the resize before it").await?;
        let expiry = self.ledger_time().plus_ms(RESIZE_MS);
        let coins = match change {
            Change::PayOut(_) => None,
            Change::Add(amount) => {
                // What the resize costs more than a funding is set aside with the amount, and left to the fee.
                let more = self.genesis.params.rules.fee_min(MORE_BYTES);
                let amount = amount.checked_add(more).unwrap_or(Amount::MAX);
                let purpose = Purpose { amount, inputs_max: FUNDING_INPUTS_MAX, until: expiry };
                let asked =
                    self.ledger.ask(|reply| Input::Funds(FundsCall::Reserve { purpose, reply })).await;
                Some(asked.map_err(ledger_busy)?.map_err(|error| funds_error(&error))?)
            }
        };
        let request = ResizeRequest { channel: view.id, change, coins, expiry, claim };
        let asked = self.workers.ask(&view.peer, |reply| Call::Resize { request, reply });
        // Coins that nobody takes are free again when the resize would have expired.
        let asked =
            tokio::time::timeout_at(until, asked).await.map_err(|_elapsed| timed_out("the resize"))?;
        asked.map_err(busy)?.map_err(|error| call_error(&error))
    }
}
