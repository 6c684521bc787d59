//! The rules: whether a transaction is valid after some block, and what it changes. Pure; `docs/spec/ledger.md` numbers
//! them (SPEC L-, C-). Order within a block, and blocks themselves, are `chain`'s.

mod apply;
mod demands;
mod error;
mod form;
mod params;
mod secrets;
mod signature;
mod value;
mod wallet;

pub use apply::{BlockContext, Changes, Lane, Signatures, apply_transaction, signatures};
pub use error::{LockFault, PayloadFault, TxError, WalletFault};
pub use form::{Form, check_form};
pub use params::{Params, ParamsError};
pub use signature::{SignatureCheck, Signed};
