//! Who waits for a place at a backend, and in which order they may take one:
//! by priority, then as they came.
//!
//! Requests need not wait for the same backends. Whoever is in front has the
//! first right to all backends that it waits for, and none to others: those
//! behind may take what nobody in front of them wants.
//!
//! ```text
//! front ─► [a b]  [a]  [b c]          a is free: the first may take it, and
//!                       └─► only c    nobody else; c is free: the third may
//! ```

use smallvec::SmallVec;

use super::BackendId;

/// How urgent a request is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    High,
    #[default]
    Normal,
    Low,
}

impl Priority {
    /// As a client writes it.
    #[must_use]
    pub fn of(word: &[u8]) -> Option<Self> {
        let known: [(&[u8], Self); 3] =
            [(b"high", Self::High), (b"normal", Self::Normal), (b"low", Self::Low)];
        known.iter().find(|(known, _)| word.eq_ignore_ascii_case(known)).map(|&(_, it)| it)
    }
}

/// Stands for one that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number(Priority, u64);

/// Backends, a bit for each of the first 128; those after them pass for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u128);

impl Set {
    fn of(backends: &[BackendId]) -> Self {
        Self(backends.iter().fold(0, |bits, backend| bits | 1 << backend.0.min(127)))
    }

    fn has(self, backend: BackendId) -> bool {
        self.0 >> backend.0.min(127) & 1 == 1
    }
}

/// Those that wait, with what is known of each (`W`).
#[derive(Debug)]
pub struct Queue<W> {
    /// In their order.
    waiting: Vec<(Number, Set, W)>,
    came: u64,
}

impl<W> Default for Queue<W> {
    fn default() -> Self {
        Self { waiting: Vec::new(), came: 0 }
    }
}

/// Backends that a request may take a place at.
pub type Free = SmallVec<[BackendId; 16]>;

impl<W> Queue<W> {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One more waits for any of these, behind those as urgent as it.
    pub fn enter(&mut self, priority: Priority, among: &[BackendId], known: W) -> Number {
        self.came += 1;
        let number = Number(priority, self.came);
        let at = self.waiting.partition_point(|(other, ..)| *other < number);
        self.waiting.insert(at, (number, Set::of(among), known));
        number
    }

    /// It waits no longer.
    pub fn leave(&mut self, number: Number) {
        if let Ok(at) = self.place(number) {
            self.waiting.remove(at);
        }
    }

    /// What is known of one that waits.
    pub fn known(&mut self, number: Number) -> Option<&mut W> {
        let at = self.place(number).ok()?;
        self.waiting.get_mut(at).map(|(.., known)| known)
    }

    /// Of these, the backends that nobody wants who stands in front of it.
    #[must_use]
    pub fn free_for(&self, number: Number, among: &[BackendId]) -> Free {
        let at = self.place(number).unwrap_or_else(|at| at);
        self.unwanted_by(at, among)
    }

    /// The same for one that has just come, and would stand behind those as
    /// urgent as it.
    #[must_use]
    pub fn free_for_new(&self, priority: Priority, among: &[BackendId]) -> Free {
        let at = self.waiting.partition_point(|(other, ..)| other.0 <= priority);
        self.unwanted_by(at, among)
    }

    /// Those that may take some place: each of them wants a backend that nobody
    /// in front of it wants.
    pub fn fronts(&self) -> impl Iterator<Item = &W> {
        let mut wanted = Set::default();
        self.waiting.iter().filter_map(move |(_, set, known)| {
            let is_front = set.0 & !wanted.0 != 0;
            wanted.0 |= set.0;
            is_front.then_some(known)
        })
    }

    fn unwanted_by(&self, before: usize, among: &[BackendId]) -> Free {
        let in_front = self.waiting.iter().take(before);
        let wanted = Set(in_front.fold(0, |bits, (_, set, _)| bits | set.0));
        among.iter().copied().filter(|&backend| !wanted.has(backend)).collect()
    }

    fn place(&self, number: Number) -> Result<usize, usize> {
        self.waiting.binary_search_by(|(other, ..)| other.cmp(&number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(indices: &[usize]) -> Vec<BackendId> {
        indices.iter().copied().map(BackendId).collect()
    }

    fn enter(queue: &mut Queue<&'static str>, who: &'static str, among: &[usize]) -> Number {
        queue.enter(Priority::Normal, &ids(among), who)
    }

    fn fronts(queue: &Queue<&'static str>) -> Vec<&'static str> {
        queue.fronts().copied().collect()
    }

    #[test]
    fn who_came_first_is_first_and_who_is_urgent_before() {
        let mut queue = Queue::default();
        let mut order = vec![];
        for (priority, who) in [
            (Priority::Low, "e"),
            (Priority::Normal, "c"),
            (Priority::High, "a"),
            (Priority::Normal, "d"),
            (Priority::High, "b"),
        ] {
            order.push((who, queue.enter(priority, &ids(&[0]), who)));
        }
        order.sort_unstable();
        for (who, number) in order {
            assert_eq!(fronts(&queue), [who]);
            assert_eq!(queue.known(number), Some(&mut { who }));
            queue.leave(number);
            queue.leave(number);
            assert_eq!(queue.known(number), None);
        }
        assert!(queue.is_empty());
    }

    #[test]
    fn nobody_takes_what_one_in_front_wants() {
        let mut queue = Queue::default();
        let first = enter(&mut queue, "first", &[0, 1]);
        let second = enter(&mut queue, "second", &[0]);
        let third = enter(&mut queue, "third", &[1, 2]);
        assert_eq!(fronts(&queue), ["first", "third"]);
        let free = |queue: &Queue<_>, number, among: &[usize]| {
            queue.free_for(number, &ids(among)).to_vec()
        };
        assert_eq!(free(&queue, first, &[0, 1]), ids(&[0, 1]));
        assert_eq!(free(&queue, second, &[0]), []);
        assert_eq!(free(&queue, third, &[1, 2]), ids(&[2]));
        queue.leave(first);
        assert_eq!(fronts(&queue), ["second", "third"]);
        assert_eq!(free(&queue, third, &[1, 2]), ids(&[1, 2]));
    }

    #[test]
    fn who_comes_does_not_overtake_unless_it_is_more_urgent() {
        let mut queue = Queue::default();
        enter(&mut queue, "waits", &[0]);
        let free = |priority| queue.free_for_new(priority, &ids(&[0, 3])).to_vec();
        assert_eq!(free(Priority::High), ids(&[0, 3]));
        assert_eq!(free(Priority::Normal), ids(&[3]));
        assert_eq!(free(Priority::Low), ids(&[3]));
    }

    #[test]
    fn backends_beyond_the_set_wait_for_each_other() {
        let mut queue = Queue::default();
        let first = enter(&mut queue, "first", &[200]);
        let second = enter(&mut queue, "second", &[300]);
        assert_eq!(fronts(&queue), ["first"]);
        assert!(queue.free_for(second, &ids(&[300])).is_empty());
        queue.leave(first);
        assert_eq!(queue.free_for(second, &ids(&[300])).to_vec(), ids(&[300]));
    }

    #[test]
    fn only_three_words_are_a_priority() {
        for (word, expected) in [
            ("high", Some(Priority::High)),
            ("HIGH", Some(Priority::High)),
            ("normal", Some(Priority::Normal)),
            ("low", Some(Priority::Low)),
            ("urgent", None),
            ("", None),
            (" high", None),
        ] {
            assert_eq!(Priority::of(word.as_bytes()), expected, "{word:?}");
        }
    }
}
