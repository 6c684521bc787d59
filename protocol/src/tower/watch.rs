//! What a tower does when closings appear: it opens what it keeps for them, contests those that hide something, again
//! until the ledger shows that it worked, and finalizes what nobody else does (SPEC T-30 to T-39; FAULTS C4, W4, W5, L20).
//!
//! The tower signs nothing and holds no key. It decides by what its own replica of the ledger shows, block by block:
//! [`Watch::posted`] and [`Watch::gone`] for what a block did, then [`Watch::act`] for what follows.

use std::collections::{BTreeMap, BTreeSet};

use towpath_ledger::rules::Params;
use towpath_ledger::settle::{self, Place};
use towpath_ledger::{ChainId, ChannelId, ChannelTag, CoSigned, Party, SignedState, Time, Transaction};

use super::dispute::{Dispute, Move, Part, Posted, assemble, overhead};
use super::message::Entry;
use super::record::{Locator, Record, Slot};
use super::service::Service;
use super::shelf::{Shelf, ShelfError};
use crate::canary::{Canary, sings};
use crate::limits::{
    TOWER_BARE_CASES_MAX, TOWER_BATCHES, TOWER_LATE_STEPS, TOWER_LEAVES_BLOCKS, TOWER_RETRY_BLOCKS,
};

/// The ledger, as far as a tower's answers depend on it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LedgerRules {
    /// Its id.
    pub chain: ChainId,
    /// Its parameters.
    pub params: Params,
    /// By how much its time rises at most from one block to the next, in milliseconds.
    pub block_step_ms_max: u64,
}

/// Whether the tower's own wallet adds what a channel lacks for a fee.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sponsor {
    /// It does: a cheater cannot price the tower out by using up what the channel pays for disputes.
    Yes,
    /// It does not.
    No,
}

/// A block that was applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct At {
    /// Its height.
    pub height: u64,
    /// Its time.
    pub time: Time,
}

/// Something to do, or to tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// Contest closings. Add a wallet input if it is short.
    Contest(Box<Dispute>),
    /// Pay out a closing whose deadline is over.
    Finalize(Box<Transaction>),
    /// For people, and for the books.
    Report(Report),
}

/// What a tower has to tell.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Report {
    /// It contests a closing, for the first time.
    Contested {
        /// The channel.
        channel: ChannelId,
        /// The version that was posted.
        posted: u64,
        /// The version that the tower shows.
        shown: u64,
        /// Whether the author is proven to have known better.
        penalized: bool,
    },
    /// So few blocks are left that faulty proposers could keep the answer out (FAULTS W4).
    Late {
        /// The channel.
        channel: ChannelId,
        /// Blocks until the deadline, at the least.
        blocks: u64,
    },
    /// The channel pays for no dispute any more, and the tower's wallet does not either.
    PricedOut {
        /// The channel.
        channel: ChannelId,
    },
}

/// Whether a closing is the tower's business.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// It has records for the channel, which it opened now.
    New,
    /// It has, and knew it.
    Known,
    /// It has none so far.
    Nothing,
}

/// A closing.
#[derive(Clone, Debug)]
struct Case {
    posted: Posted,
    /// The tag that its first closing showed: its slots follow from it.
    tag: ChannelTag,
    /// Whether the tower has records for the channel. Without any it does nothing, and waits for one to come in.
    has_records: bool,
    /// The newest state that both signed, among all that the tower has.
    best: Option<Box<CoSigned>>,
    /// Where the author said that it held the most. Apart from the newest state: an author can sign one state many times, and
    /// lay at the tower itself what says the least.
    proof: Option<Box<SignedState>>,
    /// The height at which its deadline was found to be over.
    over: Option<u64>,
    /// When it was last tried, and how often.
    tried: Option<u64>,
    tries: usize,
    told: Told,
}

/// What was reported already: once is enough.
#[derive(Clone, Copy, Default, Debug)]
struct Told {
    contested: bool,
    late: bool,
    priced_out: bool,
}

impl Case {
    fn new(posted: Posted) -> Self {
        let (tag, told) = (posted.closing.state.tag, Told::default());
        Self {
            posted,
            tag,
            has_records: false,
            best: None,
            proof: None,
            over: None,
            tried: None,
            tries: 0,
            told,
        }
    }

