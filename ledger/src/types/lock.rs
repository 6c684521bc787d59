//! Outputs and the closed set of rules that lock them.

use bincode::{Decode, Encode};
use towpath_crypto::hash::digest;
use towpath_crypto::schnorr::WalletKey;
use towpath_crypto::{Amount, Digest, Domain, codec};

use super::channel::{ChannelState, ChannelTerms, Party};
use super::time::Time;

/// An asset. The native one, in which fees are paid, is zero; others are hashes of their issuance.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug, Default)]
pub struct AssetId(pub Digest);

impl AssetId {
    /// The asset in which fees are paid.
    pub const NATIVE: Self = Self(Digest::ZERO);
}

/// Value under a lock.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Output {
    /// Which asset.
    pub asset: AssetId,
    /// How much of it.
    pub amount: Amount,
    /// Who may spend it, and how.
    pub lock: Lock,
}

/// The rules under which an output is spent: a closed set, not a script language.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Lock {
    /// Wallet keys.
    Wallet(Payout),
    /// An open channel; `amount` is its capacity.
    Channel(Box<ChannelTerms>),
    /// A channel that one party is closing alone.
    Closing(Box<Closing>),
    /// A conditional payment that outlived its channel.
    Conditional(Box<Conditional>),
}

/// A lock that wallet signatures open; what channels pay out to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub enum Payout {
    /// One key.
    Key(WalletKey),
    /// `required` of several keys.
    Multisig(Multisig),
    /// One key, not before a time.
    Timelock(Timelock),
}

/// `required` of `keys` sign; the keys are sorted and distinct.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Multisig {
    /// How many must sign; at least one, at most all.
    pub required: u8,
    /// Who may sign, ascending and distinct.
    pub keys: Vec<WalletKey>,
}

/// A key that can spend from a block time on.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Timelock {
    /// The first block time at which it can be spent.
    pub not_before: Time,
    /// Who spends it then.
    pub key: WalletKey,
}

/// When a dispute window ends.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode, Debug)]
pub enum Deadline {
    /// One dispute window after the block that creates this output: its poster cannot know that block's time.
    FromCreation,
    /// At this time; what a supersede or penalize writes, because the deadline never moves.
    At(Time),
}

/// A channel that is being closed alone.
#[derive(Clone, PartialEq, Eq, Encode, Decode, Debug)]
pub struct Closing {
    /// The channel's terms, unchanged.
    pub terms: ChannelTerms,
    /// The channel's capacity, before fees were taken.
    pub capacity: Amount,
    /// The newest state shown so far.
    pub state: ChannelState,
    /// The version that the author posted. Whoever supersedes raises `state`, never this: what the author knew is
    /// measured against what it posted itself (DESIGN 4, `held`).
    pub posted_version: u64,
    /// Who signed the close; the only one who can be penalized.
    pub author: Party,
    /// Until when it can be answered.
    pub deadline: Deadline,
    /// Whether the author was proven to have closed with a state that it knew to be replaced.
    pub penalized: bool,
    /// Ledger fees taken so far out of the author's balance.
    pub author_fees: Amount,
    /// Ledger fees taken so far out of the other party's balance.
    pub other_fees: Amount,
}

impl Closing {
    /// When its window ends, if the block that made its output has time `created`.
    #[must_use]
    pub const fn deadline(&self, created: Time) -> Time {
        match self.deadline {
            Deadline::FromCreation => created.plus_ms(self.terms.dispute_window_ms),
            Deadline::At(time) => time,
        }
    }
}

/// What makes a conditional payment the payee's.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Debug)]
pub enum Condition {
    /// Whoever knows `x` with `SHA-256(x)` equal to this.
    Hash(Digest),
    /// Whoever knows the discrete logarithm of this x-only secp256k1 point.
    Point(WalletKey),
}

impl Condition {
    /// The key under which its secret is recorded (`View::secret_time`, the state tree): a hash lock and a point lock
    /// with the same 32 bytes have different ones.
    #[must_use]
    pub fn key(&self) -> Digest {
        digest(Domain::StateKey, &[b"secret", &codec::encode(self)])
    }
}

/// A conditional payment on the ledger: the payee's if the secret was recorded at or before `expiry`, else the payer's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Conditional {
    /// What the payee must have revealed.
    pub condition: Condition,
    /// Until when, in ledger time.
    pub expiry: Time,
    /// Paid if it was.
    pub payee: Payout,
    /// Paid if it was not.
    pub payer: Payout,
}
