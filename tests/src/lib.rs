//! End-to-end tests over real processes. They stand in `tests/`; `kit` is what they share.

pub mod cheat;
pub mod kit;
