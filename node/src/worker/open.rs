//! Openings: this node's offers, what becomes of them and of its acceptances (`accept`), and the wallet's part in both.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::hash::sha256;
use towpath_crypto::seed::Seed;
use towpath_ledger::rules::Params;
use towpath_ledger::{Amount, AssetId, ChannelId, Lock, OutPoint, Output, Party, Payout, Time, Witness};
use towpath_protocol::{
    Accept, Acceptance, Agreed, Channel, ChannelMessage, Decline, Event, Funding, FundingInput, Identity,
    Immediate, KeySigner, Now, Offer, Open, OpenId, Reject,
};
use towpath_store::{Column, Scan, Store, StoreError};

use super::call::{CallError, OpenRequest, Opened, Reply};
use super::held::{Held, NodeRow};
use super::run::Worker;
use super::turn::Turn;
use super::why::{CLOSE_ROW, CloseRecord};
use crate::entropy;
use crate::idempotency::{Claim, Outcome};
use crate::ledger::{FundsCall, Input as LedgerInput, Reserved};
use crate::limits;

/// Rows of `Meta`: this prefix ‖ worker, with the number after the last key that the worker used.
const KEYS_PREFIX: &[u8] = b"channel-keys/";

/// What a penalized author forfeits, in hundredths of a percent, unless the ledger allows less: half.
const PENALTY_BASIS_POINTS: u16 = 5_000;

/// How long a close can be answered unless the caller, the node's settings or the ledger say otherwise: a day.
const DISPUTE_WINDOW_MS: u64 = 86_400_000;

/// Bytes of closing transactions that a channel's fees must be able to pay for, with room for a penalty and pending
/// payments.
const CLOSE_BYTES: u64 = 4_096;

/// Where channel keys come from: each is used for one channel, for ever.
pub struct ChannelKeys {
    seed: Seed,
    next: AtomicU32,
    params: Params,
    /// Where its channels pay to.
    pub(super) payout: Payout,
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

    pub(crate) fn signer(&self, index: u32) -> Arc<KeySigner> {
        Arc::new(KeySigner::new(self.seed.channel_key(index)))
    }

    /// As if all keys were used.
    #[cfg(test)]
    pub(super) fn use_up(&self) {
        self.next.store(u32::MAX, Ordering::Relaxed);
    }

    /// The next key that no channel used; none when all are used up.
    fn draw(&self) -> Option<u32> {
        // The last number is never given out, so that the one after a key's always is one.
        let next = |index: u32| index.checked_add(1);
        self.next.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()
    }

    /// No key up to `index` is drawn any more; the next one that is.
    fn draw_past(&self, index: u32) -> u32 {
        let next = index.saturating_add(1);
        self.next.fetch_max(next, Ordering::Relaxed).max(next)
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
    Offer { peer: PublicKey, offer: Box<Offer>, asker: Asker },
    /// Ours: the peer has accepted, and others with which it is to share its funding have not.
    Agreed { peer: PublicKey, agreed: Box<Agreed>, deadline_ms: u64 },
    /// The wallet looks for coins.
    Coins { peer: PublicKey, amount: Amount },
    /// The peer's: it has not signed the first version, as far as this node knows. The ledger may show its channel all the same.
    Acceptance { acceptance: Box<Acceptance>, first_input: Option<OutPoint>, is_funded: bool },
}

/// Who waits for a peer's answer to an offer.
pub(super) enum Asker {
    /// Who opens one channel, with coins of its own.
    One { first_input: Option<OutPoint>, claim: Option<Claim>, reply: Reply<Opened> },
    /// Who opens many, and decides when all have answered.
    Many { reply: Reply<()> },
}

/// What this node decides about a channel that it offers.
pub(super) struct Wish {
    pub open: OpenId,
    pub peer: PublicKey,
    pub amount: Amount,
    pub peer_amount: Amount,
    pub dispute_window_ms: Option<u64>,
    pub reserve: Amount,
    pub payout: Payout,
    pub funding: Funding,
    pub deadline: Time,
    pub expiry: Option<Time>,
}

impl Awaited {
    pub(super) fn peer(&self) -> &PublicKey {
        match self {
            Self::Offer { peer, .. } | Self::Agreed { peer, .. } | Self::Coins { peer, .. } => peer,
            Self::Acceptance { acceptance, .. } => acceptance.peer(),
        }
    }
}

pub(super) fn inputs_of(reserved: &Reserved) -> Vec<FundingInput> {
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
        let next = self.parts.keys.draw_past(key_index);
        self.remember_key(peer, next, turn);
    }

