//! The auditor: what must hold after every step, by a second and simpler model of the whole. It knows outputs and sums, who
//! was told what, and what each node has durably said of its channels; it knows nothing of how nodes get there.

use std::collections::{BTreeMap, VecDeque};

use towpath_crypto::{Amount, Digest};
use towpath_ledger::genesis::Genesis;
use towpath_ledger::{BlockId, ChannelId, Party};
use towpath_node::stepped::Wired;
use towpath_protocol::{Channel, Life};

use crate::books::{Books, Ending};
use crate::promises::Promises;
use crate::tally::{Tally, Work};
use crate::violation::{Violation, must};

/// What an answer with a state and a proof costs, in base units, rounded up. Who has less can't answer: its fee would take all
/// that it wins (docs/decisions/close-fees.md).
const ANSWER_COSTS: Amount = Amount(1_024);

/// What a node has durably said of a channel.
#[derive(Clone, Copy, Default, Debug)]
struct Said {
    /// The newest version that it held.
    version: u64,
    /// The number of its newest payment that is settled.
    settled: u64,
    /// Payments to it, and their sum.
    received: (u64, u64),
    /// The least that it has by any state by which the channel can be settled.
    floor: Amount,
    /// Whether the channel is over for it.
    is_over: bool,
    /// Whether it was ever funded, as far as it knows: one that never was may be forgotten.
    was_funded: bool,
}

/// A channel as a node knows it after a step.
struct Thought {
    version: u64,
    settled: u64,
    received: Option<(u64, u64)>,
    floor: Option<Amount>,
    is_over: bool,
    is_funded: bool,
}

impl Thought {
    fn of(process: &Wired, channel: &Channel) -> Self {
        let view = channel.view();
        let shown = process.parts().board.get(&channel.id());
        Self {
            version: view.version,
            settled: view.sent,
            received: shown.map(|shown| (shown.received.payments, shown.received.total)),
            floor: channel.possible_balances().min(),
            is_over: matches!(view.life, Life::Settled(_)),
            is_funded: channel.funding().is_some(),
        }
    }
}

/// All channels of a node after a step, durable once so many of its writes are.
struct Thoughts {
    place: u64,
    channels: Vec<(ChannelId, Thought)>,
}

/// What callers were told of a channel, from one of its sides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// What this side paid.
    pub sent: u64,
    /// What it was paid; none if nobody whose word counts says so.
    pub received: Option<u64>,
}

/// See the module.
pub struct Auditor {
    genesis: Genesis,
    /// The ledger, as the auditor counts it.
    pub books: Books,
    /// What honest nodes signed.
    pub promises: Promises,
    ids: Vec<BlockId>,
    heights: Vec<u64>,
    said: BTreeMap<(usize, ChannelId), Said>,
    /// What each node thinks and may not have written.
    thoughts: BTreeMap<usize, VecDeque<Thoughts>>,
    /// What a node had said when its process ended.
    remembered: BTreeMap<(usize, ChannelId), Said>,
    tips: BTreeMap<usize, u64>,
    rogue: Option<usize>,
}

impl Auditor {
    /// An auditor of so many machines on this ledger, one of which may not be honest.
    #[must_use]
    pub fn new(nodes: usize, genesis: Genesis, rogue: Option<usize>) -> Self {
        let (said, remembered, thoughts) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let heights = vec![0; nodes];
        Self {
            genesis,
            books: Books::default(),
            promises: Promises::default(),
            ids: Vec::new(),
            heights,
            said,
            thoughts,
            remembered,
            tips: BTreeMap::new(),
            rogue,
        }
    }

    /// Whether a node is.
    #[must_use]
    pub fn is_honest(&self, node: usize) -> bool {
        self.rogue != Some(node)
    }

