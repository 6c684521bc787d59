//! Where a fault can be injected into a store, for tests (FAULTS S1, S6, S7). A node opens its store without.

use crate::error::StoreError;

/// A step of a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WritePoint {
    /// The database is about to be written.
    Write,
    /// The database was written and synced.
    Written,
    /// The anchor is about to be written.
    Anchor,
    /// The anchor was written and synced.
    Anchored,
}

/// Decides which steps fail.
pub trait Faults: Send + Sync {
    /// Called at each step. An error takes the place of the step's own result; a test may also end the process here.
    ///
    /// # Errors
    /// The injected failure.
    fn at(&self, point: WritePoint) -> Result<(), StoreError>;
}