    /// All keys before `next` are used.
    fn remember_key(&self, peer: PublicKey, next: u32, turn: &mut Turn) {
        let place = super::Workers::place(&peer, self.parts.workers.count());
        let mut row = KEYS_PREFIX.to_vec();
        row.push(u8::try_from(place).unwrap_or(u8::MAX));
        turn.entry.batch.put(Column::Meta, row, next.to_be_bytes());
    }

    /// The next channel key, if there is one; the row that remembers it is durable before the key is shown to anybody.
    pub(super) fn next_key(&self, peer: PublicKey, turn: &mut Turn) -> Option<Identity> {
        let key_index = self.parts.keys.draw()?;
        self.remember_key(peer, key_index.saturating_add(1), turn);
        Some(Identity { peer, key_index, keys: self.parts.keys.signer(key_index) })
    }

    pub(super) fn release_coins(first_input: Option<OutPoint>, turn: &mut Turn) {
        if let Some(first_input) = first_input {
            turn.release.ledger.push(LedgerInput::Funds(FundsCall::Release { first_input }));
        }
    }

    /// A caller opens a channel; its coins are set aside already.
    pub(super) fn open(&mut self, request: OpenRequest, reply: Reply<Opened>, turn: &mut Turn) {
        let OpenRequest { peer, amount, peer_amount, coins, deadline, claim, .. } = request;
        let first_input = coins.first_input();
        let funding = match first_input {
            None => Err(CallError::Rejected(Reject::Terms("no coins"))),
            Some(first_input) if peer_amount.is_zero() => Ok(Funding::Single { first_input, index: 0 }),
            Some(_) => Ok(Funding::Dual {
                inputs: inputs_of(&coins),
                change: coins.change.iter().cloned().collect(),
            }),
        };
        let wish = |funding| Wish {
            open: OpenId(entropy::draw()),
            peer,
            amount,
            peer_amount,
            dispute_window_ms: request.dispute_window_ms,
            reserve: request.reserve,
            payout: coins.payout.clone(),
            funding,
            deadline,
            expiry: request.expiry,
        };
        match funding.and_then(|funding| self.offer(wish(funding), turn)) {
            Ok(offer) => {
                let (id, asker) = (offer.open().open, Asker::One { first_input, claim, reply });
                self.awaited.insert(id, Awaited::Offer { peer, offer, asker });
            }
            Err(error) => {
                Self::release_coins(first_input, turn);
                drop(reply.send(Err(error)));
            }
        }
    }

    /// Offers a channel.
    pub(super) fn offer(&mut self, wish: Wish, turn: &mut Turn) -> Result<Box<Offer>, CallError> {
        if !self.sessions.contains(&wish.peer) {
            return Err(CallError::NoSession);
        }
        let is_own = |awaited: &&Awaited| matches!(awaited, Awaited::Offer { .. } | Awaited::Agreed { .. });
        if self.awaited.values().filter(is_own).count() >= limits::OFFERS {
            return Err(CallError::TooManyOpenings);
        }
        let capacity = wish.amount.checked_add(wish.peer_amount);
        let capacity = capacity.ok_or(CallError::Rejected(Reject::Terms("amounts too large")))?;
        let identity = self.next_key(wish.peer, turn).ok_or(CallError::NoMoreKeys)?;
        let (params, accepts) = (self.parts.keys.params(), &self.parts.policy.accepts);
        let windows = accepts.windows_ms(params);
        let penalty = PENALTY_BASIS_POINTS.max(accepts.penalty_basis_points_min);
        let fees = params.fee_min(CLOSE_BYTES).min(capacity.share(params.close_fee_basis_points_max));
        let open = Open {
            open: wish.open,
            chain: self.parts.chain_id,
            asset: AssetId::NATIVE,
            key: identity.keys.public(),
            payout: wish.payout,
            amount_a: wish.amount,
            amount_b: wish.peer_amount,
            sequencer: Party::A,
            dispute_window_ms: wish
                .dispute_window_ms
                .unwrap_or(DISPUTE_WINDOW_MS.clamp(*windows.start(), *windows.end())),
            penalty_basis_points: penalty.min(params.penalty_basis_points_max),
            reserve: wish.reserve,
            close_fee_max: fees,
            expiry: wish.expiry,
            funding: wish.funding,
            funding_deadline: wish.deadline,
        };
        let offer = Offer::new(open, identity, &self.bounds(), turn.now)?;
        turn.send(wish.peer, &offer.message());
        Ok(Box::new(offer))
    }

