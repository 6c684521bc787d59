//! What happened, counted: faults by kind, and the work that was done under them. A kind that never fires in a long run
//! shows nothing, so the report says so.

use std::collections::BTreeMap;

/// A kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// A process was killed; what was not synced is lost.
    Crash,
    /// A process was killed with turns that were not synced: they are lost.
    CrashUnsynced,
    /// The machine stopped before a write reached the disk, after it, or after its anchor.
    CrashAtWrite,
    /// A write or a sync failed, and the process ended itself.
    DiskError,
    /// A channel session broke, and lost what was on its way.
    SessionBroken,
    /// A link was cut in both directions.
    Cut,
    /// A link carried nothing in one direction.
    OneWay,
    /// Gossip or a block request was lost.
    Loss,
    /// Gossip came twice.
    Duplicate,
    /// Gossip overtook what was sent before it.
    Reordered,
    /// A node's clock jumped forward.
    ClockAhead,
    /// A node's clock jumped back.
    ClockBack,
    /// No validator quorum was there: the ledger stood still.
    LedgerHalt,
    /// See [`crate::plan::Vice::Withholds`].
    Withheld,
    /// See [`crate::plan::Vice::Replays`].
    Replayed,
    /// See [`crate::plan::Vice::Garbles`].
    Garbled,
    /// See [`crate::plan::Vice::Burns`].
    Burnt,
    /// See [`crate::plan::Vice::ClosesStale`].
    StaleClose,
    /// See [`crate::plan::Vice::Rewinds`].
    Rewound,
    /// See [`crate::plan::Vice::Vanishes`].
    Vanished,
    /// See [`crate::plan::Vice::VotesTwice`].
    SecondVote,
    /// See [`crate::plan::Vice::ProposesTwice`].
    SecondBlock,
    /// See [`crate::plan::Vice::ProposesInvalid`].
    InvalidBlock,
    /// See [`crate::plan::Vice::Censors`].
    Censored,
    /// See [`crate::plan::Vice::KeepsSilent`].
    Silence,
}

impl Fault {
    /// All kinds.
    pub const ALL: [Self; 25] = [
        Self::Crash,
        Self::CrashUnsynced,
        Self::CrashAtWrite,
        Self::DiskError,
        Self::SessionBroken,
        Self::Cut,
        Self::OneWay,
        Self::Loss,
        Self::Duplicate,
        Self::Reordered,
        Self::ClockAhead,
        Self::ClockBack,
        Self::LedgerHalt,
        Self::Withheld,
        Self::Replayed,
        Self::Garbled,
        Self::Burnt,
        Self::StaleClose,
        Self::Rewound,
        Self::Vanished,
        Self::SecondVote,
        Self::SecondBlock,
        Self::InvalidBlock,
        Self::Censored,
        Self::Silence,
    ];

    /// As the report calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::CrashUnsynced => "crash with unsynced turns",
            Self::CrashAtWrite => "crash in the middle of a write",
            Self::DiskError => "failed write or sync",
            Self::SessionBroken => "broken session",
            Self::Cut => "partition",
            Self::OneWay => "one-way partition",
            Self::Loss => "lost message",
            Self::Duplicate => "duplicated message",
            Self::Reordered => "reordered message",
            Self::ClockAhead => "clock jumps forward",
            Self::ClockBack => "clock jumps back",
            Self::LedgerHalt => "ledger halt",
            Self::Withheld => "rogue withholds",
            Self::Replayed => "rogue replays",
            Self::Garbled => "rogue garbles",
            Self::Burnt => "rogue burns a version",
            Self::StaleClose => "rogue closes with an old state",
            Self::Rewound => "rogue starts from an old disk",
            Self::Vanished => "rogue vanishes",
            Self::SecondVote => "rogue validator votes twice",
            Self::SecondBlock => "rogue validator proposes two blocks",
            Self::InvalidBlock => "rogue validator proposes an invalid block",
            Self::Censored => "rogue validator censors",
            Self::Silence => "rogue validator says nothing",
        }
    }
}

/// A kind of work that was done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Work {
    /// A payment was asked for.
    Asked,
    /// Its caller was told that it is settled.
    Settled,
    /// Its caller was told that it was not made.
    Failed,
    /// A call was repeated under its key after a crash.
    Repeated,
    /// A channel was opened.
    Opened,
    /// A channel was settled together.
    ClosedTogether,
    /// A channel was settled after a unilateral close.
    ClosedAlone,
    /// A channel was settled with a penalty.
    Penalized,
    /// A block was decided.
    Block,
    /// A transaction was decided.
    Transaction,
}

impl Work {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::Asked,
        Self::Settled,
        Self::Failed,
        Self::Repeated,
        Self::Opened,
        Self::ClosedTogether,
        Self::ClosedAlone,
        Self::Penalized,
        Self::Block,
        Self::Transaction,
    ];

    /// As the report calls it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "payments asked for",
            Self::Settled => "payments settled",
            Self::Failed => "payments refused or failed",
            Self::Repeated => "calls repeated after a crash",
            Self::Opened => "channels opened",
            Self::ClosedTogether => "channels closed together",
            Self::ClosedAlone => "channels closed alone",
            Self::Penalized => "channels closed with a penalty",
            Self::Block => "blocks",
            Self::Transaction => "transactions",
        }
    }
}

/// See the module.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    faults: BTreeMap<Fault, u64>,
    work: BTreeMap<Work, u64>,
}

impl Tally {
    /// A fault.
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// Work.
    pub fn work(&mut self, work: Work) {
        self.works(work, 1);
    }

    /// So much work.
    pub fn works(&mut self, work: Work, count: u64) {
        *self.work.entry(work).or_default() += count;
    }

    /// How often a fault was injected.
    #[must_use]
    pub fn faults(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }

    /// How much work was done.
    #[must_use]
    pub fn done(&self, work: Work) -> u64 {
        self.work.get(&work).copied().unwrap_or(0)
    }

    /// The same of another world.
    pub fn add(&mut self, other: &Self) {
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (work, count) in &other.work {
            *self.work.entry(*work).or_default() += count;
        }
    }
}
