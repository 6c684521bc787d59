//! Known bugs of a channel's machine, of openings, recoveries and watchtowers, put back one at a time so that a test can
//! show that they are found (docs/reports/canaries.md). Only the feature `canaries` makes them: nothing that is
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
    /// A funding of another amount than was agreed makes the channel active.
    FundingUnverified,
    /// An acceptance is said before it is written.
    AcceptanceNotWritten,
    /// Of two payments of one amount in one version only one is told as received.
    EqualTakenForOne,
    /// A proof that data was lost is passed over, and the channel goes on with what is there.
    LossNotBelieved,
    /// After a loss of data a peer's word is taken that is older than what others have shown.
    LessIsTaken,
    /// A recovery goes on right above what is known, where the lost data may have signed.
    RecoversTooLow,
    /// A tower acknowledges a newer record and keeps the older one.
    TowerKeepsOlder,
    /// A tower submits its answer once, and never again.
    TowerTriesOnce,
    /// A tower takes records without looking at their signatures.
    TowerBelievesForgeries,
    /// A tower shows the newer state, and not that the author knew it.
    TowerShowsNoProof,
    /// One receipt is enough, however many towers were to have a state.
    FirstReceiptConfirms,
    /// Payments get into versions while a resize is under way.
    PaysDuringResize,
    /// Payments go on in a generation that a signed resize may end.
    ResizeDoesNotWait,
    /// A resize counts as expired while it can still become final.
    ResizeGivenUpEarly,
}

#[cfg(feature = "canaries")]
impl Canary {
    /// Those that sit in the machines themselves, so that whoever runs these can let them sing.
    pub const OF_MACHINES: [Self; 28] = [
        Self::ClaimNotWritten,
        Self::VersionUsedAgain,
        Self::RefusedFailsAtOnce,
        Self::ProposedAgainFailsAtOnce,
        Self::BurntNotWritten,
        Self::BurntAckCounts,
        Self::ReserveIgnored,
        Self::HandoverDoesNotWait,
        Self::ReceivedWhenProposed,
        Self::SessionTakesBack,
        Self::AdoptsAfterClose,
        Self::SignsAfterClose,
        Self::AgreesToOld,
        Self::FeeUnchecked,
        Self::UnaskedIsSigned,
        Self::FundingUnverified,
        Self::AcceptanceNotWritten,
        Self::EqualTakenForOne,
        Self::LossNotBelieved,
        Self::LessIsTaken,
        Self::RecoversTooLow,
        Self::TowerKeepsOlder,
        Self::TowerTriesOnce,
        Self::TowerBelievesForgeries,
        Self::TowerShowsNoProof,
        Self::FirstReceiptConfirms,
        Self::PaysDuringResize,
        Self::ResizeGivenUpEarly,
    ];
}

#[cfg(feature = "canaries")]
mod cage {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};

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

    /// What fails when `run` is run with this bug: the words of the first panic, in one line; none if nothing does.
    pub fn what_hears(canary: Canary, run: impl FnOnce()) -> Option<String> {
        let panic = catch_unwind(AssertUnwindSafe(|| let_sing(canary, run))).err()?;
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("something");
        Some(said.chars().take(160).collect::<String>().replace('\n', " "))
    }

    /// Whether the machine, or its driver, has this bug.
    pub fn sings(canary: Canary) -> bool {
        SINGING.get() == Some(canary)
    }
}

#[cfg(feature = "canaries")]
pub use cage::{let_sing, sings, what_hears};

/// Never.
#[cfg(not(feature = "canaries"))]
pub(crate) const fn sings(_: Canary) -> bool {
    false
}
