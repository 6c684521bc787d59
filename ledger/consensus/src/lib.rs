//! Towpath's consensus: orders the ledger's blocks among validators of which less than a third may be faulty.
//!
//! The algorithm is Tendermint, as the core of Malachite implements it. Everything around it is here: what is signed
//! and how it is encoded, the log that keeps a validator from signing twice, validity, catching up, pacing, bounds. The
//! rules are in `docs/spec/consensus.md` (N-1 …), the bytes in `docs/format/consensus.md`.
//!
//! [`Engine`] is a state machine without I/O: inputs are method calls, effects are [`Output`]s, time and blocks come
//! in as values. It rests on two traits, the ledger ([`Host`]) and the log ([`Wal`]). What the simulator runs is what
//! the node runs.

mod admit;
mod body;
mod catch_up;
mod config;
mod context;
mod convert;
mod decoders;
mod engine;
mod env;
mod error;
mod evidence;
mod follow;
mod guard;
mod host;
mod keys;
mod later;
pub mod limits;
mod log;
mod output;
mod seen;
mod sync_wire;
mod timers;
mod vote;
pub mod wire;

pub use config::Config;
pub use decoders::decoders;
pub use engine::{Engine, Progress};
pub use error::{EngineError, Fault, HostError, LogError, Signed};
pub use evidence::{Evidence, EvidenceError, SignedClaim};
pub use follow::answer_sync;
pub use host::{Check, Decided, Host, Tip, Validity, Wal};
pub use output::{
    Blame, Decision, GossipVerdict, Gossiped, Output, PeerChange, PeerId, SyncFailure, SyncReply,
};
pub use sync_wire::{DecidedBlock, SyncRequest, SyncResponse};
pub use vote::ProposalClaim;
