//! Everything that repeats is kept once and named by a small number, so that a world is a few numbers, two worlds are
//! compared at the cost of their hash, and what a machine does with an event is computed once, however many
//! interleavings meet it.

use std::collections::{HashMap, HashSet};
use std::fmt::Write;
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// 128 bits that name a value; two values share them by accident about never.
pub type Name = u128;

/// A map whose keys nobody chooses to make it slow.
pub type Map<K, V> = HashMap<K, V, BuildHasherDefault<Mixer>>;
/// A set of what is a hash already.
pub type Marks = HashSet<u64, BuildHasherDefault<Mark>>;

/// The name of a value that can be hashed.
pub fn name_of(value: &impl Hash) -> Name {
    let mut mixer = Mixer::default();
    value.hash(&mut mixer);
    mixer.name()
}

/// Two lanes that each multiply what comes into 128 bits and fold the halves, with odd constants of their own: some ten times as
/// fast as the standard library's hash, which withstands an attacker that a search does not have.
pub struct Mixer {
    lanes: [u64; 2],
}

/// Fractions of square roots of primes, made odd.
const KEYS: [u64; 4] =
    [0x6a09_e667_f3bc_c909, 0xbb67_ae85_84ca_a73b, 0x3c6e_f372_fe94_f82b, 0xa54f_f53a_5f1d_36f1];

fn fold(left: u64, right: u64) -> u64 {
    let product = u128::from(left) * u128::from(right);
    let [low, high] = [product, product >> 64].map(|half| (half & u128::from(u64::MAX)) as u64);
    low ^ high
}

impl Default for Mixer {
    fn default() -> Self {
        Self { lanes: [KEYS[0], KEYS[1]] }
    }
}

impl Mixer {
    fn mix(&mut self, word: u64) {
        let [first, second] = self.lanes;
        // A lane can lose its past only by meeting its own value, and the two never do so together but by accident.
        self.lanes = [fold(first ^ word, KEYS[2]), fold(second.rotate_left(23) ^ word, KEYS[3])];
    }

    pub fn name(&self) -> Name {
        let [first, second] = self.lanes;
        u128::from(fold(first, KEYS[1]) ^ second) << 64 | u128::from(fold(second, KEYS[0]) ^ first)
    }
}

impl Hasher for Mixer {
    fn finish(&self) -> u64 {
        (self.name() >> 64) as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        let Some(last) = bytes.last_chunk::<8>() else {
            // Few bytes, with how many there are above them: one word.
            let word = bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
            return self.mix(word | (bytes.len() as u64) << 56);
        };
        for chunk in bytes.chunks_exact(8) {
            self.mix(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        }
        // What is left over, with what comes before it.
        self.mix(u64::from_le_bytes(*last) ^ (bytes.len() as u64).rotate_left(32));
    }

    fn write_u8(&mut self, number: u8) {
        self.mix(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.mix(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.mix(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.mix(number as u64);
    }
}

/// What is written for people goes straight into a name.
impl Write for Mixer {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        Hasher::write(self, text.as_bytes());
        Ok(())
    }
}

/// Takes a hash as it is.
#[derive(Default)]
pub struct Mark(u64);

impl Hasher for Mark {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("only numbers are marked");
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// Values by number, each once.
pub struct Interner<T> {
    numbers: Map<Name, u32>,
    values: Vec<T>,
}

impl<T> Interner<T> {
    pub fn new() -> Self {
        Self { numbers: Map::default(), values: Vec::new() }
    }

    /// The number of the value with this name, which is made if it is not known yet.
    pub fn intern(&mut self, name: Name, make: impl FnOnce() -> T) -> u32 {
        match self.numbers.get(&name) {
            Some(number) => *number,
            None => {
                let number = u32::try_from(self.values.len()).expect("fewer values than numbers");
                self.values.push(make());
                self.numbers.insert(name, number);
                number
            }
        }
    }

    pub fn get(&self, number: u32) -> &T {
        &self.values[number as usize]
    }

    pub fn len(&self) -> usize {
        self.values.len()
    }
}
