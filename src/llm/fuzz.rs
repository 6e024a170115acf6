//! The doors for fuzzing: any bytes in, and what must hold for all of them.

use crate::json::{self, FaultKind, Kind, Skimmer};
use crate::llm::{BodyTee, End, Endpoint, MODEL_BYTES_MAX, StreamTee, TAIL_BYTES, is_json, peek};
use crate::llm::{Peek, usage};
use crate::sse::{EventScanner, Reading};

const ENDPOINTS: [Endpoint; 5] = [
    Endpoint::ChatCompletions,
    Endpoint::Completions,
    Endpoint::Responses,
    Endpoint::Messages,
    Endpoint::Other,
];

/// A request's body, and the same bytes as an answer's.
#[doc(hidden)]
pub fn fuzz_json_peek(data: &[u8]) {
    for endpoint in ENDPOINTS {
        match peek(data, endpoint) {
            Ok(peek) => check_peek(data, endpoint, &peek),
            Err(fault) => assert!(fault.offset <= data.len() && !fault.reason().is_empty()),
        }
    }
    match is_json(data) {
        Ok(()) => check_members(data),
        Err(fault) => assert!(fault.offset <= data.len(), "a fault lies within its document"),
    }
    check_cuts_of_body(data);
}

fn check_peek(data: &[u8], endpoint: Endpoint, peek: &Peek) {
    assert!(peek.model.is_some() || !endpoint.needs_model());
    assert!(peek.prompt_bytes as usize <= data.len());
    if let Some(model) = peek.model {
        let mut room = [0; MODEL_BYTES_MAX];
        let name = model.name(data, &mut room);
        assert!((1..=MODEL_BYTES_MAX).contains(&name.len()));
        assert!(std::str::from_utf8(name).is_ok());
        assert!(!name.iter().any(|byte| matches!(byte, 0..=0x1f | 0x7f)));
        let written = model.written(data);
        assert!(written.contains(&b'\\') || written == name);
        let quoted = [b"\"", written, b"\""].concat();
        assert_eq!(Skimmer::value_end(&quoted, 0), Ok(quoted.len()), "a string of its own");
    }
    for span in [peek.messages, peek.tools, peek.stream_options].into_iter().flatten() {
        let value = span.of(data);
        assert_eq!(Skimmer::value_end(value, 0), Ok(value.len()), "a span is a value of its own");
    }
    let mut members = Skimmer::document(data).ok();
    while let Some(Ok(Some(member))) = members.as_mut().map(Skimmer::next_member) {
        assert!(!member.key_escaped);
        let value = member.value.span.of(data);
        assert_eq!(Skimmer::value_end(value, 0), Ok(value.len()));
        if !matches!(member.value.kind, Kind::Object | Kind::Array) {
            assert_eq!(json::check(value), Ok(()), "only the inside of brackets is skipped over");
        }
    }
    let last = data.iter().rposition(|byte| *byte == b'}').unwrap_or_default();
    let torn = data.get(..last).unwrap_or_default();
    assert!(self::peek(torn, endpoint).is_err(), "an object without its end is refused");
}

/// An object that is JSON by the whole grammar is one for the skimmer too, and
/// so are its members' values; only a key's bytes may displease it.
fn check_members(data: &[u8]) {
    let mut members = match Skimmer::document(data) {
        Ok(members) => members,
        Err(fault) => return assert_eq!(fault.kind, FaultKind::ExpectedObject),
    };
    loop {
        match members.next_member() {
            Ok(Some(member)) => assert_eq!(json::check(member.value.span.of(data)), Ok(())),
            Ok(None) => return,
            Err(fault) => return assert_eq!(fault.kind, FaultKind::InvalidKey),
        }
    }
}

/// A body within the tail that is kept gives the same usage in any cut.
fn check_cuts_of_body(data: &[u8]) {
    let whole = usage::find_in_body(data);
    assert!(whole.is_none_or(|usage| usage.prompt_tokens <= 3 * usage::TOKENS_MAX));
    assert_eq!(BodyTee::new().feed_last(data), whole);
    if data.len() <= TAIL_BYTES {
        let mut tee = BodyTee::new();
        data.chunks(3).for_each(|part| tee.feed(part));
        assert_eq!(tee.finish(), whole);
    }
}

/// The first byte chooses the cuts, the rest is a stream.
#[doc(hidden)]
pub fn fuzz_sse(data: &[u8]) {
    let Some((size, stream)) = data.split_first() else { return };
    let size = usize::from(*size) % 40 + 1;
    for event_bytes_max in [16, 1 << 20] {
        let whole = events(stream.chunks(stream.len().max(1)), event_bytes_max);
        assert_eq!(events(stream.chunks(size), event_bytes_max), whole);
        assert_eq!(events(stream.chunks(1), event_bytes_max), whole);
    }
    for endpoint in ENDPOINTS {
        let whole = tee_of(endpoint, stream.chunks(stream.len().max(1)));
        let cut = tee_of(endpoint, stream.chunks(size));
        assert_same(&whole, &cut);
        assert_same(&whole, &tee_of(endpoint, stream.chunks(1)));
        check_tee(whole);
    }
}

