//! Watchtowers, pure: what a party gives away so that others can answer a close while it is offline, what a tower keeps
//! of it, and what a tower does when a close appears (SPEC T-n, `docs/spec/tower.md`).
//!
//! | part | decides |
//! |---|---|
//! | [`Record`] | what is kept for a party of a channel, sealed so that only a posted state's tag opens it |
//! | [`TowerMessage`] | what a tower and its clients say to each other |
//! | [`Tower`] | a tower: |
//! | [`Service`] | its shelf: one record for each client and locator, replaced by newer ones only, within quotas |
//! | [`Watch`] | its answers: which closings it can contest, with what, in which transactions |
//! | [`Client`] | a client's books: which tower has acknowledged which version, and what goes out next |
//!
//! None of them reads a clock, a disk or a socket: the shell brings rows, blocks, messages and time, and carries out
//! what comes back. A tower's own rows are durable before the receipts that follow from them are sent.

mod books;
mod client;
mod dispute;
mod machine;
mod message;
mod record;
mod service;
mod shelf;
mod watch;

pub use books::{Fault, Health, Standings};
pub use client::{Client, News};
pub use dispute::{Dispute, Posted};
pub use machine::{Serving, Sighting, Tower};
pub use message::{Entry, Outcome, Quota, Receipt, Refusal, TowerMessage};
pub use record::{Locator, RECORD_BYTES, Record, RecordError, Sealed, Sequence, Slot};
pub use service::{Quotas, Service, Usage};
pub use shelf::{Read, Row, Shelf, ShelfError, Standing};
pub use watch::{At, LedgerRules, Order, Report, Sponsor, Watch};

/// What towers read from bytes, but for their messages.
pub(crate) fn decoders() -> Vec<towpath_crypto::codec::Readable> {
    let read = |bytes: &[u8]| shelf::Key::parse(bytes).map(shelf::Key::bytes);
    let key =
        towpath_crypto::codec::Readable { name: "towpath_protocol::tower::shelf::Key", limit: 65, read };
    let mut all = towpath_crypto::readable![1_024 => shelf::Kept, shelf::Account, Record];
    all.push(key);
    all
}

#[cfg(test)]
mod golden_tests;
