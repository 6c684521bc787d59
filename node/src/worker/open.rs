//! Openings: this node's offers, its acceptances of others', and the wallet's part in both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::seed::Seed;
use towpath_ledger::rules::Params;
use towpath_ledger::{Amount, AssetId, ChainId, ChannelId, Lock, OutPoint, Output, Party, Payout, Witness};
use towpath_protocol::{
    Accept, Acceptance, Bounds, Channel, ChannelMessage, Contribution, Decline, DeclineReason, Event,
    Funding, FundingInput, Identity, Immediate, KeySigner, Life, Message, Offer, Open, OpenId, Outcome,
    Reject,
};
use towpath_store::{Column, Scan, Store, StoreError};

use super::Input;
use super::call::{CallError, OpenRequest, Opened, Reply};
use super::held::{Held, NodeRow, row_key};
use super::run::Worker;
use super::turn::Turn;
use crate::ledger::{FundsCall, Input as LedgerInput, Reserved};
use crate::limits;

/// Rows of `Meta`: this prefix ‖ worker, with the number after the last key that the worker used.
const KEYS_PREFIX: &[u8] = b"channel-keys/";

/// What a penalized author forfeits, in hundredths of a percent, unless the ledger allows less: half.
const PENALTY_BASIS_POINTS: u16 = 5_000;

/// Bytes of closing transactions that a channel's fees must be able to pay for, with room for a penalty and pending
/// payments.
const CLOSE_BYTES: u64 = 4_096;

/// How far ahead a funding's deadline may be, in milliseconds of ledger time.
const FUNDING_MS_MAX: u64 = 3_600_000;

/// Which channels this node wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Policy {
    /// What it puts at most into a channel that a peer opens.
    pub contribute_max: Amount,
    /// The least capacity.
    pub capacity_min: Amount,
}

/// Where channel keys come from: each is used for one channel, for ever.
pub struct ChannelKeys {
    seed: Seed,
    next: AtomicU32,
    params: Params,
    payout: Payout,
}

impl ChannelKeys {
    /// The keys that no channel used yet.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn open(seed: Seed, store: &dyn Store, params: Params) -> Result<Self, StoreError> {
        let rows = store.scan(Column::Meta, &Scan::prefix(KEYS_PREFIX))?;
        let used = rows.into_iter().filter_map(|(_, row)| row.try_into().ok().map(u32::from_be_bytes)).max();
        let payout = Payout::Key(seed.wallet_key(0).public());
        Ok(Self { seed, next: AtomicU32::new(used.unwrap_or(0)), params, payout })
    }

    /// The ledger's parameters.
    #[must_use]
    pub const fn params(&self) -> &Params {
        &self.params
    }

    pub(super) fn signer(&self, index: u32) -> Arc<KeySigner> {
        Arc::new(KeySigner::new(self.seed.channel_key(index)))
    }

    fn bounds(&self, chain: ChainId) -> Bounds {
        Bounds { chain, params: self.params.clone(), funding_ms_max: FUNDING_MS_MAX }
    }
}

/// The wallet's answers.
#[derive(Debug)]
pub enum WalletAnswer {
    /// Coins for a channel that a peer opens, or why there are none.
    Contribution {
        /// Who opens it.
        peer: PublicKey,
        /// The offer.
        open: Box<Open>,
        /// The coins.
        reserved: Option<Reserved>,
    },
    /// Witnesses for a funding by both.
    Signed {
        /// The channel.
        channel: ChannelId,
        /// One an input.
        witnesses: Vec<Witness>,
    },
}

/// An opening that has no channel yet.
pub(super) enum Awaited {
    /// Ours: the peer has not accepted.
    Offer { peer: PublicKey, offer: Box<Offer>, first_input: Option<OutPoint>, reply: Reply<Opened> },
    /// The wallet looks for coins.
    Coins { peer: PublicKey },
    /// The peer's: it has not signed the first version.
    Acceptance { acceptance: Box<Acceptance>, first_input: Option<OutPoint> },
}

impl Awaited {
    fn peer(&self) -> &PublicKey {
        match self {
            Self::Offer { peer, .. } | Self::Coins { peer } => peer,
            Self::Acceptance { acceptance, .. } => acceptance.peer(),
        }
    }
}

