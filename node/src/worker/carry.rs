//! Carrying out what the machines ask for, and telling them what the ledger did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use towpath_api::EventBody;
use towpath_crypto::codec;
use towpath_ledger::settle::{self, Place, Posting};
use towpath_ledger::{Amount, AssetId, Block, ChannelId, Lock, OutPoint, Time, Transaction, Witness};
use towpath_protocol::{Alarm, Effect, Event, LedgerEvent, Life, Online, Settlement};
use towpath_store::Column;

use super::duties::{Order, Why};
use super::history::keep_log;
use super::run::Worker;
use super::turn::Turn;
use super::view::{node_text, outcome_of, state_of};
use crate::ledger::{Change, ChannelChange, Notice, channel_of};

/// Rows of `Meta`: this prefix ‖ worker, with the height of the last block that it saw.
pub(super) const HEIGHT_PREFIX: &[u8] = b"channels-height/";

impl Worker {
    /// Carries out the effects of one channel's turn, in order. What leaves the node is kept for the release.
    pub(super) fn carry_out(&mut self, id: ChannelId, effects: Vec<Effect>, turn: &mut Turn) {
        for effect in effects {
            self.carry_out_one(id, effect, turn);
        }
        if self.is_void(&id) {
            return self.forget(id, turn);
        }
        if let Some(held) = self.channels.get_mut(&id) {
            held.write_rows(&mut turn.entry.batch);
            turn.release.views.push(Arc::new(held.view()));
            if self.parts.tower.is_wanted() {
                turn.release.guarded.extend(held.offer_to_towers());
            }
        }
        self.search_for(id);
    }

    fn carry_out_one(&mut self, id: ChannelId, effect: Effect, turn: &mut Turn) {
        match effect {
            Effect::Send(message) => {
                if let Some(held) = self.channels.get(&id) {
                    turn.send(*held.channel.peer(), &message);
                }
            }
            Effect::Sent { token, number } => self.sent(id, token, number, turn),
            Effect::Done { token } => self.done(token, turn),
            Effect::Declined { token, reason } => self.declined(id, token, reason, turn),
            Effect::Settled { upto } => self.settled(id, upto, turn),
            Effect::Failed { number, reason } => self.failed(id, number, reason, turn),
            Effect::Unknown { number } => self.unknown(id, number, turn),
            Effect::Received { number, amount, memo } => self.received(id, (number, amount, memo), turn),
            Effect::Fund { first_input, index, output, expiry } => {
                let order = Order::Fund { first_input, index, output: Box::new(output), expiry };
                self.owe(id, order, turn);
            }
            Effect::SignFunding { body, spent, from, to } => {
                self.owe(id, Order::Sign { body: Box::new(body), spent, range: from..to }, turn);
            }
            Effect::Broadcast(transaction) => {
                let held = self.channels.get(&id);
                let is_resize = held.is_some_and(|held| held.channel.resizing().is_some());
                let why = if is_resize { Why::Resize } else { Why::Funding };
                let order = Order::Submit { why, transaction: Box::new(transaction) };
                self.owe(id, order, turn);
            }
            Effect::FundingReleased => self.funding_released(id, turn),
            Effect::Resized { by, change, .. } => self.resized(id, by, change, turn),
            Effect::ResizeEnded { by, why } => self.resize_ended(id, by, why, turn),
            Effect::Life(life) => self.on_life(id, life, turn),
            Effect::Online(Online::Yes) => tracing::debug!(channel = %id, "payments can be sent"),
            Effect::Online(Online::No) => tracing::debug!(channel = %id, "no payments can be sent now"),
            Effect::Alarm(alarm) => self.alarm(id, &alarm, turn),
            Effect::Event(event) => keep_log(&mut turn.entry.batch, &id, &event, self.parts.retention),
            Effect::CloseAlone => self.close_for_lost_peer(id, turn),
            Effect::SubmitClose { .. }
            | Effect::PostClose { .. }
            | Effect::Answer { .. }
            | Effect::Supersede { .. }
            | Effect::Finalize { .. } => self.close(id, effect, turn),
        }
    }

