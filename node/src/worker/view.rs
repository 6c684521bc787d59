//! A channel as readers see it.

use towpath_api::{Channel, ChannelState, ChannelTotals, Outcome, Resizing, Role, Side, Units};
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::id::{self, Kind};
use towpath_ledger::{Amount, ChannelId, Party, Time};
use towpath_protocol::{Change, Life, ResizeView, Settlement};

use super::why::CloseRecord;

/// An immutable picture of a channel, true of a moment at which it was durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelView {
    /// The channel.
    pub id: ChannelId,
    /// The other party's node.
    pub peer: PublicKey,
    /// Which party this node is.
    pub role: Party,
    /// Whether payments can be sent now.
    pub is_online: bool,
    /// Where it stands.
    pub life: Life,
    /// The newest version that is held.
    pub version: u64,
    /// How often it was resized.
    pub generation: u32,
    /// All that is in it.
    pub capacity: Amount,
    /// This node's balance.
    pub balance: Amount,
    /// The peer's balance.
    pub peer_balance: Amount,
    /// What this node can pay now.
    pub spendable: Amount,
    /// What each party keeps.
    pub reserve: Amount,
    /// Who orders the updates.
    pub sequencer: Party,
    /// See [`towpath_ledger::ChannelTerms`].
    pub dispute_window_ms: u64,
    /// The output that holds the funds, as text.
    pub funding: Option<String>,
    /// When it was asked for.
    pub opened_ms: u64,
    /// While it is being closed alone: until when that can be answered.
    pub deadline_ms: Option<u64>,
    /// The transaction that paid it out, as text.
    pub settlement: Option<String>,
    /// Payments by this node.
    pub sent: Count,
    /// Payments to this node.
    pub received: Count,
    /// The highest number of a payment by this node that is acknowledged.
    pub settled_number: u64,
    /// Whether this node has lost data of it.
    pub is_lost: bool,
    /// Why it is closed, once it is.
    pub(super) close: Option<CloseRecord>,
    /// The first payment to this node that watchtowers have not confirmed; all after it are confirming, too.
    pub confirming_from: Option<u64>,
    /// Payments to this node that are confirming.
    pub confirming: Count,
    /// A resize that the ledger has not decided.
    pub resizing: Option<ResizeView>,
}

/// How many payments, and how much.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, bincode::Encode, bincode::Decode)]
pub struct Count {
    /// How many.
    pub payments: u64,
    /// How much.
    pub total: u64,
}

impl Count {
    /// One more.
    pub fn add(&mut self, amount: Amount) {
        self.payments = self.payments.saturating_add(1);
        self.total = self.total.saturating_add(amount.units());
    }
}

/// The state's name in the API.
#[must_use]
pub const fn state_of(life: Life) -> ChannelState {
    match life {
        Life::Opening => ChannelState::Opening,
        Life::Active => ChannelState::Active,
        Life::Closing(_) => ChannelState::Closing,
        Life::Disputed => ChannelState::Disputed,
        Life::Settled(_) => ChannelState::Settled,
    }
}

/// How it ended, in the API's words.
#[must_use]
pub const fn outcome_of(life: Life) -> Option<Outcome> {
    match life {
        Life::Settled(Settlement::NeverFunded) => Some(Outcome::Abandoned),
        Life::Settled(Settlement::Cooperative) => Some(Outcome::Cooperative),
        Life::Settled(Settlement::Unilateral) => Some(Outcome::Unilateral),
        Life::Settled(Settlement::Resolved) => Some(Outcome::Resolved),
        Life::Settled(Settlement::Penalized) => Some(Outcome::Penalized),
        Life::Opening | Life::Active | Life::Closing(_) | Life::Disputed => None,
    }
}

/// A node's id as text.
#[must_use]
pub fn node_text(node: &PublicKey) -> String {
    id::encode(Kind::Node, &node.0)
}

impl ChannelView {
    /// Whether it is over.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self.life, Life::Settled(_))
    }

    pub(super) const fn count_into(&self, totals: &mut ChannelTotals) {
        match state_of(self.life) {
            ChannelState::Opening => totals.opening += 1,
            ChannelState::Active => totals.active += 1,
            ChannelState::Closing => totals.closing += 1,
            ChannelState::Disputed => totals.disputed += 1,
            ChannelState::Settled => totals.settled += 1,
        }
    }

    fn resizing_to_api(&self, resize: &ResizeView) -> Resizing {
        Resizing {
            by: if resize.by == self.role { Side::Local } else { Side::Remote },
            change: match resize.change {
                Change::Add(amount) => towpath_api::Change::Add(Units(amount.units())),
                Change::PayOut(amount) => towpath_api::Change::PayOut(Units(amount.units())),
            },
            tx: resize.transaction.to_string(),
            expires_ms: resize.expiry.0,
        }
    }

    /// For the API, at this ledger time.
    #[must_use]
    pub fn to_api(&self, now: Time) -> Channel {
        Channel {
            id: self.id.to_string(),
            peer: node_text(&self.peer),
            online: self.is_online,
            state: state_of(self.life),
            outcome: outcome_of(self.life),
            recovering: self.is_lost,
            role: match self.role {
                Party::A => Role::Opener,
                Party::B => Role::Acceptor,
            },
            sequencer: if self.sequencer == self.role { Side::Local } else { Side::Remote },
            version: self.version,
            generation: self.generation,
            capacity: Units(self.capacity.units()),
            balance: Units(self.balance.units()),
            peer_balance: Units(self.peer_balance.units()),
            pending: Units(0),
            spendable: Units(self.spendable.units()),
            reserve: Units(self.reserve.units()),
            dispute_window_ms: self.dispute_window_ms,
            funding: self.funding.clone(),
            opened_ms: self.opened_ms,
            deadline_ms: self.deadline_ms,
            settlement: self.settlement.clone(),
            close: self.close.as_ref().map(|record| record.to_api(self.role, self.life, now)),
            payments_sent: self.sent.payments,
            payments_received: self.received.payments,
            sent_total: Units(self.sent.total),
            received_total: Units(self.received.total),
            payments_confirming: self.confirming.payments,
            confirming_total: Units(self.confirming.total),
            resizing: self.resizing.map(|resize| self.resizing_to_api(&resize)),
            stored: None,
        }
    }
}
