//! Resizes: what this node's callers want of its channels, and what the ledger made of it.

use towpath_api::{EventBody, ResizeState, Side, Units};
use towpath_ledger::{AssetId, ChannelId, Lock, OutPoint, Output, Party, Time, TxId};
use towpath_protocol::{Change, Channel, Event, Reject, ResizeFailure, ResizePlan, Token};

use super::call::{CallError, Reply};
use super::open::inputs_of;
use super::run::{Parts, Worker};
use super::turn::Turn;
use crate::idempotency::{Claim, Outcome};
use crate::ledger::{FundsCall, Input as LedgerInput, Reserved};

/// Bytes of a transaction that pays some of a channel out, a little more than exactly: the fee is a minimum.
const PAY_OUT_BYTES: u64 = 1_024;

/// What a caller wants.
#[derive(Debug)]
pub struct ResizeRequest {
    /// Which channel.
    pub channel: ChannelId,
    /// What becomes of this node's balance.
    pub change: Change,
    /// The coins for it; none if nothing is added.
    pub coins: Option<Reserved>,
    /// The last ledger time at which the transaction is valid.
    pub expiry: Time,
    /// Makes a repeated call the same resize.
    pub claim: Option<Claim>,
}

/// A caller whose resize waits until the channel is ready to propose it.
pub(super) struct Resizer {
    channel: ChannelId,
    first_input: Option<OutPoint>,
    claim: Option<Claim>,
    reply: Reply<TxId>,
}

/// After a restart: the coins of a resize that may yet become final are still this channel's; the first of them.
pub(super) fn keep_coins(parts: &Parts, channel: &Channel) -> Option<OutPoint> {
    let (inputs, until) = channel.coins_to_add()?;
    let coins: Vec<_> = inputs.iter().map(|input| (input.outpoint, input.output.clone())).collect();
    let first = coins.first().map(|(outpoint, _)| *outpoint);
    // Before any caller can ask for coins: callers come after the workers.
    parts.ledger.push(LedgerInput::Funds(FundsCall::Keep { coins, until }));
    first
}

impl Worker {
    /// A caller resizes a channel; its coins are set aside already.
    pub(super) fn resize(&mut self, request: ResizeRequest, reply: Reply<TxId>, turn: &mut Turn) {
        let first_input = request.coins.as_ref().and_then(Reserved::first_input);
        let channel = request.channel;
        let token = self.token();
        let begun = match self.resize_plan(&request) {
            Ok(plan) => self
                .step(channel, Event::Resize { token, plan: Box::new(plan) }, turn)
                .map_err(CallError::from),
            Err(error) => Err(error),
        };
        match begun {
            Ok(()) => {
                let claim = request.claim;
                self.resizers.insert(token, Resizer { channel, first_input, claim, reply });
            }
            Err(error) => {
                Self::release_coins(first_input, turn);
                drop(reply.send(Err(error)));
            }
        }
    }

    /// This node's part of the transaction. The fee is what the coins are more than needed, or comes out of what is paid
    /// out.
    fn resize_plan(&self, request: &ResizeRequest) -> Result<ResizePlan, CallError> {
        let held = self.channels.get(&request.channel).ok_or(CallError::NoChannel)?;
        let ResizeRequest { change, expiry, .. } = *request;
        if let Some(coins) = &request.coins {
            let outputs = coins.change.iter().cloned().collect();
            return Ok(ResizePlan { change, inputs: inputs_of(coins), outputs, expiry });
        }
        let params = self.parts.keys.params();
        let left = change.amount().checked_sub(params.fee_min(PAY_OUT_BYTES));
        let left = left.filter(|left| *left >= params.output_min);
        let amount = left.ok_or(Reject::Resize("the fee would leave nothing of it"))?;
        let payout = held.channel.terms().payout(held.channel.me()).clone();
        let output = Output { asset: AssetId::NATIVE, amount, lock: Lock::Wallet(payout) };
        Ok(ResizePlan { change, inputs: Vec::new(), outputs: vec![output], expiry })
    }

    /// The resize is proposed to the peer, and durable.
    pub(super) fn resize_proposed(&mut self, token: Token, turn: &mut Turn) {
        let Some(resizer) = self.resizers.remove(&token) else { return };
        let Resizer { channel, first_input, claim, reply } = resizer;
        let Some(held) = self.channels.get_mut(&channel) else { return };
        let Some(resizing) = held.channel.resizing() else { return };
        held.resize_input = first_input;
        let tx = resizing.transaction;
        if let Some(claim) = claim {
            let kept = claim.keep(&mut turn.entry.batch, Outcome::Resize { tx }, turn.now.local_ms);
            turn.release.answers.push(Box::new(move || kept.show()));
        }
        turn.release.answers.push(Box::new(move || drop(reply.send(Ok(tx)))));
    }

    /// It can't be proposed.
    pub(super) fn resize_declined(&mut self, token: Token, reason: Reject, turn: &mut Turn) {
        let Some(Resizer { first_input, reply, .. }) = self.resizers.remove(&token) else { return };
        Self::release_coins(first_input, turn);
        turn.release.answers.push(Box::new(move || drop(reply.send(Err(reason.into())))));
    }

    /// The ledger shows it.
    pub(super) fn resized(&mut self, id: ChannelId, by: Party, change: Change, turn: &mut Turn) {
        tracing::info!(channel = %id, ?by, ?change, "a channel is resized");
        self.tell_resize(id, by, ResizeState::Final, None, turn);
    }

    /// It came to nothing.
    pub(super) fn resize_ended(&mut self, id: ChannelId, by: Party, why: ResizeFailure, turn: &mut Turn) {
        self.end_resize_duty(id);
        let input = self.channels.get_mut(&id).and_then(|held| held.resize_input.take());
        Self::release_coins(input, turn);
        let reason = match why {
            ResizeFailure::Refused(reason) => format!("the peer refused it ({reason:?})"),
            ResizeFailure::Expired => "it was not final before it expired".to_owned(),
            ResizeFailure::Closed => "the channel was closed first".to_owned(),
            ResizeFailure::Lost => "data of the channel was lost".to_owned(),
        };
        tracing::info!(channel = %id, ?by, reason, "a resize came to nothing");
        self.tell_resize(id, by, ResizeState::Void, Some(reason), turn);
    }

    fn tell_resize(
        &mut self,
        id: ChannelId,
        by: Party,
        state: ResizeState,
        reason: Option<String>,
        turn: &mut Turn,
    ) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        if state == ResizeState::Final {
            held.resize_input = None;
        }
        let by = if by == held.channel.me() { Side::Local } else { Side::Remote };
        let (channel, capacity) = (held.text.clone(), Units(held.channel.capacity().units()));
        turn.tell(EventBody::Resize { channel, by, state, capacity, reason });
    }

    /// Channels that wait for the ledger's time get a turn with each block.
    pub(super) fn await_block(&mut self, turn: &mut Turn) {
        let waiting = self.channels.iter().filter(|(_, held)| held.channel.awaits_block());
        for id in waiting.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.touch(id, turn);
        }
    }
}
