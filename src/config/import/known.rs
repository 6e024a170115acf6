//! Keys of LiteLLM that nothing is made of, and what to say of them.

use super::finding::Kind;
use super::section::{EMPTY, Entry, Findings, Section};

/// A key, how it is told, what became of it, and the mend.
pub(super) type Known = (&'static str, Kind, &'static str, &'static str);

use Kind::{Approximate, Exact, Manual, Unsupported};

const NO_LIMIT: &str = "no limit of this kind is kept";
const NO_PRICE: &str = "costs are not reckoned";
const NOT_PER_BACKEND: &str = "deadlines are the same for all backends";
const IN_DEADLINES: &str = "set it for all in [deadlines]";
const AS_WRITTEN: &str = "requests go on as the client wrote them";
const LET_CLIENTS: &str = "let clients send it";
const SIGNED: &str = "no backend here is asked in that way; it was not copied";
const NO_STORE: &str = "nothing is kept in a database or shared between proxies";
const NO_CALLBACKS: &str = "nothing calls out to observers";
const METRICS: &str = "read /metrics of --admin instead";
const ASKS_MODELS: &str = "left out: models are asked there, a path of each backend here";
const ASK_PATH: &str =
    "set health.interval, and health.path to what every backend answers with 2xx";
const NO_CACHE: &str = "answers are not kept";

pub(super) const IN_DEPLOYMENT: &[Known] = &[
    ("rpm", Unsupported, NO_LIMIT, "within litellm_params it is read as a weight"),
    ("tpm", Unsupported, NO_LIMIT, "within litellm_params it is read as a weight"),
];

pub(super) const IN_MODEL_INFO: &[Known] = &[
    ("id", Approximate, "backends are named by their addresses", ""),
    ("mode", Approximate, "not needed: the request's path says it", ""),
    ("base_model", Unsupported, NO_PRICE, ""),
    ("input_cost_per_token", Unsupported, NO_PRICE, ""),
    ("output_cost_per_token", Unsupported, NO_PRICE, ""),
    ("max_tokens", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("max_input_tokens", Unsupported, "the backend says when a prompt is too long", ""),
];

pub(super) const IN_PARAMS: &[Known] = &[
    ("timeout", Manual, NOT_PER_BACKEND, IN_DEADLINES),
    ("stream_timeout", Manual, NOT_PER_BACKEND, IN_DEADLINES),
    ("request_timeout", Manual, NOT_PER_BACKEND, IN_DEADLINES),
    ("max_retries", Unsupported, "retries are counted for the whole request", ""),
    ("num_retries", Unsupported, "retries are counted for the whole request", ""),
    (
        "cooldown_time",
        Manual,
        "the pause is the same for all backends",
        "set balancing.eject_pause",
    ),
    ("api_version", Approximate, "not needed by the API that is asked", ""),
    ("temperature", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("top_p", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("max_tokens", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("seed", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("stop", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("organization", Unsupported, "no header is added for a backend", LET_CLIENTS),
    ("extra_headers", Unsupported, "no header is added for a backend", LET_CLIENTS),
    ("headers", Unsupported, "no header is added for a backend", LET_CLIENTS),
    ("extra_body", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("drop_params", Unsupported, AS_WRITTEN, "let clients send what the model takes"),
    ("input_cost_per_token", Unsupported, NO_PRICE, ""),
    ("output_cost_per_token", Unsupported, NO_PRICE, ""),
    ("mock_response", Unsupported, "answers come from backends", "see tokenring mock"),
    ("tags", Unsupported, "no rule is made of them", "write a [[route]]"),
    ("max_budget", Unsupported, NO_LIMIT, ""),
    ("budget_duration", Unsupported, NO_LIMIT, ""),
    ("aws_access_key_id", Unsupported, SIGNED, ""),
    ("aws_secret_access_key", Unsupported, SIGNED, ""),
    ("aws_region_name", Unsupported, SIGNED, ""),
    ("vertex_credentials", Unsupported, SIGNED, ""),
    ("vertex_project", Unsupported, SIGNED, ""),
    ("vertex_location", Unsupported, SIGNED, ""),
    ("tenant_id", Unsupported, SIGNED, ""),
    ("client_id", Unsupported, SIGNED, ""),
    ("client_secret", Unsupported, SIGNED, ""),
];

pub(super) const IN_ROUTER: &[Known] = &[
    (
        "enable_pre_call_checks",
        Unsupported,
        "the backend says when a prompt is too long",
        "name context_window_fallbacks",
    ),
    ("redis_host", Unsupported, NO_STORE, ""),
    ("redis_port", Unsupported, NO_STORE, ""),
    ("redis_password", Unsupported, NO_STORE, ""),
    ("redis_url", Unsupported, NO_STORE, ""),
    (
        "allowed_fails_policy",
        Unsupported,
        "failures are counted by backend alone",
        "see [balancing]",
    ),
    ("routing_strategy_args", Unsupported, "the policy has no such setting", ""),
    ("max_fallbacks", Unsupported, "each model's chain is as long as it is written", ""),
    ("retry_after", Unsupported, "what the backend asks for is waited", ""),
    ("enable_tag_filtering", Unsupported, "no rule is made of tags", "write a [[route]]"),
    ("default_litellm_params", Unsupported, AS_WRITTEN, LET_CLIENTS),
    ("set_verbose", Approximate, "what is logged is said at the start", "see --log"),
    ("debug_level", Approximate, "what is logged is said at the start", "see --log"),
];

pub(super) const IN_LITELLM: &[Known] = &[
    ("drop_params", Unsupported, AS_WRITTEN, "let clients send what the model takes"),
    ("modify_params", Unsupported, AS_WRITTEN, "let clients send what the model takes"),
    ("cache", Unsupported, NO_CACHE, ""),
    ("cache_params", Unsupported, NO_CACHE, ""),
    ("callbacks", Unsupported, NO_CALLBACKS, METRICS),
    ("success_callback", Unsupported, NO_CALLBACKS, METRICS),
    ("failure_callback", Unsupported, NO_CALLBACKS, METRICS),
    ("service_callbacks", Unsupported, NO_CALLBACKS, METRICS),
    ("set_verbose", Approximate, "what is logged is said at the start", "see --log"),
    ("json_logs", Unsupported, "the log is lines of text", ""),
    ("turn_off_message_logging", Exact, "messages are never logged", ""),
    ("redact_user_api_key_info", Exact, "keys are never logged", ""),
    ("telemetry", Exact, "nothing is ever sent home", ""),
    ("max_budget", Unsupported, NO_LIMIT, ""),
    ("budget_duration", Unsupported, NO_LIMIT, ""),
];

pub(super) const IN_GENERAL: &[Known] = &[
    (
        "master_key",
        Manual,
        "clients are not asked for a key; it was not copied",
        "let only those reach the proxy who may",
    ),
    ("database_url", Unsupported, NO_STORE, ""),
    ("store_model_in_db", Unsupported, NO_STORE, "models that stand only there are missing here"),
    (
        "max_parallel_requests",
        Manual,
        "it limits keys in some versions, deployments in others",
        "set the capacity of backends",
    ),
    ("background_health_checks", Manual, ASKS_MODELS, ASK_PATH),
    ("health_check_interval", Manual, ASKS_MODELS, ASK_PATH),
    ("custom_auth", Unsupported, "no code of the operator's is run", ""),
    ("alerting", Unsupported, NO_CALLBACKS, METRICS),
    (
        "forward_client_headers_to_llm_api",
        Manual,
        "the client's headers go on, except for credentials",
        "see proxy.pass_credentials",
    ),
    ("disable_spend_logs", Exact, "nothing of the kind is kept", ""),
    ("completion_model", Manual, "the model that the client names is asked", "write a [[route]]"),
];

pub(super) const AT_ROOT: &[Known] = &[
    (
        "environment_variables",
        Manual,
        "variables are not set from a file; none was copied",
        "set them where tokenring runs",
    ),
    ("include", Manual, "other files are not read", "put everything into one file"),
    ("guardrails", Unsupported, "requests and answers are not looked into", ""),
    ("mcp_servers", Unsupported, "no tool is called from here", ""),
    (
        "credential_list",
        Manual,
        "keys belong to backends; none was copied",
        "write api_key beside each deployment",
    ),
    ("callback_settings", Unsupported, NO_CALLBACKS, METRICS),
];

/// What is left of the section, each key by itself. Values are not shown:
/// they may be secrets.
pub(super) fn tell(section: Section<'_>, known: &[Known], findings: &mut Findings) {
    for (key, entry) in section.rest() {
        tell_one(key, &entry, known, findings);
    }
}

fn tell_one(key: &str, entry: &Entry<'_>, known: &[Known], findings: &mut Findings) {
    if entry.is_null() {
        return findings.exact(entry, EMPTY);
    }
    match known.iter().find(|(name, ..)| *name == key) {
        Some((_, kind, became, mend)) => findings.add(entry, *kind, *became, *mend),
        None => findings.unsupported(entry, "left out: nothing here does this", ""),
    }
}
