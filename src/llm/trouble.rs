//! Everything that can go wrong with a request, and how it is said.
//!
//! One table for the status, one for OpenAI's words, one for Anthropic's, one
//! for the advice on retrying. `refusal.rs` does the writing.

use crate::json::JsonFault;
use crate::llm::peek::{PeekFault, PeekFaultKind};

/// What went wrong, named so that the one to blame is plain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    // The client.
    InvalidRequest {
        reason: &'static str,
        param: Option<&'static str>,
        offset: Option<usize>,
    },
    NotJson {
        reason: &'static str,
        offset: usize,
    },
    MissingModel,
    /// Nobody has named it; these names are near.
    ModelNotFound {
        model: Box<str>,
        near: Vec<Box<str>>,
    },
    /// Only routes have named it, and none of them applies to this request.
    NoRouteApplies {
        model: Box<str>,
    },
    /// It is served, in the other dialect.
    ModelInOtherApi {
        model: Box<str>,
    },
    CharsetUnknown,
    MethodNotAllowed {
        reason: &'static str,
    },
    RequestTimeout,
    BodyTooLarge,
    TargetTooLong {
        reason: &'static str,
    },
    ExpectationFailed {
        reason: &'static str,
    },
    UpgradeRequired,
    HeadTooLarge {
        reason: &'static str,
    },
    NotImplemented {
        reason: &'static str,
    },
    VersionNotSupported {
        reason: &'static str,
    },
    // Us, or the operator.
    TooManyConnections,
    Overloaded,
    Draining,
    QueueFull,
    QueueTimeout,
    Internal,
    // The backend.
    NoBackend,
    BackendUnreachable,
    BackendUnverified,
    BackendHandshake,
    /// It refuses the key that the operator gave for it.
    BackendRefusesKey,
    BackendConnectTimeout,
    BackendFirstByteTimeout,
    BackendIdleTimeout,
    TotalTimeout,
    BackendProtocol {
        reason: &'static str,
    },
    BackendCut,
    StreamCut,
}

/// How the client should go on, as header fields: `x-should-retry` and
/// `retry-after`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Advice {
    pub should_retry: Option<bool>,
    pub retry_after_seconds: Option<u32>,
}

/// The words of an OpenAI error besides its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenAiWords {
    pub(super) kind: &'static str,
    pub(super) code: Option<&'static str>,
    pub(super) param: Option<&'static str>,
}

impl From<PeekFault> for Trouble {
    fn from(fault: PeekFault) -> Self {
        match fault.kind {
            PeekFaultKind::Json(_) => {
                Self::NotJson { reason: fault.reason(), offset: fault.offset }
            }
            PeekFaultKind::ModelMissing => Self::MissingModel,
            _ => Self::InvalidRequest {
                reason: fault.reason(),
                param: fault.param(),
                offset: Some(fault.offset),
            },
        }
    }
}

impl From<JsonFault> for Trouble {
    fn from(fault: JsonFault) -> Self {
        Self::NotJson { reason: fault.reason(), offset: fault.offset }
    }
}

