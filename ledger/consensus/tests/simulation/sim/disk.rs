//! A node's disk: its chain and its consensus log, with writes that fail or fall into a crash. The chain is the
//! simplest ledger that can be cheated: each block names its parent, and bytes of its state root say what is wrong with
//! it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use towpath_consensus::{Check, Decided, Evidence, Host, HostError, LogError, Tip, Validity, Wal};
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::{ChainId, Digest};
use towpath_ledger::chain::{CommitCertificate, ValidatorSet};
use towpath_ledger::{Block, BlockId, Header, Time};

use super::real::{Real, has_dispute, is_dispute};

/// The ledger of all simulations.
pub const CHAIN: ChainId = ChainId(Digest([7; 32]));

/// The validators of a height.
pub type Validators = Rc<dyn Fn(u64) -> ValidatorSet>;

/// What a write that fails leaves behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Failure {
    /// Nothing.
    Lost,
    /// Everything: only the good news was lost.
    Written,
}

/// What survives a crash.
#[derive(Default)]
pub struct Disk {
    pub chain: Vec<(Arc<Block>, CommitCertificate)>,
    pub log: BTreeMap<u64, Vec<Vec<u8>>>,
    pub evidence: Vec<Evidence>,
    /// The number of good writes before a failing one.
    pub fail_after: Option<(u64, Failure)>,
    /// Differs from block to block, so that one that is built again after a crash is another block.
    pub salt: u64,
}

impl Disk {
    pub fn tip(&self) -> u64 {
        self.chain.len() as u64
    }

    /// Whether the write that is about to happen fails, and how.
    fn failure(&mut self) -> Option<Failure> {
        match self.fail_after {
            Some((0, failure)) => {
                self.fail_after = None;
                Some(failure)
            }
            Some((left, failure)) => {
                self.fail_after = Some((left - 1, failure));
                None
            }
            None => None,
        }
    }
}

pub type SharedDisk = Rc<RefCell<Disk>>;

/// Bytes of a block's state root, with a meaning in simulations only.
pub mod mark {
    /// Invalid under every rule.
    pub const INVALID: usize = 0;
    /// Too far in the future for a node whose clock is behind.
    pub const AHEAD: usize = 1;
    /// Carries the transaction that everybody waits for.
    pub const DISPUTE: usize = 2;
}

/// What a proposer does with ledger time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Clock {
    /// Its own clock, as the rules have it.
    #[default]
    Right,
    /// An hour more than its clock says.
    AheadByAnHour,
    /// An hour before the last block.
    BackByAnHour,
    /// The time of the last block.
    Still,
    /// As little more than the last block as the rules allow.
    Slow,
    /// As much more as the rules allow.
    Fast,
}

/// How a node treats blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traits {
    /// It builds and approves invalid blocks.
    pub invalid: bool,
    /// It builds blocks that are ahead of slow clocks.
    pub ahead: bool,
    /// Its own clock is slow.
    pub slow_clock: bool,
    /// It leaves out the transaction that everybody waits for, and votes against blocks that carry it.
    pub censor: bool,
    /// It misses some of its turns.
    pub lazy: bool,
    /// What it says that the time is.
    pub clock: Clock,
}

/// The ledger on a disk.
pub struct Ledger {
    pub disk: SharedDisk,
    pub own: PublicKey,
    pub validators: Validators,
    pub traits: Traits,
    /// Microseconds since the simulation began.
    pub now: Rc<Cell<u64>>,
    /// The real ledger in place of the simple one.
    pub real: Option<Real>,
}

impl Ledger {
    fn parent(&self) -> BlockId {
        if let Some(real) = &self.real {
            return real.parent.id();
        }
        self.disk.borrow().chain.last().map_or(BlockId(Digest::ZERO), |(block, _)| block.id())
    }

    /// The clock of this node, on the real ledger.
    pub fn clock(&self) -> Time {
        let start = self.real.as_ref().map_or(Time(0), |real| real.genesis.time);
        start.plus_ms(self.now.get() / 1_000)
    }

    /// Lets a transaction wait in the real ledger's pool.
    pub fn submit(&mut self, transaction: towpath_ledger::Transaction) -> Result<(), String> {
        let now = self.clock();
        let real = self.real.as_mut().expect("only a real ledger has transactions");
        real.submit(transaction, now).map(drop).map_err(|refusal| refusal.to_string())
    }

    /// Whether it takes its turn.
    pub const fn takes_turn(&self, height: u64, round: u32) -> bool {
        !self.traits.lazy || (height.wrapping_mul(31) ^ (round as u64 * 7)).is_multiple_of(3)
    }