fn inputs_of(reserved: &Reserved) -> Vec<FundingInput> {
    let output = |coin: &crate::wallet::Coin| Output {
        asset: AssetId::NATIVE,
        amount: coin.amount,
        lock: Lock::Wallet(coin.payout.clone()),
    };
    reserved.coins.iter().map(|coin| FundingInput { outpoint: coin.outpoint, output: output(coin) }).collect()
}

impl Worker {
    /// A channel was found that uses this key: it is not used for another one.
    pub(super) fn reserve_key(&self, peer: PublicKey, key_index: u32, turn: &mut Turn) {
        let next = key_index.saturating_add(1);
        let next = self.parts.keys.next.fetch_max(next, Ordering::Relaxed).max(next);
        self.remember_key(peer, next, turn);
    }

    /// All keys before `next` are used.
    fn remember_key(&self, peer: PublicKey, next: u32, turn: &mut Turn) {
        let place = super::Workers::place(&peer, self.parts.workers.count());
        let mut row = KEYS_PREFIX.to_vec();
        row.push(u8::try_from(place).unwrap_or(u8::MAX));
        turn.entry.batch.put(Column::Meta, row, next.to_be_bytes());
    }

    /// The next channel key; the row that remembers it is durable before the key is shown to anybody.
    fn next_key(&self, peer: PublicKey, turn: &mut Turn) -> Identity {
        let key_index = self.parts.keys.next.fetch_add(1, Ordering::Relaxed);
        self.remember_key(peer, key_index.saturating_add(1), turn);
        Identity { peer, key_index, keys: self.parts.keys.signer(key_index) }
    }

    /// Whether one more opening with a peer is allowed (FAULTS C2).
    fn may_open(&self, peer: &PublicKey) -> bool {
        let waiting = self.awaited.values().filter(|awaited| awaited.peer() == peer).count();
        let mine = self.channels_of(peer);
        let lives = mine.iter().filter_map(|id| self.channels.get(id)).map(|held| held.channel.life());
        let (mut opening, mut proven) = (waiting, false);
        for life in lives {
            opening += usize::from(life == Life::Opening);
            proven |= life == Life::Active;
        }
        let limit = if proven { limits::OPENINGS_PER_PEER } else { limits::OPENINGS_PER_STRANGER };
        opening < limit && self.awaited.len() < limits::OPENINGS && self.channels.len() < limits::CHANNELS
    }

    fn release_coins(first_input: Option<OutPoint>, turn: &mut Turn) {
        if let Some(first_input) = first_input {
            turn.release.ledger.push(LedgerInput::Funds(FundsCall::Release { first_input }));
        }
    }

    /// A caller opens a channel; its coins are set aside already.
    pub(super) fn open(&mut self, request: OpenRequest, reply: Reply<Opened>, turn: &mut Turn) {
        let first_input = request.coins.first_input();
        let refuse = |error: CallError, reply: Reply<Opened>, turn: &mut Turn| {
            Self::release_coins(first_input, turn);
            drop(reply.send(Err(error)));
        };
        if !self.sessions.contains(&request.peer) {
            return refuse(CallError::NoSession, reply, turn);
        }
        let waiting = self.awaited.values().filter(|awaited| *awaited.peer() == request.peer).count();
        if waiting >= limits::OPENINGS_PER_PEER || self.awaited.len() >= limits::OPENINGS {
            return refuse(CallError::TooManyOpenings, reply, turn);
        }
        let Some(capacity) = request.amount.checked_add(request.peer_amount) else {
            return refuse(CallError::Rejected(Reject::Terms("amounts too large")), reply, turn);
        };
        let Some(first) = first_input else {
            return refuse(CallError::Rejected(Reject::Terms("no coins")), reply, turn);
        };
        let identity = self.next_key(request.peer, turn);
        let funding = if request.peer_amount.is_zero() {
            Funding::Single { first_input: first, index: 0 }
        } else {
            let change = request.coins.change.iter().cloned().collect();
            Funding::Dual { inputs: inputs_of(&request.coins), change }
        };
        let params = self.parts.keys.params();
        let fees = params.fee_min(CLOSE_BYTES).min(capacity.share(params.close_fee_basis_points_max));
        let open = Open {
            open: OpenId(rand::random()),
            chain: self.parts.chain_id,
            asset: AssetId::NATIVE,
            key: identity.keys.public(),
            payout: request.coins.payout.clone(),
            amount_a: request.amount,
            amount_b: request.peer_amount,
            sequencer: Party::A,
            dispute_window_ms: request.dispute_window_ms,
            penalty_basis_points: PENALTY_BASIS_POINTS.min(params.penalty_basis_points_max),
            reserve: request.reserve,
            close_fee_max: fees,
            expiry: None,
            funding,
            funding_deadline: request.deadline,
        };
        let id = open.open;
        match Offer::new(open, identity, &self.parts.keys.bounds(self.parts.chain_id), turn.now) {
            Ok(offer) => {
                turn.send(request.peer, &offer.message());
                let offer = Box::new(offer);
                self.awaited.insert(id, Awaited::Offer { peer: request.peer, offer, first_input, reply });
            }
            Err(reject) => refuse(reject.into(), reply, turn),
        }
    }

