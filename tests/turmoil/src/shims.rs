//! Time and chance of the whole process, as the seed has them. Every crate reads both through two functions of C, and the
//! linker takes the ones of this file: so libp2p, the standard library's maps and our own code need no door for it.
//!
//! Only a process that runs one world turns this on; until then the system answers. One thread runs a world.

#![expect(
    unsafe_code,
    reason = "two functions of C are replaced; the pointers are the caller's, as with the system's own"
)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use towpath_sim::genesis::GENESIS_MS;

/// What the steady clock shows when a world begins, in nanoseconds: long enough after zero to subtract from.
const BEGIN_NS: u64 = 100_000_000_000_000;

static IS_ON: AtomicBool = AtomicBool::new(false);

/// What the steady clock shows outside of all hosts.
static OUTSIDE_NS: AtomicU64 = AtomicU64::new(BEGIN_NS);

/// What chance draws next.
static CHANCE: AtomicU64 = AtomicU64::new(0);

/// The moment at which the steady clock showed [`BEGIN_NS`].
static BEGIN: OnceLock<Instant> = OnceLock::new();

/// From now on this process is in the world of `seed`.
pub fn begin(seed: u64) {
    CHANCE.store(towpath_sim::rng::Rng::new(seed).draw(), Ordering::Relaxed);
    IS_ON.store(true, Ordering::SeqCst);
    BEGIN.get_or_init(Instant::now);
}

/// The world is so old now, for everybody who is not within a host.
pub fn set_elapsed(elapsed: Duration) {
    OUTSIDE_NS.store(BEGIN_NS.saturating_add(nanos(elapsed)), Ordering::Relaxed);
}

/// How old the world is, to the host that asks or outside of all.
pub fn elapsed() -> Duration {
    Duration::from_nanos(steady_ns().saturating_sub(BEGIN_NS))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Within a host its runtime's clock counts, which stands still but for turmoil's ticks.
fn steady_ns() -> u64 {
    let Some(begin) = BEGIN.get() else { return BEGIN_NS };
    if tokio::runtime::Handle::try_current().is_err() {
        return OUTSIDE_NS.load(Ordering::Relaxed);
    }
    let since = tokio::time::Instant::now().into_std().saturating_duration_since(*begin);
    BEGIN_NS.saturating_add(nanos(since))
}

/// As C's.
///
/// # Safety
/// `time` can be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    if !IS_ON.load(Ordering::Relaxed) {
        // SAFETY: the caller's pointer, handed on to the system.
        let done = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
        return libc::c_int::try_from(done).unwrap_or(-1);
    }
    let mut shown_ns = steady_ns();
    if clock == libc::CLOCK_REALTIME || clock == libc::CLOCK_REALTIME_COARSE {
        shown_ns = shown_ns.saturating_sub(BEGIN_NS).saturating_add(GENESIS_MS.saturating_mul(1_000_000));
    }
    let shown = libc::timespec {
        tv_sec: libc::time_t::try_from(shown_ns / 1_000_000_000).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::try_from(shown_ns % 1_000_000_000).unwrap_or(0),
    };
    // SAFETY: the caller's pointer can be written to.
    unsafe { time.write(shown) };
    0
}

/// As C's.
///
/// # Safety
/// So many bytes can be written to `buffer`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut libc::c_void, length: usize, flags: libc::c_uint) -> isize {
    if !IS_ON.load(Ordering::Relaxed) {
        // SAFETY: the caller's pointer, handed on to the system.
        let done = unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) };
        return isize::try_from(done).unwrap_or(-1);
    }
    if length == 0 {
        return 0;
    }
    // SAFETY: the caller's pointer can be written to for so many bytes, and they are written before they are read.
    let bytes = unsafe {
        buffer.cast::<u8>().write_bytes(0, length);
        std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
    };
    for chunk in bytes.chunks_mut(8) {
        let place = CHANCE.fetch_add(1, Ordering::Relaxed);
        let drawn =
            towpath_sim::rng::Rng::new(place.wrapping_mul(0xd134_2543_de82_ef95)).draw().to_le_bytes();
        chunk.copy_from_slice(&drawn[..chunk.len()]);
    }
    isize::try_from(length).unwrap_or(isize::MAX)
}
