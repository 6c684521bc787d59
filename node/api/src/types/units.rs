//! Amounts as they travel: decimal strings of base units, so that no JSON reader makes a float of them.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use towpath_crypto::Amount;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An amount in base units; in JSON a decimal string of at most 20 digits without sign, point, exponent or leading zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Units(pub u64);

/// Why a text is not an amount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UnitsError {
    /// Something other than decimal digits, or too many leading zeros.
    #[error(
        "an amount is a decimal number of base units: digits only, no sign, point, exponent or leading zero"
    )]
    Malformed,
    /// More than the largest amount.
    #[error("an amount is at most {max} base units", max = u64::MAX)]
    TooLarge,
}

/// A number with its digits in groups of three, as people read it; nothing parses it.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl std::str::FromStr for Units {
    type Err = UnitsError;

    fn from_str(text: &str) -> Result<Self, UnitsError> {
        let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits_only || (text.len() > 1 && text.starts_with('0')) {
            return Err(UnitsError::Malformed);
        }
        // Only digits are left, so the one way to fail is to be too large.
        text.parse().map(Self).map_err(|_overflow| UnitsError::TooLarge)
    }
}

impl std::fmt::Display for Units {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<Amount> for Units {
    fn from(amount: Amount) -> Self {
        Self(amount.units())
    }
}

impl From<Units> for Amount {
    fn from(units: Units) -> Self {
        Self(units.0)
    }
}

impl Serialize for Units {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Units {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Units;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an amount as a decimal string of base units, such as \"2500\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Units, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl PartialSchema for Units {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^(0|[1-9][0-9]{0,19})$"))
            .description(Some("An amount in base units, as a decimal string."))
            .examples(["2500"])
            .into()
    }
}

impl ToSchema for Units {}
