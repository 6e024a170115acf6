//! OpenAI's responses: named events that are counted.

use super::Form;

pub(super) static RESPONSES: Form = Form {
    id: "resp_",
    parts: &[
        ("head", r#""id":"$id","object":"response","created_at":$created,"model":"$model","#),
        (
            "tail",
            concat!(
                r#""error":null,"instructions":null,"max_output_tokens":null,"#,
                r#""parallel_tool_calls":true,"previous_response_id":null,"temperature":1.0,"#,
                r#""tool_choice":"auto","tools":[],"top_p":1.0,"truncation":"disabled","#,
                r#""metadata":{}"#,
            ),
        ),
        (
            "begun",
            concat!(
                r#"{$head"status":"in_progress","incomplete_details":null,"output":[],"#,
                r#""usage":null,$tail}"#,
            ),
        ),
        (
            "usage",
            concat!(
                r#"{"input_tokens":$prompt,"input_tokens_details":{"cached_tokens":0},"#,
                r#""output_tokens":$completion,"output_tokens_details":{"reasoning_tokens":0},"#,
                r#""total_tokens":$total}"#,
            ),
        ),
        ("part", r#"{"type":"output_text","annotations":[],"text":"$text"}"#),
        ("item", r#"{$message"status":"$finish","content":[$part]}"#),
        ("message", r#""type":"message","id":"msg_$digest","role":"assistant","#),
        ("place", r#""item_id":"msg_$digest","output_index":0,"content_index":0,"#),
    ],
    finish: ["completed", "incomplete"],
    details: ["null", r#"{"reason":"max_output_tokens"}"#],
    whole: concat!(
        r#"{$head"status":"$finish","incomplete_details":$details,"#,
        r#""output":[{$message"status":"$finish","#,
        r#""content":[{"type":"output_text","annotations":[],"text":"$text"}]}],"#,
        r#""usage":$usage,$tail}"#,
    ),
    opening: &[
        concat!(
            "event: response.created\n",
            r#"data: {"type":"response.created","sequence_number":$seq,"response":$begun}"#,
            "\n\n",
        ),
        concat!(
            "event: response.in_progress\n",
            r#"data: {"type":"response.in_progress","sequence_number":$seq,"response":$begun}"#,
            "\n\n",
        ),
        concat!(
            "event: response.output_item.added\n",
            r#"data: {"type":"response.output_item.added","sequence_number":$seq,"#,
            r#""output_index":0,"item":{$message"status":"in_progress","content":[]}}"#,
            "\n\n",
        ),
        concat!(
            "event: response.content_part.added\n",
            r#"data: {"type":"response.content_part.added","sequence_number":$seq,$place"#,
            r#""part":{"type":"output_text","annotations":[],"text":""}}"#,
            "\n\n",
        ),
    ],
    token: concat!(
        "event: response.output_text.delta\n",
        r#"data: {"type":"response.output_text.delta","sequence_number":$seq,$place"#,
        r#""delta":"$text","logprobs":[]}"#,
        "\n\n",
    ),
    closing: &[
        concat!(
            "event: response.output_text.done\n",
            r#"data: {"type":"response.output_text.done","sequence_number":$seq,$place"#,
            r#""text":"$text","logprobs":[]}"#,
            "\n\n",
        ),
        concat!(
            "event: response.content_part.done\n",
            r#"data: {"type":"response.content_part.done","sequence_number":$seq,$place"#,
            r#""part":$part}"#,
            "\n\n",
        ),
        concat!(
            "event: response.output_item.done\n",
            r#"data: {"type":"response.output_item.done","sequence_number":$seq,"#,
            r#""output_index":0,"item":$item}"#,
            "\n\n",
        ),
    ],
    // Usage is always told, in the last event.
    usage: None,
    end: concat!(
        "event: response.$finish\n",
        r#"data: {"type":"response.$finish","sequence_number":$seq,"response":{$head"#,
        r#""status":"$finish","incomplete_details":$details,"output":[$item],"#,
        r#""usage":$usage,$tail}}"#,
        "\n\n",
    ),
    error: concat!(
        "event: error\n",
        r#"data: {"type":"error","sequence_number":$seq,"code":"server_error","#,
        r#""message":"The mock was told to fail here.","param":null}"#,
        "\n\n",
    ),
};
