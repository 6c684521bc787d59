//! The channel protocol, pure: two parties, one state, and nothing that an honest one can lose.
//!
//! # The door
//! [`Channel::step`] takes an [`Event`] (a message, a command, a report of the wallet or the ledger, a session that
//! begins or ends) and the time, and returns an [`Outcome`]: rows to make durable, and effects to run **after** that.
//! All events but [`Event::TurnEnd`] return an empty outcome: they only change the machine in memory. `TurnEnd` signs,
//! at most one acknowledgement and as few proposals as the turn's payments need, and returns everything.
//!
//! # A driver's turn
//! 1. Keep a clone of each channel that has events (it is cheap).
//! 2. Step every event with a [`Deferred`] verifier. A [`Reject`] leaves the channel as it was; its
//!    [`Reject::severity`] says what to do about the peer, and a command's reject is its answer.
//! 3. Verify what `Deferred` collected, for all channels as one batch. If the batch fails, check each channel's own; put
//!    back the clones of those that fail, and step their events again with [`Immediate`]. (Only now act on rejects.)
//! 4. Step [`Event::TurnEnd`] for each.
//! 5. Write all rows of all outcomes, synced, in one batch, **together with the node's own record of the facts** among
//!    the effects ([`Effect::is_fact`]): they are not reported again after a crash.
//! 6. Run the effects, in order.
//!
//! A turn is also due at [`Channel::next_deadline_ms`], and for openings and resizes ([`Channel::awaits_block`]) whenever a
//! block was applied.
//! Ledger events are stepped before `TurnEnd` of the turn whose [`Now::ledger`] includes their block.
//!
//! # From nothing to a channel
//! A: [`Offer::new`], send [`Offer::message`]; [`Offer::on_accept`] makes the [`Channel`].
//! B: [`Acceptance::new`] (its outcome stores and sends); [`Acceptance::on_message`] makes the [`Channel`].
//! Many by one transaction: [`Offer::agreed`] for each, and [`Agreed::sign`] when the [`Batch`] says so.
//! Then `TurnEnd` on the new channel. Both ask their wallets by effects ([`Effect::Fund`] or [`Effect::SignFunding`]),
//! and become active when their own replica shows the funding ([`LedgerEvent::Funded`]).
//!
//! # After a restart
//! [`Channel::restore`] from the rows, then a `TurnEnd`; `Event::Connected` when the peer is there. The driver reports
//! again what the ledger shows of each channel (its output, its closing): repeated reports do no harm.
//!
//! The rules are numbered in `docs/spec/channel.md`; the rows and messages are in `docs/format/channel.md`.

pub mod limits;
pub mod tower;

mod accepts;
mod batch;
#[cfg(feature = "canaries")]
pub mod canary;
#[cfg(not(feature = "canaries"))]
mod canary;
mod channel;
mod decoders;
mod effect;
mod epoch;
mod error;
mod event;
#[cfg(test)]
mod golden_tests;
mod journal;
mod life;
mod message;
mod opening;
mod row;
mod signer;
mod update;
mod verify;

/// Whether this is what users are given: no known bug was compiled in to be found.
pub const AS_SHIPPED: bool = !cfg!(feature = "canaries");

pub use accepts::{Accepts, Unacceptable};
pub use batch::{Batch, BatchEvent, BatchOrder, LeftOut, Share};
pub use channel::{Broken, Channel, Held, Origin, ResizeView, Turnholder, View};
pub use decoders::decoders;
pub use effect::{Alarm, Effect, Failure, Online, Outcome, ResizeFailure, Row};
pub use epoch::{Epoch, Hello, Rival, Standing};
pub use error::{Reject, RestoreError, Severity};
pub use event::{Command, Event, LedgerEvent, Now, Pacing, Receive, RecoveryEvent, Token};
pub use journal::{ChannelEvent, EventKind, Journal, VersionSummary};
pub use life::{ClosingStage, Life, Settlement};
pub use message::{
    Accept, Ack, Answer, Change, ChannelMessage, Decline, DeclineReason, Evidence, Funding, FundingInput,
    Jump, MESSAGE_VERSION, Message, Open, OpenId, Propose, Recover, Reestablish, Refuse, RefuseReason,
    Refused, Request, Resize, ResizeAgreed, ResizePlan, Resume, Role, Route, WalletWitness,
};
pub use opening::{Acceptance, Agreed, Bounds, Contribution, Identity, Offer};
pub use signer::{KeySigner, Mark, SignError, StateSigner};
pub use update::{Content, Transfer, Update, UpdateError};
pub use verify::{Deferred, Immediate, Verifier};