    /// What closes a channel on the ledger.
    fn close(&mut self, id: ChannelId, effect: Effect, turn: &mut Turn) {
        let Some(held) = self.channels.get(&id) else { return };
        let params = self.parts.keys.params().clone();
        let place = Place { chain: self.parts.chain_id, params: &params, asset: AssetId::NATIVE };
        match effect {
            Effect::SubmitClose { funding, state } => {
                self.owe_together(id, (funding, state), turn);
            }
            Effect::PostClose { funding, state, author, fee, signature } => {
                let (capacity, terms, state) = (held.channel.capacity(), held.channel.terms(), &state);
                let posting = Posting { funding, capacity, terms, state, author, fee, signature };
                let transaction = settle::unilateral(&place, &posting);
                self.owe_close(id, Why::Alone, transaction, turn);
            }
            Effect::Answer { closing, state, proof, fee, signature, settles: _ } => {
                let answer = settle::Answer { state, proof, fee, signature };
                let Some((_, _, posted)) = self.closing_at(&closing) else { return };
                let transaction = settle::answer(&place, closing, &posted, &answer);
                if let Some(proof) = &answer.proof {
                    let by = transaction.as_ref().ok().map(Transaction::id);
                    self.note_cheat(&posted, proof, by, turn);
                }
                let is_contested = answer.state.is_some() || answer.proof.is_some();
                let why = if is_contested { Why::Defence } else { Why::Agreement };
                let bytes = transaction.as_ref().map_or(0, |made| codec::encode(made).len());
                if !is_contested && fee < params.fee_min(u64::try_from(bytes).unwrap_or(u64::MAX)) {
                    // It has nothing in the channel, so it loses nothing by leaving it to the deadline.
                    return tracing::debug!(channel = %id, "agreeing to the close costs more than this party has");
                }
                self.owe_close(id, why, transaction, turn);
            }
            Effect::Supersede { closing, state } => {
                let Some((created, amount, posted)) = self.closing_at(&closing) else { return };
                let transaction = settle::supersede(&place, closing, (created, amount), &posted, &state);
                self.owe_close(id, Why::Defence, transaction, turn);
            }
            Effect::Finalize { closing, deadline } => self.owe_finalize(id, closing, deadline),
            _ => {}
        }
    }

    /// A closing output as this node's own replica has it.
    pub(super) fn closing_at(&self, outpoint: &OutPoint) -> Option<(Time, Amount, towpath_ledger::Closing)> {
        let entry = self.parts.chain.output(outpoint).ok().flatten()?;
        match entry.output.lock {
            Lock::Closing(closing) => Some((entry.time, entry.output.amount, *closing)),
            Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => None,
        }
    }

    fn on_life(&mut self, id: ChannelId, life: Life, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        if life == Life::Active {
            // From now on this node keeps a session with the peer. Not before: whoever can make it want strangers for
            // nothing can fill its places and aim its dialling.
            let (net, peer) = (self.parts.net.clone(), *held.channel.peer());
            self.parts.runtime.spawn(async move {
                if let Err(error) = net.want(peer, Vec::new()).await {
                    tracing::warn!(peer = %node_text(&peer), %error, "no session is kept with a channel's peer");
                }
            });
        }
        let event = EventBody::Channel {
            channel: held.text.clone(),
            peer: node_text(held.channel.peer()),
            state: state_of(life),
            outcome: outcome_of(life),
            tx: held.row.settlement.clone(),
        };
        tracing::info!(channel = %id, state = ?life, "a channel moved on");
        turn.tell(event);
        self.note_life(id, life, turn);
    }

    fn alarm(&self, id: ChannelId, alarm: &Alarm, turn: &mut Turn) {
        match alarm {
            Alarm::DataLost { mine, proven } => {
                tracing::error!(
                    channel = %id, mine, proven,
                    "a state that both signed proves that this node has lost data of the channel: it signs nothing and \
                     closes nothing"
                );
                // Whatever took this channel's newest rows away was not after this channel. A node that began in recovery
                // believes none of them anyway.
                if !self.distrusts {
                    self.begin_again(turn);
                }
            }
            Alarm::ShownLess { shown, proven } => tracing::error!(
                channel = %id, shown, proven,
                "the peer shows less than what is proven: it lies, or has lost data too; the channel stays in recovery"
            ),
            Alarm::Signer(error) => {
                tracing::error!(channel = %id, %error, "the signer refused; please report this")
            }
            Alarm::Loss { version, held, outcome } => tracing::error!(
                channel = %id, version, held, ?outcome, "the channel settled by an older version than this node held"
            ),
            Alarm::ForeignClosing(_) => {
                tracing::error!(channel = %id, "the ledger shows a closing that does not fit the channel's terms");
            }
        }
    }

