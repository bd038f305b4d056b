//! Ranges of sizes and of costs, which grow to the greatest number and no further.

/// The least and the most of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    pub min: u64,
    pub max: u64,
}

impl Range {
    pub(super) const UNKNOWN: Self = Self { min: 0, max: u64::MAX };
    pub(super) const ZERO: Self = Self::fixed(0);
    pub(super) const ONE: Self = Self::fixed(1);

    pub(super) const fn new(min: u64, max: u64) -> Self {
        Self { min, max }
    }

    pub(super) const fn fixed(value: u64) -> Self {
        Self { min: value, max: value }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self { min: self.min.saturating_add(other.min), max: self.max.saturating_add(other.max) }
    }

    pub(super) fn times(self, other: Self) -> Self {
        Self { min: self.min.saturating_mul(other.min), max: self.max.saturating_mul(other.max) }
    }

    /// Multiplied by a factor and rounded up.
    pub(super) fn scaled(self, factor: f64) -> Self {
        Self { min: scaled(self.min, factor), max: scaled(self.max, factor) }
    }

    pub(super) fn union(self, other: Self) -> Self {
        Self { min: self.min.min(other.min), max: self.max.max(other.max) }
    }
}

fn scaled(value: u64, factor: f64) -> u64 {
    let value = value as f64;
    if value > 0.0 && factor > 0.0 && value > u64::MAX as f64 / factor {
        return u64::MAX;
    }
    // The conversion stays within bounds by itself.
    (value * factor).ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_do_not_overflow() {
        let range = Range::new(3, u64::MAX);
        assert_eq!(range.plus(Range::fixed(2)), Range::new(5, u64::MAX));
        assert_eq!(range.times(Range::fixed(2)), Range::new(6, u64::MAX));
        assert_eq!(range.scaled(0.1), Range::new(1, 1_844_674_407_370_955_264));
        assert_eq!(range.scaled(2.0).max, u64::MAX);
        assert_eq!(Range::fixed(7).union(Range::new(9, 12)), Range::new(7, 12));
    }
}
