//! Facts about the mock LLM, on real sockets, with clients that are plain
//! `std::net`. `TOKENRING_TEST_DRIVER` (`uring`, `epoll`) chooses the driver.
#![allow(
    clippy::disallowed_methods,
    reason = "a test drives the real clock and reads the environment"
)]
#![allow(clippy::unwrap_used, reason = "the client's functions are tests as well")]

mod mock_client;

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use mock_client::{
    Client, chat, eventually, kib_of_memory, stalled, start, start_at, start_engine, start_with,
};
use tokenring::config::Address;

/// Three tokens of a stream, so that every byte can be written out here.
const STREAM: &str = r#"{"model":"m","max_tokens":3,"stream":true}"#;
/// As many tokens as the script has.
const UNENDING: &str = r#"{"model":"m","stream":true}"#;

#[test]
fn answers_in_one_body_of_the_size_it_says() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let answer = client.post("/v1/chat/completions", "", &chat(2));
    assert_eq!(answer.status, 200);
    let chat: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(chat["model"], "m");
    assert_eq!(chat["choices"][0]["message"]["content"].as_str().unwrap().len(), 2 * 4);
    assert_eq!(chat["usage"]["completion_tokens"], 2);
}

#[test]
fn streams_these_very_bytes() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let answer = client.post("/v1/chat/completions", "", STREAM);
    assert_eq!(answer.field("content-type"), Some("text/event-stream"));
    let head = r#"data: {"id":"chatcmpl-ID","object":"chat.completion.chunk","created":1700000000,"model":"m","system_fingerprint":"fp_mock","choices":[{"index":0,"delta":"#;
    let body = String::from_utf8(answer.body).unwrap();
    let id = body.split('"').nth(3).unwrap().to_owned();
    let text: Vec<&str> = body.split(r#""content":""#).skip(2).map(|rest| &rest[..4]).collect();
    let mut expected = format!(
        "{head}{}",
        r#"{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}]}"#
    );
    for token in &text {
        expected += &format!(
            "\n\n{head}{{\"content\":\"{token}\"}},\"logprobs\":null,\"finish_reason\":null}}]}}"
        );
    }
    expected += &format!(
        "\n\n{head}{}\n\ndata: [DONE]\n\n",
        r#"{},"logprobs":null,"finish_reason":"length"}]}"#
    );
    assert_eq!(text.len(), 3);
    assert_eq!(body, expected.replace("chatcmpl-ID", &id));
}

#[test]
fn the_same_request_gets_the_same_bytes_and_another_gets_others() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let mut ask = |body: &str| client.post("/v1/messages", "", body).body;
    let first = ask(STREAM);
    assert_eq!(ask(STREAM), first);
    assert_ne!(ask(&STREAM.replace(":3", ":4")), first);
}