    /// A block is applied: what it did to our channels, and what its time makes possible.
    pub(super) fn on_block(&mut self, notice: &Notice, turn: &mut Turn) {
        self.ledger_time = notice.time;
        self.note_height(notice.height, turn);
        turn.now.ledger = notice.time;
        for change in &notice.channels {
            if matches!(change.what, Change::Closing { .. }) {
                self.claim_closing(change.channel, turn);
            }
            if self.channels.contains_key(&change.channel) {
                self.on_change(change, (notice.height, notice.time), turn);
            }
        }
        self.expire_fundings(notice.time, turn);
        self.await_block(turn);
        self.close_expired(notice.time, turn);
        self.do_duties(notice.time, turn);
    }

    fn on_change(&mut self, change: &ChannelChange, block: (u64, Time), turn: &mut Turn) {
        // The channel's output is another one: what was owed for the old one is done, or in vain.
        self.duties.remove(&change.channel);
        let event = match &change.what {
            Change::Funded { outpoint, entry } => {
                LedgerEvent::Funded { outpoint: *outpoint, entry: Box::new(entry.clone()) }
            }
            Change::Closing { outpoint, entry, closing } => {
                self.closing_event(*outpoint, entry.time, closing, turn)
            }
            Change::Gone { was, by } => {
                self.note_gone(change, (was, by), block, turn);
                let settled = gone(was, by);
                if let (Some(held), LedgerEvent::Settled { version, .. }) =
                    (self.channels.get_mut(&change.channel), &settled)
                {
                    held.settled_version = Some(*version);
                }
                settled
            }
        };
        if let Err(reject) = self.step(change.channel, Event::Ledger(event), turn) {
            tracing::warn!(channel = %change.channel, %reject, "the channel does not take what the ledger shows");
        }
    }

    pub(super) fn closing_event(
        &mut self,
        outpoint: OutPoint,
        created: Time,
        closing: &towpath_ledger::Closing,
        turn: &Turn,
    ) -> LedgerEvent {
        let deadline = settle::deadline_of(closing, created);
        self.note_closing(closing, outpoint.tx, (created, deadline), turn);
        if let Some(held) = self.channels.get_mut(&closing.terms.id) {
            held.row.deadline_ms = Some(deadline.0);
            held.row.closing = Some((outpoint, Box::new(closing.clone())));
        }
        let params = self.parts.keys.params();
        let place = Place { chain: self.parts.chain_id, params, asset: AssetId::NATIVE };
        let fee = settle::answer_fee(&place, closing).min(closing.terms.close_fee_max);
        LedgerEvent::Closing { outpoint, created, closing: Box::new(closing.clone()), fee }
    }

    /// At the start: what the ledger did since this worker last looked, block by block, and what it shows now.
    pub(super) fn reconcile(&mut self) {
        let mut turn = Turn::new(self.now(), std::time::Instant::now());
        if self.distrusts {
            self.distrust_all(&mut turn);
        }
        self.catch_up(&mut turn);
        let Turn { entry, release, .. } = turn;
        self.hand_over(entry, release);
    }

    /// The turn of [`Worker::reconcile`], short of writing and saying it.
    pub(super) fn catch_up(&mut self, turn: &mut Turn) {
        self.replay_blocks(turn);
        self.report_outputs(turn);
        let settled: BTreeSet<ChannelId> = self.settled.iter().map(|(_, id)| *id).collect();
        for id in self.channels.keys().copied().collect::<Vec<_>>() {
            if !settled.contains(&id) {
                self.touch(id, turn);
                // Payments that waited for watchtowers wait no more if the operator wants it so.
                if self.parts.confirmations == 0 {
                    self.confirm_upto(id, u64::MAX, turn);
                } else {
                    self.hold_back(id, turn);
                }
            } else if self.is_void(&id) {
                self.forget(id, turn);
            }
        }
        self.end(turn);
        self.prune(turn);
    }

