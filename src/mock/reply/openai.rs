//! OpenAI's chat completions and completions.

use super::Form;

pub(super) static CHAT: Form = Form {
    id: "chatcmpl-",
    parts: &[
        (
            "chunk",
            concat!(
                r#""id":"$id","object":"chat.completion.chunk","created":$created,"#,
                r#""model":"$model","system_fingerprint":"fp_mock""#,
            ),
        ),
        (
            "usage",
            concat!(
                r#"{"prompt_tokens":$prompt,"completion_tokens":$completion,"#,
                r#""total_tokens":$total,"prompt_tokens_details":{"cached_tokens":0},"#,
                r#""completion_tokens_details":{"reasoning_tokens":0}}"#,
            ),
        ),
    ],
    finish: ["stop", "length"],
    details: [""; 2],
    whole: concat!(
        r#"{"id":"$id","object":"chat.completion","created":$created,"model":"$model","#,
        r#""choices":[{"index":0,"message":{"role":"assistant","content":"$text","refusal":null},"#,
        r#""logprobs":null,"finish_reason":"$finish"}],"#,
        r#""usage":$usage,"system_fingerprint":"fp_mock"}"#,
    ),
    opening: &[concat!(
        r#"data: {$chunk,"choices":[{"index":0,"delta":{"role":"assistant","content":""},"#,
        r#""logprobs":null,"finish_reason":null}]}"#,
        "\n\n",
    )],
    token: concat!(
        r#"data: {$chunk,"choices":[{"index":0,"delta":{"content":"$text"},"#,
        r#""logprobs":null,"finish_reason":null}]}"#,
        "\n\n",
    ),
    closing: &[concat!(
        r#"data: {$chunk,"choices":[{"index":0,"delta":{},"logprobs":null,"#,
        r#""finish_reason":"$finish"}]}"#,
        "\n\n",
    )],
    usage: Some(concat!(r#"data: {$chunk,"choices":[],"usage":$usage}"#, "\n\n")),
    end: DONE,
    error: ERROR,
};

pub(super) static COMPLETIONS: Form = Form {
    id: "cmpl-",
    parts: &[
        (
            "chunk",
            concat!(
                r#""id":"$id","object":"text_completion","created":$created,"#,
                r#""model":"$model","system_fingerprint":"fp_mock""#,
            ),
        ),
        (
            "usage",
            concat!(
                r#"{"prompt_tokens":$prompt,"completion_tokens":$completion,"#,
                r#""total_tokens":$total}"#,
            ),
        ),
    ],
    finish: ["stop", "length"],
    details: [""; 2],
    whole: concat!(
        r#"{$chunk,"choices":[{"index":0,"text":"$text","logprobs":null,"#,
        r#""finish_reason":"$finish"}],"usage":$usage}"#,
    ),
    opening: &[],
    token: concat!(
        r#"data: {$chunk,"choices":[{"index":0,"text":"$text","logprobs":null,"#,
        r#""finish_reason":null}]}"#,
        "\n\n",
    ),
    closing: &[concat!(
        r#"data: {$chunk,"choices":[{"index":0,"text":"","logprobs":null,"#,
        r#""finish_reason":"$finish"}]}"#,
        "\n\n",
    )],
    usage: Some(concat!(r#"data: {$chunk,"choices":[],"usage":$usage}"#, "\n\n")),
    end: DONE,
    error: ERROR,
};

const DONE: &str = "data: [DONE]\n\n";

const ERROR: &str = concat!(
    r#"data: {"error":{"message":"The mock was told to fail here.","type":"server_error","#,
    r#""param":null,"code":null}}"#,
    "\n\n",
);