    fn consider(&mut self, chain: &ChainId, record: Record) {
        let closing = &self.posted.closing;
        let signature = *record.newest.signature(closing.author);
        let version = record.newest.state.version;
        let is_newer = self.best.as_ref().is_none_or(|best| best.state.version < version);
        let held = self.proof.as_ref().map_or(closing.posted_version, |proof| proof.signature.held);
        let tells_more = signature.held > held;
        // The signatures cost the most, so they come last.
        let holds =
            || sings(Canary::TowerBelievesForgeries) || record.holds(chain, &closing.terms, closing.capacity);
        if !(is_newer || tells_more) || !holds() {
            return;
        }
        if tells_more && !sings(Canary::TowerShowsNoProof) {
            self.proof = Some(Box::new(SignedState { state: record.newest.state.clone(), signature }));
        }
        if is_newer {
            self.best = Some(Box::new(record.newest));
        }
    }

    fn shown(&self) -> Option<Move> {
        Move::against(&self.posted.closing, self.best.as_deref(), self.proof.as_deref())
    }

    /// Whether it is time to try, or to try again.
    fn is_due(&self, at: At) -> bool {
        let retries = !sings(Canary::TowerTriesOnce);
        self.tried.is_none_or(|height| retries && height.saturating_add(TOWER_RETRY_BLOCKS) <= at.height)
    }
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Watch {
    rules: LedgerRules,
    sponsor: Sponsor,
    cases: BTreeMap<ChannelId, Case>,
    /// How many of them have no records.
    bare: usize,
    /// Where records for open cases belong. The ledger gives a tag no meaning, so channels of others can be closed under the
    /// same one; whose a record is, it says itself.
    slots: BTreeMap<Locator, (Slot, BTreeSet<ChannelId>)>,
}

impl Watch {
    /// A tower that has seen no closing yet. After a restart it is told of every one that is open.
    #[must_use]
    pub const fn new(rules: LedgerRules, sponsor: Sponsor) -> Self {
        Self { rules, sponsor, cases: BTreeMap::new(), bare: 0, slots: BTreeMap::new() }
    }

    /// How many closings it has records for.
    #[must_use]
    pub fn open_cases(&self) -> usize {
        self.cases.len() - self.bare
    }

    /// The ledger shows a closing: a new one, or one that follows a dispute. What is on the tower's shelf for the channel is
    /// opened when its first closing appears, since that one shows the tag; what comes in later, when it does.
    ///
    /// # Errors
    /// [`ShelfError`] if the shelf cannot be read.
    pub fn posted(
        &mut self,
        posted: Posted,
        service: &mut Service,
        shelf: &dyn Shelf,
    ) -> Result<Found, ShelfError> {
        let channel = posted.closing.terms.id;
        if let Some(case) = self.cases.get_mut(&channel) {
            // Whoever looks at the whole ledger comes upon what is known.
            if case.posted.outpoint != posted.outpoint {
                // Its author is at work, or somebody else helps: what was tried is void, and it is tried alone from now on.
                case.posted = posted;
                case.tried = None;
                case.tries = TOWER_BATCHES.len();
            }
            return Ok(Found::Known);
        }
        let tag = posted.closing.state.tag;
        let mut case = Case::new(posted);
        let mut found = 0;
        let slots = [Party::A, Party::B].map(|party| Slot::new(&tag, party));
        for slot in &slots {
            found += service.open_slot(slot, &channel, shelf, &mut |record| {
                case.consider(&self.rules.chain, record);
            })?;
        }
        case.has_records = found > 0;
        if !case.has_records {
            if self.bare >= TOWER_BARE_CASES_MAX {
                return Ok(Found::Nothing);
            }
            self.bare += 1;
        }
        for slot in slots {
            let (_, channels) = self.slots.entry(slot.locator).or_insert_with(|| (slot, BTreeSet::new()));
            channels.insert(channel);
        }
        self.cases.insert(channel, case);
        Ok(if found > 0 { Found::New } else { Found::Nothing })
    }

    /// A client gave a record while its channel is being closed: it may be what is missing. The channel with its tag, if it is
    /// the first one for it.
    pub fn kept(&mut self, entry: &Entry) -> Option<(ChannelId, ChannelTag)> {
        let (slot, channels) = self.slots.get(&entry.locator)?;
        let record = slot.open(&entry.sealed).ok()?;
        let channel = record.newest.state.channel;
        let case = self.cases.get_mut(&channel).filter(|_| channels.contains(&channel))?;
        case.consider(&self.rules.chain, record);
        if std::mem::replace(&mut case.has_records, true) {
            return None;
        }
        self.bare -= 1;
        Some((channel, case.tag))
    }