    /// A block on the tip, never the same twice.
    pub fn build(&self, height: u64) -> Block {
        if let Some(real) = &self.real {
            let censor = self.traits.censor;
            return real.build(self.own, self.traits.clock, self.clock(), |tx| censor && is_dispute(tx));
        }
        let parent = self.parent();
        let mut disk = self.disk.borrow_mut();
        disk.salt += 1;
        let mut root = [0; 32];
        root[mark::INVALID] = u8::from(self.traits.invalid);
        root[mark::AHEAD] = u8::from(self.traits.ahead);
        root[mark::DISPUTE] = u8::from(!self.traits.censor);
        root[8..16].copy_from_slice(&disk.salt.to_le_bytes());
        Block {
            header: Header {
                chain: CHAIN,
                height,
                parent,
                time: Time(height),
                transactions_root: Digest::ZERO,
                state_root: Digest(root),
                validators: Digest::ZERO,
                proposer: self.own,
            },
            transactions: Vec::new(),
        }
    }
}

impl Host for Ledger {
    fn tip(&self) -> Tip {
        Tip { height: self.disk.borrow().tip(), block: self.parent() }
    }

    fn validator_set(&self, height: u64) -> Result<ValidatorSet, HostError> {
        Ok((self.validators)(height))
    }

    fn validate(&mut self, block: &Arc<Block>, check: Check) -> Result<Validity, HostError> {
        let invalid = |reason: &str| Ok(Validity::Invalid(reason.to_owned()));
        if let Some(real) = &self.real {
            let censored = self.traits.censor && check == Check::Proposal && has_dispute(block);
            let own = block.header.proposer == self.own && self.traits.clock != Clock::Right;
            return match censored {
                true => invalid("censored"),
                // A liar believes itself.
                false if own && check == Check::Proposal => Ok(Validity::Valid),
                false => Ok(real.validate(block, check, self.clock())),
            };
        }
        let marks = &block.header.state_root.0;
        if block.header.height != self.disk.borrow().tip() + 1 || block.header.parent != self.parent() {
            return invalid("not on the tip");
        }
        if marks[mark::INVALID] != 0 && !self.traits.invalid {
            return invalid("marked invalid");
        }
        if marks[mark::DISPUTE] != 0 && self.traits.censor && check == Check::Proposal {
            return invalid("censored");
        }
        if marks[mark::AHEAD] != 0 && self.traits.slow_clock && check == Check::Proposal {
            return invalid("ahead of this clock");
        }
        Ok(Validity::Valid)
    }

    fn commit(&mut self, decided: &Decided) -> Result<(), HostError> {
        let now = self.clock();
        let mut disk = self.disk.borrow_mut();
        let failure = disk.failure();
        if failure != Some(Failure::Lost) {
            if let Some(real) = &mut self.real {
                real.commit(&decided.block, now);
            }
            assert_eq!(decided.block.header.height, disk.tip() + 1, "blocks are applied in order");
            assert_eq!(decided.certificate.block, decided.block.id(), "the certificate is the block's");
            disk.chain.push((decided.block.clone(), decided.certificate.clone()));
            disk.evidence.extend(decided.evidence.iter().copied());
            disk.log = disk.log.split_off(&(decided.block.header.height + 1));
        }
        failure.map_or(Ok(()), |_| Err(HostError("the disk failed".to_owned())))
    }

    fn decided(&self, height: u64) -> Result<Option<(Arc<Block>, CommitCertificate)>, HostError> {
        let at = height.checked_sub(1).and_then(|at| usize::try_from(at).ok());
        Ok(at.and_then(|at| self.disk.borrow().chain.get(at).cloned()))
    }
}

/// The log on a disk.
pub struct DiskLog(pub SharedDisk);

impl Wal for DiskLog {
    fn append(&mut self, height: u64, first: u64, records: &[Vec<u8>]) -> Result<(), LogError> {
        let mut disk = self.0.borrow_mut();
        let failure = disk.failure();
        if failure != Some(Failure::Lost) {
            let log = disk.log.entry(height).or_default();
            assert_eq!(first, log.len() as u64, "records are numbered without a gap");
            log.extend_from_slice(records);
        }
        failure.map_or(Ok(()), |_| Err(LogError("the disk failed".to_owned())))
    }

    fn load(&self, height: u64) -> Result<Vec<Vec<u8>>, LogError> {
        Ok(self.0.borrow().log.get(&height).cloned().unwrap_or_default())
    }
}
