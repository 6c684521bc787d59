//! What the ledger is made of. Each type here has one encoding, part of the format (`docs/FORMAT.md`).

mod block;
mod channel;
mod lock;
mod pending;
mod text;
mod time;
mod transaction;
mod usable;
mod witness;

#[cfg(test)]
mod golden_tests;

pub use block::{Block, BlockId, Header};
pub use channel::{
    ChannelId, ChannelState, ChannelTag, ChannelTerms, CloseAnswer, CloseIntent, CoSigned, Party,
    ResizeIntent, SignedState, StateClaim, StateSignature,
};
pub use lock::{
    AssetId, Closing, Condition, Conditional, Deadline, Lock, Multisig, Output, Payout, Timelock,
};
pub use pending::PendingPayment;
pub use text::AddressError;
pub use time::Time;
pub use towpath_crypto::{Amount, ChainId, Digest};
pub use transaction::{Entry, OutPoint, Payload, Secret, Spend, Transaction, TxBody, TxId};
pub use usable::LockFault;
pub use witness::Witness;
