//! A channel as others see it: an immutable snapshot for readers, and what a driver asks.

use std::collections::BTreeMap;

use towpath_crypto::Amount;
use towpath_crypto::ed25519::PublicKey;
use towpath_ledger::{AssetId, ChannelId, ChannelTerms, CoSigned, OutPoint, Party, Time, TxId};

use super::machine::Channel;
use super::state::{Held, Turnholder};
use crate::effect::Online;
use crate::journal::Journal;
use crate::life::Life;
use crate::message::{Change, FundingInput, OpenId};
use crate::signer::Mark;
use crate::update::Update;

/// A snapshot of a channel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct View {
    /// The channel.
    pub id: ChannelId,
    /// The peer's node.
    pub peer: PublicKey,
    /// Which party this node is.
    pub me: Party,
    /// The asset.
    pub asset: AssetId,
    /// All that is in it.
    pub capacity: Amount,
    /// Where it stands.
    pub life: Life,
    /// Whether payments can be sent now.
    pub online: Online,
    /// Whose turn it is.
    pub turnholder: Turnholder,
    /// The newest version that this party can post.
    pub version: u64,
    /// This party's balance in it.
    pub balance: Amount,
    /// The other party's balance in it.
    pub balance_peer: Amount,
    /// What this party can still promise.
    pub spendable: Amount,
    /// What the other party can pay at most.
    pub receivable: Amount,
    /// The highest number of this party's payments that are made.
    pub sent: u64,
    /// The highest number of the other party's.
    pub received: u64,
    /// Versions proposed and not acknowledged.
    pub in_flight: usize,
    /// Payments that wait for a version.
    pub waiting: usize,
    /// Whether this node has lost data of the channel.
    pub data_lost: bool,
    /// A resize that is signed, and that the ledger has not decided.
    pub resizing: Option<ResizeView>,
}

/// A resize under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ResizeView {
    /// Whose balance changes.
    pub by: Party,
    /// How.
    pub change: Change,
    /// The last ledger time at which it can become final.
    pub expiry: Time,
    /// The transaction.
    pub transaction: TxId,
}

impl Channel {
    /// A snapshot.
    #[must_use]
    pub fn view(&self) -> View {
        let (fixed, content) = (&self.fixed, &self.held.content);
        let peer = fixed.me.other();
        View {
            id: self.id(),
            peer: fixed.peer,
            me: fixed.me,
            asset: fixed.asset,
            capacity: fixed.capacity,
            life: self.life,
            online: if self.memory.link.up || self.memory.link.renewing { Online::Yes } else { Online::No },
            turnholder: self.turnholder(),
            version: self.held.version(),
            balance: content.state.balance(fixed.me),
            balance_peer: content.state.balance(peer),
            spendable: self.spendable(),
            receivable: content.spendable(peer, &fixed.terms),
            sent: content.sent(fixed.me),
            received: content.sent(peer),
            in_flight: self.open.iter().filter(|open| !open.is_burnt()).count(),
            waiting: self.outgoing.len() + self.memory.queue.len(),
            data_lost: self.lost.is_some(),
            resizing: self.resizing(),
        }
    }

    /// The resize under way, if there is one.
    #[must_use]
    pub fn resizing(&self) -> Option<ResizeView> {
        let resize = self.resize.as_ref()?;
        let transaction = self.resize_body(&resize.plan, &resize.content)?.id();
        let (by, change, expiry) = (resize.by, resize.plan.change, resize.plan.expiry);
        Some(ResizeView { by, change, expiry, transaction })
    }

    /// The coins that this party brings to a resize that may yet become final, and until when: nothing else may spend them.
    #[must_use]
    pub fn coins_to_add(&self) -> Option<(&[FundingInput], Time)> {
        let resize = self.resize.as_ref().filter(|resize| resize.by == self.fixed.me)?;
        Some((resize.plan.inputs.as_slice(), resize.plan.expiry)).filter(|(inputs, _)| !inputs.is_empty())
    }

    /// What the opener called the opening.
    #[must_use]
    pub fn open_id(&self) -> OpenId {
        self.fixed.open
    }

    /// The peer's node.
    #[must_use]
    pub fn peer(&self) -> &PublicKey {
        &self.fixed.peer
    }

    /// Which party this node is.
    #[must_use]
    pub fn me(&self) -> Party {
        self.fixed.me
    }

    /// The terms.
    #[must_use]
    pub fn terms(&self) -> &ChannelTerms {
        &self.fixed.terms
    }

    /// All that is in the channel.
    #[must_use]
    pub fn capacity(&self) -> Amount {
        self.fixed.capacity
    }

    /// What this party put into the channel.
    #[must_use]
    pub fn brought(&self) -> Amount {
        self.fixed.brought()
    }

    /// The last ledger time at which the funding is valid.
    #[must_use]
    pub fn funding_deadline(&self) -> Time {
        self.fixed.funding_deadline
    }

    /// The asset.
    #[must_use]
    pub fn asset(&self) -> AssetId {
        self.fixed.asset
    }

    /// Which of the node's channel keys this channel uses.
    #[must_use]
    pub fn key_index(&self) -> u32 {
        self.fixed.key_index
    }

    /// Where it stands.
    #[must_use]
    pub const fn life(&self) -> Life {
        self.life
    }

    /// The channel's output, once this node's replica showed it.
    #[must_use]
    pub const fn funding(&self) -> Option<OutPoint> {
        self.funding
    }

    /// The newest state that this party can post.
    #[must_use]
    pub const fn held(&self) -> &Held {
        &self.held
    }

    /// This party's balance in every state by which the channel can be settled against its will, while it answers: the
    /// newest that it holds, and those that it signed since and the other party can complete. What was reported as
    /// final is covered by each of them (SPEC P-4). None once it is settled: what was paid is for the ledger to say, and
    /// may come from a proposal that the other party completed and this one never saw acknowledged.
    pub fn possible_balances(&self) -> impl Iterator<Item = Amount> + '_ {
        let me = self.fixed.me;
        let held = (!matches!(self.life, Life::Settled(_))).then(|| self.held.content.state.balance(me));
        let proposed = self.open.iter().map(move |open| open.content.state.balance(me));
        held.into_iter().chain(proposed)
    }

    /// This party's payments that have a number and are neither made nor failed, by it, with their amounts: those that
    /// are proposed, those that wait for a version, and those of burnt versions that may yet be completed.
    #[must_use]
    pub fn unsettled(&self) -> BTreeMap<u64, Amount> {
        let me = self.fixed.me;
        let proposed = self.open.iter().flat_map(|open| &open.propose.updates);
        let proposed = proposed.filter_map(|update| match update {
            Update::Transfer(transfer) if transfer.from == me => Some(transfer),
            Update::Transfer(_) | Update::Handover | Update::Finish => None,
        });
        let all = proposed.chain(self.outgoing.after(0));
        all.map(|transfer| (transfer.number, transfer.amount)).collect()
    }

    /// The newest thing that this party signed.
    #[must_use]
    pub const fn mark(&self) -> &Mark {
        self.guard.mark()
    }

    /// The end of the channel's log.
    #[must_use]
    pub const fn journal(&self) -> &Journal {
        &self.journal
    }

    /// The newest co-signed state that any source showed, if this node has lost data: what a recovery starts from.
    #[must_use]
    pub fn recovered(&self) -> Option<CoSigned> {
        self.lost.and_then(|_| self.held.co_signed(self.fixed.me))
    }

    /// Whether this node has lost data of the channel, and signs nothing before it is recovered.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        self.lost.is_some()
    }
}
