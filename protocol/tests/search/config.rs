//! What is searched: who is honest, what is in the channel, how much of each kind of event there may be.

use towpath_ledger::Amount;
use towpath_protocol::Change;

/// Which signatures are made and verified.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crypto {
    /// A keyed hash.
    Fast,
    /// Ed25519.
    Real,
}

/// Who sits at one end of the channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The shipped machine.
    Honest,
    /// Anybody who has the key: it says and posts whatever it can make of the signatures that were ever released.
    Adversary,
}

/// Which penalty the ledger knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PenaltyRule {
    /// The shipped one: for whoever signed that it held more than it posted.
    Shipped,
    /// The one that robs honest parties: for whoever posted less than another can show.
    Naive,
}

/// What a crash does to the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Disk {
    /// Keeps what was written.
    Keeps,
    /// May lose the last write of the row with `held` and the mark, although it was reported as synced.
    Loses,
}

/// How many events a turn may have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turns {
    One,
    Two,
}

/// Which orders of events are gone through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walks {
    /// Of those that are known to lead to the same worlds, one (see `reduce.rs`).
    Reduced,
    /// All.
    All,
}

/// Which fees an adversary takes, and an honest party pays for its close.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fees {
    /// None.
    Nothing,
    /// None, or as much as the rules allow.
    Both,
}

/// How much of each kind may still happen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Budget {
    /// Payments, by payer.
    pub pays: [u8; 2],
    /// Wishes about the role, and changes of whether payments are accepted.
    pub wishes: u8,
    /// Wishes to close together.
    pub closes: u8,
    /// Wishes to close alone.
    pub forces: u8,
    /// Sessions.
    pub sessions: u8,
    /// Crashes.
    pub crashes: u8,
    /// Messages that arrive twice.
    pub duplicates: u8,
    /// Copies for the tower; none: the party is always back before the deadline.
    pub copies: u8,
    /// Resizes, by who proposes them: the wishes of an honest party; whether an adversary offers any.
    pub resizes: [u8; 2],
    /// How often the ledger's time passes the expiry of the resizes that were offered until then.
    pub expiries: u8,
}

/// One search.
#[derive(Clone, Debug)]
pub struct Config {
    pub name: &'static str,
    pub crypto: Crypto,
    pub roles: [Role; 2],
    /// First balances.
    pub balances: [u64; 2],
    pub reserve: u64,
    /// Each party's bound on ledger fees; also what an honest party pays for its close or answer, and an adversary burns.
    pub fee_max: u64,
    /// The adversary proposes, and the trace of a search stays within, so many versions.
    pub versions_max: u64,
    pub budget: Budget,
    pub penalty: PenaltyRule,
    pub disk: Disk,
    pub turns: Turns,
    pub fees: Fees,
    /// What a resize may do to the balance of who proposes it.
    pub changes: &'static [Change],
    /// Whether every order of events is gone through, those that are known to lead nowhere else, too.
    pub walks: Walks,
}

/// More than all payments, and as little as one that is never made: a balance tells which resizes are in it.
pub const TOP_UP: Change = Change::Add(Amount(128));
pub const PAY_OUT: Change = Change::PayOut(Amount(8));

impl Config {
    /// An honest A against an adversary B.
    pub fn duel(name: &'static str, budget: Budget) -> Self {
        Self {
            name,
            crypto: Crypto::Fast,
            roles: [Role::Honest, Role::Adversary],
            balances: [40, 24],
            reserve: 0,
            fee_max: 4,
            versions_max: 4,
            budget,
            penalty: PenaltyRule::Shipped,
            disk: Disk::Keeps,
            turns: Turns::One,
            fees: Fees::Nothing,
            changes: &[],
            walks: Walks::Reduced,
        }
    }

    /// The honest party is B: it starts as the follower.
    pub fn against_a(mut self) -> Self {
        self.roles = [Role::Adversary, Role::Honest];
        self
    }

    /// Two honest parties; only the network, crashes and the order of blocks are against them.
    pub fn pair(name: &'static str, budget: Budget) -> Self {
        Self { roles: [Role::Honest, Role::Honest], ..Self::duel(name, budget) }
    }

    /// Whether one of the seats is an adversary's.
    pub fn has_adversary(&self) -> bool {
        self.roles.contains(&Role::Adversary)
    }

    /// Whether worlds are left out (see `reduce.rs`).
    pub fn reduces(&self) -> bool {
        self.has_adversary() && self.walks == Walks::Reduced
    }

    pub fn capacity(&self) -> u64 {
        self.balances[0] + self.balances[1]
    }
}
