//! Choices by chance, in the words of tests.

use windlass_api::Chance;

/// A [`Chance`] that is asked for more than numbers.
#[derive(Clone, Debug)]
pub struct Dice(Chance);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(Chance::seeded(seed))
    }

    /// A source of its own, for a component.
    pub fn chance(&self) -> Chance {
        self.0.fork()
    }

    /// Other dice, whose numbers have nothing to do with what these give afterwards.
    pub fn fork(&self) -> Self {
        Self(self.0.fork())
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&self, end: u64) -> u64 {
        self.0.below(usize::try_from(end).unwrap_or(usize::MAX)) as u64
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// True in this share of all cases.
    pub fn happens(&self, share: f64) -> bool {
        ((self.0.number() >> 11) as f64) < share * (1_u64 << 53) as f64
    }

    /// One of several; there must be at least one.
    pub fn pick<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.0.below(of.len())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_are_within_their_bounds() {
        let dice = Dice::new(1);
        assert!((0..1000).all(|_| (3..=5).contains(&dice.between(3, 5))));
        let share = |of: f64| (0..1000).filter(|_| dice.happens(of)).count();
        assert_eq!((share(0.0), share(1.0)), (0, 1000));
        assert!((400..600).contains(&share(0.5)));
    }
}