    /// A peer opens a channel.
    pub(super) fn on_open(&mut self, peer: PublicKey, open: Open, turn: &mut Turn) {
        let decline = |reason| Message::Decline(Decline { open: open.open, reason });
        match self.awaited.get(&open.open) {
            // The same offer again, after a reconnect: the same answer.
            Some(Awaited::Acceptance { acceptance, .. }) if *acceptance.peer() == peer => {
                return turn.send(peer, &acceptance.message());
            }
            Some(_) => return,
            None => {}
        }
        if self.parts.searching.load(Ordering::Acquire) || !self.may_open(&peer) {
            return turn.send(peer, &decline(DeclineReason::Busy));
        }
        let policy = self.parts.policy;
        let capacity = open.amount_a.checked_add(open.amount_b).unwrap_or(Amount::ZERO);
        if open.asset != AssetId::NATIVE || capacity < policy.capacity_min {
            return turn.send(peer, &decline(DeclineReason::Unwanted));
        }
        let is_dual = matches!(open.funding, Funding::Dual { .. });
        if !is_dual || open.amount_b.is_zero() {
            let payout = self.parts.keys.payout.clone();
            let contribution = Contribution { payout, inputs: Vec::new(), change: Vec::new() };
            return self.accept(peer, &open, (contribution, None), turn);
        }
        if open.amount_b > policy.contribute_max {
            return turn.send(peer, &decline(DeclineReason::Funds));
        }
        self.awaited.insert(open.open, Awaited::Coins { peer });
        let (reply, answer) = tokio::sync::oneshot::channel();
        turn.release.ledger.push(LedgerInput::Funds(FundsCall::Reserve { amount: open.amount_b, reply }));
        let workers = self.parts.workers.clone();
        self.parts.runtime.spawn(async move {
            let reserved = answer.await.ok().and_then(Result::ok);
            let answer = WalletAnswer::Contribution { peer, open: Box::new(open), reserved };
            workers.push(&peer, Input::Wallet(Box::new(answer))).await;
        });
    }

    fn accept(
        &mut self,
        peer: PublicKey,
        open: &Open,
        (contribution, first_input): (Contribution, Option<OutPoint>),
        turn: &mut Turn,
    ) {
        let identity = self.next_key(peer, turn);
        let bounds = self.parts.keys.bounds(self.parts.chain_id);
        match Acceptance::new(open, contribution, &identity, &bounds, turn.now) {
            Ok((acceptance, outcome)) => {
                Self::write_opening(&acceptance, outcome, turn);
                let acceptance = Box::new(acceptance);
                self.awaited.insert(open.open, Awaited::Acceptance { acceptance, first_input });
            }
            Err(reject) => {
                tracing::info!(?peer, %reject, "an opening is declined");
                Self::release_coins(first_input, turn);
                let decline = Decline { open: open.open, reason: DeclineReason::Terms };
                turn.send(peer, &Message::Decline(decline));
            }
        }
    }

