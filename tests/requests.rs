//! Requests reach the backend as the client meant them: the body byte for
//! byte, the fields that travel and none that do not, by any listener.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{io::Write, path::Path, sync::mpsc};

use support::{
    Client, Proxy,
    backend::{Backend, Request},
    chat, error_word, eventually, mock, pattern, plan, streamed, url,
};
use tokenring::{
    config::{Credentials, Written},
    exchange::HeaderPlan,
};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// A backend that tells what it was asked.
fn listening() -> (Backend, mpsc::Receiver<Request>) {
    let (told, requests) = mpsc::channel();
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            // The test may have heard enough.
            let _ = told.send(request);
            conn.say(OK);
        }
    });
    (backend, requests)
}

fn chunked(body: &[u8], chunk_bytes: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for chunk in body.chunks(chunk_bytes) {
        write!(out, "{:X};extension=\"of no use\"\r\n", chunk.len()).unwrap();
        out.extend_from_slice(chunk);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"000\r\nx-trailer: dropped\r\n\r\n");
    out
}

#[test]
fn bodies_of_known_length_arrive_whole() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for length in [0, 1, 1000, 16_000, 16_384, 17_000, 100_000, 5_000_000] {
        let body = pattern(length);
        let answer = client.put("/v1/thing", "x-mock-echo: 1\r\n", &body);
        assert!(answer.status == 200 && answer.body == body, "{length} bytes");
    }
    proxy.settles();
    assert_eq!(proxy.sum(|c| &c.backend_connects), 1);
}

#[test]
fn a_body_sent_in_pieces_arrives_whole() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    let body = pattern(40_000);
    for piece_bytes in [1, 4093, 16_384] {
        let body = &body[..body.len().min(piece_bytes * 3000)];
        let length = body.len();
        let head = "POST /x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\n";
        client.send(format!("{head}content-length: {length}\r\n\r\n"));
        for piece in body.chunks(piece_bytes) {
            client.send(piece);
        }
        assert!(client.answer().body == body, "in pieces of {piece_bytes}");
    }
}

#[test]
fn a_chunked_body_goes_on_with_its_length() {
    let (backend, requests) = listening();
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    for (length, chunk_bytes) in [(0, 1), (10, 1), (5000, 7), (200_000, 9000)] {
        let body = pattern(length);
        client.send("POST /v1/thing HTTP/1.1\r\nhost: p\r\ntransfer-encoding: chunked\r\n\r\n");
        for piece in chunked(&body, chunk_bytes).chunks(4001) {
            client.send(piece);
        }
        assert_eq!(client.answer().status, 200);
        let request = requests.recv().unwrap();
        assert!(request.body == body, "{length} in chunks of {chunk_bytes}");
        assert_eq!(request.all("content-length"), [length.to_string()]);
        assert_eq!(request.all("x-trailer"), [""; 0]);
    }
}

#[test]
fn a_client_that_waits_for_100_is_invited() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for length in [10, 100_000] {
        let body = pattern(length);
        client.send(format!(
            "POST /x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\nexpect: 100-continue\r\n\
             content-length: {length}\r\n\r\n"
        ));
        assert_eq!(client.head().status, 100);
        client.send(&body);
        let answer = client.answer();
        assert!(answer.status == 200 && answer.body == body);
    }
    // One that does not wait needs no invitation.
    client.send_post("/x", "x-mock-echo: 1\r\nexpect: 100-continue\r\n", "hello");
    assert_eq!(client.head().status, 200);
}

#[test]
fn an_expectation_ends_with_us() {
    let (backend, requests) = listening();
    let proxy = Proxy::before(backend.address);
    proxy.client().post("/x", "expect: 100-continue\r\n", "hello");
    assert_eq!(requests.recv().unwrap().all("expect"), [""; 0]);
}

const SENT: &str = "connection: keep-alive, x-private\r\nx-private: 1\r\nkeep-alive: timeout=5\r\n\
    proxy-connection: keep-alive\r\nproxy-authorization: Basic x\r\nte: trailers\r\n\
    trailer: x-sum\r\nupgrade: h2c\r\nauthorization: Bearer secret\r\nx-api-key: secret\r\n\
    api-key: secret\r\nx-goog-api-key: secret\r\nx-auth-token: secret\r\n\
    ocp-apim-subscription-key: secret\r\ncookie: secret\r\nx-thing: kept\r\n\
    openai-organization: secret\r\nopenai-project: secret\r\n\
    anthropic-version: 2023-06-01\r\nanthropic-beta: a,b\r\naccept-encoding: gzip\r\n\
    x-forwarded-for: 192.0.2.1\r\nx-request-id: mine-7\r\n";

