//! Anthropic's messages.

use super::Form;

pub(super) static MESSAGES: Form = Form {
    id: "msg_",
    parts: &[(
        "usage",
        concat!(
            r#"{"input_tokens":$prompt,"cache_creation_input_tokens":0,"#,
            r#""cache_read_input_tokens":0,"output_tokens":$completion}"#,
        ),
    )],
    finish: ["end_turn", "max_tokens"],
    details: [""; 2],
    whole: concat!(
        r#"{"id":"$id","type":"message","role":"assistant","model":"$model","#,
        r#""content":[{"type":"text","text":"$text"}],"stop_reason":"$finish","#,
        r#""stop_sequence":null,"usage":$usage}"#,
    ),
    opening: &[
        concat!(
            "event: message_start\n",
            r#"data: {"type":"message_start","message":{"id":"$id","type":"message","#,
            r#""role":"assistant","model":"$model","content":[],"stop_reason":null,"#,
            r#""stop_sequence":null,"usage":{"input_tokens":$prompt,"#,
            r#""cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":1}}}"#,
            "\n\n",
        ),
        concat!(
            "event: content_block_start\n",
            r#"data: {"type":"content_block_start","index":0,"#,
            r#""content_block":{"type":"text","text":""}}"#,
            "\n\n",
        ),
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
    ],
    token: concat!(
        "event: content_block_delta\n",
        r#"data: {"type":"content_block_delta","index":0,"#,
        r#""delta":{"type":"text_delta","text":"$text"}}"#,
        "\n\n",
    ),
    closing: &[
        "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
        concat!(
            "event: message_delta\n",
            r#"data: {"type":"message_delta","delta":{"stop_reason":"$finish","#,
            r#""stop_sequence":null},"usage":$usage}"#,
            "\n\n",
        ),
    ],
    // Usage is always told.
    usage: None,
    end: "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
    error: concat!(
        "event: error\n",
        r#"data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},"#,
        r#""request_id":"req_$digest"}"#,
        "\n\n",
    ),
};