    /// Looks at a node after a step of it.
    ///
    /// # Errors
    /// What does not hold.
    pub fn look_at(&mut self, process: &Wired, node: usize) -> Result<(), Violation> {
        // What a rogue does is done to what its machines say and read: they themselves stay whole, also on an old disk.
        for channel in process.workers().channels() {
            channel.check().map_err(|broken| {
                Violation::new("I2 a channel is whole", format!("node {node}, {}: {broken}", channel.id()))
            })?;
        }
        if !self.is_honest(node) {
            return Ok(());
        }
        let (written, waiting) = (process.written(), process.unwritten());
        self.believe(node, written);
        self.look_at_chain(process, node)?;
        let thoughts = self.thoughts.entry(node).or_default();
        let place = written + waiting;
        if thoughts.back().is_none_or(|last| last.place < place) {
            let channels = process.workers().channels();
            let channels = channels.map(|channel| (channel.id(), Thought::of(process, channel))).collect();
            thoughts.push_back(Thoughts { place, channels });
        }
        self.believe(node, written);
        Ok(())
    }

    /// What a node thought is what it has to stand by from when it is written: it may have said so then, though more waits
    /// to be written.
    fn believe(&mut self, node: usize, written: u64) {
        let Some(thoughts) = self.thoughts.get_mut(&node) else { return };
        while let Some(durable) = thoughts.pop_front_if(|first| first.place <= written) {
            for (channel, thought) in durable.channels {
                let said = self.said.entry((node, channel)).or_default();
                said.version = thought.version;
                said.settled = thought.settled;
                said.is_over = thought.is_over;
                said.was_funded |= thought.is_funded;
                said.floor = thought.floor.unwrap_or(said.floor);
                said.received = thought.received.unwrap_or(said.received);
            }
        }
    }

    /// New blocks of its replica: the same as everybody's, and one after the other.
    fn look_at_chain(&mut self, process: &Wired, node: usize) -> Result<(), Violation> {
        let chain = &process.parts().chain;
        let tip = chain.tip().height();
        let unreadable = |error: towpath_store::StoreError| {
            Violation::new("a replica can be read", format!("node {node}: {error}"))
        };
        if self.ids.is_empty() {
            self.books.begin(&self.genesis, chain).map_err(unreadable)?;
            let first = chain.header(0).map_err(unreadable)?;
            self.ids.push(first.map_or(BlockId(Digest::ZERO), |header| header.id()));
        }
        for height in self.heights[node] + 1..=tip {
            let place = usize::try_from(height).unwrap_or(usize::MAX);
            let header = chain.header(height).map_err(unreadable)?;
            let id = header.map_or(BlockId(Digest::ZERO), |header| header.id());
            if let Some(known) = self.ids.get(place) {
                must(*known == id, "I5 replicas agree", || {
                    format!("node {node} has {id} at height {height}, others {known}")
                })?;
                continue;
            }
            let block = chain.block(height).map_err(unreadable)?;
            let block = block.ok_or_else(|| {
                Violation::new("I5 replicas agree", format!("node {node} has no block {height}"))
            })?;
            self.ids.push(id);
            let endings = self.books.apply(&block)?;
            for ending in endings {
                self.judge(&ending)?;
            }
        }
        self.heights[node] = self.heights[node].max(tip);
        self.tips.insert(node, tip);
        Ok(())
    }

    /// A channel was settled: nobody honest has less than by any state that it had to reckon with, or is penalized.
    fn judge(&self, ending: &Ending) -> Result<(), Violation> {
        for ((node, channel), said) in &self.said {
            if *channel != ending.channel || said.is_over {
                continue;
            }
            let Some(party) = self.books.party_of(*node, channel) else { continue };
            let has = ending.state.balance(party);
            must(has >= said.floor || said.floor < ANSWER_COSTS, "I3 nobody honest loses", || {
                let (floor, version) = (said.floor.units(), ending.state.version);
                format!(
                    "node {node}, {channel}: settled by version {version} with {} of at least {floor}; it held {}",
                    has.units(),
                    said.version
                )
            })?;
            must(ending.penalized != Some(party), "I6 nobody honest is penalized", || {
                format!("node {node} is, in {channel}")
            })?;
        }
        Ok(())
    }

    /// A node's process ends: what it said is remembered.
    pub fn remember(&mut self, node: usize) {
        self.thoughts.remove(&node);
        let said = self.said.iter().filter(|((of, _), _)| *of == node);
        let said: Vec<_> = said.map(|(key, said)| (*key, *said)).collect();
        self.remembered.extend(said);
    }

