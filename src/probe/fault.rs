//! Why a backend that was asked gave no answer to work with.

/// The backend's doing, or that of what lies on the way to it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFault {
    #[error("its name stands for no address")]
    NoAddress,
    #[error("no connection ({0})")]
    Unreachable(String),
    #[error("no TLS ({0})")]
    Handshake(String),
    #[error("no whole answer in time")]
    TimedOut,
    #[error("the connection broke ({0})")]
    Broken(String),
    #[error("the connection ended before the answer did")]
    Cut,
    #[error("the answer is no HTTP ({0})")]
    Malformed(&'static str),
    #[error("the answer is too large")]
    TooLarge,
    #[error("status {0}")]
    Status(u16),
    #[error("the answer is encoded, which was not asked for")]
    Encoded,
}
