//! The two-party channel: one machine, one door ([`Channel::step`]), a file for each part of what it decides.

mod answer;
mod check;
mod close;
mod command;
mod follow;
mod funding;
mod machine;
mod onchain;
mod outgoing;
mod propose;
mod rebuild;
mod recover;
mod reestablish;
mod renew;
mod resize;
mod resize_answer;
mod restore;
mod resume;
mod sequence;
mod state;
mod turn;
mod view;

pub use check::Broken;
pub use machine::Channel;
pub use rebuild::Origin;
pub use state::{Held, Turnholder};
pub use view::{ResizeView, View};

pub(crate) use state::{Fixed, Lost, OpenProposal, Plan, Posted, Resizing, Witnesses};

#[cfg(test)]
pub(crate) use state::Burnt;
