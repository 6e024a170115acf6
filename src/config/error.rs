//! What can be wrong with what was written: one variant a fault, each with
//! its reason and its mend. The operator is to blame for every one of them.

use std::fmt;

use super::cores::CoreList;
use super::given::Given;
use super::named::{
    ATTEMPTS, BACKEND, BACKEND_CA, BACKEND_HTTPS, CONNECTIONS, CORES, DEMO, NO_PIN, NO_VERIFY,
    Named, POOL_IDLE, TLS_CERT, TLS_CERT_FILE, TLS_CLIENT_CA, TLS_KEY, TLS_KEY_FILE, TLS_LISTEN,
};
use super::quick_fault::QuickFault;
use super::route_fault::RouteFault;

/// One fault, at the setting where it is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// What the setting is known by: its flag, or its key where it has none.
    /// Another router's flag is a setting of its own.
    pub id: &'static str,
    /// Which of several, such as the second backend: 1.
    pub place: usize,
    /// What was given for it; empty when nothing was.
    pub value: String,
    pub fault: Fault,
}

/// As if all had been given by flags; see [`Given::tell`].
impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&Given::default().tell(self).sentence)
    }
}

impl std::error::Error for PlanError {}

/// The reason and the mend, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    // Cores.
    #[error("the core list is not understood; write auto, or ids and ranges like 0-1,3")]
    CoreListMalformed,
    #[error("the range falls from {first} to {last}; write the lower core first, {last}-{first}")]
    CoreRangeFalls { first: usize, last: usize },
    #[error("core {0} is listed twice and would get two shards; list each core once")]
    CoreTwice(usize),
    #[error(
        "core {core} may not be used: this process is allowed cores {allowed}; \
         give {CORES} a subset of them"
    )]
    CoreForbidden { core: usize, allowed: CoreList },
    #[error(
        "the kernel did not say which cores this process may use; \
         list them with {CORES}, and add {NO_PIN}"
    )]
    CoresUnknown,

    // Addresses to listen on.
    #[error("no address to listen on is given; write HOST:PORT, [::1]:PORT or unix:/PATH")]
    NoListener,
    #[error("this is no address to listen on; write HOST:PORT, [::1]:PORT or unix:/PATH")]
    ListenMalformed,
    #[error(
        "listening needs an IP address, and names are not looked up; \
         write the address of {0}, or 0.0.0.0 for every IPv4 interface"
    )]
    ListenName(String),
    #[error("this address is already listened on by {0}; give each listener its own")]
    ListenTwice(&'static str),
    #[error("the socket's path is empty; write unix:/PATH")]
    UnixPathEmpty,
    #[error("the socket's path holds a control byte, such as a line break; choose another path")]
    UnixPathControl,
    #[error("the socket's path has {0} bytes and the kernel takes 107; choose a shorter path")]
    UnixPathLong(usize),

    /// So many others were found: they are told when these are mended.
    #[error("{0} more faults; mend those above first")]
    More(usize),

    // Flags of other routers.
    #[error(transparent)]
    Quick(#[from] QuickFault),

    // Backends.
    #[error(
        "no backend is given; name one with {BACKEND}, \
         or add {DEMO} to use the built-in mock"
    )]
    NoBackend,
    #[error("the scheme must be http or https; write http://HOST:PORT, https://HOST or unix:/PATH")]
    BackendScheme,
    #[error("a backend is told by URL; write http://HOST:PORT or unix:/PATH")]
    BackendNoScheme,
    #[error(
        "requests go on as they are, whatever engine runs there; leave this word out, and name \
         each server, as with {BACKEND}"
    )]
    BackendRuntime,
    #[error("the host is not a name or an IP address; write http://HOST:PORT or http://[::1]:PORT")]
    BackendHost,
    #[error("an IP address stands for itself alone; write a name, or leave out dns+")]
    BackendNoName,
    #[error("the port is not a number from 1 to 65535; write http://HOST:PORT")]
    BackendPort,
    #[error("a URL must not carry a user or password; leave out everything up to the @")]
    BackendUser,
    #[error("a backend's URL ends with its path; leave out what follows ? or #")]
    BackendQuery,
    #[error("the path holds bytes that a URL may not have; percent-encode them")]
    BackendPath,
    #[error("this backend is listed twice; list each one once")]
    BackendTwice,
    #[error(
        "http and https of one host have the same name in logs and metrics; \
         write the port of one of them"
    )]
    BackendSchemes,
    #[error("no certificate can be for this host; use a DNS name or an IP address")]
    BackendHostUnverifiable,
    #[error("this backend is our own listener, requests would go round for ever; name another")]
    BackendIsListener,

    // Balancing.
    #[error("{0} does not ask how full a backend is, so this has no effect; leave it out")]
    PolicyWithoutSlots(&'static str),
    #[error(
        "{all} of text are known at a time, of all {backends} backends, so more than {most} of \
         each would have no effect; lower it to that"
    )]
    PrefixBytes { all: String, backends: usize, most: String },
    #[error("with {0} 0 no request waits, so this has no effect; leave it out")]
    NobodyWaits(&'static str),
    #[error("no backend is ever ejected, so this has no effect; leave it out, or give {0}")]
    NeverEjected(&'static str),
    #[error("a backend that bears nothing is never asked; raise it, or leave it out for no bound")]
    BackendCapacityZero,

    // Further attempts.
    #[error("no failure has this name; write some of {0}")]
    RetryClassUnknown(String),
    #[error("this failure is named twice; name it once")]
    RetryClassTwice,
    #[error("this is neither a time nor a number of times from 1 to 100; write 2s, or 3x")]
    HedgeAfter,
    #[error("a second backend is an attempt, and only one may be made; raise {ATTEMPTS}")]
    HedgeWithoutAttempts,

    // Keys of backends.
    #[error("the environment variable is not set; set it where the process is started")]
    KeyUnset,
    #[error("the key is empty; put it there, or leave this out")]
    KeyEmpty,
    #[error(
        "a key has no blanks, line breaks, control bytes or letters beyond ASCII, and this one \
         has; put the key alone there"
    )]
    KeyBytes,
    #[error("the key has more than {0} bytes; put the key alone there")]
    KeyLong(usize),
    #[error("the file with the key cannot be read ({0}); give a file that this user may read")]
    KeyUnreadable(String),

    // Models and routes.
    #[error(transparent)]
    Route(#[from] RouteFault),
    // Probes.
    #[error(
        "no backend is ever asked, so this has no effect; leave it out, or add {}",
        Named::with(.0, "TIME")
    )]
    NeverAsked(&'static str),

    // TLS.
    #[error("a TLS listener needs a certificate; add {TLS_CERT_FILE} and {TLS_KEY_FILE}")]
    TlsNoPair,
    #[error(
        "{certificates} {TLS_CERT} and {keys} {TLS_KEY} are given, and are paired in order; \
         give as many of both"
    )]
    TlsPairsUneven { certificates: usize, keys: usize },
    #[error("no listener speaks TLS, so this has no effect; add {TLS_LISTEN} or leave it out")]
    TlsNoListener,
    #[error("no client is asked for a certificate; add {TLS_CLIENT_CA} or leave it out")]
    TlsNoClientCa,
    #[error("there is no certificate file to look at, so this has no effect; leave it out")]
    TlsNoFile,
    #[error("no backend is https, so this has no effect; write {BACKEND_HTTPS} or leave it out")]
    TlsNoBackend,
    #[error(
        "a certificate is shown to backends together with its key; add {}",
        Named::with(.0, "FILE")
    )]
    TlsHalfPair(&'static str),
    #[error("this is no DNS name and no IP address; write the name in the backend's certificate")]
    TlsName,
    #[error(
        "with {NO_VERIFY} no certificate of a backend is verified, so this has \
         no effect; leave one of the two out"
    )]
    TlsUnverified,
    #[error("this backend is not https, so this has no effect; leave it out")]
    TlsPlainBackend,
    #[error("the file cannot be read ({0}); give a file that this user may read")]
    Unreadable(String),
    #[error(
        "this system has no authorities to verify https backends with ({0}); \
         install ca-certificates, or give {BACKEND_CA}"
    )]
    NoSystemAuthorities(String),
    #[error(transparent)]
    Tls(#[from] crate::tls::Fault),

    // Values and how they relate.
    #[error(
        "the path must start with / and hold no space, ?, # or control byte; write it like {0}"
    )]
    ProxyPath(&'static str),
    #[error("the value must be at least {0}; raise it")]
    TooSmall(String),
    #[error("the value must be at most {most}, as {reason}; lower it")]
    TooLarge { most: String, reason: &'static str },
    #[error("the number must be a power of two; try {0}")]
    NotPowerOfTwo(u32),
    #[error("this is more than {other} allows ({most}); lower it or raise {other}")]
    Above { other: &'static str, most: String },
    #[error(
        "{wanted} connections may need {needed} open files and this process may have {allowed}; \
         lower {CONNECTIONS} to {fitting} or raise the limit (ulimit -n)"
    )]
    OpenFilesForConnections { wanted: usize, needed: usize, allowed: usize, fitting: usize },
    #[error(
        "the process may have {allowed} open files, and shards and idle backend connections \
         already need {needed}; lower {POOL_IDLE} or raise the limit (ulimit -n)"
    )]
    OpenFiles { needed: usize, allowed: usize },

    // The mock.
    #[error("a final answer has a status from 200 to 599; choose one of these")]
    MockStatus,
    #[error("the answer has {0} tokens, so this never happens; lower it or raise --tokens")]
    MockTokenNever(u32),
    #[error(
        "with --status {0} an answer has no tokens, so this never happens; \
         leave one of the two out"
    )]
    MockNoTokens(u16),
    #[error(
        "the answer has ended before, by {flag} {token}, so this never happens; \
         leave one of the two out"
    )]
    MockForestalled { flag: &'static str, token: u32 },
    #[error(
        "an answer with status 200 has no retry-after; \
         add --status 429, or leave it out"
    )]
    MockRetryAfter,
    #[error(
        "there is no fault that only some requests could meet; \
         add one, like --status 503, or leave it out"
    )]
    MockNoFault,
    #[error(
        "without --prefill-per-token prompts are read in no time, so this changes nothing; \
         add --prefill-per-token 100us, or leave it out"
    )]
    MockNoPrefill,
    #[error(
        "without --cold-requests the engine is never cold, so this changes nothing; \
         add --cold-requests 20, or leave it out"
    )]
    MockNeverCold,
    #[error(
        "prompts wait for one engine, and here each of {0} threads would be one; \
         give it one core, like --cores 0"
    )]
    MockManyEngines(usize),
    #[error("a model's name is empty; write names with commas between, like small,large")]
    MockModelEmpty,
}

