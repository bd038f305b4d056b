//! Where dice come from.
//!
//! No component makes random numbers by itself, nor takes clocks or revisions for dice: it is handed a [`Chance`] beside its
//! [`Clock`](crate::time::Clock), so that a simulation gives everybody numbers that follow from one seed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::rand::{SecureRandom, SystemRandom};

/// A source of random numbers. Clones draw from the same source.
#[derive(Clone, Debug)]
pub struct Chance(Source);

#[derive(Clone, Debug)]
enum Source {
    Kernel,
    /// SplitMix64: repeatable, and of no use for secrets.
    Seeded(Arc<AtomicU64>),
}

impl Chance {
    /// The kernel's random numbers, which nobody can guess.
    pub fn system() -> Self {
        Self(Source::Kernel)
    }

    /// Numbers that follow from `seed`: for tests and simulations.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(AtomicU64::new(seed))))
    }

    /// A source of its own for choices among equals: it costs no system call, and does not depend on who else draws numbers.
    pub fn fork(&self) -> Self {
        Self::seeded(self.number())
    }

    pub fn fill(&self, bytes: &mut [u8]) {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "this is the source")]
            Source::Kernel => {
                SystemRandom::new().fill(bytes).expect("the kernel's random numbers are there once it has booted");
            }
            Source::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    chunk.copy_from_slice(&split_mix(state).to_le_bytes()[..chunk.len()]);
                }
            }
        }
    }

    pub fn number(&self) -> u64 {
        if let Source::Seeded(state) = &self.0 {
            return split_mix(state);
        }
        let mut bytes = [0; 8];
        self.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`; 0 when there is none.
    pub fn below(&self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        // The high half of the product is even over the bound, but for a share that is not seen with bounds of this size.
        ((u128::from(self.number()) * u128::from(bound)) >> 64) as usize
    }
}

fn split_mix(state: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut mixed = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_tells_all_numbers() {
        let draw = |chance: &Chance| {
            let mut bytes = [0; 11];
            chance.fill(&mut bytes);
            (chance.number(), bytes, chance.fork().number())
        };
        assert_eq!(draw(&Chance::seeded(7)), draw(&Chance::seeded(7)));
        assert_ne!(draw(&Chance::seeded(7)), draw(&Chance::seeded(8)));
        assert_ne!(draw(&Chance::system()), draw(&Chance::system()));
        // Reference values of the algorithm.
        let one = Chance::seeded(1_234_567);
        assert_eq!([one.number(), one.number()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }

    #[test]
    fn bounds() {
        for chance in [Chance::seeded(1), Chance::system()] {
            assert_eq!((chance.below(0), chance.below(1)), (0, 0));
            let mut seen = [false; 3];
            (0..200).for_each(|_| seen[chance.below(3)] = true);
            assert_eq!(seen, [true; 3]);
        }
    }
}
