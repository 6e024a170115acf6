//! What becomes of the keys of a LiteLLM configuration.

use super::*;

/// A deployment, so that only what stands beside it can be wrong.
pub(super) const MODEL: &str = "model_list:\n- model_name: m\n  litellm_params:\n    model: openai/m\n    \
                     api_base: http://a:1/v1\n";

#[track_caller]
fn imported(yaml: &str) -> Imported {
    litellm("c.yaml", yaml).unwrap_or_else(|refused| panic!("{refused}\n{yaml}"))
}

fn of_params(params: &str) -> String {
    let params: String = params.lines().map(|line| format!("    {line}\n")).collect();
    format!("model_list:\n- model_name: m\n  litellm_params:\n{params}")
}

/// The file has these lines, in this order.
#[track_caller]
fn check_file(yaml: &str, lines: &[&str]) {
    let file = imported(yaml).file;
    let mut left = file.lines().map(|line| line.split(" #").next().unwrap_or_default());
    for line in lines {
        assert!(left.any(|one| one.trim() == *line), "{line} is not where it should be:\n{file}");
    }
}

/// The key is told in exactly these kinds.
#[track_caller]
fn check_kinds(yaml: &str, path: &str, kinds: &[Kind]) {
    let findings = imported(yaml).findings;
    let told: Vec<Kind> = findings.iter().filter(|f| f.path == path).map(|f| f.kind).collect();
    assert_eq!(told, kinds, "{path}: {findings:#?}");
}

const PARAMS: &str = "model_list[0].litellm_params";

#[test]
fn the_provider_says_address_dialect_and_name() {
    let rows = [
        ("openai/gpt-4o", "https://api.openai.com", "openai", "OPENAI_API_KEY", "gpt-4o"),
        ("gpt-4o", "https://api.openai.com", "openai", "OPENAI_API_KEY", "gpt-4o"),
        ("claude-3", "https://api.anthropic.com", "anthropic", "ANTHROPIC_API_KEY", "claude-3"),
        ("groq/llama3/x", "https://api.groq.com/openai", "openai", "GROQ_API_KEY", "llama3/x"),
    ];
    for (model, url, dialect, key, sent) in rows {
        let (url, host) = (format!("url = \"{url}\""), super::address::host(url));
        let lines = [
            &url,
            &format!("dialect = \"{dialect}\""),
            &format!("key = \"env:{key}\""),
            "name = \"m\"",
            &format!("{{ model = \"{sent}\", backends = [\"{host}\"] }},"),
        ];
        check_file(&of_params(&format!("model: {model}")), &lines);
    }
}

#[test]
fn an_address_is_carried_without_its_version() {
    let rows = [
        ("http://a:1/v1", "http://a:1", Kind::Exact),
        ("http://a:1/v1/", "http://a:1", Kind::Exact),
        ("http://a:1/x/v1/chat/completions", "http://a:1/x", Kind::Exact),
        ("http://a:1", "http://a:1", Kind::Approximate),
    ];
    for (written, url, kind) in rows {
        let yaml = of_params(&format!("model: hosted_vllm/q\napi_base: {written}"));
        check_file(&yaml, &[&format!("url = \"{url}\"")]);
        check_kinds(&yaml, &format!("{PARAMS}.api_base"), &[kind]);
    }
}

#[test]
fn an_address_with_a_secret_or_without_words_is_not_carried() {
    for written in ["http://u:sk-p@a/v1", "https://a/v1?key=sk-p", "os.environ/BASE", "a:1", "7"] {
        let yaml = of_params(&format!("model: openai/q\napi_base: {written}\napi_key: sk-k"));
        check_kinds(&yaml, &format!("{PARAMS}.api_base"), &[Kind::Manual]);
        let Imported { file, findings } = imported(&yaml);
        assert!(!file.contains("[[backend]]") && !file.contains("sk-"), "{file}");
        assert!(!format!("{findings:?}").contains("sk-"), "{findings:?}");
    }
}

#[test]
fn keys_are_references_and_a_literal_is_neither_written_nor_told() {
    let key = format!("{PARAMS}.api_key");
    let yaml = of_params("model: openai/m\napi_key: os.environ/MINE");
    check_file(&yaml, &["key = \"env:MINE\""]);
    check_kinds(&yaml, &key, &[Kind::Exact]);
    let yaml = of_params("model: hosted_vllm/m\napi_base: http://a.b:1/v1\napi_key: sk-literal");
    check_file(&yaml, &["key = \"env:KEY_OF_A_B_1\""]);
    check_kinds(&yaml, &key, &[Kind::Manual]);
    let all = format!("{:?}", imported(&yaml));
    assert!(!all.contains("sk-literal"), "{all}");
    for odd in ["os.environ/", "os.environ/A B", "[1]", "1"] {
        let yaml = of_params(&format!("model: openai/m\napi_key: {odd}"));
        check_kinds(&yaml, &key, &[Kind::Manual]);
    }
}

