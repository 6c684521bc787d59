//! Openings by peers: which of them this node wants, and how much of its own it puts into them. Whoever asks is a
//! stranger until proven otherwise (FAULTS C2, C21).

use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{Amount, AssetId, OutPoint, Party};
use towpath_protocol::{
    Acceptance, Accepts, Bounds, Contribution, Decline, DeclineReason, Funding, Message, Open, Outcome,
};
use towpath_store::Column;

use super::Input;
use super::held::row_key;
use super::open::{Awaited, WalletAnswer, inputs_of};
use super::run::Worker;
use super::tally::Counts;
use super::turn::Turn;
use crate::ledger::{FundsCall, Input as LedgerInput, Purpose, Reserved};
use crate::limits;

/// How far ahead a funding's deadline may be, in milliseconds of ledger time: how long a peer can keep an opening, and
/// this node's coins in it, waiting (FAULTS C2).
pub const FUNDING_MS_MAX: u64 = 600_000;

/// Which channels this node wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// What it puts at most into one channel that a peer opens.
    pub contribute_max: Amount,
    /// What it puts at most into all channels that one peer opened and that are not settled.
    pub contribute_peer_max: Amount,
    /// What it puts at most into all channels of all peers that are not funded yet.
    pub contribute_opening_max: Amount,
    /// The least capacity of a channel that a peer opens.
    pub capacity_min: Amount,
    /// Which terms it agrees to, in its own openings too.
    pub accepts: Accepts,
}

/// Openings of one peer that were refused lately.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Refusals {
    minute: u64,
    count: u32,
}

