//! The node's clock: the system's, moved forward where a network for tests travels in time.
//!
//! Time that is measured (time-outs, intervals, latencies) is never moved.
//!
//! Whoever steps a node by hand (the simulator) steps its time, too: for the thread that does so, and for no other.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use towpath_ledger::Time;

/// By how much this process is ahead of the system's clock, in milliseconds.
static AHEAD_MS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// The time of the node that this thread steps by hand.
    static STEPPED: Cell<Option<Stepped>> = const { Cell::new(None) };
}

/// The time of a node that is stepped by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stepped {
    /// What its clock shows, in milliseconds since 1970; it may jump.
    pub clock_ms: u64,
    /// Milliseconds that have passed for it; never fewer than before.
    pub passed_ms: u64,
}

/// From now on this thread's time is that of a node that is stepped by hand.
pub(crate) fn step_to(time: Stepped) {
    STEPPED.set(Some(time));
}

/// What `work` leads to, unless it takes longer than `most`. In a node that is stepped by hand that is its own time, and
/// it is looked at whenever the node's tasks go on.
pub(crate) async fn within<W: Future>(most: Duration, work: W) -> Option<W::Output> {
    if STEPPED.get().is_none() {
        return tokio::time::timeout(most, work).await.ok();
    }
    let until = instant() + most;
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if instant() >= until => Poll::Ready(None),
        Poll::Pending => {
            context.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
}

fn system_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970, as this node counts them.
#[must_use]
pub fn now_ms() -> u64 {
    match STEPPED.get() {
        Some(time) => time.clock_ms,
        None => system_ms().saturating_add(AHEAD_MS.load(Ordering::Relaxed)),
    }
}

/// The moment, for time that is measured.
#[must_use]
pub fn instant() -> Instant {
    /// What moments of nodes that are stepped by hand count from.
    static BEGINNING: OnceLock<Instant> = OnceLock::new();
    match STEPPED.get() {
        Some(time) => *BEGINNING.get_or_init(Instant::now) + Duration::from_millis(time.passed_ms),
        None => Instant::now(),
    }
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
