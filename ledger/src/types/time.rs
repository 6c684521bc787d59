//! Ledger time.

use bincode::{Decode, Encode};

/// Ledger time in milliseconds since the Unix epoch: set by block proposers, strictly rising (DESIGN 3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Default, Debug)]
pub struct Time(pub u64);

impl Time {
    /// This time and `ms` milliseconds; stops at the largest time, which is never reached.
    #[must_use]
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`, zero if that is later.
    #[must_use]
    pub const fn ms_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ms", self.0)
    }
}