impl Worker {
    /// What this node and its ledger agree to.
    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            chain: self.parts.chain_id,
            params: self.parts.keys.params().clone(),
            funding_ms_max: FUNDING_MS_MAX,
            accepts: self.parts.policy.accepts,
        }
    }

    /// What this worker has under way.
    pub(super) fn counts(&self) -> Counts {
        let is_funded = |it: &&Awaited| matches!(it, Awaited::Acceptance { is_funded: true, .. });
        let funded = u64::try_from(self.awaited.values().filter(is_funded).count()).unwrap_or(u64::MAX);
        let channels = self.unsettled().saturating_add(funded);
        let mut counts = Counts { channels, ..Counts::default() };
        let mut add = |brings: Amount| {
            counts.openings += 1;
            counts.contributed = counts.contributed.saturating_add(brings.units());
        };
        for awaited in self.awaited.values() {
            match awaited {
                Awaited::Offer { .. }
                | Awaited::Agreed { .. }
                | Awaited::Acceptance { is_funded: true, .. } => {}
                Awaited::Coins { amount, .. } => add(*amount),
                Awaited::Acceptance { acceptance, .. } => add(acceptance.brought()),
            }
        }
        for held in self.openings.iter().filter_map(|(_, id)| self.channels.get(id)) {
            if held.channel.me() == Party::B {
                add(held.channel.brought());
            }
        }
        counts
    }

    /// Openings by one peer that are not funded, and what this node brings to them.
    fn counts_of(&self, peer: &PublicKey) -> (usize, u64) {
        let awaited = self.awaited.values().filter(|awaited| awaited.peer() == peer);
        let waiting = awaited.filter_map(|awaited| match awaited {
            Awaited::Offer { .. } | Awaited::Agreed { .. } | Awaited::Acceptance { is_funded: true, .. } => {
                None
            }
            Awaited::Coins { amount, .. } => Some(*amount),
            Awaited::Acceptance { acceptance, .. } => Some(acceptance.brought()),
        });
        let opening = self
            .openings
            .iter()
            .filter_map(|(_, id)| self.channels.get(id))
            .filter(|held| held.channel.peer() == peer && held.channel.me() == Party::B);
        let waits: Vec<Amount> = waiting.collect();
        let sum = waits.iter().fold(0_u64, |sum, amount| sum.saturating_add(amount.units()));
        (waits.len() + opening.count(), sum)
    }

    /// Whether one more opening by a peer is allowed now.
    fn may_open(&self, peer: &PublicKey) -> bool {
        let all = self.counts().plus(self.parts.tally.of_others(self.place));
        self.counts_of(peer).0 < limits::OPENINGS_PER_PEER
            && all.openings < limits::OPENINGS
            && all.channels < limits::CHANNELS
    }

    /// Whether this node puts so much into a channel that `peer` opens.
    fn may_contribute(&self, peer: &PublicKey, amount: Amount) -> bool {
        let policy = &self.parts.policy;
        let opening = self.counts().plus(self.parts.tally.of_others(self.place)).contributed;
        let theirs = self.contributed.get(peer).copied().unwrap_or(0).saturating_add(self.counts_of(peer).1);
        let within = |so_far: u64, most: Amount| so_far.saturating_add(amount.units()) <= most.units();
        amount <= policy.contribute_max
            && within(theirs, policy.contribute_peer_max)
            && within(opening, policy.contribute_opening_max)
    }

    /// A peer opens a channel.
    pub(super) fn on_open(&mut self, peer: PublicKey, open: Open, turn: &mut Turn) {
        match self.awaited.get(&open.open) {
            // The same offer again, after a reconnect: the same answer.
            Some(Awaited::Acceptance { acceptance, .. }) if *acceptance.peer() == peer => {
                return turn.send(peer, &acceptance.message());
            }
            Some(_) => return,
            None => {}
        }
        if self.refused_often(&peer, turn) {
            return tracing::debug!(
                ?peer,
                "an opening of a peer that was refused too often is not looked at"
            );
        }
        if self.parts.searching.load(std::sync::atomic::Ordering::Acquire) || !self.may_open(&peer) {
            return self.decline(peer, &open, DeclineReason::Busy, turn);
        }
        let capacity = open.amount_a.checked_add(open.amount_b).unwrap_or(Amount::ZERO);
        if open.asset != AssetId::NATIVE || capacity < self.parts.policy.capacity_min {
            return self.decline(peer, &open, DeclineReason::Unwanted, turn);
        }
        // Nothing is set aside, written or drawn for an offer that this node can't accept.
        if let Err(reject) = Acceptance::check(&open, &self.parts.keys.payout, &self.bounds(), turn.now) {
            tracing::info!(?peer, %reject, "an opening is declined");
            return self.decline(peer, &open, DeclineReason::Terms, turn);
        }
        let is_dual = matches!(open.funding, Funding::Dual { .. });
        if !is_dual || open.amount_b.is_zero() {
            let payout = self.parts.keys.payout.clone();
            let contribution = Contribution { payout, inputs: Vec::new(), change: Vec::new() };
            return self.accept(peer, &open, (contribution, None), turn);
        }
        if !self.may_contribute(&peer, open.amount_b) {
            return self.decline(peer, &open, DeclineReason::Funds, turn);
        }
        self.ask_for_coins(peer, open, turn);
    }

    fn ask_for_coins(&mut self, peer: PublicKey, open: Open, turn: &mut Turn) {
        let amount = open.amount_b;
        self.awaited.insert(open.open, Awaited::Coins { peer, amount });
        let (reply, answer) = tokio::sync::oneshot::channel();
        let inputs_max = towpath_protocol::limits::FUNDING_INPUTS_MAX;
        let purpose = Purpose { amount, inputs_max, until: open.funding_deadline };
        turn.release.ledger.push(LedgerInput::Funds(FundsCall::Reserve { purpose, reply }));
        let workers = self.parts.workers.clone();
        self.parts.runtime.spawn(async move {
            let reserved = answer.await.ok().and_then(Result::ok);
            let answer = WalletAnswer::Contribution { peer, open: Box::new(open), reserved };
            workers.push(&peer, Input::Wallet(Box::new(answer))).await;
        });
    }

    /// The wallet's coins for a peer's opening, or none.
    pub(super) fn on_contribution(
        &mut self,
        peer: PublicKey,
        open: &Open,
        reserved: Option<Reserved>,
        turn: &mut Turn,
    ) {
        self.awaited.remove(&open.open);
        let Some(reserved) = reserved else {
            self.forget_stranger(&peer);
            return self.decline(peer, open, DeclineReason::Funds, turn);
        };
        let first_input = reserved.first_input();
        let contribution = Contribution {
            payout: reserved.payout.clone(),
            inputs: inputs_of(&reserved),
            change: reserved.change.iter().cloned().collect(),
        };
        self.accept(peer, open, (contribution, first_input), turn);
    }

    fn accept(
        &mut self,
        peer: PublicKey,
        open: &Open,
        (contribution, first_input): (Contribution, Option<OutPoint>),
        turn: &mut Turn,
    ) {
        let Some(identity) = self.next_key(peer, turn) else {
            Self::release_coins(first_input, turn);
            self.forget_stranger(&peer);
            return self.decline(peer, open, DeclineReason::Busy, turn);
        };
        match Acceptance::new(open, contribution, &identity, &self.bounds(), turn.now) {
            Ok((acceptance, outcome)) => {
                Self::write_opening(&acceptance, outcome, turn);
                let acceptance = Box::new(acceptance);
                self.awaited
                    .insert(open.open, Awaited::Acceptance { acceptance, first_input, is_funded: false });
                self.keep_word(&peer, turn);
            }
            Err(reject) => {
                tracing::info!(?peer, %reject, "an opening is declined");
                Self::release_coins(first_input, turn);
                self.forget_stranger(&peer);
                self.decline(peer, open, DeclineReason::Terms, turn);
            }
        }
    }

    fn decline(&mut self, peer: PublicKey, open: &Open, reason: DeclineReason, turn: &mut Turn) {
        // The wallet may answer when the session is over: then nobody would take the count away again.
        if self.sessions.contains(&peer) {
            let refusals = self.refusals.entry(peer).or_default();
            refusals.count = refusals.count.saturating_add(1);
        }
        turn.send(peer, &Message::Decline(Decline { open: open.open, reason }));
    }

    /// Whether a peer had so many openings refused in this minute that no more are looked at: looking costs this node
    /// more than asking costs the peer.
    fn refused_often(&mut self, peer: &PublicKey, turn: &Turn) -> bool {
        let minute = turn.now.local_ms / 60_000;
        let Some(refusals) = self.refusals.get_mut(peer) else { return false };
        if refusals.minute != minute {
            *refusals = Refusals { minute, count: 0 };
        }
        refusals.count >= limits::OPENINGS_REFUSED_PER_MINUTE
    }

    pub(super) fn write_opening(acceptance: &Acceptance, outcome: Outcome, turn: &mut Turn) {
        for (suffix, value) in outcome.write {
            let key = row_key(&acceptance.id(), &suffix);
            match value {
                Some(value) => turn.entry.batch.put(Column::Channels, key, value),
                None => turn.entry.batch.delete(Column::Channels, key),
            }
        }
        for effect in outcome.effects {
            if let towpath_protocol::Effect::Send(message) = effect {
                turn.send(*acceptance.peer(), &message);
            }
        }
    }
}
