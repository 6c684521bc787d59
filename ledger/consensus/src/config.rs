//! How long the engine waits for what.

use std::time::Duration;

use arc_malachitebft_core_types::LinearTimeouts;
use towpath_crypto::ChainId;

use crate::limits;

/// The engine's settings. All validators of a chain should use the same; differing ones cost rounds, never safety.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// The ledger, part of everything that is signed.
    pub chain: ChainId,
    /// How long to wait for a proposal in round 0.
    pub propose: Duration,
    /// How long to wait for the remaining votes, once a quorum has voted without agreeing, in round 0.
    pub vote: Duration,
    /// By how much each wait grows with each round.
    pub step: Duration,
    /// How often a node that is stuck in a round sends its last messages again.
    pub rebroadcast: Duration,
    /// The least time between two blocks.
    pub interval_min: Duration,
    /// The time after which a block is made though no transaction waits: half of the ledger's `max_block_step`.
    pub heartbeat: Duration,
    /// How often a node says what it has decided.
    pub status: Duration,
    /// How long to wait for an answer to a sync request; also how long a node that is one block behind waits for the
    /// votes before it asks.
    pub sync: Duration,
    /// A number that differs from run to run, so that a restarted node's messages differ from those that the network
    /// may still remember and drop as duplicates. It needs no secrecy: the start time will do.
    pub session: u64,
}

impl Config {
    /// For validators within a millisecond or so of each other: tests, one machine, one rack.
    #[must_use]
    pub const fn lan(chain: ChainId) -> Self {
        Self {
            chain,
            propose: Duration::from_millis(600),
            vote: Duration::from_millis(200),
            step: Duration::from_millis(200),
            rebroadcast: Duration::from_millis(800),
            interval_min: Duration::from_millis(100),
            heartbeat: Duration::from_secs(5),
            status: Duration::from_secs(1),
            sync: Duration::from_millis(500),
            session: 0,
        }
    }

    /// For validators on several continents.
    #[must_use]
    pub const fn wan(chain: ChainId) -> Self {
        Self {
            chain,
            propose: Duration::from_millis(2_000),
            vote: Duration::from_millis(700),
            step: Duration::from_millis(500),
            rebroadcast: Duration::from_millis(2_500),
            interval_min: Duration::from_millis(500),
            heartbeat: Duration::from_secs(15),
            status: Duration::from_secs(3),
            sync: Duration::from_secs(3),
            session: 0,
        }
    }

    /// The same for the core.
    pub(crate) const fn timeouts(&self) -> LinearTimeouts {
        LinearTimeouts {
            propose: self.propose,
            propose_delta: self.step,
            prevote: self.vote,
            prevote_delta: self.step,
            precommit: self.vote,
            precommit_delta: self.step,
            rebroadcast: self.rebroadcast,
            max_timeout: limits::TIMEOUT,
        }
    }
}
