//! Signatures that cost one hash and protect nothing: anybody can make them. Simulated worlds use them by the thousand
//! (docs/reports/simulation.md), where what is tried is what the nodes do with signatures, and not the curves.
//!
//! Only the feature `quick-signatures` compiles them, and then only `quickly` makes a thread use them. Without the
//! feature both questions below are a constant `None`, and the program refuses to compile with it (`cli/src/main.rs`).

/// Whether this build has them.
pub const COMPILED: bool = cfg!(feature = "quick-signatures");

#[cfg(feature = "quick-signatures")]
mod switch {
    use std::cell::Cell;

    use sha2::{Digest as _, Sha256};

    thread_local! {
        static ON: Cell<bool> = const { Cell::new(false) };
    }

    /// Switches back, also when what ran panics.
    struct Back(bool);

    impl Drop for Back {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }

    /// Runs `run` with quick signatures in whatever this thread signs and verifies.
    pub fn quickly<R>(run: impl FnOnce() -> R) -> R {
        let _back = Back(ON.replace(true));
        run()
    }

    fn make(key: &[u8; 32], message: &[u8]) -> [u8; 64] {
        let hash =
            Sha256::new().chain_update(b"towpath/quick-signature").chain_update(key).chain_update(message);
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&hash.finalize());
        bytes
    }

    /// The signature for `key`, if this thread makes quick ones.
    pub(crate) fn signature(key: &[u8; 32], message: &[u8]) -> Option<[u8; 64]> {
        ON.get().then(|| make(key, message))
    }

    /// Whether `signature` is the one for `key`, if this thread makes quick ones.
    pub(crate) fn verdict(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Option<bool> {
        ON.get().then(|| *signature == make(key, message))
    }

    /// Whether this thread makes quick ones.
    pub(crate) fn is_on() -> bool {
        ON.get()
    }
}

#[cfg(feature = "quick-signatures")]
pub use switch::quickly;
#[cfg(feature = "quick-signatures")]
pub(crate) use switch::{is_on, signature, verdict};

#[cfg(not(feature = "quick-signatures"))]
mod shipped {
    pub(crate) const fn signature(_: &[u8; 32], _: &[u8]) -> Option<[u8; 64]> {
        None
    }

    pub(crate) const fn verdict(_: &[u8; 32], _: &[u8], _: &[u8; 64]) -> Option<bool> {
        None
    }

    pub(crate) const fn is_on() -> bool {
        false
    }
}

#[cfg(not(feature = "quick-signatures"))]
pub(crate) use shipped::{is_on, signature, verdict};
