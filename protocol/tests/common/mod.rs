//! Two parties over virtual wires: a world in which every fault is a function call and every step is audited.
#![expect(dead_code, reason = "each test binary uses its own part of the harness")]

pub mod fast;
pub mod forge;
pub mod harbour;
pub mod ledger;
pub mod loss;
pub mod opening;
pub mod schedule;
pub mod script;
pub mod side;
pub mod world;

pub fn amount(units: u64) -> towpath_ledger::Amount {
    towpath_ledger::Amount(units)
}

/// A small deterministic generator: a seed is a whole schedule.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}