    /// The channel is settled.
    pub fn gone(&mut self, channel: &ChannelId) {
        let Some(case) = self.cases.remove(channel) else { return };
        self.bare -= usize::from(!case.has_records);
        for party in [Party::A, Party::B] {
            let locator = Slot::new(&case.tag, party).locator;
            let Some((_, channels)) = self.slots.get_mut(&locator) else { continue };
            channels.remove(channel);
            if channels.is_empty() {
                self.slots.remove(&locator);
            }
        }
    }

    /// What is to be done after a block; the orders are safe to repeat.
    pub fn act(&mut self, at: At) -> Vec<Order> {
        let mut orders = Vec::new();
        let place = self.rules.clone();
        let mut contests: [Vec<(Time, ChannelId, Part)>; TOWER_BATCHES.len()] = Default::default();
        for (channel, case) in self.cases.iter_mut().filter(|(_, case)| case.has_records && case.is_due(at)) {
            if at.time > case.posted.deadline() {
                if !case.is_left_over(at) {
                    continue;
                }
                case.mark(at);
                orders.extend(place.finalize(&case.posted).map(|made| Order::Finalize(Box::new(made))));
            } else if let Some(shown) = case.shown() {
                let part = place.part(case, &shown, self.sponsor);
                case.report(*channel, at, (&shown, part.is_some()), &place, &mut orders);
                let Some(part) = part else { continue };
                let alone = TOWER_BATCHES.len() - 1;
                let batch = if part.pays_for_itself(overhead(&place.place())) { case.tries } else { alone };
                contests[batch.min(alone)].push((case.posted.deadline(), *channel, part));
                case.mark(at);
            }
        }
        for (mut parts, size) in contests.into_iter().zip(TOWER_BATCHES) {
            // The most urgent first: the ledger takes what comes first first.
            parts.sort_by_key(|(deadline, channel, _)| (*deadline, *channel));
            for batch in parts.chunks(size) {
                let batch: Vec<Part> = batch.iter().map(|(_, _, part)| part.clone()).collect();
                let dispute = assemble(&place.place(), &batch);
                orders.extend(dispute.map(|dispute| Order::Contest(Box::new(dispute))));
            }
        }
        orders
    }
}

impl Case {
    fn mark(&mut self, at: At) {
        self.tried = Some(at.height);
        self.tries = self.tries.saturating_add(1);
    }

    /// Whether its parties had their time to pay it out: they do so with many others in one transaction, which one that pays
    /// out this closing alone would void.
    fn is_left_over(&mut self, at: At) -> bool {
        let over = *self.over.get_or_insert(at.height);
        at.height >= over.saturating_add(TOWER_LEAVES_BLOCKS)
    }

    fn report(
        &mut self,
        channel: ChannelId,
        at: At,
        (shown, possible): (&Move, bool),
        rules: &LedgerRules,
        orders: &mut Vec<Order>,
    ) {
        if !possible {
            if !std::mem::replace(&mut self.told.priced_out, true) {
                orders.push(Order::Report(Report::PricedOut { channel }));
            }
            return;
        }
        let blocks = self.posted.deadline().ms_since(at.time) / rules.block_step_ms_max.max(1);
        if blocks < TOWER_LATE_STEPS && !std::mem::replace(&mut self.told.late, true) {
            orders.push(Order::Report(Report::Late { channel, blocks }));
        }
        if !std::mem::replace(&mut self.told.contested, true) {
            let closing = &self.posted.closing;
            let posted = closing.posted_version;
            let shows = shown.state.as_ref().map_or(closing.state.version, |state| state.state.version);
            let penalized = shown.proof.is_some();
            orders.push(Order::Report(Report::Contested { channel, posted, shown: shows, penalized }));
        }
    }
}

impl LedgerRules {
    const fn place(&self) -> Place<'_> {
        Place { chain: self.chain, params: &self.params, asset: towpath_ledger::AssetId::NATIVE }
    }

    /// The part of a dispute that this closing is: with the proof if that can be paid for, else without; `None` if nothing can.
    fn part(&self, case: &Case, shown: &Move, sponsor: Sponsor) -> Option<Part> {
        let (place, overhead) = (self.place(), overhead(&self.place()));
        let full = Part::new(&place, &case.posted, shown.clone())?;
        if sponsor == Sponsor::Yes || full.pays_for_itself(overhead) {
            return Some(full);
        }
        let less = Part::new(&place, &case.posted, shown.without_proof()?)?;
        less.pays_for_itself(overhead).then_some(less)
    }

    fn finalize(&self, posted: &Posted) -> Option<Transaction> {
        let place = Place { asset: posted.asset, ..self.place() };
        settle::finalize(&place, posted.outpoint, &posted.closing).ok()
    }
}
