//! Money as a type: `u64` base units with checked arithmetic only.

use bincode::{Decode, Encode};

/// An amount in base units of some asset. Arithmetic is checked; there are no operators that could wrap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Default, Debug)]
pub struct Amount(pub u64);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The largest amount.
    pub const MAX: Self = Self(u64::MAX);

    /// Base units.
    #[must_use]
    pub const fn units(self) -> u64 {
        self.0
    }

    /// Whether this is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` past the largest amount.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The difference, or `None` below zero.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The sum of many, or `None` past the largest amount.
    #[must_use]
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }

    /// `self × basis_points / 10,000`, rounded down; exact for every amount.
    #[must_use]
    pub fn share(self, basis_points: u16) -> Self {
        let part = u128::from(self.0) * u128::from(basis_points.min(10_000)) / 10_000;
        Self(u64::try_from(part).expect("a share of at most one fits"))
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn i1_arithmetic_is_exact_or_refused() {
        let amount = Amount;
        assert_eq!(amount(7).units(), 7);
        assert!(Amount::ZERO.is_zero() && !amount(1).is_zero() && !Amount::MAX.is_zero());
        assert_eq!(amount(2).checked_add(amount(3)), Some(amount(5)));
        assert_eq!(Amount::MAX.checked_add(Amount::ZERO), Some(Amount::MAX));
        assert_eq!(Amount::MAX.checked_add(amount(1)), None);
        assert_eq!(amount(5).checked_sub(amount(3)), Some(amount(2)));
        assert_eq!(amount(5).checked_sub(amount(5)), Some(Amount::ZERO));
        assert_eq!(amount(5).checked_sub(amount(6)), None);
        assert_eq!(Amount::checked_sum([amount(1), amount(2), amount(4)]), Some(amount(7)));
        assert_eq!(Amount::checked_sum([]), Some(Amount::ZERO));
        assert_eq!(Amount::checked_sum([Amount::MAX, amount(1)]), None);
    }

    /// SPEC C-41: the forfeit is rounded down, and never more than all.
    #[test]
    fn a_share_is_rounded_down_and_at_most_all() {
        let share = |units, basis_points| Amount(units).share(basis_points).units();
        assert_eq!(share(10_000, 5_000), 5_000);
        assert_eq!((share(9_999, 1), share(10_000, 1), share(19_999, 1)), (0, 1, 1));
        assert_eq!((share(7, 0), share(7, 9_999), share(7, 10_000), share(7, u16::MAX)), (0, 6, 7, 7));
        assert_eq!(share(u64::MAX, 10_000), u64::MAX);
        assert_eq!(share(u64::MAX, 5_000), u64::MAX / 2);
    }

    proptest! {
        /// A share and the rest are the whole, and a unit more would be too much.
        #[test]
        fn a_share_is_the_largest_that_fits(units: u64, basis_points in 0_u16..=10_000) {
            let share = u128::from(Amount(units).share(basis_points).units());
            let exact = u128::from(units) * u128::from(basis_points);
            prop_assert!(share * 10_000 <= exact && exact < (share + 1) * 10_000);
        }
    }
}
