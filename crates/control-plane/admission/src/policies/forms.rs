//! A write in the forms in which policies see it. Most see it as it is, so it is prepared once for all of them.

use windlass_api::Status;

use super::applicable::Applicable;
use crate::expressions::{Versioned, Write};
use crate::matching::Matched;
use crate::review::{Cluster, Review};

/// The objects of a write in each version that a policy matches, or why there is none.
pub(crate) struct Forms<'a>(Vec<(Matched<'a>, Result<Versioned<'a>, Status>)>);

/// What expressions see of each form.
pub(crate) struct Writes<'a>(Vec<(&'a Matched<'a>, Result<Write<'a>, &'a Status>)>);

impl<'a> Forms<'a> {
    /// The forms that policies are invoked with.
    pub(crate) async fn of<E>(
        applicable: &[Applicable<'_, 'a, E>],
        review: &'a Review<'_>,
        cluster: &dyn Cluster,
    ) -> Self {
        let mut forms: Vec<(Matched<'a>, Result<Versioned<'a>, Status>)> = Vec::new();
        for invocation in applicable.iter().filter_map(Applicable::invoked) {
            let matched = &invocation.matched;
            if forms.iter().all(|(known, _)| known != matched) {
                let versioned = Versioned::of(review, matched.clone(), cluster).await;
                forms.push((matched.clone(), versioned));
            }
        }
        Self(forms)
    }

    pub(crate) fn writes(&'a self, review: &'a Review<'_>, cluster: &'a dyn Cluster) -> Writes<'a> {
        let forms = self.0.iter();
        let write = |versioned: &'a Versioned<'a>| Write::of(review, versioned, cluster);
        Writes(forms.map(|(matched, versioned)| (matched, versioned.as_ref().map(write))).collect())
    }
}

impl<'a> Writes<'a> {
    /// `None` for a form that nothing is invoked with.
    pub(crate) fn of(&self, matched: &Matched<'_>) -> Option<&Result<Write<'a>, &'a Status>> {
        self.0.iter().find(|(known, _)| *known == matched).map(|(_, write)| write)
    }
}