#[test]
fn a_word_for_no_key_is_no_key_where_the_server_is_the_operators_own() {
    let key = format!("{PARAMS}.api_key");
    for word in ["none", "EMPTY", "dummy", "sk-no-key-required"] {
        let params = format!("model: openai/m\napi_key: {word}");
        let yaml = of_params(&format!("{params}\napi_base: http://a:1/v1"));
        assert!(!imported(&yaml).file.contains("key = "), "{word}");
        check_kinds(&yaml, &key, &[Kind::Approximate]);
        // Nobody else can do without one.
        check_file(&of_params(&params), &["key = \"env:OPENAI_API_KEY\""]);
        check_kinds(&of_params(&params), &key, &[Kind::Manual]);
    }
}

#[test]
fn two_literals_are_two_variables_and_one_is_one() {
    let entry = |key: &str| {
        format!(
            "- model_name: m\n  litellm_params: {{model: openai/m, api_base: 'http://a/v1', \
             api_key: {key}}}\n"
        )
    };
    let yaml = format!("model_list:\n{}{}{}", entry("one"), entry("two"), entry("one"));
    check_file(&yaml, &["key = \"env:KEY_OF_A\"", "key = \"env:KEY_OF_A_2\""]);
    assert_eq!(imported(&yaml).file.matches("[[backend]]").count(), 2);
}

#[test]
fn deployments_of_one_name_are_candidates_of_one_model() {
    let entry = |host: &str, model: &str, more: &str| {
        format!(
            "- model_name: m\n  litellm_params: {{model: openai/{model}, api_base: \
             'http://{host}/v1'{more}}}\n"
        )
    };
    let yaml = format!("model_list:\n{}{}", entry("a", "m", ""), entry("b", "m", ""));
    check_file(&yaml, &["{ model = \"m\", backends = [\"a\", \"b\"], weight = 2 },"]);
    let weights = [entry("a", "m", ", weight: 9"), entry("b", "n", ", weight: 3")].concat();
    check_file(
        &format!("model_list:\n{weights}"),
        &[
            "{ model = \"m\", backends = [\"a\"], weight = 3 },",
            "{ model = \"n\", backends = [\"b\"] },",
        ],
    );
    let orders = [entry("a", "m", ", order: 1"), entry("b", "m", ", order: 2")].concat();
    check_file(
        &format!("model_list:\n{orders}"),
        &[
            "{ model = \"m\", backends = [\"a\"], order = 1 },",
            "{ model = \"m\", backends = [\"b\"], order = 2 },",
        ],
    );
    let capacities = entry("a", "m", ", max_parallel_requests: 4").repeat(2);
    check_file(
        &format!("model_list:\n{capacities}"),
        &["name = \"a\"", "capacity = 4", "name = \"a-2\"", "capacity = 4"],
    );
}

/// LiteLLM asks the lowest order that is written, and none without while one
/// of these is there.
#[test]
fn a_deployment_without_an_order_comes_behind_all_that_have_one() {
    let entry = |host: &str, more: &str| {
        let params = format!("{{model: openai/m, api_base: 'http://{host}/v1'{more}}}");
        format!("- {{model_name: m, litellm_params: {params}}}\n")
    };
    let list = [entry("a", ""), entry("b", ", order: 1"), entry("c", ""), entry("d", ", order: 7")];
    let yaml = format!("model_list:\n{}", list.concat());
    check_file(
        &yaml,
        &[
            "{ model = \"m\", backends = [\"a\", \"c\"], weight = 2, order = 8 },",
            "{ model = \"m\", backends = [\"b\"], order = 1 },",
            "{ model = \"m\", backends = [\"d\"], order = 7 },",
        ],
    );
    check_kinds(&yaml, "model_list[0]", &[Kind::Approximate]);
    check_kinds(&yaml, "model_list[1]", &[]);
    check_kinds(&format!("model_list:\n{}", entry("a", "").repeat(2)), "model_list[0]", &[]);
}

#[test]
fn a_wildcard_is_carried_where_the_name_stays_as_it_is() {
    let wild = |public: &str, model: &str| {
        format!("model_list:\n- model_name: '{public}'\n  litellm_params: {{model: '{model}'}}\n")
    };
    check_file(&wild("*", "openai/*"), &["name = \"*\"", "{ backends = [\"api.openai.com\"] },"]);
    let model = format!("{PARAMS}.model");
    check_kinds(&wild("*", "openai/*"), &model, &[Kind::Exact]);
    check_kinds(&wild("gpt-*", "openai/gpt-*"), &model, &[Kind::Exact]);
    check_kinds(&wild("openai/*", "openai/*"), &model, &[Kind::Manual]);
    check_kinds(&wild("a-*", "openai/b"), &model, &[Kind::Exact]);
    check_kinds(&wild("a*b*", "openai/b"), "model_list[0].model_name", &[Kind::Manual; 2]);
}