#[test]
fn usage_comes_before_the_end_for_those_who_asked() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let asked =
        r#"{"model":"m","max_tokens":3,"stream":true,"stream_options":{"include_usage":true}}"#;
    let last_but_one = |body: Vec<u8>| {
        let body = String::from_utf8(body).unwrap();
        let events: Vec<&str> = body.split_terminator("\n\n").collect();
        events[events.len() - 2].to_owned()
    };
    let told = last_but_one(client.post("/v1/chat/completions", "", asked).body);
    assert!(told.contains(r#""choices":[],"usage":{"prompt_tokens":20,"completion_tokens":3"#));
    let silent = last_but_one(client.post("/v1/chat/completions", "", STREAM).body);
    assert!(silent.contains(r#""finish_reason":"length""#), "{silent}");
}

#[test]
fn a_cut_leaves_the_body_without_an_end() {
    let mock = start();
    for (at, tokens) in [("0", 0), ("2", 2), ("3", 3)] {
        let mut client = Client::connect(&mock);
        client.send_post("/v1/chat/completions", &format!("x-mock-cut-at: {at}\r\n"), STREAM);
        let raw = client.rest().unwrap();
        assert!(raw.starts_with("HTTP/1.1 200 OK\r\n"), "{raw}");
        assert_eq!(raw.matches(r#""delta":{"content""#).count(), tokens);
        assert!(!raw.ends_with("0\r\n\r\n") && !raw.contains("[DONE]"), "{raw}");
    }
}

#[test]
fn a_cut_body_of_known_length_is_too_short() {
    let mock = start();
    let mut client = Client::connect(&mock);
    client.send_post("/v1/chat/completions", "x-mock-cut-at: 1\r\n", &chat(2));
    let raw = client.rest().unwrap();
    let (head, body) = raw.split_once("\r\n\r\n").unwrap();
    let length = head.split_once("content-length: ").unwrap().1.lines().next().unwrap();
    assert!(body.len() < length.parse().unwrap());
}

#[test]
fn a_cut_before_the_head_sends_nothing_and_a_reset_is_one() {
    let mock = start();
    let mut client = Client::connect(&mock);
    client.send_post("/v1/chat/completions", "x-mock-cut-at: head\r\n", STREAM);
    assert_eq!(client.rest().unwrap(), "");
    let mut client = Client::connect(&mock);
    client.send_post("/v1/messages", "x-mock-cut-at: head\r\nx-mock-reset: 1\r\n", STREAM);
    assert_eq!(client.rest().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[test]
fn an_error_event_ends_the_stream_cleanly() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let mut ask = |path, at| {
        let answer = client.post(path, &format!("x-mock-error-at: {at}\r\n"), STREAM);
        assert_eq!(answer.status, 200);
        String::from_utf8(answer.body).unwrap()
    };
    assert!(ask("/v1/messages", 0).starts_with("event: error\ndata: {\"type\":\"error\""));
    let chat = ask("/v1/chat/completions", 2);
    assert!(chat.split("\n\n").nth(3).unwrap().starts_with("data: {\"error\":{"), "{chat}");
    assert!(!chat.contains("[DONE]"));
}

#[test]
fn a_stream_without_its_mark_still_ends() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let answer = client.post("/v1/chat/completions", "x-mock-omit-done: 1\r\n", STREAM);
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.ends_with("\"finish_reason\":\"length\"}]}\n\n"), "{body}");
}

#[test]
fn a_client_that_leaves_a_stall_is_noticed() {
    let mock = start();
    for place in ["head", "0", "2"] {
        let before = mock.stats();
        let mut client = Client::connect(&mock);
        client.send_post("/v1/chat/completions", &format!("x-mock-stall-at: {place}\r\n"), STREAM);
        assert!(stalled(&mut client), "stall at {place}");
        assert_eq!(mock.stats().connections_open, 1);
        drop(client);
        eventually("the mock sees its client leave", || {
            let now = mock.stats();
            now.clients_left == before.clients_left + 1
                && (now.connections_open, now.streams_open) == (0, 0)
        });
    }
    assert_eq!(mock.stats().tokens_after_client_left, 0);
}

#[test]
fn no_token_is_made_for_a_client_that_has_left() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let headers = "x-mock-token-gap: 5ms\r\nx-mock-tokens: 100000\r\n";
    client.send_post("/v1/chat/completions", headers, r#"{"model":"m","stream":true}"#);
    eventually("some tokens are made", || mock.stats().tokens_made > 5);
    drop(client);
    eventually("the stream ends", || mock.stats().streams_open == 0);
    let made = mock.stats();
    // Twenty gaps later there is not one more.
    mock_client::pass(Duration::from_millis(100));
    assert_eq!(mock.stats().tokens_made, made.tokens_made);
    assert_eq!((made.tokens_after_client_left, made.clients_left), (0, 1));
}

/// Holds the counter to account that the proxy's tests rely on.
#[test]
fn tokens_made_by_a_deaf_mock_after_the_end_are_counted() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let headers = "x-mock-deaf: 1\r\nx-mock-token-gap: 10ms\r\n";
    client.send_post("/v1/chat/completions", headers, &STREAM.replace(":3", ":40"));
    client.socket.shutdown(Shutdown::Write).unwrap();
    let raw = client.rest().unwrap();
    assert_eq!(raw.matches(r#""delta":{"content""#).count(), 40);
    let stats = mock.stats();
    assert!(stats.tokens_after_client_left >= 20, "{stats:?}");
    assert!(stats.latest_token_after_leave_ms >= 300, "{stats:?}");
}

#[test]
fn answers_early_and_does_not_wait_for_the_body() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let head = "POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\ncontent-length: 1000000\r\n\
                x-mock-early: 413\r\n\r\n";
    client.socket.write_all(head.as_bytes()).unwrap();
    // What is sent on meanwhile must not cost the answer.
    client.socket.write_all(&[b'x'; 100_000]).unwrap();
    let raw = client.rest().unwrap();
    assert!(raw.starts_with("HTTP/1.1 413 Content Too Large\r\n"), "{raw}");
    assert!(raw.contains("connection: close\r\n"));
}

#[test]
fn a_body_of_100_megabytes_costs_no_memory() {
    const BYTES: u64 = 100_000_000;
    let mock = start();
    for framing in ["length", "chunked", "close"] {
        let mut client = Client::connect(&mock);
        let headers = format!("x-mock-body-bytes: {BYTES}\r\nx-mock-framing: {framing}\r\n");
        client.send_post("/v1/chat/completions", &headers, &chat(2));
        let before = kib_of_memory();
        let (mut piece, mut bytes, mut most) = (vec![0; 64 * 1024], 0, before);
        while bytes < BYTES {
            let read = client.socket.read(&mut piece).unwrap();
            assert!(read > 0, "{framing}: ended after {bytes} bytes");
            bytes += read as u64;
            most = most.max(kib_of_memory());
        }
        assert!(most - before < 16 * 1024, "{framing}: grew by {} KiB", most - before);
    }
}

#[test]
fn no_header_holds_a_thread_or_its_memory() {
    let mock = start();
    let rows = [
        ("/v1/chat/completions", "x-mock-token-bytes: 9223372036854775807B\r\n", "is too large"),
        ("/v1/chat/completions", "x-mock-token-bytes: 1048577\r\n", "is too large"),
    ];
    for (path, headers, reason) in rows {
        let answer = Client::connect(&mock).post(path, headers, UNENDING);
        assert_eq!(answer.status, 400, "{headers}");
        assert!(String::from_utf8(answer.body).unwrap().contains(reason), "{headers}");
    }
}

#[test]
fn the_length_of_the_longest_stream_is_known_at_once() {
    let mock = start();
    let headers = "x-mock-framing: length\r\nx-mock-tokens: 4294967295\r\nx-mock-cut-at: 1\r\n";
    for path in ["/v1/messages", "/v1/responses"] {
        let mut client = Client::connect(&mock);
        client.send_post(path, headers, UNENDING);
        let (status, fields) = client.head();
        let length = fields.iter().find(|(name, _)| name == "content-length").unwrap();
        assert_eq!(status, 200);
        assert!(length.1.parse::<u64>().unwrap() > 4_294_967_295 * 100, "{path}: {length:?}");
    }
}

#[test]
fn a_long_text_is_told_again_in_full_at_the_end_of_a_response() {
    let mock = start();
    let headers = "x-mock-tokens: 20\r\nx-mock-token-bytes: 16KiB\r\n";
    let answer = Client::connect(&mock).post("/v1/responses", headers, UNENDING);
    let body = String::from_utf8(answer.body).unwrap();
    let events = body.split_terminator("\n\n").map(|event| event.split_once("data: ").unwrap().1);
    let events: Vec<serde_json::Value> =
        events.map(|data| serde_json::from_str(data).unwrap()).collect();
    let deltas: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(deltas.len(), 20 * 16 * 1024);
    let last = events.last().unwrap();
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], deltas.as_str());
}

#[test]
fn embeddings_beyond_what_is_sold_are_refused() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let mut ask = |inputs: usize, dimensions: u32| {
        let inputs = vec!["\"a\""; inputs].join(",");
        let body = format!(r#"{{"model":"m","dimensions":{dimensions},"input":[{inputs}]}}"#);
        let answer = client.post("/v1/embeddings", "", &body);
        (answer.status, String::from_utf8(answer.body).unwrap())
    };
    assert_eq!(ask(2048, 16).0, 200);
    for (inputs, dimensions) in [(257, 4096), (2049, 1), (15_000, 4096)] {
        let (status, words) = ask(inputs, dimensions);
        assert_eq!(status, 400, "{inputs} of {dimensions}");
        assert!(words.contains("more embeddings than"), "{words}");
    }
}

#[test]
fn echoes_a_body_byte_for_byte() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let body: Vec<u8> = (0..300_000_u64).map(|n| ((n * n) >> 7) as u8).collect();
    let headers = "x-mock-echo: 1\r\ncontent-type: application/x-thing\r\n";
    let echo = client.post_bytes("/v1/chat/completions", headers, &body);
    assert_eq!((echo.status, echo.field("content-type")), (200, Some("application/x-thing")));
    assert!(echo.body == body);

    // The same in chunks of growing size, sent in pieces that ignore them.
    let mut chunked = Vec::new();
    let mut rest = body.as_slice();
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rest.len().min(1 + chunked.len() / 10));
        write!(chunked, "{:x}\r\n", chunk.len()).unwrap();
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
        rest = after;
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let head = format!(
        "POST /any/path HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n{headers}\r\n"
    );
    client.socket.write_all(head.as_bytes()).unwrap();
    for piece in chunked.chunks(4093) {
        client.socket.write_all(piece).unwrap();
    }
    assert!(client.answer().body == body);
}

