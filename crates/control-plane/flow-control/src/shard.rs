//! Shuffle sharding: the few queues that a flow has among many. Two flows share one queue often, but hardly ever all.

/// The most queues of a flow; validation allows no more either.
const HAND_MAX: usize = 10;

/// The distinct queues, out of `deck`, that a hash stands for.
pub(crate) fn hand(hash: u64, deck: usize, size: usize) -> impl Iterator<Item = usize> + Clone {
    let size = size.min(deck).min(HAND_MAX);
    let mut dealt = [0; HAND_MAX];
    let mut rest = hash;
    for index in 0..size {
        let left = (deck - index) as u64;
        // The place among the queues that have not been dealt yet.
        let mut queue = (rest % left) as usize;
        rest /= left;
        let mut before: [usize; HAND_MAX] = dealt;
        let before = &mut before[..index];
        before.sort_unstable();
        for taken in before.iter() {
            if queue >= *taken {
                queue += 1;
            }
        }
        dealt[index] = queue;
    }
    dealt.into_iter().take(size)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn hands_are_distinct_and_spread() {
        let mut seen = BTreeSet::new();
        for number in 0..2000_u64 {
            let hash = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let dealt: BTreeSet<usize> = hand(hash, 64, 6).collect();
            assert_eq!(dealt.len(), 6);
            assert!(dealt.iter().all(|queue| *queue < 64));
            seen.extend(dealt);
        }
        assert_eq!(seen.len(), 64);
        assert_eq!(hand(7, 3, 6).collect::<BTreeSet<_>>().len(), 3);
    }
}
