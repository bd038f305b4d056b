//! Sets of completion indexes, written as in `1,3-5,7`. Their size is that of the text, not of the set.

use std::fmt;

/// Intervals with both ends, from low to high, with gaps between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Indexes(Vec<(i64, i64)>);

impl Indexes {
    /// Reads the indexes below `completions`; what cannot be understood is left out.
    pub(super) fn parse(text: &str, completions: i64) -> Self {
        let interval = |part: &str| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last): (i64, i64) = (first.parse().ok()?, last.parse().ok()?);
            (first < completions).then_some((first, last.min(completions - 1)))
        };
        Self::default().with(text.split(',').filter_map(interval))
    }

    fn with(&self, intervals: impl IntoIterator<Item = (i64, i64)>) -> Self {
        let mut all: Vec<(i64, i64)> =
            self.0.iter().copied().chain(intervals).filter(|(first, last)| first <= last).collect();
        all.sort_unstable();
        let mut merged: Vec<(i64, i64)> = Vec::new();
        for (first, last) in all {
            match merged.last_mut() {
                Some(before) if first <= before.1.saturating_add(1) => before.1 = before.1.max(last),
                _ => merged.push((first, last)),
            }
        }
        Self(merged)
    }

    pub(super) fn with_each(&self, indexes: impl IntoIterator<Item = i64>) -> Self {
        self.with(indexes.into_iter().map(|index| (index, index)))
    }

    pub(super) fn union(&self, other: &Self) -> Self {
        self.with(other.0.iter().copied())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn total(&self) -> i64 {
        self.0.iter().map(|(first, last)| last - first + 1).sum()
    }

    pub(super) fn has(&self, index: i64) -> bool {
        let after = self.0.partition_point(|(_, last)| *last < index);
        self.0.get(after).is_some_and(|(first, _)| *first <= index)
    }

    /// How many indexes are in both sets.
    pub(super) fn overlap(&self, other: &Self) -> i64 {
        let (mut common, mut ours, mut theirs) = (0, self.0.iter().peekable(), other.0.iter().peekable());
        while let (Some(a), Some(b)) = (ours.peek(), theirs.peek()) {
            common += (a.1.min(b.1) - a.0.max(b.0) + 1).max(0);
            // Whichever ends first cannot meet what follows the other.
            if a.1 <= b.1 {
                ours.next()
            } else {
                theirs.next()
            };
        }
        common
    }

    /// The lowest indexes below `completions` that are not in the set, `count` at most.
    pub(super) fn first_missing(&self, count: usize, completions: i64) -> Vec<i64> {
        let mut missing = Vec::new();
        let mut next = 0;
        for &(first, last) in self.0.iter().chain([&(completions, completions)]) {
            let gap = (next..first.min(completions)).take(count - missing.len());
            missing.extend(gap);
            next = last + 1;
        }
        missing
    }
}

impl fmt::Display for Indexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (first, last)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                1 => write!(f, "{comma}{first},{last}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, expected, total) in
            [("", "", 0), ("1,3-5,7", "1,3-5,7", 5), ("0,1", "0,1", 2), ("0,1,2", "0-2", 3), ("x,4,8-20", "4,8,9", 3)]
        {
            let indexes = Indexes::parse(text, 10);
            assert_eq!((indexes.to_string().as_str(), indexes.total()), (expected, total), "{text}");
        }
        assert_eq!(Indexes::parse("1,5", 10).with_each([2, 3, 0]).to_string(), "0-3,5");
    }

    #[test]
    fn questions() {
        let indexes = Indexes::parse("1-3,6", 10);
        assert!(indexes.has(2) && indexes.has(6) && !indexes.has(0) && !indexes.has(5) && !indexes.has(7));
        assert_eq!(indexes.first_missing(3, 10), [0, 4, 5]);
        assert_eq!(indexes.first_missing(9, 8), [0, 4, 5, 7]);
        assert_eq!(indexes.first_missing(0, 8), Vec::<i64>::new());
        assert_eq!(indexes.overlap(&Indexes::parse("2-6", 10)), 3);
    }
}
