//! Rude clients: each is told what is wrong, in the words of the API that it
//! asked, and costs no more than that.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{num::NonZero, time::Duration};

use support::{
    Answer, Client, End, PATIENCE, Proxy, backend::deaf, chat, error_word, eventually, mock,
    pattern, plan, streamed, url,
};
use tokenring::{config::Written, mock::MockHandle};

fn start(change: impl FnOnce(&mut Written)) -> (MockHandle, Proxy) {
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], change));
    (mock, proxy)
}

/// The answer to these bytes, which must be the connection's last.
#[track_caller]
fn last_answer(proxy: &Proxy, request: impl AsRef<[u8]>) -> Answer {
    let shown = String::from_utf8_lossy(request.as_ref().get(..80).unwrap_or(request.as_ref()))
        .into_owned();
    let mut client = proxy.client();
    client.send(request);
    let answer = client.try_answer().unwrap_or_else(|| panic!("no answer to {shown:?}"));
    assert_eq!(answer.end, End::Whole, "{shown:?}");
    assert_eq!(answer.field("connection"), Some("close"), "{shown:?}");
    client.is_closed();
    answer
}

/// Bytes that are refused wherever they go, `PATH` being put in.
#[track_caller]
fn check(proxy: &Proxy, request: &str, status: u16) {
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let request = request.replace("PATH", path);
        let answer = last_answer(proxy, &request);
        assert_eq!(answer.status, status, "{request:?}: {}", answer.text());
        error_word(path, &answer.body);
    }
}