fn ask_with_every_field(change: impl FnOnce(&mut Written)) -> Request {
    let (backend, requests) = listening();
    let proxy = Proxy::with(&[backend.address], change);
    assert_eq!(proxy.client().post("/v1/messages?beta=true", SENT, chat(1)).status, 200);
    requests.recv().unwrap()
}

#[test]
fn hop_by_hop_fields_and_credentials_end_with_us() {
    let request = ask_with_every_field(|_| ());
    assert_eq!(request.line, "POST /v1/messages?beta=true HTTP/1.1");
    for name in [
        "connection",
        "x-private",
        "keep-alive",
        "proxy-connection",
        "proxy-authorization",
        "te",
        "trailer",
        "upgrade",
        "authorization",
        "x-api-key",
        "api-key",
        "x-goog-api-key",
        "x-auth-token",
        "ocp-apim-subscription-key",
        "cookie",
        "openai-organization",
        "openai-project",
    ] {
        assert_eq!(request.all(name), [""; 0], "{name}");
    }
    for (name, value) in [
        ("x-thing", "kept"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "a,b"),
        ("accept-encoding", "identity"),
        ("x-forwarded-for", "192.0.2.1, 127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "mine-7"),
        ("via", "1.1 tokenring"),
    ] {
        assert_eq!(request.all(name), [value], "{name}");
    }
    assert_eq!(request.all("host").len(), 1);
    assert!(request.all("host")[0].starts_with("127.0.0.1:"));
}

#[test]
fn credentials_travel_where_the_operator_says_so() {
    let request = ask_with_every_field(|written| written.credentials = Credentials::Pass);
    for (name, value) in [
        ("authorization", "Bearer secret"),
        ("x-api-key", "secret"),
        ("cookie", "secret"),
        ("openai-organization", "secret"),
        ("openai-project", "secret"),
    ] {
        assert_eq!(request.all(name), [value]);
    }
    // This one is for us alone (RFC 9110, section 11.7.1).
    assert_eq!(request.all("proxy-authorization"), [""; 0]);
}

#[test]
fn our_own_fields_can_be_left_out() {
    let none = HeaderPlan { via: false, forwarded: false, request_id: false, own: false };
    let request = ask_with_every_field(|written| written.headers = none);
    assert_eq!((request.all("via"), request.all("x-forwarded-proto")), (vec![], vec![]));
    assert_eq!(request.all("x-forwarded-for"), ["192.0.2.1"]);
    assert_eq!(request.all("x-request-id"), ["mine-7"]);

    let mock = mock();
    let proxy = Proxy::with(&[mock.address()], |written| written.headers = none);
    let answer = proxy.client().post("/v1/chat/completions", "", chat(1));
    let names: Vec<_> = answer.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["content-type", "content-length"]);
}

#[test]
fn an_answer_says_who_gave_it() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    let answer = client.post("/v1/chat/completions", "x-request-id: mine-7\r\n", chat(1));
    assert_eq!(answer.field("x-tokenring-backend"), Some(mock.address().to_string().as_str()));
    assert_eq!(answer.field("x-tokenring-attempts"), Some("1"));
    assert_eq!(answer.field("x-request-id"), Some("mine-7"));
    assert_eq!(answer.field("via"), Some("1.1 tokenring"));
    let own = client.post("/v1/chat/completions", "", chat(1));
    assert!(own.field("x-request-id").unwrap().starts_with("req-"));
    let stream = client.post("/v1/chat/completions", "", streamed(1));
    assert_eq!(stream.field("cache-control"), Some("no-cache"));
    assert_eq!(stream.field("x-accel-buffering"), Some("no"));
}

/// Anthropic's clients read the id from `request-id`.
#[test]
fn an_answer_has_one_id_by_its_apis_name() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for body in [chat(1), streamed(1)] {
        let answer = proxy.client().post("/v1/messages", "", body);
        assert!(answer.field("request-id").is_some_and(|id| id.starts_with("req-")));
        assert_eq!(answer.field("x-request-id"), None);
    }
    for (path, theirs) in [
        ("/v1/messages", "Request-Id"),
        ("/v1/messages", "X-Request-Id"),
        ("/v1/chat/completions", "Request-Id"),
        ("/v1/chat/completions", "X-Request-Id"),
    ] {
        let backend =
            Backend::saying(OK.replace("\r\n\r\n", &format!("\r\n{theirs}: theirs\r\n\r\n")));
        let proxy = Proxy::before(backend.address);
        let answer = proxy.client().post(path, "", chat(1));
        let ids = [answer.field("request-id"), answer.field("x-request-id")];
        assert_eq!(ids.into_iter().flatten().collect::<Vec<_>>(), ["theirs"], "{path} {theirs}");
    }
}

