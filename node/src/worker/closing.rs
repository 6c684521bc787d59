//! Closes as they come about: asked for, forced when a peer stays silent or a term is over, seen on the ledger; and the
//! record of why (`why`). What they owe the ledger is in `duties`.

use towpath_api::EventBody;
use towpath_ledger::{ChannelId, Closing, Lock, Party, SignedState, Time, TxId, Witness, settle};
use towpath_protocol::{ClosingStage, Command, Event, Life};

use super::run::Worker;
use super::turn::Turn;
use super::why::{Cause, Cheat, CloseRecord};
use crate::ledger::ChannelChange;
use crate::limits;

impl Worker {
    /// Someone wants to close a channel, or has: the first cause stays, but for one that says more.
    pub(super) fn close_began(&mut self, id: ChannelId, cause: Cause, turn: &Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        match &mut held.close {
            None => {
                let version = held.channel.state().version;
                held.close = Some(Box::new(CloseRecord::new(cause, turn.now.local_ms, version)));
            }
            Some(record) if cause == Cause::AskedAlone && record.posted.is_none() => record.cause = cause,
            Some(_) => return,
        }
        held.close_changed = true;
    }

    /// From now on the peer has so long until this node closes alone.
    pub(super) fn be_patient(&mut self, id: ChannelId, for_ms: u64, turn: &Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let Some(record) = &mut held.close else { return };
        let at = turn.now.local_ms.saturating_add(for_ms);
        record.force_at_ms = Some(at);
        held.close_changed = true;
        self.deadlines.insert((at, id));
    }

    /// The peer cannot sign the final balances any more: this node closes alone, with its next turn.
    pub(super) fn close_for_lost_peer(&mut self, id: ChannelId, turn: &Turn) {
        tracing::warn!(channel = %id, "the peer has lost what it needs to close together; this node closes alone");
        self.close_began(id, Cause::PeerAsked, turn);
        self.be_patient(id, 0, turn);
    }

    /// Closes alone if the peer was given long enough.
    pub(super) fn force_if_due(&mut self, id: ChannelId, turn: &mut Turn) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let Some(record) = &mut held.close else { return };
        let Some(at) = record.force_at_ms.filter(|at| *at <= turn.now.local_ms) else { return };
        let (life, began) = (held.channel.life(), record.began_ms);
        record.force_at_ms = None;
        held.close_changed = true;
        if !matches!(life, Life::Closing(ClosingStage::Draining | ClosingStage::Finishing)) {
            return;
        }
        let Some(fee) = self.force_fee(id) else { return };
        let token = self.token();
        match self.step(id, Event::Command { token, command: Command::ForceClose { fee } }, turn) {
            Ok(()) => {
                tracing::info!(channel = %id, "the peer did not close together in time; this node closes alone");
                if let Some(record) = self.channels.get_mut(&id).and_then(|held| held.close.as_mut()) {
                    record.cause = Cause::PeerUnresponsive { after_ms: at.saturating_sub(began) };
                }
            }
            Err(reject) => tracing::error!(channel = %id, %reject, "this node cannot close alone"),
        }
    }

    /// Closes what has reached the end of its term (SPEC C-8).
    pub(super) fn close_expired(&mut self, time: Time, turn: &mut Turn) {
        while let Some((expiry, id)) = self.expiries.first().copied()
            && expiry <= time
        {
            self.expiries.pop_first();
            let life = self.channels.get(&id).map(|held| held.channel.life());
            if life != Some(Life::Active) {
                continue;
            }
            let token = self.token();
            match self.step(id, Event::Command { token, command: Command::Close }, turn) {
                Ok(()) => {
                    self.close_began(id, Cause::Expired { expiry }, turn);
                    self.be_patient(id, limits::FORCE_AFTER_EXPIRY_MS, turn);
                }
                Err(reject) => {
                    tracing::error!(channel = %id, %reject, "a channel whose term is over is not closed")
                }
            }
        }
    }

    /// The ledger shows a closing of this channel.
    pub(super) fn note_closing(
        &mut self,
        closing: &Closing,
        tx: TxId,
        (created, deadline): (Time, Time),
        turn: &Turn,
    ) {
        let id = closing.terms.id;
        let Some(me) = self.channels.get(&id).map(|held| held.channel.me()) else { return };
        self.close_began(id, if closing.author == me { Cause::Unknown } else { Cause::PeerAlone }, turn);
        self.change_record(id, |record| record.on_closing(me, closing, tx, (created, deadline)));
    }

    /// The channel's output is gone.
    pub(super) fn note_gone(
        &mut self,
        change: &ChannelChange,
        (was, by): (&Lock, &Witness),
        (height, time): (u64, Time),
        turn: &Turn,
    ) {
        let id = change.channel;
        let Some(held) = self.channels.get_mut(&id) else { return };
        held.row.settlement = Some(change.transaction.to_string());
        let (me, capacity) = (held.channel.me(), held.channel.capacity());
        self.close_began(id, Cause::PeerAsked, turn);
        let Some(paid) = settle::paid_out(was, capacity, by) else {
            return tracing::error!(channel = %id, "what paid the channel out cannot be read");
        };
        let at = (change.transaction, height, time);
        self.change_record(id, |record| record.on_gone(me, (was, by), &paid, at));
    }

    /// This node answers a close whose author knew better: it is told once.
    pub(super) fn note_cheat(
        &mut self,
        closing: &Closing,
        proof: &SignedState,
        answer: Option<TxId>,
        turn: &mut Turn,
    ) {
        let id = closing.terms.id;
        let Some(held) = self.channels.get(&id) else { return };
        let (posted, shown) = (closing.posted_version, proof.signature.held);
        let is_known =
            held.close.as_ref().and_then(|record| record.cheat).is_some_and(|cheat| cheat.held.is_some());
        let (me, channel): (Party, String) = (held.channel.me(), held.text.clone());
        if is_known {
            return;
        }
        tracing::warn!(channel = %id, posted, held = shown, "the peer closed with a state that it knew to be replaced");
        let cheat = Cheat { author: closing.author, posted, held: Some(shown) };
        self.change_record(id, |record| record.on_cheat(me, cheat));
        let tx = answer.map(|tx| tx.to_string()).unwrap_or_default();
        turn.tell(EventBody::Cheat { channel, posted, held: shown, tx });
    }

    fn change_record(&mut self, id: ChannelId, change: impl FnOnce(&mut CloseRecord)) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        let Some(record) = &mut held.close else { return };
        let before = record.clone();
        change(record);
        held.close_changed |= **record != *before;
    }
}
