//! Bytes as a script: each action of a machine's target takes what it needs from the front. A script that ends in the middle
//! of an action ends before it, so every byte string is one.

/// What is left of a script.
#[derive(Clone, Copy, Debug)]
pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    /// All of it.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// A number below `bound`, which is at most 256.
    pub fn below(&mut self, bound: usize) -> Option<usize> {
        Some(usize::from(self.byte()?) % bound.max(1))
    }

    /// One of two.
    pub fn flip(&mut self) -> Option<bool> {
        Some(self.byte()? % 2 == 1)
    }

    /// A number of two bytes.
    pub fn number(&mut self) -> Option<u64> {
        Some(u64::from(self.byte()?) << 8 | u64::from(self.byte()?))
    }

    /// So many bytes, or what is left.
    pub fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
