//! Handshakes take turns: each is a hundred times the work of relaying an
//! event, and a storm of them must not hold up the streams of the shard.
//!
//! So many may work in one turn of the event loop; the others wait in line,
//! with a bound, and who comes after that is turned away. Backends' handshakes
//! go first and have a line of their own: a request of an established client
//! waits for each, so the requests bound it, and no storm of newcomers may cost
//! them theirs.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Poll, Waker},
};

use crate::rt::World;

/// Steps of handshakes in one turn. With the slowest keys in use (RSA of 4,096
/// bits) one takes 4 ms, with P-256 a fifth of one.
const STEPS_A_TURN: usize = 2;

/// Whose handshake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum With {
    Backend,
    Client,
}

/// One shard's gate.
pub struct Gate {
    backends: Line,
    clients: Line,
    clients_max: usize,
    /// Steps that may still be taken in this turn.
    left: Cell<usize>,
    /// Some were, or somebody waits: the keeper has something to do.
    busy: Cell<bool>,
    keeper: Cell<Option<Waker>>,
}

type Line = RefCell<VecDeque<Rc<Waiter>>>;

/// One who waits.
#[derive(Default)]
struct Waiter {
    called: Cell<bool>,
    gone: Cell<bool>,
    task: Cell<Option<Waker>>,
}

/// The line is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shed;

impl Gate {
    /// At most `clients_max` clients wait.
    #[must_use]
    pub fn new(clients_max: usize) -> Self {
        Self {
            backends: RefCell::default(),
            clients: RefCell::default(),
            clients_max,
            left: Cell::new(STEPS_A_TURN),
            busy: Cell::new(false),
            keeper: Cell::new(None),
        }
    }

    /// Waits until it is the caller's turn to take one step. May be dropped.
    pub async fn pass(&self, with: With) -> Result<(), Shed> {
        self.wake_keeper();
        if self.left.get() > 0 && self.is_first(with) {
            self.left.set(self.left.get() - 1);
            return Ok(());
        }
        let line = match with {
            With::Backend => &self.backends,
            With::Client => &self.clients,
        };
        if with == With::Client && self.waiting(line) >= self.clients_max {
            return Err(Shed);
        }
        let place = Place::at_the_end(line);
        poll_fn(|cx| {
            if place.0.called.get() {
                return Poll::Ready(());
            }
            place.0.task.set(Some(cx.waker().clone()));
            Poll::Pending
        })
        .await;
        Ok(())
    }

    /// Whether nobody waits who would go before.
    fn is_first(&self, with: With) -> bool {
        let no_backend = self.backends.borrow().is_empty();
        no_backend && (with == With::Backend || self.clients.borrow().is_empty())
    }

    /// How many wait in a line, once those in front who have left it are gone.
    fn waiting(&self, line: &Line) -> usize {
        let mut line = line.borrow_mut();
        if line.len() >= self.clients_max {
            line.retain(|waiter| !waiter.gone.get());
        }
        line.len()
    }

    /// Opens the gate again in every turn of the event loop, for ever.
    pub async fn keep(&self, world: &impl World) {
        loop {
            poll_fn(|cx| {
                if self.busy.replace(false) {
                    return Poll::Ready(());
                }
                self.keeper.set(Some(cx.waker().clone()));
                Poll::Pending
            })
            .await;
            world.next_turn().await;
            self.open();
        }
    }

    /// A new turn: those in front are called.
    pub(super) fn open(&self) {
        let mut left = STEPS_A_TURN;
        while left > 0
            && let Some(waiter) = self.next_in_line()
        {
            if waiter.gone.get() {
                continue;
            }
            left -= 1;
            waiter.called.set(true);
            if let Some(task) = waiter.task.take() {
                task.wake();
            }
        }
        self.left.set(left);
        // Who was called works in this turn, and the next must come.
        self.busy.set(left < STEPS_A_TURN || !self.is_first(With::Client));
    }

    fn next_in_line(&self) -> Option<Rc<Waiter>> {
        let backend = self.backends.borrow_mut().pop_front();
        backend.or_else(|| self.clients.borrow_mut().pop_front())
    }

