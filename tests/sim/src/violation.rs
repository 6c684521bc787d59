//! Something that must hold, and does not.

/// What was broken, where and when.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Which invariant: an id of FAULTS section 3, or a word.
    pub invariant: &'static str,
    /// What is wrong.
    pub detail: String,
    /// In virtual milliseconds since the beginning.
    pub at_ms: u64,
}

impl Violation {
    /// One, not placed in time yet.
    #[must_use]
    pub fn new(invariant: &'static str, detail: impl Into<String>) -> Self {
        Self { invariant, detail: detail.into(), at_ms: 0 }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (hours, minutes) = (self.at_ms / 3_600_000, self.at_ms / 60_000 % 60);
        let (seconds, millis) = (self.at_ms / 1_000 % 60, self.at_ms % 1_000);
        write!(f, "{} at {hours}:{minutes:02}:{seconds:02}.{millis:03}: {}", self.invariant, self.detail)
    }
}

/// Checks a claim.
///
/// # Errors
/// The violation, if it does not hold.
pub fn must(holds: bool, invariant: &'static str, detail: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(Violation::new(invariant, detail())) }
}