    /// The peer accepts this node's offer: the channel exists, and asks for its funding, or it waits for others.
    pub(super) fn on_accept(&mut self, peer: PublicKey, accept: Accept, turn: &mut Turn) {
        let Some(Awaited::Offer { peer: asked, offer, .. }) = self.awaited.get(&accept.open) else { return };
        if *asked != peer {
            return;
        }
        let (agreed, deadline_ms) = (offer.agreed(&accept, turn.now, &mut Immediate), offer.deadline_ms());
        let agreed = match agreed {
            Ok(agreed) => agreed,
            Err(reject) => return tracing::warn!(?peer, %reject, "an acceptance does not fit"),
        };
        match self.awaited.remove(&accept.open) {
            Some(Awaited::Offer { asker: Asker::One { first_input, claim, reply }, .. }) => {
                let channel = agreed.sign(turn.now);
                let id = channel.id();
                self.begin(channel, first_input, turn);
                if let Some(claim) = claim {
                    let outcome = Outcome::Opening { channel: id };
                    let kept = claim.keep(&mut turn.entry.batch, outcome, turn.now.local_ms);
                    turn.release.answers.push(Box::new(move || kept.show()));
                }
                let opened = Opened { channel: id };
                turn.release.answers.push(Box::new(move || drop(reply.send(Ok(opened)))));
            }
            Some(Awaited::Offer { asker: Asker::Many { reply }, .. }) => {
                let agreed = Box::new(agreed);
                self.awaited.insert(accept.open, Awaited::Agreed { peer, agreed, deadline_ms });
                drop(reply.send(Ok(())));
            }
            Some(Awaited::Agreed { .. } | Awaited::Coins { .. } | Awaited::Acceptance { .. }) | None => {}
        }
    }

    /// The peer declines this node's offer.
    pub(super) fn on_decline(&mut self, peer: PublicKey, decline: &Decline, turn: &mut Turn) {
        let is_asked =
            |awaited: &Awaited| matches!(awaited, Awaited::Offer { peer: asked, .. } if *asked == peer);
        if self.awaited.get(&decline.open).is_some_and(is_asked)
            && let Some(awaited) = self.awaited.remove(&decline.open)
        {
            Self::end_opening(awaited, CallError::Declined(decline.reason), turn);
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
            Awaited::Acceptance { .. }
            | Awaited::Offer { .. }
            | Awaited::Agreed { .. }
            | Awaited::Coins { .. } => None,
        });
        let Some(open) = found else {
            return tracing::debug!(?peer, %channel, kind = message.name(), "a message about an unknown channel");
        };
        let Some(Awaited::Acceptance { acceptance, first_input, .. }) = self.awaited.get(&open) else {
            return;
        };
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
    pub(super) fn begin(&mut self, channel: Channel, first_input: Option<OutPoint>, turn: &mut Turn) {
        let (id, peer) = (channel.id(), *channel.peer());
        let mut row = NodeRow::new(turn.now.local_ms);
        row.first_input = first_input;
        self.adopt(Held::new(channel, row, VecDeque::new()));
        self.keep_word(&peer, turn);
        self.touch(id, turn);
        // The opener may have been fast: a block that came before the channel was here told this worker nothing of it.
        self.report_output(id, turn);
    }

