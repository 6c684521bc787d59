//! The running hash of everything that happens: two runs of one seed are the same run if it ends the same.

/// FNV-1a, twice with different beginnings, over every step: cheap, and no adversary is to be kept out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trace {
    left: u64,
    right: u64,
    /// How many steps it covers.
    pub steps: u64,
}

const PRIME: u64 = 0x0000_0100_0000_01b3;

impl Default for Trace {
    fn default() -> Self {
        Self { left: 0xcbf2_9ce4_8422_2325, right: 0x6c62_272e_07bb_0142, steps: 0 }
    }
}

impl Trace {
    /// One more step: what it was, when, to whom, and its bytes.
    pub fn step(&mut self, what: &str, now_ms: u64, node: usize, bytes: &[u8]) {
        self.steps += 1;
        self.mix(&now_ms.to_le_bytes());
        self.mix(what.as_bytes());
        self.mix(&u64::try_from(node).unwrap_or(u64::MAX).to_le_bytes());
        self.mix(bytes);
    }

    fn mix(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.left = (self.left ^ u64::from(*byte)).wrapping_mul(PRIME);
            self.right = (self.right ^ u64::from(!*byte)).wrapping_mul(PRIME).rotate_left(5);
        }
    }

    /// The hash so far, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:016x}{:016x}", self.left, self.right)
    }
}