#[test]
fn any_method_and_any_path_passes() {
    let (backend, requests) = listening();
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    for line in [
        "GET /v1/files?limit=3",
        "DELETE /v1/responses/resp_1",
        "PUT /v1/x/%2f/y;z=1",
        "PATCH /v1/x",
        "OPTIONS /v1/x",
    ] {
        client.send(format!("{line} HTTP/1.1\r\nhost: p\r\n\r\n"));
        assert_eq!(client.answer().status, 200, "{line}");
        assert_eq!(requests.recv().unwrap().line, format!("{line} HTTP/1.1"));
    }
}

#[test]
fn a_backends_base_path_goes_in_front() {
    let (backend, requests) = listening();
    let base = format!("{}/deep/base", url(backend.address));
    let proxy = Proxy::of(plan(&[base], |_| ()));
    proxy.client().post("/v1/x?q", "", "{}");
    assert_eq!(requests.recv().unwrap().line, "POST /deep/base/v1/x?q HTTP/1.1");
}

#[test]
fn proxy_takes_any_json_to_the_path_that_was_set() {
    let (backend, requests) = listening();
    let proxy =
        Proxy::with(&[backend.address], |written| written.proxy_path = "/generate".to_owned());
    let mut client = proxy.client();
    for body in ["{\"prompt\": \"no model here\"}", "[1, 2]", " \"text\" ", "null"] {
        assert_eq!(client.post("/proxy", "", body).status, 200, "{body}");
        let request = requests.recv().unwrap();
        assert_eq!(request.line, "POST /generate HTTP/1.1");
        assert_eq!(request.body, body.as_bytes());
    }
    let refused = client.post("/proxy", "", "{\"prompt\": oops}");
    assert_eq!(
        (refused.status, error_word("/proxy", &refused.body).as_str()),
        (400, "invalid_json")
    );
    assert!(refused.text().contains("at byte 11"), "{}", refused.text());
}

#[test]
fn proxy_tells_a_backends_failure_in_json() {
    let html = "<html>502 from somebody else</html>";
    let failure = format!(
        "HTTP/1.1 500 Oh\r\ncontent-type: text/html\r\ncontent-length: {}\r\n\r\n{html}",
        html.len()
    );
    let backend = Backend::saying(failure);
    let proxy = Proxy::before(backend.address);
    let answer = proxy.client().post("/proxy", "", "{}");
    assert_eq!(answer.status, 502);
    assert_eq!(error_word("/proxy", &answer.body), "backend_protocol_error");

    // What is JSON already passes unchanged.
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let headers = "x-mock-status: 429\r\nx-mock-retry-after: 2s\r\n";
    let expected = Client::tcp(mock.address()).post("/v1/chat/completions", headers, chat(1));
    let answer = proxy.client().post("/proxy", headers, chat(1));
    assert_eq!((answer.status, answer.field("retry-after")), (429, Some("2")));
    assert_eq!(answer.body, expected.body);
}

#[test]
fn a_backends_own_errors_pass_unchanged() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for path in ["/v1/chat/completions", "/v1/messages"] {
        for status in [400, 401, 404, 429, 500, 503, 529] {
            let headers = format!("x-mock-status: {status}\r\n");
            let expected = Client::tcp(mock.address()).post(path, &headers, chat(1)).body;
            let answer = proxy.client().post(path, &headers, chat(1));
            assert_eq!((answer.status, answer.body), (status, expected), "{path}");
        }
    }
}

#[test]
fn a_unix_socket_serves_as_listener_and_as_backend() {
    let folder = tempfile::tempdir().unwrap();
    let (near, far) = (folder.path().join("near.sock"), folder.path().join("far.sock"));
    let unix = |path: &Path| format!("unix:{}", path.display());
    let mock = mock();
    let behind = Proxy::of(plan(&[url(mock.address())], |w| w.listen = vec![unix(&far)]));
    let before = Proxy::of(plan(&[unix(&far)], |w| w.listen = vec![unix(&near)]));
    let mut client = Client::unix(&near);
    let expected = Client::tcp(mock.address()).post("/v1/messages", "", streamed(9)).body;
    for _ in 0..3 {
        assert_eq!(client.post("/v1/messages", "", streamed(9)).body, expected);
    }
    let body = pattern(3_000_000);
    assert!(client.post("/x", "x-mock-echo: 1\r\n", &body).body == body);
    drop(client);
    before.empties();
    drop(before);
    assert!(!near.exists(), "the socket's file is removed at the end");
    drop(behind);
}