#[test]
fn rates_are_weights_of_a_shuffle_and_nothing_else() {
    let yaml = of_params("model: openai/m\nrpm: 10\ntpm: 1000");
    check_kinds(&yaml, &format!("{PARAMS}.rpm"), &[Kind::Approximate]);
    check_kinds(&yaml, &format!("{PARAMS}.tpm"), &[Kind::Unsupported]);
    let yaml = format!("{yaml}router_settings: {{routing_strategy: least-busy}}\n");
    check_kinds(&yaml, &format!("{PARAMS}.rpm"), &[Kind::Unsupported]);
}

#[test]
fn settings_of_the_router_are_ours() {
    let rows: [(&str, &[&str]); 12] = [
        ("routing_strategy: least-busy", &["[balancing]", "policy = \"least_in_flight\""]),
        ("routing_strategy: latency-based-routing", &["policy = \"least_latency\""]),
        ("num_retries: 0", &["[retry]", "attempts = 1"]),
        ("num_retries: 50", &["attempts = 10"]),
        ("retry_policy: {TimeoutErrorRetries: 7}\n  num_retries: 2", &["attempts = 8"]),
        (
            "retry_policy: {RateLimitErrorRetries: 0, TimeoutErrorRetries: 0}",
            &[
                r#"on = ["connect", "tls", "cut", "server_error", "error_event", "protocol", "credential"]"#,
            ],
        ),
        ("timeout: 600", &["[deadlines]", "total = \"600s\""]),
        ("timeout: 0.25", &["total = \"250ms\""]),
        ("stream_timeout: 30", &["first_byte = \"30s\""]),
        ("allowed_fails: 0", &["eject_after = 1"]),
        ("cooldown_time: 90", &["eject_pause = \"90s\"", "eject_pause_max = \"90s\""]),
        ("disable_cooldowns: true", &["eject_after = 0", "eject_below = 0"]),
    ];
    for (setting, lines) in rows {
        check_file(&format!("{MODEL}router_settings:\n  {setting}\n"), lines);
    }
    let yaml = format!("{MODEL}router_settings: {{timeout: 5, stream_timeout: 9}}\n");
    assert!(!imported(&yaml).file.contains("first_byte"));
}

#[test]
fn no_retries_are_none_and_fallbacks_are_asked_all_the_same() {
    let path = "router_settings.num_retries";
    let yaml = of_models(&["a", "b"], "num_retries: 0, fallbacks: [{a: [b]}]");
    check_file(&yaml, &["attempts = 1", "fallbacks = [\"b\"]"]);
    check_kinds(&yaml, path, &[Kind::Exact]);
    check_kinds(&yaml, "router_settings.fallbacks[0].a[0]", &[Kind::Exact]);
    check_kinds(&of_models(&["a"], "num_retries: 1"), path, &[Kind::Approximate]);
}

#[test]
fn a_value_of_another_kind_is_told_and_left_out() {
    for setting in [
        "num_retries: many",
        "num_retries: -1",
        "retry_policy: 3",
        "timeout: 0",
        "timeout: .nan",
        "timeout: 1e300",
        "timeout: os.environ/TIMEOUT",
        "allowed_fails: 1.5",
        "disable_cooldowns: perhaps",
        "model_group_alias: [a]",
        "fallbacks: {a: b}",
        "default_fallbacks: small",
        "default_max_parallel_requests: 0",
    ] {
        let yaml = format!("{MODEL}router_settings:\n  {setting}\n");
        let path = format!("router_settings.{}", setting.split(':').next().unwrap());
        check_kinds(&yaml, &path, &[Kind::Manual]);
        let file = imported(&yaml).file;
        assert!(!file.contains("]\ntotal") && !file.contains("attempts"), "{setting}: {file}");
    }
}

#[test]
fn what_the_router_says_wins() {
    let yaml = format!(
        "{MODEL}litellm_settings: {{request_timeout: 9}}\nrouter_settings: {{timeout: 5}}\n"
    );
    check_file(&yaml, &["total = \"5s\""]);
    check_kinds(&yaml, "litellm_settings.request_timeout", &[Kind::Exact]);
}

fn of_models(names: &[&str], router: &str) -> String {
    let entry =
        |name: &&str| format!("- {{model_name: {name}, litellm_params: {{model: gpt-4}}}}\n");
    let list: String = names.iter().map(entry).collect();
    let router = if router.starts_with('{') { router.to_owned() } else { format!("{{{router}}}") };
    format!("model_list:\n{list}router_settings: {router}\n")
}

