//! The validators that decide blocks, and how much each of them weighs.

use bincode::{Decode, Encode};
use towpath_crypto::ed25519::PublicKey;
use towpath_crypto::hash::digest;
use towpath_crypto::{Digest, Domain, codec};

use crate::limits;

/// One validator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Debug)]
pub struct Validator {
    /// Its node's key, which is also its name.
    pub key: PublicKey,
    /// Its weight.
    pub power: u64,
}

/// A set of validators: at least one, ascending by key and distinct, each with some power; the sum fits 64 bits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValidatorSet {
    members: Vec<Validator>,
    total: u64,
}

/// Why validators are no set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValidatorError {
    /// None, or too many.
    #[error("{0} validators; a ledger has 1 to {max}", max = limits::VALIDATORS_MAX)]
    Count(usize),
    /// One of them twice.
    #[error("validator {0:?} is named twice")]
    Duplicate(PublicKey),
    /// One without power.
    #[error("validator {0:?} has no power; leave it out, or give it some")]
    NoPower(PublicKey),
    /// More power than can be counted.
    #[error("the validators' powers add up past the largest number")]
    Overflow,
}

impl ValidatorSet {
    /// The set of `members`, in any order.
    ///
    /// # Errors
    /// [`ValidatorError`] says what is wrong with them.
    pub fn new(mut members: Vec<Validator>) -> Result<Self, ValidatorError> {
        if !(1..=limits::VALIDATORS_MAX).contains(&members.len()) {
            return Err(ValidatorError::Count(members.len()));
        }
        members.sort_unstable();
        let mut total = 0_u64;
        for (index, member) in members.iter().enumerate() {
            if member.power == 0 {
                return Err(ValidatorError::NoPower(member.key));
            }
            if members.get(index + 1).is_some_and(|next| next.key == member.key) {
                return Err(ValidatorError::Duplicate(member.key));
            }
            total = total.checked_add(member.power).ok_or(ValidatorError::Overflow)?;
        }
        Ok(Self { members, total })
    }

    /// The validators, ascending by key.
    #[must_use]
    pub fn members(&self) -> &[Validator] {
        &self.members
    }

    /// The power of a validator; `None` if `key` is not one.
    #[must_use]
    pub fn power(&self, key: &PublicKey) -> Option<u64> {
        let index = self.members.binary_search_by(|member| member.key.cmp(key)).ok()?;
        self.members.get(index).map(|member| member.power)
    }

    /// The power of all together.
    #[must_use]
    pub const fn total_power(&self) -> u64 {
        self.total
    }

    /// Whether `power` decides: more than two thirds of all.
    #[must_use]
    pub fn is_quorum(&self, power: u64) -> bool {
        3 * u128::from(power) > 2 * u128::from(self.total)
    }

    /// The most validators that can be faulty at once while blocks are still decided: the weakest ones, together below
    /// one third of the power. Transactions can be kept out for so many turns.
    #[must_use]
    pub fn faulty_max(&self) -> usize {
        let mut powers: Vec<u64> = self.members.iter().map(|member| member.power).collect();
        powers.sort_unstable();
        let mut sum = 0_u128;
        powers
            .into_iter()
            .take_while(|power| {
                sum += u128::from(*power);
                3 * sum < u128::from(self.total)
            })
            .count()
    }

    /// What block headers name the set by.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest(Domain::ValidatorSet, &[&codec::encode(&self.members)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn validator(name: u8, power: u64) -> Validator {
        Validator { key: PublicKey([name; 32]), power }
    }

    fn set(powers: &[u64]) -> ValidatorSet {
        let members = powers.iter().zip(1..).map(|(power, name)| validator(name, *power)).collect();
        ValidatorSet::new(members).expect("a proper set")
    }

    #[test]
    fn order_does_not_matter() {
        let (a, b) = (validator(1, 5), validator(2, 3));
        let set = ValidatorSet::new(vec![b, a]).expect("a proper set");
        assert_eq!(set, ValidatorSet::new(vec![a, b]).expect("a proper set"));
        assert_eq!(set.members(), [a, b]);
        assert_eq!(
            (set.power(&a.key), set.power(&PublicKey([9; 32])), set.total_power()),
            (Some(5), None, 8)
        );
    }

    #[test]
    fn a_quorum_is_more_than_two_thirds() {
        let three = set(&[1, 1, 1]);
        assert!(!three.is_quorum(2) && three.is_quorum(3));
        let four = set(&[1, 1, 1, 1]);
        assert!(!four.is_quorum(2) && four.is_quorum(3));
        assert!(set(&[u64::MAX]).is_quorum(u64::MAX));
    }

    #[test]
    fn faulty_max_counts_the_weakest_below_a_third() {
        for (powers, faulty) in [(&[1_u64][..], 0), (&[1; 3], 0), (&[1; 4], 1), (&[1; 7], 2), (&[1; 10], 3)] {
            assert_eq!(set(powers).faulty_max(), faulty, "{powers:?}");
        }
        assert_eq!(set(&[100, 1, 1, 1]).faulty_max(), 3);
    }

    #[test]
    fn improper_sets_are_refused() {
        let key = PublicKey([1; 32]);
        let refused = |members| ValidatorSet::new(members).expect_err("improper");
        assert_eq!(refused(vec![]), ValidatorError::Count(0));
        assert_eq!(refused(vec![validator(1, 1), validator(1, 2)]), ValidatorError::Duplicate(key));
        assert_eq!(refused(vec![validator(1, 0)]), ValidatorError::NoPower(key));
        assert_eq!(refused(vec![validator(1, u64::MAX), validator(2, 1)]), ValidatorError::Overflow);
        let many: Vec<_> = (0..=limits::VALIDATORS_MAX)
            .map(|n| Validator { key: PublicKey([u8::try_from(n).expect("few"); 32]), power: 1 })
            .collect();
        assert_eq!(refused(many), ValidatorError::Count(limits::VALIDATORS_MAX + 1));
    }
}
