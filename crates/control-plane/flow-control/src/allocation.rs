//! How levels share seats: each gets the same fraction of what it could use, but no less and no more than its bounds.

/// What a level could use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Demand {
    /// `low <= target`, `low <= high`.
    pub low: f64,
    pub high: f64,
    pub target: f64,
}

/// Targets are not taken for smaller, so that everybody has a part of what nobody wants.
const TARGET_MIN: f64 = 0.001;
/// Halvings that exhaust the precision of a float.
const HALVINGS: usize = 100;

/// The seats of each, which make `sum` where the bounds allow that.
pub(crate) fn allocate(sum: f64, demands: &[Demand]) -> Vec<f64> {
    let at = |fraction: f64| -> Vec<f64> {
        demands.iter().map(|demand| (fraction * demand.target.max(TARGET_MIN)).clamp(demand.low, demand.high)).collect()
    };
    let (mut low, mut high) = (0.0, 1.0);
    // Beyond this fraction everybody has what he may have.
    let most = demands.iter().map(|demand| demand.high / demand.target.max(TARGET_MIN)).fold(1.0, f64::max);
    while high < most && at(high).iter().sum::<f64>() < sum {
        high *= 2.0;
    }
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(low, high);
        if at(middle).iter().sum::<f64>() < sum { low = middle } else { high = middle }
    }
    at(high)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(sum: f64, demands: &[(f64, f64, f64)]) -> Vec<f64> {
        let demands: Vec<Demand> = demands.iter().map(|&(low, high, target)| Demand { low, high, target }).collect();
        allocate(sum, &demands).iter().map(|seats| (seats * 100.0).round() / 100.0).collect()
    }

    #[test]
    fn everybody_gets_the_same_fraction_within_bounds() {
        assert_eq!(shares(10.0, &[(0.0, 10.0, 5.0), (0.0, 10.0, 15.0)]), [2.5, 7.5]);
        assert_eq!(shares(10.0, &[(4.0, 10.0, 5.0), (0.0, 10.0, 15.0)]), [4.0, 6.0]);
        assert_eq!(shares(10.0, &[(0.0, 10.0, 5.0), (0.0, 6.0, 15.0)]), [4.0, 6.0]);
        assert_eq!(shares(10.0, &[(0.0, 20.0, 0.0), (0.0, 20.0, 0.0)]), [5.0, 5.0], "what nobody wants");
        assert_eq!(shares(10.0, &[(0.0, 3.0, 1.0), (0.0, 4.0, 1.0)]), [3.0, 4.0], "there is more than enough");
        assert_eq!(shares(10.0, &[(8.0, 9.0, 9.0), (5.0, 9.0, 9.0)]), [8.0, 5.0], "there is not enough");
        assert_eq!(shares(0.0, &[]), [] as [f64; 0]);
    }
}