#[test]
fn lists_the_head_that_came() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let answer = client.post("/mock/echo?a=b", "X-Thing: \"1\"\r\n", "hello");
    let told: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((&told["method"], &told["target"]), (&"POST".into(), &"/mock/echo?a=b".into()));
    assert_eq!(told["body_bytes"], 5);
    let fields = told["headers"].as_array().unwrap();
    assert!(fields.contains(&serde_json::json!(["X-Thing", "\"1\""])), "{told}");
}

#[test]
fn every_framing_carries_the_same_stream() {
    let mock = start();
    let expected = Client::connect(&mock).post("/v1/responses", "", STREAM).body;
    for framing in ["length", "chunked", "close"] {
        for split in ["1", "7", "100000"] {
            let headers = format!("x-mock-framing: {framing}\r\nx-mock-split: {split}\r\n");
            let answer = Client::connect(&mock).post("/v1/responses", &headers, STREAM);
            assert!(answer.body == expected, "{framing} in pieces of {split}");
        }
    }
}

#[test]
fn interim_answers_come_before_the_answer() {
    let mock = start();
    let mut client = Client::connect(&mock);
    client.send_post("/v1/chat/completions", "x-mock-interim: 3x103\r\n", &chat(1));
    for _ in 0..3 {
        assert_eq!(client.head().0, 103);
    }
    assert_eq!(client.answer().status, 200);
}

