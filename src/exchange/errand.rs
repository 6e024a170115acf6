//! What one backend is asked: the request, the watch over it, and what the asks
//! of one request share.

use std::cell::{Cell, RefCell};

use super::{Client, outgoing::Outgoing, understand::Asked, watch::Watch};

/// One errand to a backend. Where two are on their way for one request, each
/// has its own watch and its own copy of what is sent.
pub struct Errand<'a, S> {
    pub client: &'a Client<S>,
    pub watch: &'a Watch,
    pub asked: &'a Asked<'a>,
    pub outgoing: &'a RefCell<Outgoing>,
    pub shared: &'a Shared,
}

impl<S> Clone for Errand<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Errand<'_, S> {}

/// What is known of all asks of one request.
#[derive(Debug, Default)]
pub struct Shared {
    /// How often backends were asked, a second time on a fresh connection
    /// included.
    pub asks: Cell<u32>,
    pub interims: Cell<Interims>,
}

/// What becomes of interim answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Interims {
    /// The next one goes to the client; none has yet.
    #[default]
    Pass,
    /// The client has had one. It hears of one backend from then on.
    Passed,
    /// Two backends are asked, and the client must not hear of both.
    EndHere,
}