impl Fault {
    /// The settings that the sentence names, as it names them. What another
    /// router's flag is refused for comes of no other setting, and is told in
    /// flags.
    #[must_use]
    pub(super) fn names(&self) -> Vec<Named> {
        match self {
            Self::CoreForbidden { .. } => vec![CORES],
            Self::CoresUnknown => vec![CORES, NO_PIN],
            Self::NoBackend => vec![BACKEND, DEMO],
            Self::BackendRuntime => vec![BACKEND],
            Self::ListenTwice(id)
            | Self::NobodyWaits(id)
            | Self::NeverEjected(id)
            | Self::Above { other: id, .. } => vec![Named::only(id)],
            Self::NeverAsked(id) => vec![Named::with(id, "TIME")],
            Self::HedgeWithoutAttempts => vec![ATTEMPTS],
            Self::Route(fault) => fault.names(),
            Self::TlsNoPair => vec![TLS_CERT_FILE, TLS_KEY_FILE],
            Self::TlsPairsUneven { .. } => vec![TLS_CERT, TLS_KEY],
            Self::TlsNoListener => vec![TLS_LISTEN],
            Self::TlsNoClientCa => vec![TLS_CLIENT_CA],
            Self::TlsNoBackend => vec![BACKEND_HTTPS],
            Self::TlsHalfPair(id) => vec![Named::with(id, "FILE")],
            Self::TlsUnverified => vec![NO_VERIFY],
            Self::NoSystemAuthorities(_) => vec![BACKEND_CA],
            Self::OpenFilesForConnections { .. } => vec![CONNECTIONS],
            Self::OpenFiles { .. } => vec![POOL_IDLE],
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