impl Trouble {
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::InvalidRequest { .. } | Self::NotJson { .. } | Self::MissingModel => 400,
            Self::ModelNotFound { .. }
            | Self::NoRouteApplies { .. }
            | Self::ModelInOtherApi { .. } => 404,
            Self::MethodNotAllowed { .. } => 405,
            Self::RequestTimeout => 408,
            Self::BodyTooLarge => 413,
            Self::TargetTooLong { .. } => 414,
            Self::CharsetUnknown => 415,
            Self::ExpectationFailed { .. } => 417,
            Self::UpgradeRequired => 426,
            Self::QueueFull => 429,
            Self::HeadTooLarge { .. } => 431,
            Self::Internal => 500,
            Self::NotImplemented { .. } => 501,
            Self::BackendUnreachable
            | Self::BackendUnverified
            | Self::BackendHandshake
            | Self::BackendRefusesKey
            | Self::BackendProtocol { .. }
            | Self::BackendCut
            | Self::StreamCut => 502,
            Self::TooManyConnections
            | Self::Overloaded
            | Self::Draining
            | Self::QueueTimeout
            | Self::NoBackend => 503,
            Self::BackendConnectTimeout
            | Self::BackendFirstByteTimeout
            | Self::BackendIdleTimeout
            | Self::TotalTimeout => 504,
            Self::VersionNotSupported { .. } => 505,
        }
    }

    /// OpenAI's `type` and `code`, and the parameter at fault.
    pub(super) fn openai_words(&self) -> OpenAiWords {
        let words = |kind, code| OpenAiWords { kind, code, param: None };
        let request = |code| words("invalid_request_error", code);
        let server = |code| words("server_error", Some(code));
        match self {
            Self::InvalidRequest { param, .. } => OpenAiWords { param: *param, ..request(None) },
            Self::MissingModel => {
                OpenAiWords { param: Some("model"), ..request(Some("missing_required_parameter")) }
            }
            Self::ModelNotFound { .. }
            | Self::NoRouteApplies { .. }
            | Self::ModelInOtherApi { .. } => {
                OpenAiWords { param: Some("model"), ..request(Some("model_not_found")) }
            }
            Self::CharsetUnknown => request(Some("unsupported_charset")),
            Self::NotJson { .. } => request(Some("invalid_json")),
            Self::MethodNotAllowed { .. } => request(Some("method_not_allowed")),
            Self::RequestTimeout => request(Some("request_timeout")),
            Self::BodyTooLarge => request(Some("request_too_large")),
            Self::TargetTooLong { .. } => request(Some("target_too_long")),
            Self::ExpectationFailed { .. } => request(Some("expectation_failed")),
            Self::UpgradeRequired => request(Some("upgrade_required")),
            Self::HeadTooLarge { .. } => request(Some("headers_too_large")),
            Self::NotImplemented { .. } => request(Some("not_implemented")),
            Self::VersionNotSupported { .. } => request(Some("http_version_not_supported")),
            Self::TooManyConnections => server("too_many_connections"),
            Self::Overloaded => server("overloaded"),
            Self::Draining => server("shutting_down"),
            Self::QueueFull => words("rate_limit_error", Some("queue_full")),
            Self::QueueTimeout => server("queue_timeout"),
            Self::Internal => server("internal_error"),
            Self::NoBackend => server("no_backend"),
            Self::BackendUnreachable => server("backend_unreachable"),
            Self::BackendUnverified => server("tls_verification_failed"),
            Self::BackendHandshake => server("tls_handshake_failed"),
            Self::BackendRefusesKey => server("backend_credential_refused"),
            Self::BackendConnectTimeout => server("backend_connect_timeout"),
            Self::BackendFirstByteTimeout => server("backend_first_byte_timeout"),
            Self::BackendIdleTimeout => server("backend_idle_timeout"),
            Self::TotalTimeout => server("total_timeout"),
            Self::BackendProtocol { .. } => server("backend_protocol_error"),
            Self::BackendCut => server("backend_closed"),
            Self::StreamCut => server("stream_cut"),
        }
    }

    /// Anthropic's `type`, from its published list of errors.
    pub(super) fn anthropic_type(&self) -> &'static str {
        match self {
            Self::ModelNotFound { .. }
            | Self::NoRouteApplies { .. }
            | Self::ModelInOtherApi { .. } => "not_found_error",
            Self::BodyTooLarge => "request_too_large",
            Self::QueueFull => "rate_limit_error",
            Self::TooManyConnections
            | Self::Overloaded
            | Self::Draining
            | Self::QueueTimeout
            | Self::NoBackend => "overloaded_error",
            Self::RequestTimeout
            | Self::BackendConnectTimeout
            | Self::BackendFirstByteTimeout
            | Self::BackendIdleTimeout
            | Self::TotalTimeout => "timeout_error",
            Self::Internal
            | Self::BackendUnreachable
            | Self::BackendUnverified
            | Self::BackendHandshake
            | Self::BackendRefusesKey
            | Self::BackendProtocol { .. }
            | Self::BackendCut
            | Self::StreamCut => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// One sentence for the client.
    pub(super) fn sentence(&self) -> &'static str {
        match self {
            Self::InvalidRequest { reason, .. }
            | Self::MethodNotAllowed { reason }
            | Self::TargetTooLong { reason }
            | Self::ExpectationFailed { reason }
            | Self::HeadTooLarge { reason }
            | Self::NotImplemented { reason }
            | Self::VersionNotSupported { reason } => reason,
            Self::NotJson { .. } => "The request's body is not valid JSON",
            Self::MissingModel => "you must provide a model parameter",
            Self::ModelNotFound { .. } => "The model does not exist",
            Self::NoRouteApplies { .. } => "No route applies to this request for the model",
            Self::ModelInOtherApi { .. } => "The model is served, but not by this API",
            Self::CharsetUnknown => "The request's body must be JSON in UTF-8.",
            Self::RequestTimeout => "The request did not arrive in time.",
            Self::BodyTooLarge => "The request's body is larger than allowed.",
            Self::UpgradeRequired => "WebSockets are not served here; use server-sent events.",
            Self::TooManyConnections => "There are too many connections; try again shortly.",
            Self::Overloaded => "The proxy is at its limit; try again shortly.",
            Self::Draining => "The proxy is shutting down; try again.",
            Self::QueueFull => "Every backend for this request is busy; try again shortly.",
            Self::QueueTimeout => {
                "No backend had room for this request in time; try again shortly."
            }
            Self::Internal => "The proxy failed; this is a fault of its own.",
            Self::NoBackend => "No backend for this request is healthy; try again shortly.",
            Self::BackendUnreachable => "The backend could not be reached.",
            Self::BackendUnverified => "The backend's certificate could not be verified.",
            Self::BackendHandshake => "The TLS handshake with the backend failed.",
            Self::BackendRefusesKey => "The backend refused the proxy's credential.",
            Self::BackendConnectTimeout => "The backend did not accept a connection in time.",
            Self::BackendFirstByteTimeout => "The backend did not begin to answer in time.",
            Self::BackendIdleTimeout => "The backend stopped answering.",
            Self::TotalTimeout => "The request took longer than allowed.",
            Self::BackendProtocol { .. } => "The backend's answer was malformed",
            Self::BackendCut => "The backend closed the connection before answering.",
            Self::StreamCut => "The backend's answer was cut off; it is incomplete.",
        }
    }

    /// Whether and when to try again, where the status alone does not say it
    /// right: SDKs repeat every 408, 409, 429 and 5xx twice.
    #[must_use]
    pub fn advice(&self) -> Advice {
        let never = Advice { should_retry: Some(false), retry_after_seconds: None };
        let soon = Advice { should_retry: None, retry_after_seconds: Some(1) };
        match self {
            Self::TooManyConnections
            | Self::Overloaded
            | Self::Draining
            | Self::QueueFull
            | Self::QueueTimeout
            | Self::NoBackend
            // Nothing was sent, so nobody has worked on it, and a backend that
            // restarts is soon back.
            | Self::BackendUnreachable
            | Self::BackendConnectTimeout => soon,
            // Nothing changes by asking again.
            Self::NotImplemented { .. } | Self::VersionNotSupported { .. } => never,
            // Our own attempts are used up, or the model has worked on it
            // already: to repeat would multiply the load that caused this.
            Self::BackendUnverified
            | Self::BackendHandshake
            | Self::BackendRefusesKey
            | Self::BackendFirstByteTimeout
            | Self::BackendIdleTimeout
            | Self::TotalTimeout
            | Self::BackendProtocol { .. }
            | Self::BackendCut
            | Self::StreamCut
            | Self::Internal => never,
            _ => Advice::default(),
        }
    }
}