    fn write_opening(acceptance: &Acceptance, outcome: Outcome, turn: &mut Turn) {
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

    /// The peer accepts this node's offer: the channel exists, and asks for its funding.
    pub(super) fn on_accept(&mut self, peer: PublicKey, accept: Accept, turn: &mut Turn) {
        let Some(Awaited::Offer { peer: asked, offer, .. }) = self.awaited.get(&accept.open) else { return };
        if *asked != peer {
            return;
        }
        match offer.on_accept(&accept, turn.now, &mut Immediate) {
            Ok(channel) => {
                let Some(Awaited::Offer { first_input, reply, .. }) = self.awaited.remove(&accept.open)
                else {
                    return;
                };
                let id = channel.id();
                self.begin(channel, first_input, turn);
                let opened = Opened { channel: id };
                turn.release.answers.push(Box::new(move || drop(reply.send(Ok(opened)))));
            }
            Err(reject) => tracing::warn!(?peer, %reject, "an acceptance does not fit"),
        }
    }

    /// The peer declines this node's offer.
    pub(super) fn on_decline(&mut self, peer: PublicKey, decline: &Decline, turn: &mut Turn) {
        let is_asked =
            |awaited: &Awaited| matches!(awaited, Awaited::Offer { peer: asked, .. } if *asked == peer);
        if self.awaited.get(&decline.open).is_some_and(is_asked)
            && let Some(awaited) = self.awaited.remove(&decline.open)
        {
            let why = match decline.reason {
                DeclineReason::Terms => "the terms are outside of what it allows",
                DeclineReason::Busy => "too many openings wait there; try again",
                DeclineReason::Unwanted => "it wants no such channel",
                DeclineReason::Funds => "it does not bring what was asked of it",
            };
            Self::end_opening(awaited, CallError::Declined(why.to_owned()), turn);
        }
    }

    /// A message about a channel that this node does not have: the last step of an opening, or nothing.
    pub(super) fn hear_opening(
        &mut self,
        peer: PublicKey,
        channel: ChannelId,
        message: ChannelMessage,
        turn: &mut Turn,
    ) {
        let found = self.awaited.iter().find_map(|(open, awaited)| match awaited {
            Awaited::Acceptance { acceptance, .. }
                if acceptance.id() == channel && *acceptance.peer() == peer =>
            {
                Some(*open)
            }
            Awaited::Acceptance { .. } | Awaited::Offer { .. } | Awaited::Coins { .. } => None,
        });
        let Some(open) = found else {
            return tracing::debug!(?peer, %channel, kind = message.name(), "a message about an unknown channel");
        };
        let Some(Awaited::Acceptance { acceptance, first_input }) = self.awaited.get(&open) else { return };
        match acceptance.on_message(&message, turn.now, &mut Immediate) {
            Ok(made) => {
                let first_input = *first_input;
                self.awaited.remove(&open);
                self.begin(made, first_input, turn);
            }
            Err(reject) => tracing::warn!(?peer, %channel, %reject, "a message does not fit the opening"),
        }
    }

    /// Takes a new channel into its care; its first turn ends with this one.
    fn begin(&mut self, channel: Channel, first_input: Option<OutPoint>, turn: &mut Turn) {
        let id = channel.id();
        let mut row = NodeRow::new(turn.now.local_ms);
        row.first_input = first_input;
        self.adopt(Held::new(channel, row));
        self.touch(id, turn);
    }

    /// The wallet answered.
    pub(super) fn on_wallet(&mut self, answer: WalletAnswer, turn: &mut Turn) {
        match answer {
            WalletAnswer::Contribution { peer, open, reserved } => {
                self.awaited.remove(&open.open);
                match reserved {
                    Some(reserved) => {
                        let first_input = reserved.first_input();
                        let contribution = Contribution {
                            payout: reserved.payout.clone(),
                            inputs: inputs_of(&reserved),
                            change: reserved.change.iter().cloned().collect(),
                        };
                        self.accept(peer, &open, (contribution, first_input), turn);
                    }
                    None => {
                        let decline = Decline { open: open.open, reason: DeclineReason::Funds };
                        turn.send(peer, &Message::Decline(decline));
                    }
                }
            }
            WalletAnswer::Signed { channel, witnesses } => {
                let witnesses = witnesses
                    .into_iter()
                    .filter_map(|witness| match witness {
                        Witness::Wallet(signatures) => Some(signatures),
                        _ => None,
                    })
                    .collect();
                if let Err(reject) = self.step(channel, Event::FundingSigned(witnesses), turn) {
                    tracing::warn!(%channel, %reject, "the wallet's witnesses are not taken");
                }
            }
        }
    }

    /// The funding never came and never will: its coins are free.
    pub(super) fn funding_released(&mut self, id: ChannelId, turn: &mut Turn) {
        let first_input = self.channels.get(&id).and_then(|held| held.row.first_input);
        Self::release_coins(first_input, turn);
    }

    /// A session ended: this node's offers in it are void.
    pub(super) fn abandon_openings(&mut self, peer: &PublicKey, turn: &mut Turn) {
        let mine = |awaited: &Awaited| matches!(awaited, Awaited::Offer { peer: asked, .. } if asked == peer);
        let ids: Vec<OpenId> = self.awaited.iter().filter(|(_, it)| mine(it)).map(|(id, _)| *id).collect();
        for awaited in ids.iter().filter_map(|id| self.awaited.remove(id)).collect::<Vec<_>>() {
            Self::end_opening(awaited, CallError::NoSession, turn);
        }
    }

    /// Openings that nobody finished in time.
    pub(super) fn expire_openings(&mut self, turn: &mut Turn) {
        let now = turn.now.local_ms;
        let is_late = |awaited: &Awaited| match awaited {
            Awaited::Offer { offer, .. } => now > offer.deadline_ms(),
            Awaited::Acceptance { acceptance, .. } => now > acceptance.deadline_ms(),
            Awaited::Coins { .. } => false,
        };
        let late: Vec<OpenId> =
            self.awaited.iter().filter(|(_, it)| is_late(it)).map(|(id, _)| *id).collect();
        for awaited in late.iter().filter_map(|id| self.awaited.remove(id)).collect::<Vec<_>>() {
            let why = CallError::Declined("it did not answer in time".to_owned());
            Self::end_opening(awaited, why, turn);
        }
    }

    fn end_opening(awaited: Awaited, why: CallError, turn: &mut Turn) {
        match awaited {
            Awaited::Offer { first_input, reply, .. } => {
                Self::release_coins(first_input, turn);
                turn.release.answers.push(Box::new(move || drop(reply.send(Err(why)))));
            }
            Awaited::Acceptance { acceptance, first_input } => {
                Self::release_coins(first_input, turn);
                let outcome = acceptance.forget();
                Self::write_opening(&acceptance, outcome, turn);
            }
            Awaited::Coins { .. } => {}
        }
    }
}

/// What is found in the database at the start.
#[derive(Default)]
pub(super) struct Found {
    /// Channels, by the worker's place.
    pub channels: Vec<Held>,
    /// Acceptances that wait.
    pub acceptances: Vec<Acceptance>,
    /// Channels whose rows cannot be used, and why: nothing is signed or closed for them.
    pub damaged: Vec<(ChannelId, String)>,
}

/// Rows of one channel: suffixes and values.
type Rows = Vec<(Vec<u8>, Vec<u8>)>;

/// Reads all channels.
///
/// # Errors
/// When the database cannot be read; a channel that cannot be restored is among the damaged.
pub(super) fn find(
    store: &dyn Store,
    keys: &ChannelKeys,
    now: towpath_protocol::Now,
) -> Result<Found, StoreError> {
    let mut all: BTreeMap<ChannelId, Rows> = BTreeMap::new();
    let mut scan = Scan::prefix(&[]);
    loop {
        let rows = store.scan(Column::Channels, &scan)?;
        let Some((last, _)) = rows.last() else { break };
        scan = scan.after(last);
        for (key, value) in rows {
            let Some((id, suffix)) = key.split_first_chunk::<32>() else { continue };
            all.entry(ChannelId(towpath_crypto::Digest(*id))).or_default().push((suffix.to_vec(), value));
        }
    }
    let mut found = Found::default();
    for (id, rows) in all {
        if let Err(why) = restore(rows, keys, now, &mut found) {
            found.damaged.push((id, why));
        }
    }
    Ok(found)
}

fn restore(
    rows: Rows,
    keys: &ChannelKeys,
    now: towpath_protocol::Now,
    found: &mut Found,
) -> Result<(), String> {
    let (own, machine): (Rows, Rows) =
        rows.into_iter().partition(|(suffix, _)| suffix == super::held::NODE_ROW);
    let parts = || machine.iter().map(|(suffix, value)| (suffix.as_slice(), value.as_slice()));
    for row in parts() {
        if let Some(index) = Acceptance::key_index_of(row).map_err(|error| error.to_string())? {
            let acceptance =
                Acceptance::restore(row, keys.signer(index), now).map_err(|error| error.to_string())?;
            found.acceptances.push(acceptance);
            return Ok(());
        }
    }
    let index = Channel::key_index_of(parts()).map_err(|error| error.to_string())?;
    let channel = Channel::restore(parts(), keys.signer(index)).map_err(|error| error.to_string())?;
    let row = own.first().map_or_else(NodeRow::default, |(_, value)| NodeRow::decode(value));
    found.channels.push(Held::new(channel, row));
    Ok(())
}
