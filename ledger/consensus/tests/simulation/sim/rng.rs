//! Repeatable chance: SplitMix64, whose every seed is a good one.

/// A stream of numbers determined by its seed.
pub struct Rng(u64);

impl Rng {
    /// The seed is mixed first: raw neighbours would be one stream, a step apart.
    pub const fn new(seed: u64) -> Self {
        let mut mixed = Self(seed ^ 0xD6E8_FEB8_6659_FD93);
        let state = mixed.next();
        Self(state ^ mixed.next().rotate_left(32))
    }

    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// True `percent` times in a hundred.
    pub const fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
