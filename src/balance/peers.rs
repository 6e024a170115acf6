//! Who stands in for whom, and how many of them may be missing.
//!
//! ```text
//! model a: own a1 a2 ──fail──► standby b1 b2     a1, a2 may both be missing
//! model b: own b1 b2                             b1 or b2 may be missing
//! ```
//!
//! It goes one way only: for a's sake b1 is asked, and for b's nobody of a. So
//! whatever has become of a1 and a2, b1 is judged by b2.

use super::BackendId;

/// The backends that answer for one model in one dialect.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peers {
    /// Not empty.
    own: Box<[BackendId]>,
    /// Those of the models that answer when these fail, and that are none of
    /// these.
    standby: Box<[BackendId]>,
}

impl Peers {
    /// `None` where there is nobody to stand in for. Nobody counts twice.
    #[must_use]
    pub fn of(mut own: Vec<BackendId>, mut standby: Vec<BackendId>) -> Option<Self> {
        standby.retain(|backend| !own.contains(backend));
        for backends in [&mut own, &mut standby] {
            backends.sort_unstable();
            backends.dedup();
        }
        (!own.is_empty()).then(|| Self { own: own.into(), standby: standby.into() })
    }

    pub(super) fn everyone(count: usize) -> Self {
        Self { own: (0..count).map(BackendId).collect(), standby: Box::new([]) }
    }

    fn all(&self) -> impl Iterator<Item = &BackendId> {
        self.own.iter().chain(&self.standby)
    }

    fn is_more_than_one(&self) -> bool {
        self.own.len() + self.standby.len() > 1
    }

    /// Never more than half are left out: the others could not bear it, and
    /// would fail in their turn.
    fn bear_without(&self, backend: BackendId, is_out: impl Fn(&BackendId) -> bool) -> bool {
        let out = self.all().filter(|&one| *one == backend || is_out(one)).count();
        2 * out <= self.all().count()
    }
}

/// Whether a backend may be left out beside those that are. Who answers for
/// several models may be missing in each; and for those that it only stands in
/// for it is not kept, as long as there are others at its own. One that is
/// alone at its own is asked there whatever is known of it, so that this has no
/// say where it stands in for others; who is alone everywhere is never left out.
pub(super) fn bear_without(
    peers: &[Peers],
    backend: BackendId,
    is_out: impl Fn(&BackendId) -> bool,
) -> bool {
    let is_own = |one: &&Peers| one.is_more_than_one() && one.own.contains(&backend);
    let stands_by = |one: &&Peers| one.standby.contains(&backend);
    let bears = |one: &Peers| one.bear_without(backend, &is_out);
    let mut own = peers.iter().filter(is_own).peekable();
    if own.peek().is_some() {
        return own.all(bears);
    }
    let mut others = peers.iter().filter(stands_by).peekable();
    others.peek().is_some() && others.all(bears)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One model's backends: own, and standby.
    type Row = (&'static [usize], &'static [usize]);

    /// Who is out when all of these fail, one after the other.
    #[track_caller]
    fn check(peers: &[Row], failing: &[usize], expected: &[usize]) {
        let ids = |places: &[usize]| places.iter().copied().map(BackendId).collect::<Vec<_>>();
        let peers: Vec<_> =
            peers.iter().filter_map(|(own, standby)| Peers::of(ids(own), ids(standby))).collect();
        let mut out: Vec<BackendId> = Vec::new();
        for backend in ids(failing) {
            if bear_without(&peers, backend, |one| out.contains(one)) {
                out.push(backend);
            }
        }
        out.sort_unstable();
        assert_eq!(out, ids(expected));
    }

    #[test]
    fn half_of_those_that_answer_for_the_same_may_be_missing() {
        check(&[(&[0, 1, 2, 3], &[])], &[0, 1, 2, 3], &[0, 1]);
        check(&[(&[0, 1], &[]), (&[2, 3], &[])], &[0, 1, 2, 3], &[0, 2]);
        check(&[(&[0, 1, 2], &[]), (&[3], &[])], &[0, 1], &[0]);
    }

    #[test]
    fn who_answers_for_two_models_may_be_missing_in_both() {
        check(&[(&[0, 1], &[]), (&[1, 2, 3], &[])], &[0, 1], &[0]);
        check(&[(&[0, 1], &[]), (&[1, 2, 3], &[])], &[2, 1], &[2]);
    }

    #[test]
    fn the_only_one_is_never_out_but_where_it_has_others_too() {
        check(&[(&[0], &[]), (&[1, 2, 3], &[])], &[0], &[]);
        check(&[(&[0], &[]), (&[0, 1], &[]), (&[2, 3], &[])], &[0], &[0]);
    }

    #[test]
    fn all_of_a_model_may_be_out_where_others_stand_in() {
        check(&[(&[0, 1], &[2, 3]), (&[2, 3], &[])], &[0, 1], &[0, 1]);
        check(&[(&[0], &[1]), (&[1], &[])], &[0], &[0]);
    }

    #[test]
    fn an_outage_keeps_nobody_in_service_who_stands_in() {
        let peers: &[Row] = &[(&[0, 1], &[2, 3]), (&[2, 3], &[])];
        check(peers, &[0, 1, 2, 3], &[0, 1, 2]);
        check(peers, &[2, 0, 1], &[0, 2]);
    }

    #[test]
    fn who_is_alone_at_its_own_is_judged_by_those_it_stands_in_for() {
        let peers: &[Row] = &[(&[0], &[1, 2]), (&[1], &[]), (&[2], &[])];
        check(peers, &[1, 2], &[1]);
        check(peers, &[0, 1], &[0]);
    }

    #[test]
    fn nobody_counts_twice() {
        check(&[(&[0, 0, 1], &[1, 2, 2, 2])], &[0, 1], &[0]);
        assert_eq!(Peers::of(vec![], vec![BackendId(1)]), None);
    }
}
