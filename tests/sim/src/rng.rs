//! The one source of chance: SplitMix64 (Steele, Lea, Flood 2014). The same seed gives the same numbers on every machine
//! and in every build.

/// See the module.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// Everything that follows depends on `seed` alone.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A source of its own for one purpose: what is drawn from it changes nothing elsewhere.
    #[must_use]
    pub const fn fork(&mut self) -> Self {
        Self(self.draw())
    }

    /// A number below `end`; zero if there is none.
    pub const fn below(&mut self, end: u64) -> u64 {
        // The bias is below one in a billion for the ranges that are used here.
        if end == 0 { 0 } else { self.draw() % end }
    }

    /// An index below `end`.
    pub fn index(&mut self, end: usize) -> usize {
        usize::try_from(self.below(u64::try_from(end).unwrap_or(u64::MAX))).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub const fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Whether something happens that does so many times in a thousand.
    pub const fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// When the next of many independent events comes, if one comes every `mean` on average; at least one.
    pub const fn gap(&mut self, mean: u64) -> u64 {
        // A geometric draw with whole numbers only: floats would differ between machines.
        let unit = mean / 8 + 1;
        let mut gap = 1;
        while gap < mean.saturating_mul(6) && !self.chance(125) {
            gap += unit;
        }
        gap + self.below(unit)
    }
}