#[test]
fn requests_sent_ahead_are_answered_in_order() {
    let mock = start();
    let mut client = Client::connect(&mock);
    for tokens in 1..=20 {
        client.send_post("/v1/chat/completions", "", &chat(tokens));
    }
    for tokens in 1..=20 {
        let chat: serde_json::Value = serde_json::from_slice(&client.answer().body).unwrap();
        assert_eq!(chat["usage"]["completion_tokens"], tokens);
    }
}

#[test]
fn refusals_are_told_in_words() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let answer = client.post("/v1/chat/completions", "x-mock-tokens: many\r\n", &chat(1));
    assert_eq!(answer.status, 400);
    assert!(String::from_utf8(answer.body).unwrap().contains("wants a whole number"));
    let headers = "x-mock-status: 529\r\nx-mock-retry-after: 1500ms\r\n";
    let answer = client.post("/v1/messages", headers, STREAM);
    assert_eq!((answer.status, answer.field("retry-after")), (529, Some("2")));
    assert_eq!(answer.field("retry-after-ms"), Some("1500"));
    assert!(answer.body.starts_with(br#"{"type":"error","error":{"type":"overloaded_error""#));
    assert_eq!(client.post("/v1/nowhere", "", "").status, 404);
    assert_eq!(client.post("/health", "", "").status, 405);
    assert_eq!(client.post("/v1/chat/completions", "", "no json").status, 400);
}

#[test]
fn a_request_id_seen_twice_is_counted_as_repeated() {
    let mock = start();
    let mut client = Client::connect(&mock);
    for id in ["a", "b", "a"] {
        client.post("/v1/chat/completions", &format!("x-request-id: {id}\r\n"), &chat(1));
    }
    let stats = mock.stats();
    assert_eq!((stats.requests, stats.requests_repeated), (3, 1));
}

#[test]
fn faults_of_the_script_strike_every_nth_request() {
    let mock = start_with(|script| {
        script.status = 503;
        script.fault_every = 3;
        script.models = vec!["m".to_owned()];
    });
    let mut client = Client::connect(&mock);
    let mut ask = |body: &str| client.post("/v1/chat/completions", "", body).status;
    assert_eq!([(); 6].map(|()| ask(&chat(1))), [200, 200, 503, 200, 200, 503]);
    assert_eq!(ask(r#"{"model":"other"}"#), 404);
}

#[test]
fn connections_close_after_so_many_answers() {
    let mock = start_with(|script| script.close_after = Some(2));
    let mut client = Client::connect(&mock);
    let first = client.post("/v1/chat/completions", "", &chat(1));
    assert_eq!(first.field("connection"), None);
    let second = client.post("/v1/chat/completions", "", &chat(1));
    assert_eq!(second.field("connection"), Some("close"));
    assert_eq!(client.rest().unwrap(), "");
}

#[test]
fn tokens_keep_to_their_schedule() {
    let mock = start();
    let mut client = Client::connect(&mock);
    let headers = "x-mock-first-token: 30ms\r\nx-mock-token-gap: 3ms\r\n";
    let start = Instant::now();
    client.post("/v1/chat/completions", headers, &STREAM.replace(":3", ":51"));
    assert!(start.elapsed() >= Duration::from_millis(30 + 50 * 3), "{:?}", start.elapsed());
}

#[test]
fn a_mock_that_was_stopped_listens_no_more() {
    let mock = start();
    let address = mock.address();
    let mut client = Client::connect(&mock);
    client.send_post("/v1/chat/completions", "x-mock-stall-at: 1\r\n", STREAM);
    assert!(stalled(&mut client));
    mock.stop();
    assert_eq!(client.rest().unwrap(), "");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn listens_on_a_unix_socket_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mock.sock");
    let mock = start_at(Address::Unix(path.clone()), |_| ());
    for requests in 1..=8 {
        let mut socket = UnixStream::connect(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let head = "POST /v1/messages HTTP/1.1\r\nhost: m\r\nconnection: close\r\n";
        write!(socket, "{head}content-length: {}\r\n\r\n{STREAM}", STREAM.len()).unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.contains("message_stop"), "{answer}");
        assert_eq!(mock.stats().requests, requests);
    }
    mock.stop();
    assert!(!path.exists(), "the socket's file is left behind");
}

#[test]
fn every_thread_answers_on_the_one_port() {
    let mock = start();
    let mut clients: Vec<Client> = (0..64).map(|_| Client::connect(&mock)).collect();
    for client in &mut clients {
        assert_eq!(client.post("/v1/chat/completions", "", &chat(1)).status, 200);
    }
    assert_eq!((mock.drivers().len(), mock.stats().requests), (2, 64));
}

#[test]
fn requests_and_answers_that_went_out_whole_are_written_down_by_their_ids() {
    let folder = tempfile::tempdir().unwrap();
    let [asked, answered] = ["asked", "answered"].map(|name| folder.path().join(name));
    let mock = start_with(|script| {
        (script.asked, script.answered) = (Some(asked.clone()), Some(answered.clone()));
    });
    for words in ["x-request-id: a", "x-request-id: b\r\nx-mock-cut-at: 1", "x-request-id: c"] {
        let mut client = Client::connect(&mock);
        let words = format!("{words}\r\nconnection: close\r\n");
        client.send_post("/v1/chat/completions", &words, STREAM);
        assert!(client.rest().unwrap().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    // A stopped mock has written all of it.
    drop(mock);
    assert_eq!(std::fs::read_to_string(&asked).unwrap(), "a\nb\nc\n");
    assert_eq!(std::fs::read_to_string(&answered).unwrap(), "a\nc\n");
}

#[test]
fn an_engine_reads_one_prompt_after_another_and_forgets_who_has_left() {
    let mock = start_engine(Duration::from_millis(2));
    let begun = Instant::now();
    // 25,000 tokens, so 50 s: longer than any client here waits.
    let long = format!(r#"{{"model":"m","prompt":"{}"}}"#, "x".repeat(100_000));
    let mut leaves = Client::connect(&mock);
    leaves.send_post("/v1/completions", "", &long);
    eventually("the long prompt is there", || mock.stats().requests_waiting == 1);
    // 100 tokens and some, so 200 ms.
    let short = format!(r#"{{"model":"m","max_tokens":1,"prompt":"{}"}}"#, "x".repeat(400));
    let mut waits = [(); 3].map(|()| Client::connect(&mock));
    waits.iter_mut().for_each(|client| client.send_post("/v1/completions", "", &short));
    eventually("they wait behind it", || mock.stats().requests_waiting == 4);
    assert_eq!(mock.stats().answers, 0);
    drop(leaves);
    for mut client in waits {
        assert_eq!(client.answer().status, 200);
    }
    assert!(begun.elapsed() >= Duration::from_millis(600), "{:?}", begun.elapsed());
    assert_eq!(mock.stats().llm_requests, 4);
}
