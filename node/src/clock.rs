//! The node's clock: the system's, moved forward where a network for tests travels in time.
//!
//! Time that is measured (time-outs, intervals, latencies) is never moved.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use towpath_ledger::Time;

/// By how much this process is ahead of the system's clock, in milliseconds.
static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

fn system_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970, as this node counts them.
#[must_use]
pub fn now_ms() -> u64 {
    system_ms().saturating_add(AHEAD_MS.load(Ordering::Relaxed))
}

/// The same, as ledger time.
#[must_use]
pub fn now() -> Time {
    Time(now_ms())
}

/// Moves the clock forward so that it shows at least `target`; never back. All threads see it from their next look on.
/// Only for ledgers that allow it (SPEC B-7a): the caller has checked that.
pub fn travel_to(target: Time) {
    AHEAD_MS.fetch_max(target.0.saturating_sub(system_ms()), Ordering::Relaxed);
}
