//! What befalls the disk of a machine, in both layers.

use towpath_store::{CrashPoint, MemoryDisk, StoreError};

use crate::rng::Rng;

/// The machine stops in the middle of one of its next writes: before it reaches the disk, after it, or after its anchor.
pub fn stop_in_a_write(disk: &MemoryDisk, rng: &mut Rng) {
    let nth = 1 + rng.below(3);
    let point = match rng.below(3) {
        0 => CrashPoint::BeforeWrite(nth),
        1 => CrashPoint::AfterWrite(nth),
        _ => CrashPoint::AfterAnchor(nth),
    };
    disk.crash_at(point);
}

/// One of its next writes fails, or the sync of one.
pub fn fail_a_write(disk: &MemoryDisk, rng: &mut Rng) {
    let nth = 1 + rng.below(4);
    let error = if rng.chance(500) {
        StoreError::DiskFull { action: "writing" }
    } else {
        StoreError::Poisoned { cause: "a sync failed".to_owned() }
    };
    disk.fail_write(nth, error);
}
