//! Everything that repeats is kept once and named by a small number, so that a world is a few numbers, two worlds are
//! compared at the cost of their hash, and what a machine does with an event is computed once, however many
//! interleavings meet it.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// 128 bits that name a value; two values share them by accident about never.
pub type Name = u128;

/// The name of a value that can be hashed.
pub fn name_of(value: &impl Hash) -> Name {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        value.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

/// Values by number, each once.
pub struct Interner<T> {
    numbers: HashMap<Name, u32>,
    values: Vec<T>,
}

impl<T> Interner<T> {
    pub fn new() -> Self {
        Self { numbers: HashMap::new(), values: Vec::new() }
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
