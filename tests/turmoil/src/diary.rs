//! What happens in the world of this process: hashed as it happens, and counted.

use std::cell::RefCell;
use std::collections::BTreeMap;

use towpath_sim::trace::Trace;

use crate::shims;

/// The running hash, and how often what happened, by name.
#[derive(Default)]
struct Diary {
    trace: Trace,
    counts: BTreeMap<&'static str, u64>,
}

thread_local! {
    static DIARY: RefCell<Diary> = RefCell::default();
}

/// One more step: what it was, at which node, and its bytes.
pub fn note(what: &str, node: usize, bytes: &[u8]) {
    let now_ms = u64::try_from(shims::elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::trace!(now_ms, what, node, bytes = bytes.len());
    DIARY.with_borrow_mut(|diary| diary.trace.step(what, now_ms, node, bytes));
}

/// One more of these.
pub fn count(name: &'static str) {
    counts(name, 1);
}

/// So many more of these.
pub fn counts(name: &'static str, more: u64) {
    DIARY.with_borrow_mut(|diary| *diary.counts.entry(name).or_default() += more);
}

/// The hash so far, how many steps it covers, and the counts.
pub fn so_far() -> (String, u64, BTreeMap<&'static str, u64>) {
    DIARY.with_borrow(|diary| (diary.trace.digest(), diary.trace.steps, diary.counts.clone()))
}
