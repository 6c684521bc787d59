//! Reading rows in the order of their keys, a bounded number at a time.

use crate::limits::SCAN_ROWS_MAX;

/// Which way a scan goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// From the lowest key up.
    Forward,
    /// From the highest key down.
    Backward,
}

/// A range of keys to read. The bounds are the same in both directions: `from <= key < to`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scan {
    /// The lowest key.
    pub from: Vec<u8>,
    /// One past the highest key; none = to the end of the column.
    pub to: Option<Vec<u8>>,
    /// Which way.
    pub direction: Direction,
    /// The most rows to return, itself at most [`SCAN_ROWS_MAX`]. Fewer rows than this are all that there are.
    pub limit: usize,
}

impl Scan {
    /// The rows `from <= key < to` upwards, at most [`SCAN_ROWS_MAX`].
    #[must_use]
    pub fn range(from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> Self {
        Self { from: from.into(), to: Some(to.into()), direction: Direction::Forward, limit: SCAN_ROWS_MAX }
    }

    /// The rows whose keys start with `prefix` upwards, at most [`SCAN_ROWS_MAX`].
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        Self {
            from: prefix.to_vec(),
            to: after_prefix(prefix),
            direction: Direction::Forward,
            limit: SCAN_ROWS_MAX,
        }
    }

    /// The same rows from the other end.
    #[must_use]
    pub fn backward(mut self) -> Self {
        self.direction = Direction::Backward;
        self
    }

    /// At most `limit` rows.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit.min(SCAN_ROWS_MAX);
        self
    }

    /// The same scan, past `key`, which was its last row so far.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        match self.direction {
            Direction::Forward => {
                self.from = key.to_vec();
                self.from.push(0);
            }
            Direction::Backward => self.to = Some(key.to_vec()),
        }
        self
    }

    /// Whether no key can be in the range.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.limit == 0 || self.to.as_ref().is_some_and(|to| *to <= self.from)
    }
}

/// The lowest byte string above all that start with `prefix`; `None` if there is none (all bytes are 0xff).
#[must_use]
pub fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_carries_over_full_bytes() {
        assert_eq!(after_prefix(&[1, 2]), Some(vec![1, 3]));
        assert_eq!(after_prefix(&[1, 0xff, 0xff]), Some(vec![2]));
        assert_eq!(after_prefix(&[0xff]), None);
        assert_eq!(after_prefix(&[]), None);
    }

    #[test]
    fn going_on_excludes_the_last_row_in_both_directions() {
        let scan = Scan::range([1], [9]);
        assert_eq!(scan.clone().after(&[4]).from, [4, 0]);
        assert_eq!(scan.backward().after(&[4]).to, Some(vec![4]));
    }

    #[test]
    fn a_limit_cannot_pass_the_bound() {
        assert_eq!(Scan::prefix(b"x").limit(usize::MAX).limit, SCAN_ROWS_MAX);
    }
}
