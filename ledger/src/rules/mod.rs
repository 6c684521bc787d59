//! The rules: whether a transaction is valid after some block, and what it changes. Pure; `docs/spec/ledger.md` numbers
//! them (SPEC L-, C-). Order within a block, and blocks themselves, are `chain`'s.

mod apply;
pub mod audit;
mod channel;
mod demands;
mod error;
mod form;
mod lane;
mod params;
mod secrets;
mod signature;
mod value;
mod wallet;

#[cfg(test)]
mod tests;

pub use apply::{BlockContext, Changes, Signatures, apply_transaction, signatures};
pub use channel::{Account, ChannelFault, StateFault, TermsFault, check_state, check_terms};
pub use error::{PayloadFault, TxError, WalletFault};
pub use form::{Form, check_form};
pub use lane::{Evidence, Lane, Penalty};
pub use params::{Params, ParamsError};
pub use signature::{SignatureCheck, Signed};
