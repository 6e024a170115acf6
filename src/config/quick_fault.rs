//! What can be wrong with the flags of another router: one variant a fault,
//! each with its reason and its mend.

use super::settings::Misread;

/// The reason and the mend, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuickFault {
    #[error("{0}")]
    Refused(&'static str),
    #[error("{0} says the same; leave one of the two out")]
    SaidTwice(&'static str),
    #[error("this is no whole number of seconds; write digits only, like 600")]
    Seconds,
    #[error("this is no whole number of bytes; write digits only, like 1048576")]
    Bytes,
    #[error("this lets no request in; write a count, or -1 for no limit")]
    InFlightZero,
    #[error("this is no whole number of milliseconds; write digits only, like 50")]
    Milliseconds,
    #[error(
        "this way to choose is not known here; write roundrobin, session or prefixaware, or leave \
         it out for the backend that would answer soonest"
    )]
    RoutingLogic,
    #[error("no controller of caches is asked; write prefixaware")]
    KvAware,
    #[error("a session is named by a header; write its name, like x-user-id")]
    SessionKey,
    #[error("no session is looked at without --routing-logic session; add that, or leave this out")]
    SessionAlone,
    #[error(
        "a request waits for a backend that has a capacity, and none has; what is over \
         --max-concurrent-requests is refused at once; write capacity = COUNT at a backend in the \
         file, or leave this out"
    )]
    NobodyWaits,
    #[error("no server is named; write one or several URLs")]
    NoUrls,
    #[error("these name the models of --static-backends; add that, with as many URLs")]
    ModelsAlone,
    #[error("{models} models are named for {backends} backends, in order; name one for each")]
    Uneven { models: usize, backends: usize },
    #[error("this is no alias and model; write ALIAS:MODEL, and commas between several")]
    Alias,
    #[error(transparent)]
    Word(#[from] Misread),
}
