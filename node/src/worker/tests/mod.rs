//! Workers against peers that lie, fall silent or want too much, and against a ledger that is busy or forgets.

mod board;
mod callers;
pub(crate) mod closes;
mod copies;
mod hellos;
mod many;
mod once;
mod openings;
mod resizes;
mod together;
pub(crate) mod town;
