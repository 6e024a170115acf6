//! What a request's body says, as far as it must be known: whom it asks, how
//! much work it is, and whether it may be asked twice.

use super::Asked;
use crate::{
    balance::{Shape, Work},
    llm::{Endpoint, Peek, Trouble, is_json, peek, peek_unknown},
    retry::Repeatable,
};

impl Asked<'_> {
    /// Holds the body to what its API promises, once it stands in the outgoing
    /// request. Returns what it says, as far as it was looked into;
    /// `looks_for_model` is whether it matters that a model may stand where any
    /// body may.
    pub fn check_body(&mut self, looks_for_model: bool) -> Result<Option<Peek>, Trouble> {
        if !self.asks_model() {
            let may_name_one = self.is_post && self.endpoint == Endpoint::Other;
            return if looks_for_model && may_name_one { self.look_for_model() } else { Ok(None) };
        }
        if self.in_other_charset {
            // The backend could find other members in it than we do.
            return Err(Trouble::CharsetUnknown);
        }
        let body = self.outgoing.get_mut().body();
        if self.is_proxy {
            is_json(body)?;
            let prompt_bytes = u32::try_from(body.len()).unwrap_or(u32::MAX);
            self.work = Work { prompt_bytes, shape: shape_of(self.endpoint, false) };
            // Where names lead somewhere, a body that may be read in two ways
            // is refused; one that names no model may go anywhere.
            let is_object = looks_for_model && body.trim_ascii_start().starts_with(b"{");
            let found = is_object.then(|| peek(body, Endpoint::Other)).transpose()?;
            self.model = found.and_then(|peek| peek.model);
            if self.endpoint == Endpoint::Responses {
                // A body that cannot be made out may ask for anything.
                let read = found.map_or_else(|| peek(body, Endpoint::Other), Ok);
                self.note_effect(read.ok().as_ref());
            }
            return Ok(found);
        }
        let peek = peek(body, self.endpoint)?;
        let shape = shape_of(self.endpoint, peek.stream);
        self.work = Work { prompt_bytes: peek.prompt_bytes, shape };
        self.model = peek.model;
        self.note_effect(Some(&peek));
        Ok(Some(peek))
    }

    /// An API that we do not know may name a model like any other (images,
    /// moderations), and then is answered by those that serve it. It stays
    /// unknown: what it does, and whether it may be done twice.
    fn look_for_model(&mut self) -> Result<Option<Peek>, Trouble> {
        let found = peek_unknown(self.outgoing.get_mut().body())?;
        if found.is_some() && self.in_other_charset {
            return Err(Trouble::CharsetUnknown);
        }
        self.model = found.and_then(|peek| peek.model);
        Ok(found)
    }

    /// What does more than answer is not done twice.
    fn note_effect(&mut self, peek: Option<&Peek>) {
        if peek.is_none_or(|peek| peek.outlives_answer(self.endpoint)) {
            self.repeatable = Repeatable::Unsent;
        }
    }
}

/// How the work of this endpoint shows from outside.
fn shape_of(endpoint: Endpoint, stream: bool) -> Shape {
    match endpoint {
        Endpoint::ChatCompletions
        | Endpoint::Completions
        | Endpoint::Responses
        | Endpoint::Messages => {
            if stream {
                Shape::Streamed
            } else {
                Shape::Whole
            }
        }
        Endpoint::Embeddings | Endpoint::CountTokens | Endpoint::Rerank => Shape::Read,
        Endpoint::StoredResponse | Endpoint::MessagesOther | Endpoint::Models | Endpoint::Other => {
            Shape::Other
        }
    }
}
