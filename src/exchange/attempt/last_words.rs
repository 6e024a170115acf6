//! What the client is told if nobody answers: the first error that a backend
//! gave, which is held while others are asked, or else our own first trouble.
//! That nothing could be sent is only told where nothing was sent to anybody:
//! the client is asked to come again then.

use super::{Begun, Way};
use crate::{
    exchange::{
        Interrupt,
        answer::Answer,
        ask::{AttemptFault, Word, class_of},
        hold::{Unheld, hold},
    },
    llm::Trouble,
    retry::GivenUp,
    rt::World,
};

impl<'s, W: World> Way<'s, '_, W> {
    /// Keeps what a failure can be told by, if it may be told. Returns an error
    /// that is too large to be kept.
    pub(super) async fn keep(
        &mut self,
        word: Word<'s, W::Stream>,
    ) -> Result<Option<Box<Answer<'s, W::Stream>>>, AttemptFault> {
        match (word, &self.first) {
            // Of two errors the first is told, and of any the one of a backend.
            (Word::Answer(answer), None | Some(Word::Trouble(_))) => {
                match hold(self.stage, self.client, answer).await {
                    Ok(held) => self.first = Some(Word::Answer(held)),
                    Err(Unheld::Passes(answer)) => return Ok(Some(answer)),
                    lost @ Err(Unheld::Slow(_) | Unheld::Lost) => {
                        // Others may answer before this one has told its error.
                        if let Err(Unheld::Slow(answer)) = lost {
                            answer.lost(self.stage);
                        }
                        self.note(Trouble::BackendCut);
                    }
                    Err(Unheld::Interrupted(interrupt)) => return Err(interrupt.into()),
                }
            }
            (Word::Answer(answer), Some(Word::Answer(_))) => answer.lost(self.stage),
            (Word::Trouble(trouble), _) => self.note(trouble),
        }
        Ok(None)
    }

    /// Keeps a trouble of our own, if it may be told.
    pub(super) fn note(&mut self, trouble: Trouble) {
        match &self.first {
            Some(Word::Answer(_)) => {}
            Some(Word::Trouble(first)) if was_sent(first) || !was_sent(&trouble) => {}
            _ => self.first = Some(Word::Trouble(trouble)),
        }
    }

    /// There is no further attempt after this one.
    pub(super) fn give_up_with(
        &mut self,
        word: Word<'s, W::Stream>,
        given_up: GivenUp,
    ) -> Result<Begun<'s, W::Stream>, AttemptFault> {
        match (word, &self.first) {
            (Word::Answer(answer), Some(Word::Answer(_))) => answer.lost(self.stage),
            (Word::Trouble(trouble), _) => self.note(trouble),
            (answer, _) => self.first = Some(answer),
        }
        self.give_up(given_up)
    }

    /// Tells the client what the first one said.
    pub(super) fn give_up(
        &mut self,
        given_up: GivenUp,
    ) -> Result<Begun<'s, W::Stream>, AttemptFault> {
        self.take_back();
        match self.first.take() {
            Some(Word::Answer(mut answer)) => {
                let is_error = answer.head.class.is_some();
                answer.amend(self.shared.asks.get(), is_error && given_up.is_final());
                Ok((answer, None))
            }
            Some(Word::Trouble(trouble)) => Err(trouble.into()),
            None => Err(Trouble::NoBackend.into()),
        }
    }

    /// The request must end, and is told what there is to tell.
    pub(super) fn end(
        &mut self,
        fault: AttemptFault,
    ) -> Result<Begun<'s, W::Stream>, AttemptFault> {
        let is_gone = matches!(fault, AttemptFault::Interrupted(Interrupt::ClientGone));
        if !is_gone && matches!(self.first, Some(Word::Answer(_))) {
            return self.give_up(GivenUp::NobodyLeft);
        }
        Err(fault)
    }
}

/// Whether a backend may have worked on the request.
fn was_sent(trouble: &Trouble) -> bool {
    class_of(trouble).is_some_and(|class| !class.is_before_sending())
}