    /// The wallet answered.
    pub(super) fn on_wallet(&mut self, answer: WalletAnswer, turn: &mut Turn) {
        match answer {
            WalletAnswer::Contribution { peer, open, reserved } => {
                self.on_contribution(peer, &open, reserved, turn);
            }
            WalletAnswer::Signed { channel, witnesses } => {
                self.signed_funding(channel);
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
        let mine = |awaited: &Awaited| match awaited {
            Awaited::Offer { peer: asked, .. } | Awaited::Agreed { peer: asked, .. } => asked == peer,
            Awaited::Coins { .. } | Awaited::Acceptance { .. } => false,
        };
        let ids: Vec<OpenId> = self.awaited.iter().filter(|(_, it)| mine(it)).map(|(id, _)| *id).collect();
        for awaited in ids.iter().filter_map(|id| self.awaited.remove(id)).collect::<Vec<_>>() {
            Self::end_opening(awaited, CallError::NoSession, turn);
        }
    }

    /// Openings that nobody finished in time.
    pub(super) fn expire_openings(&mut self, turn: &mut Turn) {
        let now = turn.now;
        let is_late = |awaited: &Awaited| match awaited {
            Awaited::Offer { offer, .. } => now.local_ms > offer.deadline_ms(),
            Awaited::Agreed { deadline_ms, .. } => now.local_ms > *deadline_ms,
            Awaited::Acceptance { acceptance, .. } => acceptance.is_void(now),
            Awaited::Coins { .. } => false,
        };
        let mut late: Vec<OpenId> =
            self.awaited.iter().filter(|(_, it)| is_late(it)).map(|(id, _)| *id).collect();
        late.retain(|open| !self.stands(open, now));
        for awaited in late.iter().filter_map(|id| self.awaited.remove(id)).collect::<Vec<_>>() {
            let peer = *awaited.peer();
            Self::end_opening(awaited, CallError::Silent, turn);
            self.drop_word(&peer, turn);
        }
    }

    /// Whether an acceptance stands although its time is over: the ledger shows its channel, and the opener, who paid for it, has
    /// this node's word. Its own was lost, and comes again with its next session.
    fn stands(&mut self, open: &OpenId, now: Now) -> bool {
        let Some(Awaited::Acceptance { acceptance, is_funded, .. }) = self.awaited.get_mut(open) else {
            return false;
        };
        match self.parts.chain.channel_output(&acceptance.id()) {
            Ok(None) => return false,
            Ok(Some(_)) => *is_funded = true,
            Err(error) => tracing::error!(channel = %acceptance.id(), %error, "the ledger cannot be read"),
        }
        acceptance.renew(now);
        true
    }

    fn end_opening(awaited: Awaited, why: CallError, turn: &mut Turn) {
        match awaited {
            Awaited::Offer { asker: Asker::One { first_input, reply, .. }, .. } => {
                Self::release_coins(first_input, turn);
                turn.release.answers.push(Box::new(move || drop(reply.send(Err(why)))));
            }
            Awaited::Offer { asker: Asker::Many { reply }, .. } => drop(reply.send(Err(why))),
            Awaited::Acceptance { acceptance, first_input, .. } => {
                Self::release_coins(first_input, turn);
                let outcome = acceptance.forget();
                Self::write_opening(&acceptance, outcome, turn);
            }
            // Nothing was promised; whoever asked finds it gone.
            Awaited::Agreed { .. } | Awaited::Coins { .. } => {}
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

/// The suffixes of the node's own rows of a channel begin with this; those of the machine do not.
pub(crate) const OWN_ROWS: u8 = b'~';

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
    let (waiting, rows): (Rows, Rows) =
        rows.into_iter().partition(|(suffix, _)| suffix.starts_with(super::confirm::CONFIRMING_ROWS));
    let (own, machine): (Rows, Rows) =
        rows.into_iter().partition(|(suffix, _)| suffix.first() == Some(&OWN_ROWS));
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
    let own = |name: &[u8]| own.iter().find(|(suffix, _)| suffix == name).map(|(_, value)| value.as_slice());
    let row = own(super::held::NODE_ROW).map_or_else(NodeRow::default, NodeRow::decode);
    let mut held = Held::new(channel, row, super::confirm::read(waiting)?);
    held.stored = own(super::held::NODE_ROW).map(sha256);
    held.close = own(CLOSE_ROW).and_then(CloseRecord::decode).map(Box::new);
    found.channels.push(held);
    Ok(())
}