#[test]
fn fallbacks_and_other_names_lead_to_models() {
    let yaml = of_models(&["a", "b", "c"], "fallbacks: [{a: [b, c]}, {b: [c]}]");
    check_file(&yaml, &["fallbacks = [\"b\", \"c\"]", "fallbacks = [\"c\"]"]);
    let yaml = of_models(&["a", "b"], "model_group_alias: {x: a, y: {model: a, hidden: true}}");
    check_file(&yaml, &["name = \"a\"", "aliases = [\"x\", \"y\"]", "name = \"b\""]);
    let yaml = of_models(&["a", "b", "c"], "default_fallbacks: [c]");
    assert_eq!(imported(&yaml).file.matches("fallbacks = [\"c\"]").count(), 2);
    check_kinds(&yaml, "router_settings.default_fallbacks[0]", &[Kind::Exact]);
    let yaml = of_models(&["a", "b"], "context_window_fallbacks: [{a: [b]}]");
    check_file(&yaml, &["context_window_fallbacks = [\"b\"]"]);
}

#[test]
fn what_is_said_of_all_models_is_said_of_the_one_that_is_called_star() {
    let yaml = "model_list:\n- {model_name: '*', litellm_params: {model: 'openai/*'}}\n\
                - {model_name: b, litellm_params: {model: gpt-4}}\n\
                router_settings: {default_fallbacks: [b]}\n";
    check_file(yaml, &["name = \"*\"", "fallbacks = [\"b\"]", "name = \"b\""]);
    check_kinds(yaml, "router_settings.default_fallbacks[0]", &[Kind::Exact]);
}

#[test]
fn a_name_that_leads_nowhere_is_told() {
    let yaml = of_models(&["a"], "fallbacks: [{a: [gone, {model: x}]}, {gone: [a]}]");
    check_kinds(&yaml, "router_settings.fallbacks[0].a[0]", &[Kind::Unsupported]);
    check_kinds(&yaml, "router_settings.fallbacks[0].a[1]", &[Kind::Unsupported]);
    check_kinds(&yaml, "router_settings.fallbacks[1].gone", &[Kind::Unsupported]);
    assert!(!imported(&yaml).file.contains("fallbacks"));
}

#[test]
fn a_chain_does_not_lead_back() {
    let yaml = of_models(&["a", "b", "c"], "fallbacks: [{a: [b]}, {b: [c]}, {c: [a]}, {a: [a]}]");
    assert_eq!(imported(&yaml).file.matches("fallbacks = ").count(), 2);
    check_kinds(&yaml, "router_settings.fallbacks[2].c[0]", &[Kind::Approximate]);
    check_kinds(&yaml, "router_settings.fallbacks[3].a[0]", &[Kind::Approximate]);
}

#[test]
fn a_chain_does_not_lead_back_by_another_reason() {
    let yaml =
        of_models(&["a", "b"], "{fallbacks: [{a: [b]}], context_window_fallbacks: [{b: [a]}]}");
    check_kinds(&yaml, "router_settings.context_window_fallbacks[0].b[0]", &[Kind::Approximate]);
}

#[test]
fn a_fallback_answers_in_the_api_that_was_asked() {
    let yaml = "model_list:\n- {model_name: a, litellm_params: {model: gpt-4}}\n\
                - {model_name: b, litellm_params: {model: claude-3}}\n\
                router_settings: {fallbacks: [{a: [b]}], default_fallbacks: [a]}\n";
    check_kinds(yaml, "router_settings.fallbacks[0].a[0]", &[Kind::Unsupported]);
    check_kinds(yaml, "router_settings.default_fallbacks[0]", &[Kind::Approximate]);
    assert!(!imported(yaml).file.contains("fallbacks = "));
}

#[track_caller]
fn check_refused(yaml: &str, expected: &str) {
    let refused = litellm("c.yaml", yaml).map(|_| ()).unwrap_err();
    assert_eq!(refused.to_string(), expected);
}

#[test]
fn what_is_no_configuration_is_refused() {
    const MEND: &str = "give the configuration of a LiteLLM proxy";
    check_refused("- a\n", &format!("c.yaml: this is no mapping; {MEND}"));
    check_refused("", &format!("c.yaml: this is no mapping; {MEND}"));
    check_refused("a: 1\n", &format!("c.yaml: there is no model_list; {MEND}"));
    check_refused("\nmodel_list: 7\n", &format!("c.yaml:2: model_list is no list; {MEND}"));
    let refused = litellm("c.yaml", "a: [\n").map(|_| ()).unwrap_err().to_string();
    assert!(refused.starts_with("c.yaml:1: this is not YAML ("), "{refused}");
}
