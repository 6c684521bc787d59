//! What must never be: each invariant of the search has a kind, so that a search which is meant to find one says which.

/// An invariant that does not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub kind: Kind,
    pub detail: String,
}

/// Which invariant (FAULTS section 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// I1: the ledger's funds do not add up.
    Supply,
    /// I2: the machine's own invariants.
    Machine,
    /// I3: a state by which the channel can be settled leaves less than the party was told it has.
    Told,
    /// I3: the settlement paid less than that.
    PaidLess,
    /// I4: one key, two contents for one version.
    TwoContents,
    /// I6: an honest party was penalized.
    Penalized,
    /// A payment was reported as settled, failed or received, and the settlement, or a later report, says otherwise.
    Report,
    /// A cheat that the honest party can prove went without its penalty.
    Unpunished,
    /// The ledger refuses what an honest machine posts in time.
    OrderRefused,
    /// The ledger took a dispute after the deadline.
    LateDispute,
    /// The ledger took a state of one generation in another.
    Generation,
    /// What was written can't be read.
    Restore,
    /// One honest party blames another.
    Blamed,
    /// Two honest parties that can talk do not come to rest with the same state.
    Stuck,
    /// An alarm that no honest party should ever raise.
    Alarm,
}

impl Violation {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

/// Nothing, or a violation of this kind.
pub fn must(holds: bool, kind: Kind, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(kind, detail())) }
}
