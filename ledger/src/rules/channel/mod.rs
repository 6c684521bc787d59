//! Channels on the ledger: opening, closing, disputing, settling, resizing (SPEC C-).
//!
//! Each file decides one step; all of them only read the spent entry and add to the transaction's `Demands`.

mod account;
mod close;
mod dispute;
mod fault;
mod pending;
mod resize;
mod settle;
mod spot;
mod state;
mod terms;

pub use account::Account;
pub use fault::{ChannelFault, StateFault, TermsFault};
pub use state::check_state;
pub use terms::check_terms;

pub(super) use close::{cooperative_channel, cooperative_closing, unilateral};
pub(super) use dispute::{penalize, supersede};
pub(super) use pending::resolve;
pub(super) use resize::resize;
pub(super) use settle::{Answer, answer, finalize};
pub(super) use spot::{Registry, Spot};
pub(super) use terms::check_opening;
