//! What a rule asks that costs nothing to answer, in few bytes: a request is
//! held to many rules, most of which do not apply, and two of these lie in one
//! line of a cache.

use super::{Conditions, Query};

#[derive(Debug)]
pub(super) struct Terms {
    /// The least and the most.
    prompt_tokens: (u64, u64),
    /// The place of its first condition on the head.
    head: Option<u16>,
    stream: Option<bool>,
    tools: Option<bool>,
}

impl Terms {
    /// `head` are the places of the rule's conditions on the head.
    pub(super) fn new(when: &Conditions, head: &[u16]) -> Self {
        let tokens = when.prompt_tokens.as_ref();
        Self {
            prompt_tokens: tokens.map_or((0, u64::MAX), |range| (*range.start(), *range.end())),
            head: head.first().copied(),
            stream: when.stream,
            tools: when.tools,
        }
    }

    #[inline]
    pub(super) fn are_met(&self, query: &Query<'_>) -> bool {
        let (least, most) = self.prompt_tokens;
        self.head.is_none_or(|place| query.head.meets(place))
            && self.stream.is_none_or(|wanted| wanted == query.stream)
            && self.tools.is_none_or(|wanted| wanted == query.tools)
            && (least..=most).contains(&query.prompt_tokens)
    }
}

const _: () = assert!(size_of::<Terms>() <= 32);
