//! How many pods each ReplicaSet is to have. Pure functions.
//!
//! Source: <https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#proportional-scaling> and what upstream's rollouts
//! show.

use std::cmp::Reverse;

use windlass_api::well_known::annotation::{DEPLOYMENT_DESIRED_REPLICAS, DEPLOYMENT_MAX_REPLICAS};

use super::view::{Deployment, ReplicaSet};

/// A ReplicaSet's numbers.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Size {
    pub replicas: i64,
    pub available: i64,
    /// The Deployment's size when this one was last sized, and the most pods it could have had then.
    pub annotated_desired: Option<i64>,
    pub annotated_max: Option<i64>,
    pub created: String,
}

impl Size {
    pub(super) fn of(set: &ReplicaSet) -> Self {
        Self {
            replicas: set.replicas(),
            available: set.status.available_replicas,
            annotated_desired: set.annotation_number(DEPLOYMENT_DESIRED_REPLICAS),
            annotated_max: set.annotation_number(DEPLOYMENT_MAX_REPLICAS),
            created: set.metadata.creation_timestamp.clone().unwrap_or_default(),
        }
    }
}

/// The size of the new ReplicaSet in a rollout: as much as the surge allows, never more than wanted.
pub(super) fn new_replicas(deployment: &Deployment, current: i64, total: i64) -> i64 {
    let wanted = deployment.replicas();
    if deployment.recreates() || current > wanted {
        return wanted;
    }
    let room = wanted + deployment.max_surge() - total;
    current + room.min(wanted - current).max(0)
}

/// The sizes of the old ReplicaSets, from old to young: pods that are not available go first, then as many as the available
/// ones allow.
pub(super) fn old_replicas(deployment: &Deployment, new: &Size, old: &[Size]) -> Vec<i64> {
    let mut sizes: Vec<i64> = old.iter().map(|set| set.replicas).collect();
    let old_total: i64 = sizes.iter().sum();
    let min_available = deployment.replicas() - deployment.max_unavailable();
    let new_unavailable = new.replicas - new.available;
    let spare = old_total + new.replicas - min_available - new_unavailable;
    if old_total == 0 || spare <= 0 {
        return sizes;
    }
    let mut cleaned = 0;
    for (size, set) in sizes.iter_mut().zip(old) {
        let broken = (set.replicas - set.available).max(0);
        let remove = broken.min(spare - cleaned).max(0);
        *size -= remove;
        cleaned += remove;
    }
    let available: i64 = new.available + old.iter().map(|set| set.available).sum::<i64>();
    let mut give_up = (available - min_available).max(0);
    for size in &mut sizes {
        let remove = give_up.min(*size);
        *size -= remove;
        give_up -= remove;
    }
    sizes
}

/// Sizes after the Deployment's own size has changed, during a rollout in proportion. `new` is the index of the new ReplicaSet in `all`,
/// which goes from old to young. Only those that are to be touched are returned.
pub(super) fn proportional(deployment: &Deployment, all: &[Size], new: Option<usize>) -> Vec<(usize, i64)> {
    let wanted = deployment.replicas();
    let active: Vec<usize> = (0..all.len()).filter(|&index| all[index].replicas > 0).collect();
    let lone = match active.as_slice() {
        [] => new.or_else(|| all.len().checked_sub(1)),
        [only] => Some(*only),
        _ => None,
    };
    if let Some(index) = lone {
        return vec![(index, wanted)];
    }
    let is_saturated =
        |set: &Size| set.replicas == wanted && set.annotated_desired == Some(wanted) && set.available == wanted;
    if let Some(new) = new.filter(|&index| is_saturated(&all[index])) {
        return active.into_iter().filter(|&index| index != new).map(|index| (index, 0)).collect();
    }
    if deployment.recreates() {
        return Vec::new();
    }
    let allowed = if wanted > 0 { wanted + deployment.max_surge() } else { 0 };
    let total: i64 = active.iter().map(|&index| all[index].replicas).sum();
    let to_add = allowed - total;
    let mut order = active;
    // The largest first; among equals the youngest when growing, the oldest when shrinking.
    if to_add > 0 {
        order.sort_by_key(|&index| Reverse((all[index].replicas, all[index].created.clone(), index)));
    } else {
        order.sort_by_key(|&index| (Reverse(all[index].replicas), all[index].created.clone(), index));
    }
    let mut added = 0;
    let mut sizes = Vec::new();
    for index in order {
        let share = share_of(deployment, &all[index], to_add, added);
        added += share;
        sizes.push((index, all[index].replicas + share));
    }
    if let Some((_, first)) = sizes.first_mut() {
        *first = (*first + to_add - added).max(0);
    }
    sizes
}

