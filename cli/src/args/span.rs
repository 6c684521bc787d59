//! Spans of time as people type them: `500ms`, `30s`, `5m`, `2h`, `1d`.

use std::str::FromStr;
use std::time::Duration;

/// The units, in milliseconds; the longest that fits exactly is printed.
const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// The longest span: past it a mistake is likelier than a wish.
const SPAN_MS_MAX: u64 = 365 * 86_400_000;

/// A span of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Span {
    ms: u64,
}

impl Span {
    /// In milliseconds.
    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    /// For waiting.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

/// A text that is no span.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write a number and its unit, such as 500ms, 30s, 5m, 2h or 1d")]
pub struct NoSpan;

impl FromStr for Span {
    type Err = NoSpan;

    fn from_str(text: &str) -> Result<Self, NoSpan> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let (_, scale) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(NoSpan)?;
        let ms = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*scale)).ok_or(NoSpan)?;
        if (1..=SPAN_MS_MAX).contains(&ms) { Ok(Self { ms }) } else { Err(NoSpan) }
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let fits = UNITS.iter().rev().find(|(_, scale)| self.ms.is_multiple_of(*scale));
        let (unit, scale) = fits.unwrap_or(&UNITS[0]);
        write!(f, "{}{unit}", self.ms / scale)
    }
}

/// How long to be patient: so long, or for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Patience {
    /// So long.
    For(Span),
    /// For ever.
    Never,
}

impl Patience {
    /// The span, if it ends.
    #[must_use]
    pub const fn span(self) -> Option<Span> {
        match self {
            Self::For(span) => Some(span),
            Self::Never => None,
        }
    }
}

/// A text that is neither a span nor `never`.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write a number and its unit, such as 30s, 5m or 2h, or `never`")]
pub struct NoPatience;

impl FromStr for Patience {
    type Err = NoPatience;

    fn from_str(text: &str) -> Result<Self, NoPatience> {
        match text {
            "never" => Ok(Self::Never),
            text => text.parse().map(Self::For).map_err(|NoSpan| NoPatience),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_what_they_write() {
        for (text, ms) in [
            ("1ms", 1),
            ("1500ms", 1_500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("1d", 86_400_000),
        ] {
            let span: Span = text.parse().expect("a span");
            assert_eq!((span.ms(), span.to_string().as_str()), (ms, text));
        }
        assert_eq!("60s".parse::<Span>().expect("a span").to_string(), "1m");
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in
            ["", "30", "s", "-1s", "1.5s", "30 s", "0s", "1w", "366d", "18446744073709551615d", "٣s", "Never"]
        {
            assert!(text.parse::<Span>().is_err() && text.parse::<Patience>().is_err(), "{text:?}");
        }
        assert_eq!("never".parse(), Ok(Patience::Never));
    }
}