/// Everything a scanner gives, put together.
fn events<'b>(feeds: impl Iterator<Item = &'b [u8]>, event_bytes_max: usize) -> Vec<u8> {
    let mut scanner = EventScanner::new(event_bytes_max);
    let (mut seen, mut joined) = (Vec::new(), Vec::new());
    for feed in feeds {
        scanner.feed(feed, |event| {
            assert!(!event.raw.is_empty() && (!event.whole || event.raw.len() <= event_bytes_max));
            let Reading { name, data } = event.read(&mut joined);
            let dispatched = [u8::from(event.whole), u8::from(data.is_some())];
            for part in [event.raw, name, data.unwrap_or_default(), &dispatched] {
                seen.extend_from_slice(part);
                seen.push(0xff);
            }
        });
    }
    seen.push(u8::from(scanner.at_event_boundary()));
    seen
}

fn tee_of<'b>(endpoint: Endpoint, feeds: impl Iterator<Item = &'b [u8]>) -> StreamTee {
    let mut tee = StreamTee::new(endpoint);
    feeds.for_each(|feed| tee.feed(feed));
    tee
}

fn assert_same(one: &StreamTee, other: &StreamTee) {
    assert_eq!(one.events(), other.events());
    assert_eq!(one.end(), other.end());
    assert_eq!(one.usage(), other.usage());
    assert_eq!(one.boundary_fill(), other.boundary_fill());
}

fn check_tee(mut tee: StreamTee) {
    assert!(tee.needs_proof() || tee.end() == End::Missing);
    let fill = tee.boundary_fill();
    tee.feed(fill);
    assert_eq!(tee.boundary_fill(), b"", "the fill reaches a boundary");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::mutate::each_mutation;

    const BODIES: [&[u8]; 5] = [
        br#"{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}],"stream":true}"#,
        br#"{"max_tokens":5,"model":"m","stream_options":{"include_usage":true},"tools":[{}]}"#,
        br#"{"id":"x","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2},"a":[]}"#,
        br#"{"input":["a","b\n"],"model":"o\/m\u00e9\ud83d\ude00","system":"s","stream":null}"#,
        br#"[1,{"usage":{"input_tokens":3,"output_tokens":4}}]"#,
    ];

    const STREAMS: [&[u8]; 5] = [
        b"\x03data: {\"choices\":[]}\n\ndata: {\"usage\":{\"prompt_tokens\":1}}\n\ndata: [DONE]\n\n",
        b"\x01event: message_start\r\ndata: {\"message\":{\"usage\":{\"input_tokens\":2}}}\r\n\r\n",
        b"\x07\xef\xbb\xbf: x\n\nevent: error\ndata: {\"error\":{\"a\":1}}\n\ndata: x\ndata: y\n\n",
        b"\x02event: response.completed\rdata: {\"type\":\"response.completed\"}\r\r",
        b"\x05data: {\"type\":\"message_stop\"}\n\nid: 1\nretry: 5\n\ndata:[DONE]",
    ];

    #[test]
    fn bodies_hold_through_mutations() {
        let mut peeked = 0;
        each_mutation(&BODIES, 20_000, |bytes| {
            fuzz_json_peek(bytes);
            peeked += u32::from(peek(bytes, Endpoint::Other).is_ok());
        });
        assert!(peeked > 1_000, "{peeked} of the mutations were bodies still");
    }

    #[test]
    fn streams_hold_through_mutations() {
        each_mutation(&STREAMS, 20_000, fuzz_sse);
    }

    #[test]
    fn agrees_with_serde_json_on_the_model_and_on_streaming() {
        let mut compared = 0;
        each_mutation(&BODIES, 40_000, |bytes| {
            let Ok(tree) = serde_json::from_slice::<serde_json::Value>(bytes) else { return };
            let Ok(peek) = peek(bytes, Endpoint::Other) else { return };
            let mut room = [0; MODEL_BYTES_MAX];
            let model = peek.model.map(|model| model.name(bytes, &mut room));
            let model = model.map(String::from_utf8_lossy);
            assert_eq!(tree["model"].as_str(), model.as_deref());
            assert_eq!(tree["stream"].as_bool().unwrap_or(false), peek.stream);
            assert_eq!(tree["stream_options"]["include_usage"].as_bool(), peek.include_usage);
            compared += 1;
        });
        assert!(compared > 1_000, "{compared} compared");
    }
}