/// How much of `to_add` (negative: to remove) falls to a ReplicaSet, when `added` has been given to others.
fn share_of(deployment: &Deployment, set: &Size, to_add: i64, added: i64) -> i64 {
    if set.replicas == 0 || to_add == 0 || added == to_add {
        return 0;
    }
    let fraction = if deployment.replicas() == 0 {
        -set.replicas
    } else {
        let max = deployment.replicas() + deployment.max_surge();
        let before = set.annotated_max.unwrap_or(deployment.status.replicas).max(1);
        // Rounded to the nearest, halves away from zero. The annotation and the surge are whatever a user writes, so there may be more
        // than 64 bits in between.
        let (replicas, max, before) = (i128::from(set.replicas), i128::from(max), i128::from(before));
        let fraction = (2 * replicas * max + before) / (2 * before) - replicas;
        i64::try_from(fraction).unwrap_or(i64::MAX)
    };
    let allowed = to_add - added;
    if to_add > 0 { fraction.min(allowed) } else { fraction.max(allowed) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(replicas: i64, surge: i64, unavailable: i64) -> Deployment {
        serde_json::from_value(json!({"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate",
            "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}}}))
        .unwrap()
    }

    fn size(replicas: i64, available: i64) -> Size {
        Size { replicas, available, ..Size::default() }
    }

    #[test]
    fn the_new_one_grows_into_the_surge() {
        let deployment = deployment(10, 3, 2);
        assert_eq!(new_replicas(&deployment, 0, 10), 3);
        assert_eq!(new_replicas(&deployment, 3, 13), 3);
        assert_eq!(new_replicas(&deployment, 8, 11), 10);
        assert_eq!(new_replicas(&deployment, 12, 12), 10);
    }

    #[test]
    fn the_old_ones_make_room() {
        let deployment = deployment(10, 3, 2);
        // Nothing of the new one is available: two may go.
        assert_eq!(old_replicas(&deployment, &size(3, 0), &[size(10, 10)]), [8]);
        assert_eq!(old_replicas(&deployment, &size(3, 0), &[size(8, 8)]), [8]);
        assert_eq!(old_replicas(&deployment, &size(5, 5), &[size(8, 8)]), [3]);
        // The unavailable go first, and from the oldest on.
        assert_eq!(old_replicas(&deployment, &size(3, 0), &[size(5, 0), size(5, 5)]), [3, 5]);
        assert_eq!(old_replicas(&deployment, &size(10, 10), &[size(1, 1), size(2, 2)]), [0, 0]);
    }

    #[test]
    fn a_rollout_grows_in_proportion() {
        let deployment = deployment(15, 3, 2);
        let annotated = |replicas| Size { replicas, available: replicas, annotated_max: Some(13), ..Size::default() };
        // The example of the documentation: 10 replicas, 8 old and 5 new, scaled to 15.
        assert_eq!(proportional(&deployment, &[annotated(8), annotated(5)], Some(1)), [(0, 11), (1, 7)]);
        assert_eq!(proportional(&deployment, &[size(0, 0), annotated(5)], Some(1)), [(1, 15)]);
        assert_eq!(proportional(&deployment, &[], None), []);
        let saturated = Size { replicas: 15, available: 15, annotated_desired: Some(15), ..Size::default() };
        assert_eq!(proportional(&deployment, &[annotated(3), saturated], Some(1)), [(0, 0)]);
    }

    #[test]
    fn numbers_that_a_user_writes_do_not_overflow() {
        let huge = i64::from(i32::MAX);
        let mut deployment = deployment(huge, 0, 0);
        deployment.spec.strategy.rolling_update.max_surge = json!("9223372036854775807%");
        let annotated = |replicas, max| Size { replicas, annotated_max: Some(max), ..Size::default() };
        for max in [i64::MIN, 1, i64::MAX] {
            let sizes = proportional(&deployment, &[annotated(huge, max), annotated(1, max)], Some(1));
            let total: i64 = sizes.iter().map(|(_, size)| size).sum();
            assert_eq!(total, huge + deployment.max_surge(), "{sizes:?}");
        }
    }

    #[test]
    fn shrinking_to_nothing() {
        let sizes = [size(8, 8), size(5, 5)];
        assert_eq!(proportional(&deployment(0, 3, 2), &sizes, Some(1)), [(0, 0), (1, 0)]);
    }
}
