//! Known bugs of a channel's machine, put back one at a time so that a test can show that the random schedules and the
//! exhaustive search find them (docs/reports/canaries.md). Only the feature `canaries` makes them: nothing that is
//! shipped enables it, and without it [`sings`] is false when the program is compiled.

/// A bug that can be put back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Canary {
    /// The driver speaks before it writes (the harness of the schedules asks for this one).
    #[cfg(feature = "canaries")]
    SpokenBeforeWritten,
    /// A claim is told of, and not written.
    ClaimNotWritten,
    /// The number of a burnt version is used again, for another content.
    VersionUsedAgain,
    /// A refused payment has failed at once, while its burnt version can still be completed.
    RefusedFailsAtOnce,
    /// A payment that no longer applies when it is proposed again has failed at once.
    ProposedAgainFailsAtOnce,
    /// A burnt version is not written as burnt.
    BurntNotWritten,
    /// An acknowledgement of a burnt version counts.
    BurntAckCounts,
    /// A payment may take what the reserve sets aside.
    ReserveIgnored,
    /// Who proposed to hand the role over goes on proposing.
    HandoverDoesNotWait,
    /// The proposer is told of a payment when it proposes it.
    ReceivedWhenProposed,
    /// The beginning of a session takes back what is held, if the peer shows less.
    SessionTakesBack,
    /// What the peer holds is taken in after a close was posted.
    AdoptsAfterClose,
    /// States are signed after a close was posted.
    SignsAfterClose,
    /// The peer's old state is agreed to although a newer one is held.
    AgreesToOld,
    /// A close's fee is not checked against what its turn left.
    FeeUnchecked,
    /// The follower signs payments of its own that it did not ask for.
    UnaskedIsSigned,
}

#[cfg(feature = "canaries")]
mod cage {
    use std::cell::Cell;

    use super::Canary;

    thread_local! {
        static SINGING: Cell<Option<Canary>> = const { Cell::new(None) };
    }

    /// Silences the canary, also when the test that let it sing panics.
    struct Silence;

    impl Drop for Silence {
        fn drop(&mut self) {
            SINGING.set(None);
        }
    }

    /// Runs `run` with this bug in every machine of the thread.
    pub fn let_sing<R>(canary: Canary, run: impl FnOnce() -> R) -> R {
        SINGING.set(Some(canary));
        let _silence = Silence;
        run()
    }

    /// Whether the machine, or its driver, has this bug.
    pub fn sings(canary: Canary) -> bool {
        SINGING.get() == Some(canary)
    }
}

#[cfg(feature = "canaries")]
pub use cage::{let_sing, sings};

/// Never.
#[cfg(not(feature = "canaries"))]
pub(crate) const fn sings(_: Canary) -> bool {
    false
}
