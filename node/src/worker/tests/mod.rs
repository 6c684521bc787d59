//! Workers against peers that lie, fall silent or want too much, and against a ledger that is busy or forgets.

mod board;
mod callers;
mod closes;
mod copies;
mod hellos;
mod many;
mod once;
mod openings;
mod together;
mod town;