    /// A node has started: it has everything that it had promised.
    ///
    /// # Errors
    /// What it lost.
    pub fn compare(&mut self, process: &Wired, node: usize) -> Result<(), Violation> {
        if !self.is_honest(node) {
            return Ok(());
        }
        let (tip, before) =
            (process.parts().chain.tip().height(), self.tips.get(&node).copied().unwrap_or(0));
        must(tip >= before, "I5 a decided block stays", || {
            format!("node {node} was at height {before} and starts at {tip}")
        })?;
        must(process.workers().damaged.is_empty(), "I7 nothing that was promised is lost", || {
            format!("node {node} cannot restore {:?}", process.workers().damaged)
        })?;
        for ((of, channel), before) in &self.remembered {
            if *of != node {
                continue;
            }
            let lost = |what: String| {
                Violation::new(
                    "I7 nothing that was promised is lost",
                    format!("node {node}, {channel}: {what}"),
                )
            };
            let Some(held) = process.workers().channel(channel) else {
                if before.is_over || !before.was_funded {
                    continue;
                }
                return Err(lost("the channel is gone".to_owned()));
            };
            let view = held.view();
            if view.version < before.version || view.sent < before.settled {
                return Err(lost(format!(
                    "version {} of {}, settled {} of {}",
                    view.version, before.version, view.sent, before.settled
                )));
            }
            let received = process.parts().board.get(channel).map_or(0, |shown| shown.received.payments);
            if received < before.received.0 {
                return Err(lost(format!("{received} of {} received payments", before.received.0)));
            }
        }
        Ok(())
    }

    /// What the ledger did.
    pub fn count(&self, tally: &mut Tally) {
        tally.works(Work::Block, u64::try_from(self.ids.len()).unwrap_or(0));
        tally.works(Work::Transaction, self.books.transactions);
        tally.works(Work::ClosedTogether, self.books.together);
        tally.works(Work::ClosedAlone, self.books.alone);
        tally.works(Work::Penalized, self.books.penalized);
    }

    /// How many blocks there are, as far as anybody has shown.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.ids.len()
    }

    /// What a node has in a channel, or got out of it, is what it and its callers were told.
    ///
    /// # Errors
    /// What does not add up.
    pub fn account(
        &self,
        process: &Wired,
        node: usize,
        channel: &ChannelId,
        told: Told,
    ) -> Result<(), Violation> {
        let Some(held) = process.workers().channel(channel) else {
            // An opening that the peer did not finish, or that was never paid for, left nothing here.
            if !self.books.has(channel) || !self.said.contains_key(&(node, *channel)) {
                return Ok(());
            }
            return Err(Violation::new(
                "I7 nothing that was promised is lost",
                format!("node {node}: {channel}"),
            ));
        };
        let life = held.life();
        if life == Life::Settled(towpath_protocol::Settlement::NeverFunded) {
            return Ok(());
        }
        let received = told
            .received
            .unwrap_or_else(|| process.parts().board.get(channel).map_or(0, |shown| shown.received.total));
        let should = i128::from(held.brought().units()) + i128::from(received) - i128::from(told.sent);
        let (has, what) = match self.books.ending(channel) {
            Some(ending) => (i128::from(ending.state.balance(held.me()).units()), "was settled with"),
            None => (i128::from(held.held().co_signed_balance(held.me())), "holds"),
        };
        // Against a rogue, who has less than its answer costs may lose that.
        let holds = match (told.received, self.books.ending(channel)) {
            (Some(_), _) => has == should,
            (None, Some(_)) => has >= should || should < i128::from(ANSWER_COSTS.units()),
            (None, None) => has >= should,
        };
        must(holds, "the account adds up", || {
            format!(
                "node {node}, {channel} ({life:?}) {what} {has}; brought {}, was told {received} received and {} sent: \
                 {should}",
                held.brought().units(),
                told.sent
            )
        })
    }
}

/// The balance of a held state.
trait Balance {
    fn co_signed_balance(&self, party: Party) -> u64;
}

impl Balance for towpath_protocol::Held {
    fn co_signed_balance(&self, party: Party) -> u64 {
        self.content.state.balance(party).units()
    }
}
