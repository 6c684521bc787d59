//! What a seed is about. Each draws its own mix (swarm testing, Groce et al. 2012): a world with everything at once hides
//! what only shows when something is absent.

use crate::rng::Rng;

/// A minute, in milliseconds.
pub const MINUTE_MS: u64 = 60_000;

/// How a peer misbehaves.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Vice {
    /// It leaves out some of what it should say.
    Withholds,
    /// It says again what it said long ago.
    Replays,
    /// It changes bytes of what it says.
    Garbles,
    /// It refuses proposals, and acknowledges them all the same.
    Burns,
    /// It closes with an old state.
    ClosesStale,
    /// It starts again on an old copy of its disk.
    Rewinds,
    /// It falls silent for good.
    Vanishes,
    /// A validator: it signs a second vote beside its own, and says one to some and the other to others.
    VotesTwice,
    /// A validator: it signs a second block beside the one that it proposes.
    ProposesTwice,
    /// A validator: it proposes blocks that do not lead where they say.
    ProposesInvalid,
    /// A validator: it hears of no transactions, and votes against the blocks of others.
    Censors,
    /// A validator: it says nothing for a while.
    KeepsSilent,
}

impl Vice {
    /// Those of a party of channels.
    pub const ALL: [Self; 7] = [
        Self::Withholds,
        Self::Replays,
        Self::Garbles,
        Self::Burns,
        Self::ClosesStale,
        Self::Rewinds,
        Self::Vanishes,
    ];

    /// Those of a validator.
    pub const OF_VALIDATORS: [Self; 5] =
        [Self::VotesTwice, Self::ProposesTwice, Self::ProposesInvalid, Self::Censors, Self::KeepsSilent];
}

/// What happens in a world, and how often. Times are in milliseconds, shares in thousandths; a mean of zero is never.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many nodes.
    pub nodes: usize,
    /// How many of them decide blocks: the first ones.
    pub validators: usize,
    /// How long faults and work go on.
    pub work_ms: u64,
    /// Workers of each node.
    pub workers: usize,
    /// The dispute window of all channels.
    pub window_ms: u64,
    /// The shortest and the longest time that a message takes.
    pub delay_ms: (u64, u64),
    /// Gossip and block requests that are lost.
    pub loss: u64,
    /// Gossip that comes twice.
    pub duplicates: u64,
    /// Mean time between broken sessions.
    pub break_ms: u64,
    /// Mean time between cuts of a link.
    pub cut_ms: u64,
    /// Whether a cut may be of one direction.
    pub one_way: bool,
    /// The shortest and the longest time that a sync takes.
    pub sync_ms: (u64, u64),
    /// Mean time between crashes.
    pub crash_ms: u64,
    /// Whether crashes come in the middle of writes, too.
    pub torn: bool,
    /// Mean time between writes that fail.
    pub disk_error_ms: u64,
    /// Mean time between jumps of clocks.
    pub jump_ms: u64,
    /// The longest that a node is away at a time.
    pub away_ms: u64,
    /// How long a node waits before it looks around by itself.
    pub idle_ms: u64,
    /// Mean time between wishes of callers.
    pub work_gap_ms: u64,
    /// Wishes that are openings and closes, of those that could be.
    pub churn: u64,
    /// Whether channels are paid by both sides.
    pub dual: bool,
    /// Whether nodes that no one pays through are watchtowers of the others.
    pub towers: bool,
    /// The last node's vices; none if it is honest.
    pub vices: Vec<Vice>,
}

impl Plan {
    /// What `rng` draws.
    #[must_use]
    pub fn draw(rng: &mut Rng) -> Self {
        let validators = if rng.chance(120) { 4 } else { 1 };
        let nodes = usize::max(validators, 2 + rng.index(3));
        let some = |rng: &mut Rng, share: u64, low: u64, high: u64| {
            let drawn = rng.between(low, high);
            if rng.chance(share) { drawn } else { 0 }
        };
        let mut vices = Vec::new();
        if rng.chance(400) {
            vices.extend(Vice::ALL.into_iter().filter(|_| rng.chance(350)));
        }
        // There is at least one honest peer for the one that is not, and a ledger that it does not decide alone.
        let nodes = if vices.is_empty() { nodes } else { nodes.max(validators + 1).max(3) };
        let slow = rng.chance(250);
        let window_ms = rng.between(10, 40) * MINUTE_MS;
        let mut plan = Self {
            nodes,
            validators,
            work_ms: rng.between(60, 75) * MINUTE_MS,
            workers: 1 + rng.index(2),
            window_ms,
            delay_ms: if slow { (50, 1_500) } else { (1, rng.between(5, 200)) },
            loss: some(rng, 500, 1, 300),
            duplicates: some(rng, 300, 1, 300),
            break_ms: some(rng, 600, 30_000, 20 * MINUTE_MS),
            cut_ms: some(rng, 400, MINUTE_MS, 30 * MINUTE_MS),
            one_way: rng.chance(500),
            sync_ms: if rng.chance(200) { (1, 2_000) } else { (1, rng.between(2, 40)) },
            crash_ms: some(rng, 700, MINUTE_MS, 30 * MINUTE_MS),
            torn: rng.chance(500),
            disk_error_ms: some(rng, 200, 5 * MINUTE_MS, 40 * MINUTE_MS),
            jump_ms: some(rng, 300, MINUTE_MS, 20 * MINUTE_MS),
            away_ms: rng.between(1_000, window_ms / 8),
            idle_ms: rng.between(500, 4_000),
            work_gap_ms: rng.between(2_000, 40_000),
            churn: rng.between(5, 80),
            dual: rng.chance(300),
            towers: rng.chance(300),
            vices,
        };
        // Drawn last: a world without it is what it was before there were such validators.
        if rng.chance(70) {
            plan.corrupt_a_validator(rng);
        }
        plan
    }

    /// Of four validators the last one is the rogue: as many as may be.
    fn corrupt_a_validator(&mut self, rng: &mut Rng) {
        (self.validators, self.nodes) = (4, 4);
        let first = rng.index(Vice::OF_VALIDATORS.len());
        let vices = Vice::OF_VALIDATORS.into_iter().enumerate();
        self.vices.extend(vices.filter(|(at, _)| *at == first || rng.chance(400)).map(|(_, vice)| vice));
    }

    /// The node that is not honest, if there is one.
    #[must_use]
    pub fn rogue(&self) -> Option<usize> {
        (!self.vices.is_empty()).then(|| self.nodes - 1)
    }
}
