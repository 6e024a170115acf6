//! The flags of the SGLang router and of the vLLM production stack's router:
//! each with what it becomes here, or why it cannot.

use super::quick_fault::QuickFault;

/// One flag of another router.
pub struct Theirs {
    /// As typed, with `-` for `_`.
    pub flag: &'static str,
    pub takes: Takes,
    pub(super) becomes: Becomes,
}

/// How many words follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    None,
    One,
    /// One or none.
    Maybe,
    Any,
}

impl std::fmt::Debug for Theirs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.flag)
    }
}

/// A word of theirs, in our form.
pub(super) type Read = fn(&str) -> Result<String, QuickFault>;

/// What a flag becomes.
pub(super) enum Becomes {
    /// The same word, in our form, for each of these settings.
    Settings(&'static [&'static str], Read),
    /// These words.
    Words(&'static [[&'static str; 2]]),
    Backends,
    /// The backends of `--static-backends`, named in order.
    Models,
    Aliases,
    /// A part of an address, which its other part completes.
    Address(&'static Address),
    /// The same, which is for requests that wait until a backend has room.
    Waits(&'static str, Read),
    /// The header that names a session, for this word of another flag.
    Session(&'static [&'static str; 2]),
    /// None but these words, which say how we are; or why not.
    Only(&'static [&'static str], &'static str),
    Refused(&'static str),
}

/// Two flags that make one address.
pub(super) struct Address {
    pub ours: &'static str,
    pub host: &'static str,
    pub port: &'static str,
    /// What one is where only the other is given.
    pub defaults: [&'static str; 2],
}

static LISTEN: Address =
    Address { ours: "--listen", host: "--host", port: "--port", defaults: ["0.0.0.0", "8080"] };
static ADMIN: Address = Address {
    ours: "--admin",
    host: "--prometheus-host",
    port: "--prometheus-port",
    defaults: ["127.0.0.1", "29000"],
};

fn is_digits(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

fn with_unit(word: &str) -> Result<String, QuickFault> {
    if is_digits(word) { Ok(format!("{word}s")) } else { Err(QuickFault::Seconds) }
}

fn with_milliseconds(word: &str) -> Result<String, QuickFault> {
    if is_digits(word) { Ok(format!("{word}ms")) } else { Err(QuickFault::Milliseconds) }
}

fn bytes(word: &str) -> Result<String, QuickFault> {
    if is_digits(word) { Ok(format!("{word}B")) } else { Err(QuickFault::Bytes) }
}

fn same(word: &str) -> Result<String, QuickFault> {
    Ok(word.to_owned())
}

/// There, `-1` is no limit, which is 0 here.
fn in_flight(word: &str) -> Result<String, QuickFault> {
    match word {
        "-1" => Ok("0".to_owned()),
        "0" => Err(QuickFault::InFlightZero),
        word => Ok(word.to_owned()),
    }
}

fn routing_logic(word: &str) -> Result<String, QuickFault> {
    match word {
        "roundrobin" => Ok("round_robin".to_owned()),
        "session" => Ok("session_hash".to_owned()),
        "prefixaware" => Ok("prefix".to_owned()),
        "kvaware" => Err(QuickFault::KvAware),
        "disaggregated_prefill" => Err(QuickFault::Refused(PREFILL)),
        _ => Err(QuickFault::RoutingLogic),
    }
}

/// There too it counts the first attempt, and none is one.
fn attempts(word: &str) -> Result<String, QuickFault> {
    Ok(if word == "0" { "1" } else { word }.to_owned())
}

const fn one(flag: &'static str, becomes: Becomes) -> Theirs {
    Theirs { flag, takes: Takes::One, becomes }
}

/// The flag with whatever follows it.
const fn no(flag: &'static str, why: &'static str) -> Theirs {
    Theirs { flag, takes: Takes::Any, becomes: Becomes::Refused(why) }
}

pub(super) const DISCOVERY: &str = "the Kubernetes API is not asked; name each backend, or one headless \
                         service whose addresses are looked up, like --backend http://vllm:8000";
const DOUBLES: &str = "a pause doubles each time; write 2, or leave it out";
const JITTER: &str = "a pause has any length up to --retry-backoff, which doubles each time; leave it \
                      out";
const PREFILL: &str = "prefill and decode are not parted here; leave it out and name the servers \
                       that do both";
const CACHE: &str = "the backend that has read most of a conversation is asked until it costs too \
                     much beside the soonest; set --affinity-percent, and leave this out";
const EVICTION: &str = "what was read longest ago goes as soon as there is no room; set \
                        --prefix-bytes, and leave this out";
const CONTROLLER: &str = "no controller of caches is asked; leave it out";
const STATS: &str = "figures are served by --admin whenever they are asked for; leave it out";
const LATER: &str = "this is not built here; leave it out";
const PLUGIN: &str = "requests go on byte for byte and no code is loaded; leave it out";
const TRACE: &str = "nothing is sent to collectors; take the figures of --admin, and leave it out";
const TOKENIZER: &str = "no tokenizer is loaded, as tokens are estimated; leave it out";
const PARSERS: &str = "answers go on byte for byte, as the engine has parsed them; set it at the \
                       engines, and leave it out";
const HISTORY: &str = "no conversation is kept here, so every request brings its own; leave it out";
const MANUAL: &str =
    "a session's backend is reckoned from its name, and kept nowhere; leave it out";
const BUCKETS: &str = "prompts are not sorted by length: the backend that would answer soonest is \
                       asked, which their length is part of; leave it out";
const CONTROL: &str = "no worker is added or taken out over HTTP; change the file, which is watched, \
                       and leave this out";
const TLS: &str = "listeners speak TLS or not, each by itself; write --tls-listen ADDRESS with \
                   --tls-cert FILE and --tls-key FILE instead";
const WORKERS: &str = "no worker is waited for: one that does not answer yet is left alone and \
                       tried again; leave it out";

/// Every flag of theirs that is known here.
pub static THEIRS: &[Theirs] = &[
    Theirs { flag: "--worker-urls", takes: Takes::Any, becomes: Becomes::Backends },
    one("--static-backends", Becomes::Backends),
    one("--static-models", Becomes::Models),
    one("--static-aliases", Becomes::Aliases),
    one("--model-alias", Becomes::Aliases),
    Theirs {
        flag: "--service-discovery",
        takes: Takes::Maybe,
        becomes: Becomes::Only(&["static"], DISCOVERY),
    },
    one("--host", Becomes::Address(&LISTEN)),
    one("--port", Becomes::Address(&LISTEN)),
    one("--prometheus-host", Becomes::Address(&ADMIN)),
    one("--prometheus-port", Becomes::Address(&ADMIN)),
    one("--routing-logic", Becomes::Settings(&["--policy"], routing_logic)),
    one("--max-concurrent-requests", Becomes::Settings(&["--requests-in-flight"], in_flight)),
    one("--request-timeout-secs", Becomes::Settings(&["--total-timeout"], with_unit)),
    one("--max-payload-size", Becomes::Settings(&["--body-bytes"], bytes)),
    one("--cb-failure-threshold", Becomes::Settings(&["--eject-after"], same)),
    // Their pause does not grow.
    one(
        "--cb-timeout-duration-secs",
        Becomes::Settings(&["--eject-pause", "--eject-pause-max"], with_unit),
    ),
    Theirs {
        flag: "--disable-circuit-breaker",
        takes: Takes::None,
        becomes: Becomes::Words(&[["--eject-after", "0"], ["--eject-below", "0"]]),
    },
    one("--health-check-interval-secs", Becomes::Settings(&["--health-interval"], with_unit)),
    one("--health-check-timeout-secs", Becomes::Settings(&["--health-timeout"], with_unit)),
    one(
        "--backend-health-check-timeout-seconds",
        Becomes::Settings(&["--health-timeout"], with_unit),
    ),
    one("--health-check-endpoint", Becomes::Settings(&["--health-path"], same)),
    one("--health-failure-threshold", Becomes::Settings(&["--health-unhealthy-after"], same)),
    one("--health-success-threshold", Becomes::Settings(&["--health-healthy-after"], same)),
    Theirs {
        flag: "--disable-health-check",
        takes: Takes::None,
        becomes: Becomes::Words(&[["--health-interval", "0s"]]),
    },
    // As often as there; a path is asked for instead of a model.
    Theirs {
        flag: "--static-backend-health-checks",
        takes: Takes::None,
        becomes: Becomes::Words(&[["--health-interval", "1m"]]),
    },
    one("--engine-stats-interval", Becomes::Settings(&["--engine-interval"], with_unit)),
    no("--static-model-types", "backends are asked for a path, not for a model; leave it out"),
    no("--cb-success-threshold", "one good answer ends a probation here; leave it out"),
    no(
        "--cb-window-duration-secs",
        "the last 32 answers are looked at, however old; set --eject-below, and leave this out",
    ),
    one("--retry-max-retries", Becomes::Settings(&["--retry-attempts"], attempts)),
    one("--retry-initial-backoff-ms", Becomes::Settings(&["--retry-backoff"], with_milliseconds)),
    one("--retry-max-backoff-ms", Becomes::Settings(&["--retry-backoff-max"], with_milliseconds)),
    one("--retry-backoff-multiplier", Becomes::Only(&["2", "2.0"], DOUBLES)),
    no("--retry-jitter-factor", JITTER),
    Theirs {
        flag: "--disable-retries",
        takes: Takes::None,
        becomes: Becomes::Words(&[["--retry-attempts", "1"]]),
    },
    one("--shutdown-grace-period-secs", Becomes::Settings(&["--drain"], with_unit)),
    one("--client-cert-path", Becomes::Settings(&["--backend-cert"], same)),
    one("--client-key-path", Becomes::Settings(&["--backend-key"], same)),
    one("--ca-cert-paths", Becomes::Settings(&["--backend-ca"], same)),
    one("--history-backend", Becomes::Only(&["none"], HISTORY)),
    one("--queue-size", Becomes::Waits("--queue-length", same)),
    one("--queue-timeout-secs", Becomes::Waits("--queue-timeout", with_unit)),
    no(
        "--rate-limit-tokens-per-second",
        "requests are limited by how many are under way (--max-concurrent-requests), not by their \
         rate; leave it out",
    ),
    one("--session-key", Becomes::Session(&["--routing-logic", "session"])),
    no("--static-model-labels", PREFILL),
    no("--prefill-model-labels", PREFILL),
    no("--decode-model-labels", PREFILL),
    no("--pd-disaggregation", PREFILL),
    no("--mini-lb", PREFILL),
    no("--prefill", PREFILL),
    no("--decode", PREFILL),
    no("--prefill-policy", PREFILL),
    no("--decode-policy", PREFILL),
    no("--prefill-selector", PREFILL),
    no("--decode-selector", PREFILL),
    no("--selector", DISCOVERY),
    no("--service-discovery-port", DISCOVERY),
    no("--service-discovery-namespace", DISCOVERY),
    no("--k8s-port", DISCOVERY),
    no("--k8s-namespace", DISCOVERY),
    no("--k8s-label-selector", DISCOVERY),
    no("--k8s-service-discovery-type", DISCOVERY),
    no("--k8s-watcher-timeout-seconds", DISCOVERY),
    no("--cache-threshold", CACHE),
    no("--balance-abs-threshold", CACHE),
    no("--balance-rel-threshold", CACHE),
    no("--eviction-interval-secs", EVICTION),
    one("--max-tree-size", Becomes::Settings(&["--prefix-bytes"], bytes)),
    no("--kv-aware-threshold", CONTROLLER),
    no("--lmcache-controller-port", CONTROLLER),
    no("--lmcache-health-check-interval", CONTROLLER),
    no("--lmcache-worker-timeout", CONTROLLER),
    no("--worker-startup-timeout-secs", WORKERS),
    no("--worker-startup-check-interval", WORKERS),
    no(
        "--dp-aware",
        "the ranks of one worker are not told apart; give each rank a port and name it as a backend",
    ),
    no(
        "--enable-igw",
        "several models need no mode: list the models of each backend in the file; leave it out",
    ),
    no(
        "--api-key",
        "everybody on this machine sees what is typed, so the key is not taken from here; write \
         key = \"env:NAME\" at the backend in the file",
    ),
    no("--model-path", TOKENIZER),
    no("--tokenizer-path", TOKENIZER),
    no("--log-dir", "the log goes to standard error; send it to a file there"),
    no("--log-level", "write --log LEVEL instead"),
    no("--log-stats", STATS),
    no("--log-stats-interval", STATS),
    no("--request-stats-window", STATS),
    no("--request-id-headers", "a request's id is read from x-request-id alone; leave it out"),
    no("--cors-allowed-origins", LATER),
    no("--enable-batch-api", LATER),
    no("--file-storage-class", LATER),
    no("--file-storage-path", LATER),
    no("--batch-processor", LATER),
    no("--feature-gates", LATER),
    no("--callbacks", PLUGIN),
    no("--request-rewriter", PLUGIN),
    no("--dynamic-config-yaml", "that file is not read; write its settings in TOML for --config"),
    no("--dynamic-config-json", "that file is not read; write its settings in TOML for --config"),
    no("--sentry-dsn", TRACE),
    no("--sentry-traces-sample-rate", TRACE),
    no("--sentry-profile-session-sample-rate", TRACE),
    no("--otel-endpoint", TRACE),
    no("--otel-service-name", TRACE),
    no("--otel-secure", TRACE),
    no("--reasoning-parser", PARSERS),
    no("--tool-call-parser", PARSERS),
    no("--chat-template", TOKENIZER),
    no("--tokenizer-cache-enable-l0", TOKENIZER),
    no("--tokenizer-cache-l0-max-entries", TOKENIZER),
    no("--tokenizer-cache-enable-l1", TOKENIZER),
    no("--tokenizer-cache-l1-max-memory", TOKENIZER),
    no("--max-idle-secs", MANUAL),
    no("--assignment-mode", MANUAL),
    no("--redis-key-prefix", MANUAL),
    no("--redis-url", HISTORY),
    no("--redis-pool-max", HISTORY),
    no("--redis-retention-days", HISTORY),
    no("--oracle-wallet-path", HISTORY),
    no("--oracle-tns-alias", HISTORY),
    no("--oracle-connect-descriptor", HISTORY),
    no("--oracle-username", HISTORY),
    no("--oracle-password", HISTORY),
    no("--oracle-pool-min", HISTORY),
    no("--oracle-pool-max", HISTORY),
    no("--oracle-pool-timeout-secs", HISTORY),
    no("--postgres-db-url", HISTORY),
    no("--postgres-pool-max", HISTORY),
    no("--bucket-adjust-interval-secs", BUCKETS),
    no("--control-plane-api-keys", CONTROL),
    no("--control-plane-audit-enabled", CONTROL),
    no("--jwt-issuer", CONTROL),
    no("--jwt-audience", CONTROL),
    no("--jwt-jwks-uri", CONTROL),
    no("--jwt-role-mapping", CONTROL),
    no("--tls-cert-path", TLS),
    no("--tls-key-path", TLS),
    no("--server-cert-path", TLS),
    no("--server-key-path", TLS),
    no("--enable-trace", TRACE),
    no("--otlp-traces-endpoint", TRACE),
    no("--semantic-cache-model", LATER),
    no("--semantic-cache-dir", LATER),
    no("--semantic-cache-threshold", LATER),
    no("--mcp-config-path", "no tool is called from here; leave it out"),
    no(
        "--prometheus-duration-buckets",
        "the buckets are the same for every figure of time; leave it out",
    ),
];
