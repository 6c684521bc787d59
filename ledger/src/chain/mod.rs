//! Blocks: who decides them, how they are made, when they are valid, and what they change (SPEC B-1 to B-25). Pure.
//!
//! The rules of single transactions are `rules`'; in which order blocks are decided is the consensus crate's; how effects
//! reach a disk is the store's.

mod apply;
mod build;
mod certificate;
mod effects;
mod error;
mod execute;
mod params;
mod time;
mod validators;
mod vote;

#[cfg(test)]
mod tests;

pub use apply::{NoneVerified, Tip, Verified};
pub use build::{Built, Candidate, Candidates, Dropped, Proposal, build_block};
pub use certificate::{CertificateError, CommitCertificate, SignedVote, double_signers};
pub use effects::{BlockEffects, TransactionResult};
pub use error::BlockError;
pub use execute::{Checks, execute_block};
pub use params::{BlockParams, ChainParams};
pub use time::{Pace, next_time, travel_time};
pub use validators::{Validator, ValidatorError, ValidatorSet};
pub use vote::{Vote, VoteKind};
