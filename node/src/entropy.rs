//! Random bytes: the system's. Whoever steps a node by hand (the simulator) gives them, too, for the thread that does so,
//! or no seed would lead to the same world twice.

use std::cell::Cell;

use towpath_crypto::hash::sha256;

thread_local! {
    /// What is drawn next in the nodes that this thread steps by hand.
    static STEPPED: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on what this thread draws follows from `seed`.
pub(crate) fn step_from(seed: u64) {
    STEPPED.set(Some(seed));
}

/// So many bytes that nobody can foresee.
pub(crate) fn draw() -> [u8; 32] {
    let Some(seed) = STEPPED.get() else { return rand::random() };
    STEPPED.set(Some(seed.wrapping_add(1)));
    sha256(&seed.to_le_bytes()).0
}
