//! The usual way to bring scores into range.

use crate::framework::MAX_SCORE;

/// Scales scores so that the greatest becomes [`MAX_SCORE`]; `reverse` makes the smallest the best.
pub(super) fn by_greatest(scores: &mut [i64], reverse: bool) {
    let greatest = scores.iter().copied().max().unwrap_or(0);
    for score in scores {
        let scaled = if greatest == 0 { 0 } else { MAX_SCORE * *score / greatest };
        *score = if reverse { MAX_SCORE - scaled } else { scaled };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales() {
        let cases: [(&[i64], bool, &[i64]); 4] = [
            (&[1, 2, 4], false, &[25, 50, 100]),
            (&[1, 2, 4], true, &[75, 50, 0]),
            (&[0, 0], false, &[0, 0]),
            (&[0, 0], true, &[100, 100]),
        ];
        for (raw, reverse, expected) in cases {
            let mut scores = raw.to_vec();
            by_greatest(&mut scores, reverse);
            assert_eq!(scores, expected);
        }
    }
}
