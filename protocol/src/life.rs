//! The life cycle: which state may follow which, in one table.

use bincode::{Decode, Encode};

/// Where a channel stands.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum Life {
    /// Both hold version 1; the funding is not final on this node's own replica.
    Opening,
    /// Funded: it carries payments.
    Active,
    /// No new updates.
    Closing(ClosingStage),
    /// A closing on the ledger is contested.
    Disputed,
    /// Over.
    Settled(Settlement),
}

/// How far a close is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum ClosingStage {
    /// What is open is being settled.
    Draining,
    /// This party has signed final balances.
    Finishing,
    /// Both have: a cooperative close can be posted.
    Agreed,
    /// One party closes alone.
    Unilateral,
}

/// How a channel ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum Settlement {
    /// The funding never came, and can't any more.
    NeverFunded,
    /// Both signed final balances.
    Cooperative,
    /// One closed, and nobody contested.
    Unilateral,
    /// An older state was replaced by a newer one, without blame.
    Resolved,
    /// The author of a close knew better, and paid for it.
    Penalized,
}

impl Life {
    /// The transition table (SPEC P-20): whether `next` may follow.
    #[must_use]
    pub const fn may_become(self, next: Self) -> bool {
        use ClosingStage::{Agreed, Draining, Finishing, Unilateral};
        use Settlement::NeverFunded;
        match (self, next) {
            (Self::Opening, Self::Active | Self::Settled(NeverFunded)) => true,
            (Self::Active, Self::Closing(Draining | Finishing | Agreed | Unilateral) | Self::Disputed) => {
                true
            }
            (Self::Closing(Draining), Self::Closing(Finishing | Agreed | Unilateral) | Self::Disputed) => {
                true
            }
            // A final state can't be refused: there is no way back to settling what is open.
            (Self::Closing(Finishing), Self::Closing(Agreed | Unilateral) | Self::Disputed) => true,
            (Self::Closing(Agreed), Self::Closing(Unilateral) | Self::Disputed) => true,
            (Self::Closing(Unilateral), Self::Disputed) => true,
            (Self::Active | Self::Closing(_) | Self::Disputed, Self::Settled(outcome)) => {
                !matches!(outcome, NeverFunded)
            }
            (Self::Opening, _)
            | (Self::Active, Self::Opening | Self::Active)
            | (Self::Closing(_) | Self::Disputed, Self::Opening | Self::Active | Self::Closing(_))
            | (Self::Disputed, Self::Disputed)
            | (Self::Settled(_), _) => false,
        }
    }

    /// Whether updates are possible: new ones when active, those that wait while draining.
    #[must_use]
    pub const fn carries_updates(self) -> bool {
        matches!(self, Self::Active | Self::Closing(ClosingStage::Draining | ClosingStage::Finishing))
    }
}

#[cfg(test)]
mod tests {
    use super::ClosingStage::{Agreed, Draining, Finishing, Unilateral};
    use super::Life::{self, Active, Closing, Disputed, Opening, Settled};
    use super::Settlement;

    const ENDS: [Settlement; 4] =
        [Settlement::Cooperative, Settlement::Unilateral, Settlement::Resolved, Settlement::Penalized];

    /// Every life there is.
    fn all() -> Vec<Life> {
        let settled = ENDS.into_iter().chain([Settlement::NeverFunded]).map(Settled);
        let closing = [Draining, Finishing, Agreed, Unilateral].map(Closing);
        [Opening, Active, Disputed].into_iter().chain(closing).chain(settled).collect()
    }

    /// The rows of SPEC P-20, without the settlements, which every row but the last has.
    fn row(from: Life) -> &'static [Life] {
        match from {
            Opening => &[Active],
            Active => {
                &[Closing(Draining), Closing(Finishing), Closing(Agreed), Closing(Unilateral), Disputed]
            }
            Closing(Draining) => &[Closing(Finishing), Closing(Agreed), Closing(Unilateral), Disputed],
            Closing(Finishing) => &[Closing(Agreed), Closing(Unilateral), Disputed],
            Closing(Agreed) => &[Closing(Unilateral), Disputed],
            Closing(Unilateral) => &[Disputed],
            Disputed | Settled(_) => &[],
        }
    }

    #[test]
    fn p20_the_table_has_these_transitions_and_no_other() {
        for from in all() {
            for to in all() {
                let follows = match (from, to) {
                    (Settled(_), _) => false,
                    (Opening, Settled(end)) => end == Settlement::NeverFunded,
                    (_, Settled(end)) => ENDS.contains(&end),
                    (_, _) => row(from).contains(&to),
                };
                assert_eq!(from.may_become(to), follows, "{from:?} to {to:?}");
            }
        }
    }

    #[test]
    fn p20_updates_are_signed_only_while_nothing_final_was_agreed_or_posted() {
        for life in all() {
            let carries = [Active, Closing(Draining), Closing(Finishing)].contains(&life);
            assert_eq!(life.carries_updates(), carries, "{life:?}");
        }
    }
}
