//! What a fleet is asked: a backend for one request.

use super::{BackendId, ModelKey, Policy, Work};

/// One request that is to be sent somewhere.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Backends that could answer it.
    pub among: &'a [BackendId],
    /// Those of them that it has been sent to.
    pub tried: &'a [BackendId],
    pub reach: Reach,
    /// Its client's request has been sent nowhere yet, and it is no copy of one.
    pub is_first: bool,
    pub policy: Policy,
    pub work: Work,
    /// The model that backends are asked for, where it is known.
    pub model: Option<ModelKey>,
    /// What stands for its conversation, where that is known (`session_hash`).
    pub conversation: Option<u64>,
    /// What its conversation begins with (`prefix`; see [`hashes`](super::hashes)).
    pub hashes: &'a [u64],
}

impl<'a> Ask<'a> {
    /// One that was sent nowhere yet and belongs to no conversation.
    #[must_use]
    pub fn new(among: &'a [BackendId], policy: Policy, work: Work) -> Self {
        let reach = Reach::Anyone;
        Self {
            among,
            tried: &[],
            reach,
            is_first: true,
            policy,
            work,
            model: None,
            conversation: None,
            hashes: &[],
        }
    }
}

/// Whom a request is sent to if need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Those that are well: another way to have it answered is there.
    Well,
    /// Those that are left alone, too: they may be back, and an error is
    /// certain otherwise.
    Anyone,
}

/// Why no backend was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoPick {
    /// There is none in reach that it has not been sent to.
    Nobody,
    /// Each of those bears no more requests now.
    Full,
}