#[test]
fn connections_are_shared_among_shards() {
    const CLIENTS: usize = 64;
    let mock = mock();
    let proxy = Proxy::with(&[mock.address()], |written| written.cores = "0-3".to_owned());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| proxy.client()).collect();
    for client in &mut clients {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    }
    eventually("all are counted", || proxy.sum(|c| &c.connections_open) == CLIENTS as u64);
    let open = proxy.each_shard(|c| &c.connections_open);
    // Power of two choices leaves no shard far behind another.
    assert!(open.iter().all(|open| (8..=32).contains(open)), "{open:?}");
    assert_eq!(proxy.sum(|c| &c.connections_accepted), CLIENTS as u64);
    assert_eq!(proxy.sum(|c| &c.requests), CLIENTS as u64);
    drop(clients);
    proxy.empties();
}

/// One Unix socket is one queue: whoever accepts hands over.
#[test]
fn a_shard_that_accepts_more_than_its_part_hands_over() {
    const CLIENTS: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("proxy.sock");
    let listen = format!("unix:{}", path.display());
    let mock = mock();
    let proxy = Proxy::with(&[mock.address()], |written| {
        written.cores = "0-1".to_owned();
        written.listen = vec![listen];
    });
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::unix(&path);
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
        clients.push(client);
    }
    let accepted = proxy.each_shard(|c| &c.connections_accepted);
    let handed_over = proxy.each_shard(|c| &c.connections_handed_over);
    let open = proxy.each_shard(|c| &c.connections_open);
    for shard in 0..2 {
        let kept = accepted[shard] - handed_over[shard] + handed_over[1 - shard];
        assert_eq!(open[shard], kept, "{accepted:?} {handed_over:?}");
        assert!(open[shard] >= CLIENTS as u64 / 2 - 2, "{open:?}");
    }
    drop(clients);
    proxy.empties();
}

#[test]
fn proxy_passes_on_every_error_in_json() {
    for (status, fields) in [
        (429, "content-type: application/json\r\ncontent-encoding: gzip\r\n"),
        (422, "content-type: application/problem+json; charset=utf-8\r\n"),
        (400, "content-type: application/vnd.api+JSON\r\n"),
    ] {
        let backend = Backend::saying(format!(
            "HTTP/1.1 {status} No\r\n{fields}retry-after: 7\r\ncontent-length: 2\r\n\r\n{{}}"
        ));
        let proxy = Proxy::before(backend.address);
        let answer = proxy.client().post("/proxy", "", "{}");
        assert_eq!((answer.status, answer.text().as_str()), (status, "{}"), "{fields}");
        assert_eq!(answer.field("retry-after"), Some("7"), "{fields}");
    }
    for other in ["application/json+x", "application/jsonx", "application/", "+json", ""] {
        let backend = Backend::saying(format!(
            "HTTP/1.1 429 No\r\ncontent-type: {other}\r\ncontent-length: 2\r\n\r\n{{}}"
        ));
        let proxy = Proxy::before(backend.address);
        assert_eq!(proxy.client().post("/proxy", "", "{}").status, 502, "{other}");
    }
}

#[test]
fn proxy_asks_for_answers_without_a_coding() {
    let (backend, requests) = listening();
    let proxy =
        Proxy::with(&[backend.address], |written| written.proxy_path = "/generate".to_owned());
    proxy.client().post("/proxy", "accept-encoding: gzip, br\r\n", "{}");
    assert_eq!(requests.recv().unwrap().all("accept-encoding"), ["identity"]);
}