#[test]
fn malformed_requests_are_refused_in_the_words_of_their_api() {
    let (mock, proxy) = start(|_| ());
    for (request, status) in [
        // Framing.
        (
            "POST PATH HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n",
            400,
        ),
        ("POST PATH HTTP/1.1\r\nhost: p\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\n{}", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\ncontent-length: 2, 2\r\n\r\n{}", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\ncontent-length: +2\r\n\r\n{}", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\ncontent-length: 9223372036854775808\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\ntransfer-encoding: gzip\r\n\r\n", 501),
        ("POST PATH HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked, chunked\r\n\r\n", 400),
        ("POST PATH HTTP/1.0\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\ntransfer_encoding: chunked\r\n\r\n", 400),
        // Lines.
        ("POST PATH HTTP/1.1\nhost: p\n\n\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\nx: a\r\n b\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\nx : a\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\n host: p\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\n: a\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\nx: a\0b\r\n\r\n", 400),
        ("POST  PATH HTTP/1.1\r\nhost: p\r\n\r\n", 400),
        ("POST PATH HTTP/1.1 \r\nhost: p\r\n\r\n", 400),
        ("POST PATH\r\nhost: p\r\n\r\n", 400),
        ("POST PATH#x HTTP/1.1\r\nhost: p\r\n\r\n", 400),
        // Host.
        ("POST PATH HTTP/1.1\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: p\r\nhost: p\r\n\r\n", 400),
        ("POST PATH HTTP/1.1\r\nhost: a@b\r\n\r\n", 400),
        ("POST http://a PATH HTTP/1.1\r\nhost: p\r\n\r\n", 400),
        // What is not served.
        ("TRACE PATH HTTP/1.1\r\nhost: p\r\n\r\n", 405),
        ("POST PATH HTTP/1.1\r\nhost: p\r\nexpect: tea\r\n\r\n", 417),
        ("POST PATH HTTP/3.0\r\nhost: p\r\n\r\n", 505),
    ] {
        // The path stands where it can be found in all but these.
        if request.starts_with("POST http") || request.starts_with("POST  ") {
            let answer = last_answer(&proxy, request.replace("PATH", "/v1/x"));
            assert_eq!(answer.status, status, "{request:?}");
            continue;
        }
        check(&proxy, request, status);
    }
    proxy.empties();
    assert_eq!((mock.stats().requests, mock.stats().connections_open), (0, 0));
}

#[test]
fn what_is_not_http_is_refused() {
    let (_mock, proxy) = start(|_| ());
    for (bytes, status) in [
        (&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"SSH-2.0-OpenSSH_9.9\r\n\r\n", 400),
        (b"\r\n\r\n\r\n\r\n", 400),
        (b"CONNECT p:443 HTTP/1.1\r\nhost: p:443\r\n\r\n", 405),
    ] {
        assert_eq!(last_answer(&proxy, bytes).status, status, "{bytes:?}");
    }
}

#[test]
fn malformed_chunks_are_refused() {
    let (mock, proxy) = start(|_| ());
    for chunks in [
        "\r\n",
        "+1\r\nx\r\n",
        "0x1\r\nx\r\n",
        "-1\r\n",
        "g\r\n",
        "00000000000000001\r\nx\r\n",
        "1\nx\r\n",
        "1\r\nxy\r\n",
        "1;a=\"\x01\"\r\nx\r\n",
        "1\r\nx\r\n0\r\nbad trailer\r\n\r\n",
    ] {
        let head = "POST PATH HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n";
        check(&proxy, &format!("{head}{chunks}"), 400);
    }
    proxy.empties();
    assert_eq!(mock.stats().requests, 0);
}

#[test]
fn too_much_of_anything_has_its_status() {
    let (mock, proxy) = start(|written| {
        written.limits.body_bytes = 10_000;
        written.limits.head_bytes = 8 * 1024;
        written.limits.target_bytes = 1024;
        written.limits.headers = 20;
    });
    let long = "y".repeat(9000);
    check(&proxy, &format!("POST PATH HTTP/1.1\r\nhost: p\r\nx: {long}\r\n\r\n"), 431);
    // Not even its end has come.
    check(&proxy, &format!("POST PATH HTTP/1.1\r\nhost: p\r\nx: {long}"), 431);
    let many = "x: y\r\n".repeat(20);
    check(&proxy, &format!("POST PATH HTTP/1.1\r\nhost: p\r\n{many}\r\n"), 431);
    check(&proxy, &format!("POST PATH?{} HTTP/1.1\r\nhost: p\r\n\r\n", &long[..1100]), 414);
    // A target longer than a whole head may be is a long target still.
    check(&proxy, &format!("POST PATH?{long} HTTP/1.1\r\nhost: p\r\n\r\n"), 414);
    check(&proxy, &format!("POST PATH?{long}"), 414);
    let head = "POST PATH HTTP/1.1\r\nhost: p\r\n";
    check(&proxy, &format!("{head}content-length: 10001\r\n\r\n"), 413);
    check(&proxy, &format!("{head}content-length: 10001\r\n\r\n{}", "z".repeat(10_001)), 413);
    check(&proxy, &format!("{head}expect: 100-continue\r\ncontent-length: 10001\r\n\r\n"), 413);
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{:x}\r\n", 10_001);
    check(&proxy, &format!("{chunked}{}\r\n0\r\n\r\n", "z".repeat(10_001)), 413);
    let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n0\r\n");
    check(&proxy, &format!("{chunked}{}\r\n", "x: y\r\n".repeat(70)), 431);
    check(&proxy, &format!("{chunked}x: {}\r\n\r\n", "y".repeat(9000)), 431);
    proxy.empties();
    assert_eq!(mock.stats().requests, 0);
    // The very most that is allowed passes.
    let body = pattern(10_000);
    assert!(proxy.client().post("/x", "x-mock-echo: 1\r\n", &body).body == body);
}

/// A million bytes of head: the refusal is heard although more is on its way.
#[test]
fn a_head_of_a_million_bytes_is_refused_and_the_refusal_is_heard() {
    let (_mock, proxy) = start(|_| ());
    let head = format!("GET /v1/x HTTP/1.1\r\nhost: p\r\nx: {}\r\n\r\n", "y".repeat(1_000_000));
    let mut client = proxy.client();
    client.send(head);
    assert_eq!(client.answer().status, 431);
}

#[test]
fn a_body_that_is_no_json_is_refused_by_its_offset_and_the_connection_lives() {
    let (mock, proxy) = start(|_| ());
    let mut client = proxy.client();
    for (body, code, offset) in [
        ("", "invalid_json", Some(0)),
        ("no json", "invalid_json", Some(0)),
        ("{\"model\":\"m\",}", "invalid_json", Some(13)),
        ("{\"model\":\"m\"} x", "invalid_json", Some(14)),
        ("{\"model\":\"m\"", "invalid_json", Some(12)),
        ("{}", "missing_required_parameter", None),
        ("{\"model\":1}", "null", Some(9)),
        ("{\"model\":\"\"}", "null", Some(9)),
        ("{\"model\":\"a\",\"model\":\"b\"}", "null", Some(14)),
        ("{\"mod\\u0065l\":\"a\"}", "null", Some(2)),
        ("{\"model\":\"\\ud800\"}", "null", Some(9)),
        ("{\"Model\":\"a\",\"model\":\"a\"}", "null", Some(2)),
        ("{\"model\":\"m\",\"stream\":\"yes\"}", "null", Some(22)),
        ("{\"model\":\"m\",\"stream\":true,\"stream\":false}", "null", Some(28)),
    ] {
        for path in ["/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"] {
            let answer = client.post(path, "", body);
            assert_eq!(answer.status, 400, "{path} {body}");
            let word = error_word(path, &answer.body);
            let expected = if path == "/v1/messages" { "invalid_request_error" } else { code };
            assert_eq!(word, expected, "{path} {body}: {}", answer.text());
            if let Some(offset) = offset {
                let told = format!("(at byte {offset})");
                assert!(answer.text().contains(&told), "{path} {body}: {}", answer.text());
            }
        }
    }
    // Where no model is needed the body is nobody's business.
    assert_eq!(client.post("/x", "x-mock-echo: 1\r\n", "no json").text(), "no json");
    assert_eq!(mock.stats().requests, 1);
}

#[test]
fn a_websocket_is_told_to_use_events() {
    let (_mock, proxy) = start(|_| ());
    let request = "GET /v1/responses HTTP/1.1\r\nhost: p\r\nconnection: upgrade\r\n\
                   upgrade: websocket\r\nsec-websocket-version: 13\r\n\r\n";
    let mut client = proxy.client();
    client.send(request);
    let answer = client.answer();
    assert_eq!((answer.status, answer.field("upgrade")), (426, Some("HTTP/1.1")));
    // RFC 9110, section 7.8: whoever sends Upgrade lists it there.
    assert_eq!(answer.field("connection"), Some("close, upgrade"));
    client.is_closed();
}

const SHORT: Duration = Duration::from_millis(100);

#[test]
fn a_head_that_drips_meets_one_deadline() {
    let (_mock, proxy) = start(|written| written.deadlines.head = SHORT);
    for path in ["/v1/chat/completions", "/v1/messages"] {
        let mut client = proxy.client();
        client.send(format!("POST {path} HTTP/1.1\r\nhost: p\r\n"));
        // Each byte would move a deadline that is not absolute; the answer
        // ends the dripping.
        let mut dripped = 0;
        let status = loop {
            if let Some(status) = client.status_within(SHORT / 5) {
                break status;
            }
            dripped += 1;
            assert!(dripped < 100, "the deadline moves");
            client.send("x");
        };
        assert_eq!(status, 408);
        let answer = client.answer();
        error_word(path, &answer.body);
        client.is_closed();
    }
}

#[test]
fn a_body_slower_than_allowed_is_a_408() {
    let (mock, proxy) = start(|written| {
        written.deadlines.body_rate_grace = SHORT;
        written.deadlines.body_rate_min = 1_000_000;
    });
    for path in ["/v1/chat/completions", "/v1/messages"] {
        for framing in
            ["content-length: 100000\r\n\r\n{", "transfer-encoding: chunked\r\n\r\n1\r\n{"]
        {
            let answer =
                last_answer(&proxy, format!("POST {path} HTTP/1.1\r\nhost: p\r\n{framing}"));
            assert_eq!(answer.status, 408);
            error_word(path, &answer.body);
        }
    }
    proxy.empties();
    assert_eq!(mock.stats().requests, 0);
}

#[test]
fn a_client_without_a_request_is_closed_without_a_word() {
    let (_mock, proxy) = start(|written| {
        written.deadlines.keep_alive = SHORT;
        written.pool.rest_before_idle = SHORT / 5;
    });
    let mut silent = proxy.client();
    let mut served = proxy.client();
    assert_eq!(served.post("/v1/chat/completions", "", chat(1)).status, 200);
    silent.is_closed();
    served.is_closed();
    proxy.empties();
}

#[test]
fn a_client_that_takes_no_bytes_is_cut() {
    let (mock, proxy) = start(|written| written.deadlines.client_write = SHORT);
    let mut client = proxy.client();
    client.send_post("/v1/chat/completions", "x-mock-body-bytes: 1GiB\r\n", chat(1));
    eventually("it is cut", || proxy.sum(|c| &c.clients_gone) == 1);
    proxy.empties();
    assert_eq!(proxy.sum(|c| &c.deadlines_passed), 1);
    eventually("its backend as well", || mock.stats().connections_open == 0);
    drop(client);
}

#[test]
fn connections_have_a_limit() {
    let (_mock, proxy) = start(|written| written.connections = Some(3));
    let mut inside: Vec<_> = (0..3).map(|_| proxy.client()).collect();
    for client in &mut inside {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    }
    for _ in 0..3 {
        let answer = proxy.client().answer();
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert_eq!(error_word("/", &answer.body), "too_many_connections");
    }
    assert_eq!(proxy.sum(|c| &c.connections_refused), 3);
    for client in &mut inside {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    }
    inside.pop();
    eventually("there is room again", || proxy.sum(|c| &c.connections_open) == 2);
    assert_eq!(proxy.client().post("/v1/chat/completions", "", chat(1)).status, 200);
}

/// Most clients have sent their request before they could be refused.
#[test]
fn a_refused_connection_that_has_asked_already_still_hears_why() {
    let (_mock, proxy) = start(|written| written.connections = Some(1));
    let mut inside = proxy.client();
    assert_eq!(inside.post("/v1/chat/completions", "", chat(1)).status, 200);
    for n in 0..50 {
        let answer = proxy.client().post("/v1/chat/completions", "", chat(1));
        assert_eq!((answer.status, answer.end), (503, End::Whole), "connection {n}");
    }
}

#[test]
fn connections_of_one_address_have_a_limit() {
    let (_mock, proxy) = start(|written| {
        written.limits.connections_per_address = NonZero::new(2);
        written.cores = "0-1".to_owned();
    });
    let inside: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    eventually("they are in", || proxy.sum(|c| &c.connections_open) == 2);
    assert_eq!(proxy.client().answer().status, 503);
    drop(inside);
    eventually("they are out", || proxy.sum(|c| &c.connections_open) == 0);
    assert_eq!(proxy.client().post("/v1/chat/completions", "", chat(1)).status, 200);
}

#[test]
fn requests_under_way_have_a_limit() {
    let (_mock, proxy) = start(|written| written.limits.requests_in_flight = NonZero::new(2));
    let headers = "x-mock-stall-at: 1\r\n";
    let mut stalled: Vec<_> = (0..2).map(|_| proxy.client()).collect();
    for client in &mut stalled {
        client.send_post("/v1/chat/completions", headers, streamed(3));
        assert_eq!(client.head().status, 200);
    }
    for (path, word) in
        [("/v1/chat/completions", "overloaded"), ("/v1/messages", "overloaded_error")]
    {
        let answer = proxy.client().post(path, "", chat(1));
        assert_eq!((answer.status, answer.field("retry-after")), (503, Some("1")));
        assert_eq!(error_word(path, &answer.body), word);
    }
    let mut client = proxy.client();
    client.send("GET /v1/models HTTP/1.1\r\nhost: p\r\n\r\n");
    assert_eq!(client.answer().status, 503);
    stalled.pop();
    eventually("there is room again", || proxy.sum(|c| &c.requests_in_flight) == 1);
    // The same connection has lived on, as its request had no body.
    assert_eq!(client.get("/v1/models").status, 200);
    assert_eq!(client.get("/health").status, 200);
}

#[test]
fn bodies_share_one_budget() {
    let (_mock, proxy) = start(|written| {
        written.limits.body_bytes = 600_000;
        written.limits.body_memory_total = 1_000_000;
    });
    let body = pattern(600_000);
    let mut first = proxy.client();
    first.send("POST /x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\ncontent-length: 600000\r\n\r\n");
    first.send(&body[..590_000]);
    // What has come counts, not what was announced.
    eventually("it is counted", || proxy.sum(|c| &c.request_body_bytes_held) >= 590_000);
    let refused = proxy.client().post("/x", "", &body);
    assert_eq!((refused.status, refused.field("retry-after")), (503, Some("1")));
    let small = pattern(300_000);
    assert!(proxy.client().post("/x", "x-mock-echo: 1\r\n", &small).body == small);
    first.send(&body[590_000..]);
    assert!(first.answer().body == body);
    proxy.settles();
}

/// A deaf backend holds the request, and with it the body.
#[test]
fn a_body_is_counted_as_long_as_it_is_held() {
    let deaf = deaf();
    let proxy = Proxy::of(plan(&[url(deaf.address)], |w| w.deadlines.connect = PATIENCE));
    let mut client = Client::tcp(proxy.address);
    client.send_post("/x", "", pattern(100_000));
    eventually("it is counted", || proxy.sum(|c| &c.request_body_bytes_held) == 100_000);
    drop(client);
    proxy.empties();
}

/// What a backend decodes to an API that is read along must be read along.
#[test]
fn a_path_that_hides_its_api_is_refused() {
    let (mock, proxy) = start(|_| ());
    for (path, api) in [
        ("/v1/%63hat/completions", "/v1/chat/completions"),
        ("/v1/chat%2Fcompletions", "/v1/chat/completions"),
        ("/v1/chat%2fcompletions/?x=y", "/v1/chat/completions"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("//v1/messages", "/v1/messages"),
        ("/%76%31/messages", "/v1/messages"),
        ("/v1/messages/%63ount_tokens", "/v1/messages"),
        ("/v1/messages%2Fbatches", "/v1/messages"),
        ("/v1%2Fresponses/resp_1", "/v1/responses"),
        ("/%72erank", "/rerank"),
    ] {
        let body = streamed(1);
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: p\r\ncontent-length: {length}\r\n\r\n");
        let answer = last_answer(&proxy, head + &body);
        assert_eq!(answer.status, 400, "{path}: {}", answer.text());
        error_word(api, &answer.body);
    }
    assert_eq!(mock.stats().requests, 0);
    // An encoding that hides nothing passes.
    let mut client = proxy.client();
    assert_eq!(client.get("/v1/models/org%2Fname").status, 200);
    for path in ["/v1/files/a%20b", "/x/%2f/y", "/x//y", "/v1/%zz", "/v1/x%"] {
        let answer = client.post(path, "x-mock-echo: 1\r\n", "hello");
        assert_eq!(answer.text(), "hello", "{path}");
    }
}

/// The list of models exists in both APIs; the version's header tells which.
#[test]
fn models_are_refused_in_the_words_of_the_client() {
    let proxy = Proxy::before(support::backend::nowhere());
    for path in ["/v1/models", "/v1/models/m"] {
        for (headers, api) in [("", path), ("anthropic-version: 2023-06-01\r\n", "/v1/messages")] {
            let mut client = proxy.client();
            client.send(format!("GET {path} HTTP/1.1\r\nhost: p\r\n{headers}\r\n"));
            let answer = client.answer();
            assert_eq!(answer.status, 502);
            error_word(api, &answer.body);
            let id = if headers.is_empty() { "x-request-id" } else { "request-id" };
            assert!(answer.field(id).is_some(), "{path} {headers}");
            let request = format!("GET {path} HTTP/1.1\r\nhost: p\r\nhost: p\r\n{headers}\r\n");
            error_word(api, &last_answer(&proxy, request).body);
        }
    }
}

#[test]
fn an_absolute_target_is_refused_in_the_words_of_its_api() {
    let (_mock, proxy) = start(|_| ());
    for (target, api) in [
        ("http://x/v1/messages", "/v1/messages"),
        ("HTTPS://x:1/v1/messages?beta=true", "/v1/messages"),
        ("http://x/v1/chat/completions", "/v1/chat/completions"),
        ("http://x", "/"),
    ] {
        let request = format!("POST {target} HTTP/1.1\r\nhost: a@b\r\n\r\n");
        error_word(api, &last_answer(&proxy, request).body);
    }
}

/// In another charset a backend could find other members than we did.
#[test]
fn a_body_in_another_charset_is_refused() {
    let (mock, proxy) = start(|_| ());
    let mut client = proxy.client();
    for path in ["/v1/chat/completions", "/v1/messages", "/proxy"] {
        for content_type in [
            "application/json; charset=utf-7",
            "application/json;charset=\"UTF-16\"",
            "application/json; Charset = latin1",
            "application/json; x=y; charset=utf-8; charset=utf-7",
            "application/json; charset=\"utf\\-7\"",
            "application/json; charset",
            "application/json; charset=",
            "application/json\r\ncontent-type: application/json; charset=utf-7",
        ] {
            let answer = client.post(path, &format!("content-type: {content_type}\r\n"), chat(1));
            assert_eq!(answer.status, 415, "{path} {content_type}");
            error_word(path, &answer.body);
        }
    }
    assert_eq!(mock.stats().requests, 0);
    for content_type in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;CHARSET=\"UTF-8\"",
        "application/json ; charset=utf8 ;x",
        "application/octet-stream",
        "text/plain; xcharset=utf-7",
    ] {
        let headers = format!("content-type: {content_type}\r\n");
        let answer = client.post("/v1/chat/completions", &headers, chat(1));
        assert_eq!(answer.status, 200, "{content_type}");
    }
    // What is not read may be in any.
    let headers = "x-mock-echo: 1\r\ncontent-type: text/plain; charset=utf-7\r\n";
    assert_eq!(client.post("/x", headers, "+AGE-").text(), "+AGE-");
}

#[test]
fn a_refusal_says_what_was_wrong() {
    let (_mock, proxy) = start(|_| ());
    let many = format!("GET /v1/x HTTP/1.1\r\nhost: p\r\n{}\r\n", "x: y\r\n".repeat(200));
    for (request, words) in [
        ("TRACE /v1/x HTTP/1.1\r\nhost: p\r\n\r\n", "CONNECT and TRACE"),
        ("PRI * HTTP/2.0\r\n\r\n", "HTTP/2"),
        ("GET /v1/x HTTP/3.0\r\nhost: p\r\n\r\n", "HTTP/1.0 and HTTP/1.1"),
        ("GET /v1/x HTTP/1.1\r\nhost: p\r\nexpect: tea\r\n\r\n", "100-continue"),
        (
            "GET /v1/x HTTP/1.1\r\nhost: p\r\ntransfer-encoding: gzip\r\n\r\n",
            "transfer coding understood here is chunked",
        ),
        (&many, "more fields than"),
    ] {
        let text = last_answer(&proxy, request).text();
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn a_refused_head_request_gets_no_body() {
    let (_mock, proxy) = start(|written| written.limits.head_bytes = 4096);
    let long = format!("HEAD /v1/x HTTP/1.1\r\nhost: p\r\nx: {}", "y".repeat(5000));
    for (request, status) in [
        ("HEAD /v1/x HTTP/1.1\r\nhost: p\r\nhost: p\r\n\r\n", 400),
        ("HEAD /v1/x HTTP/1.1\r\nhost: p\r\nexpect: tea\r\n\r\n", 417),
        (&long, 431),
    ] {
        let mut client = proxy.client();
        client.send(request);
        let head = client.head();
        assert_eq!(head.status, status);
        assert!(head.field("content-length").is_some_and(|length| length != "0"));
        client.is_closed();
    }
}
