//! Small readers of values, and the nearest name to a mistyped one.

use std::time::Duration;

/// Units of time, in seconds.
pub const SECONDS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// A duration such as `90s` or `7d`; none of a text that is not one.
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let (_, size) = SECONDS.iter().find(|(name, _)| *name == unit)?;
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(*size)?))
}

/// The candidate that takes the fewest changed letters, if they are few.
pub fn nearest<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> Option<String> {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let best = candidates
        .map(|candidate| {
            // `listne` at the top may be meant as `api.listen`: the last part counts, but a whole match goes first.
            let whole = distance(name, candidate);
            let part = distance(&last(name), &last(candidate)) + 1;
            (whole.min(part), whole, candidate)
        })
        .min()?;
    let (changes, _, candidate) = best;
    (changes <= 1 + name.len() / 4).then(|| candidate.to_owned())
}

/// Levenshtein's distance.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (above, from) in left.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], above + 1);
        for (place, &to) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[place + 1];
            row[place + 1] = replaced.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{distance, duration, nearest};

    #[test]
    fn durations() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("2m", 120), ("1h", 3_600), ("7d", 604_800)] {
            assert_eq!(duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in
            ["", "1", "h", "1 h", "-1h", "1.5h", "1w", "99999999999999999999d", "18446744073709551615d"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn distances() {
        for (left, right, expected) in
            [("", "", 0), ("a", "", 1), ("kitten", "sitting", 3), ("same", "same", 0)]
        {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_strangers_are_not() {
        let names = ["api.listen", "network.listen", "network.max_peers", "workers"];
        assert_eq!(nearest("api.lisen", names.into_iter()).as_deref(), Some("api.listen"));
        assert_eq!(nearest("max_peers", names.into_iter()).as_deref(), Some("network.max_peers"));
        assert_eq!(nearest("worker", names.into_iter()).as_deref(), Some("workers"));
        assert_eq!(nearest("zzzzzzzz", names.into_iter()), None);
    }
}
