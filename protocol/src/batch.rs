//! Many channels by one funding transaction of A's alone: who is in it, and what it pays (SPEC P-70 to P-74).
//!
//! A channel's id is made of the transaction's first input and the place of its output, and must exist before the funding
//! is made. So each member has its place from the beginning and keeps it; who is left out leaves a gap, which pays the
//! amount back to A. Place 0 is A's change: a channel whose place is not 0 is known to share its funding.
//!
//! A signs nothing for anybody until every peer has agreed, declined or had its time. Then all that agreed are signed and
//! made durable, and only then is there a transaction. Until it is made, forgetting everything loses nothing.

use bincode::{Decode, Encode};
use towpath_crypto::Amount;
use towpath_ledger::{Lock, Output};

use crate::limits::{AGREE_TIMEOUT_MS, FUNDED_TOGETHER_MAX};
use crate::message::DeclineReason;

/// Why a peer is not in the funding.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum LeftOut {
    /// There was no session with it.
    Offline,
    /// Its terms are not possible here: nothing was asked of it.
    Refused,
    /// It declined.
    Declined(DeclineReason),
    /// It did not answer in time.
    Silent,
    /// It agreed, and was gone before the others had.
    Vanished,
}

/// What happened to a member; they are numbered by their places, from 1.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchEvent {
    /// Its peer has accepted.
    Agreed(u32),
    /// It is out.
    Left(u32, LeftOut),
    /// It is a channel now, signed and durable; this is its output.
    Signed(u32, Box<Output>),
    /// It is so late, by the local clock, in milliseconds.
    Time(u64),
}

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchOrder {
    /// Ask no more: the offer at this place is void.
    Drop(u32),
    /// Sign the first version at this place, and make the channel durable; answered with [`BatchEvent::Signed`], or
    /// [`BatchEvent::Left`] if the peer is gone.
    Sign(u32),
    /// Make the one transaction: its change first, then these. Whatever made this order must not be asked again.
    Fund(Vec<Share>),
}

/// One output of the funding.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Share {
    /// A channel.
    Channel(Box<Output>),
    /// Of one who was left out: back to A.
    Back(Amount),
}

/// How far a member is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum At {
    Asked,
    Agreed,
    Signed(Box<Output>),
    Out(LeftOut),
}

/// How far all are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Peers are asked.
    Asking,
    /// Nobody is waited for: those who agreed become channels.
    Signing,
    /// The transaction is ordered, or nobody is left to be in it.
    Decided,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Batch {
    members: Vec<(Amount, At)>,
    deadline_ms: u64,
    stage: Stage,
}

impl Batch {
    /// Everyone is being asked, for a channel of this amount each; the first has place 1. None if there is nobody, or more
    /// than one transaction can fund.
    #[must_use]
    pub fn new(amounts: &[Amount], now_ms: u64) -> Option<Self> {
        if amounts.is_empty() || amounts.len() > FUNDED_TOGETHER_MAX {
            return None;
        }
        let members = amounts.iter().map(|amount| (*amount, At::Asked)).collect();
        Some(Self { members, deadline_ms: now_ms.saturating_add(AGREE_TIMEOUT_MS), stage: Stage::Asking })
    }

    /// When whoever has not answered is given up, by the local clock, in milliseconds; none once nobody is asked any more.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        (self.stage == Stage::Asking).then_some(self.deadline_ms)
    }

    /// Whether nothing more will be ordered.
    #[must_use]
    pub fn is_decided(&self) -> bool {
        self.stage == Stage::Decided
    }

    /// Why the member at a place is out, if it is.
    #[must_use]
    pub fn left_out(&self, place: u32) -> Option<LeftOut> {
        match self.members.get(index(place)?) {
            Some((_, At::Out(why))) => Some(*why),
            Some((_, At::Asked | At::Agreed | At::Signed(_))) | None => None,
        }
    }

    /// Takes what happened; what is to be done about it, in order. What comes too late, or twice, changes nothing.
    pub fn step(&mut self, event: BatchEvent) -> Vec<BatchOrder> {
        let mut orders = Vec::new();
        match event {
            BatchEvent::Agreed(place) => self.on_agreed(place),
            BatchEvent::Left(place, why) => self.on_left(place, why),
            BatchEvent::Signed(place, output) => self.on_signed(place, output),
            BatchEvent::Time(now_ms) => self.on_time(now_ms, &mut orders),
        }
        if self.stage == Stage::Asking && !self.any(&At::Asked) {
            self.stage = Stage::Signing;
            orders.extend(self.places(&At::Agreed).map(BatchOrder::Sign));
        }
        if self.stage == Stage::Signing && !self.any(&At::Agreed) {
            self.stage = Stage::Decided;
            let shares = self.shares();
            if !shares.is_empty() {
                orders.push(BatchOrder::Fund(shares));
            }
        }
        orders
    }

    fn on_agreed(&mut self, place: u32) {
        if self.stage == Stage::Asking
            && let Some((_, at @ At::Asked)) = self.member(place)
        {
            *at = At::Agreed;
        }
    }

    fn on_left(&mut self, place: u32, why: LeftOut) {
        if let Some((_, at @ (At::Asked | At::Agreed))) = self.member(place) {
            *at = At::Out(why);
        }
    }

    fn on_signed(&mut self, place: u32, output: Box<Output>) {
        if self.stage == Stage::Signing
            && let Some((amount, at @ At::Agreed)) = self.member(place)
        {
            let is_as_asked = output.amount == *amount && matches!(output.lock, Lock::Channel(_));
            *at = if is_as_asked { At::Signed(output) } else { At::Out(LeftOut::Refused) };
        }
    }

    fn on_time(&mut self, now_ms: u64, orders: &mut Vec<BatchOrder>) {
        if self.stage != Stage::Asking || now_ms < self.deadline_ms {
            return;
        }
        orders.extend(self.places(&At::Asked).map(BatchOrder::Drop));
        for (_, at) in &mut self.members {
            if *at == At::Asked {
                *at = At::Out(LeftOut::Silent);
            }
        }
    }

    fn member(&mut self, place: u32) -> Option<&mut (Amount, At)> {
        self.members.get_mut(index(place)?)
    }

    fn any(&self, wanted: &At) -> bool {
        self.members.iter().any(|(_, at)| at == wanted)
    }

    fn places<'a>(&'a self, wanted: &'a At) -> impl Iterator<Item = u32> + 'a {
        let numbered = (1_u32..).zip(&self.members);
        numbered.filter(move |(_, (_, at))| at == wanted).map(|(place, _)| place)
    }

    /// The outputs from place 1 up to the last channel: nothing after it needs a place.
    fn shares(&self) -> Vec<Share> {
        let channels = self.members.iter().rposition(|(_, at)| matches!(at, At::Signed(_)));
        let members = self.members.iter().take(channels.map_or(0, |last| last + 1));
        let share = |(amount, at): &(Amount, At)| match at {
            At::Signed(output) => Share::Channel(output.clone()),
            At::Asked | At::Agreed | At::Out(_) => Share::Back(*amount),
        };
        members.map(share).collect()
    }
}

/// Where the member of a place is in the list.
fn index(place: u32) -> Option<usize> {
    usize::try_from(place.checked_sub(1)?).ok()
}
