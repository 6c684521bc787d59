//! Closes on their way to the ledger: handed in until the ledger shows them, paid out once their deadline is over,
//! forced when a peer stays silent; and the record of why (`why`).

use towpath_api::EventBody;
use towpath_ledger::settle::{self, Place, SettleError};
use towpath_ledger::{
    AssetId, ChannelId, Closing, Lock, OutPoint, Party, SignedState, Time, Transaction, TxId, Witness,
};
use towpath_protocol::{ClosingStage, Command, Event, Life};

use super::carry::submit;
use super::run::Worker;
use super::turn::Turn;
use super::why::{Cause, Cheat, CloseRecord};
use crate::ledger::ChannelChange;
use crate::limits;

/// What the ledger is owed for one channel. Lost with the process: the machine asks for all of it again at the start.
#[derive(Default)]
pub(super) struct Duty {
    /// A transaction that the ledger does not show yet, and the blocks that passed without it.
    owed: Option<(Box<Transaction>, u32)>,
    /// A closing that is paid out once its deadline is over.
    finalize: Option<Finalize>,
}

/// A closing that waits for its deadline.
#[derive(Clone, Copy)]
struct Finalize {
    closing: OutPoint,
    deadline: Time,
    /// Whether this node closed, and so pays out first.
    is_author: bool,
    /// Blocks past the deadline.
    blocks: u32,
}

/// What to do about a closing in this block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Try {
    Wait,
    Together,
    Alone,
}

impl Finalize {
    /// The author pays out first, many closings in one transaction; the other party only if that does not happen: two
    /// transactions that spend one closing would keep each other's batches out of the ledger. What a batch did not pay
    /// out is tried alone, so that no closing holds up another.
    const fn next(&self) -> Try {
        let waits = if self.is_author { 1 } else { 1 + limits::CLOSE_OTHER_WAITS_BLOCKS };
        match self.blocks.checked_sub(waits) {
            None => Try::Wait,
            Some(0) => Try::Together,
            Some(blocks) if blocks % limits::CLOSE_AGAIN_BLOCKS == 0 => Try::Alone,
            Some(_) => Try::Wait,
        }
    }
}

impl Worker {
    /// Hands a transaction to the ledger, and again every few blocks until the ledger shows what became of the channel:
    /// an inbox can be full, a pool can drop it, gossip can lose it.
    pub(super) fn owe(
        &mut self,
        id: ChannelId,
        transaction: Result<Transaction, SettleError>,
        turn: &mut Turn,
    ) {
        match transaction {
            Ok(transaction) => {
                self.duties.entry(id).or_default().owed = Some((Box::new(transaction.clone()), 0));
                submit(transaction, turn);
            }
            Err(error) => tracing::error!(channel = %id, %error, "a closing transaction cannot be made"),
        }
    }

    /// Remembers a closing that is paid out once ledger time is past its deadline.
    pub(super) fn owe_finalize(&mut self, id: ChannelId, closing: OutPoint, deadline: Time) {
        let Some(held) = self.channels.get_mut(&id) else { return };
        held.row.deadline_ms = Some(deadline.0);
        let author = held.row.closing.as_ref().map(|(_, closing)| closing.author);
        let is_author = author == Some(held.channel.me());
        let known = self.duties.entry(id).or_default();
        known.finalize = Some(Finalize { closing, deadline, is_author, blocks: 0 });
    }

    /// A block was applied: what is still owed is handed in again, and what is due is paid out.
    pub(super) fn do_duties(&mut self, time: Time, turn: &mut Turn) {
        let (mut together, mut alone, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for duty in self.duties.values_mut() {
            if let Some((transaction, blocks)) = &mut duty.owed {
                *blocks += 1;
                if *blocks % limits::CLOSE_AGAIN_BLOCKS == 0 {
                    again.push((**transaction).clone());
                }
            }
            if let Some(finalize) = &mut duty.finalize
                && time > finalize.deadline
            {
                finalize.blocks += 1;
                match finalize.next() {
                    Try::Wait => {}
                    Try::Together => together.push(finalize.closing),
                    Try::Alone => alone.push(finalize.closing),
                }
            }
        }
        for transaction in again {
            submit(transaction, turn);
        }
        let batches = together.chunks(limits::FINALIZE_BATCH).chain(alone.chunks(1));
        for batch in batches {
            let closings: Vec<(OutPoint, Closing)> = batch
                .iter()
                .filter_map(|outpoint| self.closing_at(outpoint).map(|(_, _, closing)| (*outpoint, closing)))
                .collect();
            let params = self.parts.keys.params();
            let place = Place { chain: self.parts.chain_id, params, asset: AssetId::NATIVE };
            let parts = closings.iter().map(|(outpoint, closing)| (*outpoint, closing));
            let done = settle::finalize_all(&place, parts);
            for (closing, error) in done.refused {
                tracing::error!(%closing, %error, "a closing cannot be paid out");
            }
            done.transactions.into_iter().for_each(|transaction| submit(transaction, turn));
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    /// At which blocks past the deadline a party tries, and how.
    fn tries(is_author: bool) -> Vec<(u32, Try)> {
        let closing = OutPoint { tx: TxId(towpath_crypto::Digest::ZERO), index: 0 };
        let at = |blocks| Finalize { closing, deadline: Time(0), is_author, blocks }.next();
        (1..=10).map(|blocks| (blocks, at(blocks))).filter(|(_, next)| *next != Try::Wait).collect()
    }

    #[test]
    fn the_author_pays_out_at_once_and_the_other_party_if_it_does_not() {
        assert_eq!(tries(true), [(1, Try::Together), (4, Try::Alone), (7, Try::Alone), (10, Try::Alone)]);
        assert_eq!(tries(false), [(3, Try::Together), (6, Try::Alone), (9, Try::Alone)]);
    }
}