    fn wake_keeper(&self) {
        if !self.busy.replace(true)
            && let Some(keeper) = self.keeper.take()
        {
            keeper.wake();
        }
    }
}

/// A place in the line; it is given up when it is dropped.
struct Place(Rc<Waiter>);

impl Place {
    fn at_the_end(line: &Line) -> Self {
        let waiter = Rc::new(Waiter::default());
        line.borrow_mut().push_back(Rc::clone(&waiter));
        Self(waiter)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.gone.set(true);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::{Pin, pin},
        task::Context,
    };

    use super::*;

    fn passes(pass: Pin<&mut impl Future<Output = Result<(), Shed>>>) -> Poll<Result<(), Shed>> {
        pass.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn so_many_pass_in_a_turn_and_the_rest_in_the_order_they_came() {
        let gate = Gate::new(8);
        for _ in 0..STEPS_A_TURN {
            assert_eq!(passes(pin!(gate.pass(With::Client))), Poll::Ready(Ok(())));
        }
        let mut waiting: Vec<_> =
            (0..STEPS_A_TURN + 1).map(|_| Box::pin(gate.pass(With::Client))).collect();
        for pass in &mut waiting {
            assert_eq!(passes(pass.as_mut()), Poll::Pending);
        }
        gate.open();
        let last = waiting.pop();
        for pass in &mut waiting {
            assert_eq!(passes(pass.as_mut()), Poll::Ready(Ok(())));
        }
        assert_eq!(passes(last.unwrap().as_mut()), Poll::Pending);
    }

    #[test]
    fn nobody_overtakes_those_who_wait() {
        let gate = Gate::new(8);
        gate.left.set(0);
        let mut first = Box::pin(gate.pass(With::Client));
        assert!(passes(first.as_mut()).is_pending());
        gate.left.set(1);
        assert!(passes(pin!(gate.pass(With::Client))).is_pending());
    }

    #[test]
    fn who_has_left_the_line_takes_no_turn() {
        let gate = Gate::new(8);
        gate.left.set(0);
        let mut waiting: Vec<_> = (0..4).map(|_| Box::pin(gate.pass(With::Client))).collect();
        for pass in &mut waiting {
            assert!(passes(pass.as_mut()).is_pending());
        }
        waiting.drain(..2);
        gate.open();
        for pass in &mut waiting {
            assert_eq!(passes(pass.as_mut()), Poll::Ready(Ok(())));
        }
    }

    #[test]
    fn backends_go_first_and_are_not_turned_away() {
        let gate = Gate::new(1);
        gate.left.set(0);
        let mut client = Box::pin(gate.pass(With::Client));
        assert!(passes(client.as_mut()).is_pending());
        let mut backends: Vec<_> = (0..3).map(|_| Box::pin(gate.pass(With::Backend))).collect();
        for pass in &mut backends {
            assert!(passes(pass.as_mut()).is_pending());
        }
        gate.open();
        for pass in backends.iter_mut().take(STEPS_A_TURN) {
            assert_eq!(passes(pass.as_mut()), Poll::Ready(Ok(())));
        }
        assert!(passes(client.as_mut()).is_pending());
        gate.open();
        assert_eq!(passes(backends[STEPS_A_TURN].as_mut()), Poll::Ready(Ok(())));
        assert_eq!(passes(client.as_mut()), Poll::Ready(Ok(())));
    }

    #[test]
    fn a_place_that_was_given_up_is_not_counted() {
        let gate = Gate::new(1);
        gate.left.set(0);
        let mut gone = Box::pin(gate.pass(With::Client));
        assert!(passes(gone.as_mut()).is_pending());
        drop(gone);
        assert!(passes(pin!(gate.pass(With::Client))).is_pending());
    }

    #[test]
    fn a_full_line_turns_away() {
        let gate = Gate::new(1);
        gate.left.set(0);
        let mut first = Box::pin(gate.pass(With::Client));
        assert!(passes(first.as_mut()).is_pending());
        assert_eq!(passes(pin!(gate.pass(With::Client))), Poll::Ready(Err(Shed)));
    }
}