#[test]
fn no_target_leaves_a_backends_base_path() {
    let (backend, requests) = listening();
    let base = format!("{}/base", url(backend.address));
    let proxy = Proxy::of(plan(&[base], |_| ()));
    for target in [
        "/../admin",
        "/x/..",
        "/x/.",
        "/./x",
        "/..?q",
        "http://p/../admin",
        "/%2e%2E/admin",
        "/.%2e/admin",
        "/x/%2e",
        "/x%2f..%2Fadmin",
        "/x\\..\\admin",
        "/x%5c..%5Cadmin",
        "/..;a=b/admin",
    ] {
        let mut client = proxy.client();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: p\r\n\r\n"));
        assert_eq!(client.answer().status, 400, "{target}");
    }
    let mut client = proxy.client();
    for target in ["/.well-known/x", "/v1/models/m-4.1", "/...", "/a..b/..c", "/x?/../y"] {
        client.send(format!("GET {target} HTTP/1.1\r\nhost: p\r\n\r\n"));
        assert_eq!(client.answer().status, 200, "{target}");
        assert_eq!(requests.recv().unwrap().line, format!("GET /base{target} HTTP/1.1"));
    }
    client.send("OPTIONS * HTTP/1.1\r\nhost: p\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    assert_eq!(requests.recv().unwrap().line, "OPTIONS * HTTP/1.1");
}

/// PHP writes every slash as `\/`.
#[test]
fn a_model_may_be_written_with_escapes() {
    let (backend, requests) = listening();
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    for model in [r"org\/name", r"gr\u00fcn", r"\ud83d\ude00", "plain"] {
        let body = format!(r#"{{"messages":[],"model":"{model}"}}"#);
        assert_eq!(client.post("/v1/chat/completions", "", &body).status, 200, "{model}");
        assert_eq!(requests.recv().unwrap().body, body.as_bytes(), "as it came");
    }
}

/// A client of HTTP/1.0 reads to the end of the connection unless it is told
/// that this one lives.
#[test]
fn a_page_tells_a_client_of_http_1_0_whether_the_connection_lives() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for _ in 0..2 {
        client.send("GET /health HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (200, Some("keep-alive")));
    }
    client.send("GET /health HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().field("connection"), None);
    client.is_closed();
}

/// We say whom a request is for; a client that says so itself could say
/// anything.
#[test]
fn a_client_cannot_say_who_it_is() {
    const SAID: &str = "connection: x-forwarded-for, anthropic-version\r\n\
        x-forwarded-for: 192.0.2.1\r\nanthropic-version: 2023-06-01\r\n\
        forwarded: for=192.0.2.1\r\nx-real-ip: 192.0.2.1\r\nclient-cert: :MIIB:\r\n\
        client-cert-chain: :MIIB:\r\nx-forwarded-client-cert: Subject=\"CN=admin\"\r\n";
    let ask = |change: fn(&mut Written)| {
        let (backend, requests) = listening();
        let proxy = Proxy::with(&[backend.address], change);
        proxy.client().post("/v1/messages", SAID, chat(1));
        requests.recv().unwrap()
    };
    let request = ask(|_| ());
    assert_eq!(request.all("x-forwarded-for"), ["192.0.2.1, 127.0.0.1"]);
    assert_eq!(request.all("anthropic-version"), ["2023-06-01"]);
    for name in ["client-cert", "client-cert-chain", "x-forwarded-client-cert"] {
        assert_eq!(request.all(name), Vec::<&str>::new(), "{name}");
    }
    assert_eq!((request.all("forwarded"), request.all("x-real-ip")), (vec![], vec![]));
    // Where we say nothing, what came travels on.
    let request = ask(|written| written.headers.forwarded = false);
    assert_eq!(request.all("forwarded"), ["for=192.0.2.1"]);
    assert_eq!(request.all("x-real-ip"), ["192.0.2.1"]);
}

#[test]
fn fields_of_ours_are_between_us_and_our_client() {
    let (told, requests) = mpsc::channel();
    let backend = Backend::start(move |conn| {
        while let Some(request) = conn.request() {
            // The test may have heard enough.
            let _ = told.send(request);
            conn.say(
                "HTTP/1.1 200 OK\r\nx-tokenring-backend: liar\r\nx-tokenring-attempts: 9\r\n\
                 x-tokenring-else: 1\r\ncontent-length: 2\r\n\r\n{}",
            );
        }
    });
    let mine = "x-tokenring-priority: high\r\nX-TokenRing-Route: mine\r\nx-other: 1\r\n";
    for (own, expected) in [(true, ["1"].as_slice()), (false, &["9"])] {
        let proxy = Proxy::with(&[backend.address], |written| written.headers.own = own);
        let answer = proxy.client().post("/v1/chat/completions", mine, chat(1));
        let request = requests.recv().unwrap();
        assert_eq!(request.all("x-other"), ["1"]);
        for name in ["x-tokenring-priority", "x-tokenring-route"] {
            assert_eq!(request.all(name), [""; 0], "{name}");
        }
        let named = answer.fields.iter().filter(|(name, _)| name == "x-tokenring-attempts");
        assert_eq!(named.map(|(_, value)| value.as_str()).collect::<Vec<_>>(), expected);
        assert_eq!(answer.field("x-tokenring-else").is_some(), !own);
    }
}