    /// The blocks between the one that this worker saw last and the tip: they tell how a channel's output was spent.
    fn replay_blocks(&mut self, turn: &mut Turn) {
        let mut known: BTreeMap<OutPoint, Lock> = BTreeMap::new();
        for held in self.channels.values().filter(|held| !matches!(held.channel.life(), Life::Settled(_))) {
            if let Some(funding) = held.channel.funding() {
                known.insert(funding, Lock::Channel(Box::new(held.channel.terms().clone())));
            }
            if let Some((outpoint, closing)) = &held.row.closing {
                known.insert(*outpoint, Lock::Closing(closing.clone()));
            }
        }
        let tip = self.parts.chain.tip().height();
        for height in self.seen_height.saturating_add(1)..=tip {
            match self.parts.chain.block(height) {
                Ok(Some(block)) => {
                    for change in changes_in(&block, &mut known) {
                        if self.channels.contains_key(&change.channel) {
                            self.on_change(&change, (height, block.header.time), turn);
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => tracing::error!(height, %error, "a block cannot be read"),
            }
        }
        self.note_height(tip, turn);
    }

    /// Remembers the last block that this worker saw, in the batch of the turn that deals with it.
    fn note_height(&mut self, height: u64, turn: &mut Turn) {
        self.seen_height = height;
        let mut key = HEIGHT_PREFIX.to_vec();
        key.push(self.place);
        turn.entry.batch.put(Column::Meta, key, height.to_be_bytes());
    }

    fn report_outputs(&mut self, turn: &mut Turn) {
        for id in self.channels.keys().copied().collect::<Vec<_>>() {
            self.report_output(id, turn);
        }
    }

    /// Tells a channel what the ledger shows of it now.
    pub(super) fn report_output(&mut self, id: ChannelId, turn: &mut Turn) {
        let Some(held) = self.channels.get(&id) else { return };
        if matches!(held.channel.life(), Life::Settled(_)) {
            return;
        }
        match self.parts.chain.channel_output(&id) {
            Ok(Some((outpoint, entry))) => {
                let event = match &entry.output.lock {
                    Lock::Closing(closing) => {
                        let closing = closing.clone();
                        self.closing_event(outpoint, entry.time, &closing, turn)
                    }
                    Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => {
                        LedgerEvent::Funded { outpoint, entry: Box::new(entry) }
                    }
                };
                // Reporting again what is known already does no harm.
                self.step(id, Event::Ledger(event), turn).ok();
            }
            Ok(None) => {}
            Err(error) => tracing::error!(channel = %id, %error, "the ledger cannot be read"),
        }
    }
}

/// What a block did to the outputs in `known`, which follows along.
fn changes_in(block: &Block, known: &mut BTreeMap<OutPoint, Lock>) -> Vec<ChannelChange> {
    let mut changes = Vec::new();
    for transaction in &block.transactions {
        let id = transaction.id();
        for (input, witness) in transaction.body.inputs.iter().zip(&transaction.witnesses) {
            let Some(was) = known.remove(input) else { continue };
            let Some(channel) = channel_of(&was) else { continue };
            let next = (0_u32..)
                .zip(&transaction.body.outputs)
                .find(|(_, output)| channel_of(&output.lock) == Some(channel));
            let what = match next {
                None => Change::Gone { was, by: witness.clone() },
                Some((index, output)) => {
                    let outpoint = OutPoint { tx: id, index };
                    known.insert(outpoint, output.lock.clone());
                    let (height, time) = (block.header.height, block.header.time);
                    let entry = towpath_ledger::Entry { output: output.clone(), height, time };
                    match &output.lock {
                        Lock::Closing(closing) => {
                            Change::Closing { outpoint, closing: closing.clone(), entry }
                        }
                        Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => {
                            Change::Funded { outpoint, entry }
                        }
                    }
                }
            };
            changes.push(ChannelChange { channel, transaction: id, what });
        }
    }
    changes
}

/// How a channel ended, by what spent its output.
fn gone(was: &Lock, by: &Witness) -> LedgerEvent {
    let posted = match was {
        Lock::Closing(closing) => Some(closing),
        Lock::Channel(_) | Lock::Wallet(_) | Lock::Conditional(_) => None,
    };
    let held = posted.map_or(0, |closing| closing.state.version);
    let resolved = posted.is_some_and(|closing| closing.state.version > closing.posted_version);
    let honest = if resolved { Settlement::Resolved } else { Settlement::Unilateral };
    let (version, outcome) = match by {
        Witness::Cooperative { state, .. } => (state.state.version, Settlement::Cooperative),
        Witness::Answer { state, proof, .. } => {
            let version = state.as_ref().map_or(held, |state| state.state.version);
            let newer = version > posted.map_or(0, |closing| closing.posted_version);
            let penalized = proof.is_some() || posted.is_some_and(|closing| closing.penalized);
            match (penalized, newer) {
                (true, _) => (version, Settlement::Penalized),
                (false, true) => (version, Settlement::Resolved),
                (false, false) => (version, Settlement::Unilateral),
            }
        }
        Witness::Finalize { .. } if posted.is_some_and(|closing| closing.penalized) => {
            (held, Settlement::Penalized)
        }
        Witness::Finalize { .. }
        | Witness::Wallet(_)
        | Witness::Unilateral { .. }
        | Witness::Supersede { .. }
        | Witness::Penalize { .. }
        | Witness::Resize { .. }
        | Witness::Resolve { .. } => (held, honest),
    };
    LedgerEvent::Settled { version, outcome }
}
