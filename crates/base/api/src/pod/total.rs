//! Sums of resource lists.

use super::view::AnyList;
use crate::Quantity;

/// Quantities by resource name, sorted; the names belong to the pod. Few entries, and so a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Total<'a>(Vec<(&'a str, Quantity)>);

impl<'a> Total<'a> {
    pub fn get(&self, name: &str) -> Option<Quantity> {
        self.position(name).ok().map(|at| self.0[at].1)
    }

    /// The amount of a resource, which is zero when it is not named.
    pub fn amount(&self, name: &str) -> Quantity {
        self.get(name).unwrap_or_default()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Quantity)> {
        self.0.iter().copied()
    }

    fn position(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(have, _)| (*have).cmp(name))
    }

    /// Sets an amount to what `with` makes of the one that is there.
    pub(super) fn merge(&mut self, name: &'a str, amount: Quantity, with: impl Fn(Quantity, Quantity) -> Quantity) {
        match self.position(name) {
            Ok(at) => self.0[at].1 = with(self.0[at].1, amount),
            Err(at) => self.0.insert(at, (name, amount)),
        }
    }

    pub(super) fn set(&mut self, name: &'a str, amount: Quantity) {
        self.merge(name, amount, |_, new| new);
    }

    pub(super) fn add<L: AnyList>(&mut self, list: Option<&'a L>) {
        for (name, amount) in list.into_iter().flat_map(AnyList::amounts) {
            self.merge(name, amount, |have, more| have + more);
        }
    }

    pub(super) fn add_total(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.merge(name, amount, |have, more| have + more);
        }
    }

    /// Makes each amount at least that of `list`.
    pub(super) fn raise<L: AnyList>(&mut self, list: Option<&'a L>) {
        for (name, amount) in list.into_iter().flat_map(AnyList::amounts) {
            self.merge(name, amount, greater);
        }
    }

    pub(super) fn raise_total(&mut self, other: &Self) {
        for (name, amount) in other.iter() {
            self.merge(name, amount, greater);
        }
    }
}

/// The greater of two; the first one's spelling stays when they are equal.
fn greater(have: Quantity, other: Quantity) -> Quantity {
    if other > have { other } else { have }
}
