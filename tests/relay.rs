//! Answers reach the client as the backend gave them: every byte, at once, and
//! with an end that says what the backend's end said.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::Write,
    net::TcpStream,
    sync::{Mutex, mpsc},
    time::Instant,
};

use support::{
    Client, End, PATIENCE, Proxy, backend::Backend, chat, mock, pattern, plan, streamed, url,
};
use tokenring::base::{Chance, TICK};

const ENDPOINTS: [&str; 4] =
    ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages"];

#[test]
fn whole_answers_are_the_backends_byte_for_byte() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let (mut direct, mut through) = (Client::tcp(mock.address()), proxy.client());
    for path in ENDPOINTS {
        for framing in ["length", "chunked", "close"] {
            let headers = format!("x-mock-framing: {framing}\r\n");
            let body = streamed(5).replace("true", "false");
            let expected = Client::tcp(mock.address()).post(path, &headers, &body);
            let answer = through.post(path, &headers, &body);
            assert_eq!((answer.status, answer.end), (200, End::Whole), "{path} {framing}");
            assert_eq!(answer.body, expected.body, "{path} {framing}");
        }
    }
    let body = r#"{"model":"m","input":["a","b"]}"#;
    let expected = direct.post("/v1/embeddings", "", body).body;
    assert_eq!(through.post("/v1/embeddings", "", body).body, expected);
    assert_eq!(through.get("/v1/models").body, direct.get("/v1/models").body);
}

#[test]
fn streams_are_the_backends_byte_for_byte_however_they_are_cut() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for path in ENDPOINTS {
        let expected = Client::tcp(mock.address()).post(path, "", streamed(20)).body;
        for framing in ["length", "chunked", "close"] {
            for split in ["1", "7", "100000"] {
                let headers = format!("x-mock-framing: {framing}\r\nx-mock-split: {split}\r\n");
                let answer = client.post(path, &headers, streamed(20));
                let row = format!("{path} {framing} {split}");
                assert_eq!((answer.status, answer.end), (200, End::Whole), "{row}");
                assert_eq!(answer.field("content-type"), Some("text/event-stream"), "{row}");
                assert!(answer.body == expected, "{row}: {}", answer.text());
            }
        }
    }
    proxy.settles();
    assert_eq!(proxy.sum(|c| &c.answers_cut), 0);
    assert!(proxy.sum(|c| &c.events) > 0);
}

/// The backend sends event k+1 only when the client has seen event k, with the
/// head the first of them.
#[test]
fn each_event_is_passed_on_before_the_next_one_exists() {
    let (seen, sees) = mpsc::channel::<()>();
    let sees = Mutex::new(sees);
    let backend = Backend::start(move |conn| {
        let Some(_) = conn.request() else { return };
        let sees = sees.lock().unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n";
        conn.say(head);
        for n in 0..20 {
            let event = format!("data: {{\"n\":{n}}}\n\n");
            conn.say(format!("{:x}\r\n{event}\r\n", event.len()));
            sees.recv_timeout(PATIENCE).expect("the client sees each event");
        }
        conn.say("e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
        conn.until_closed();
    });
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    client.send_post("/v1/chat/completions", "", streamed(20));
    assert_eq!(client.head().status, 200);
    for n in 0..20 {
        assert_eq!(client.event().unwrap(), format!("data: {{\"n\":{n}}}"));
        seen.send(()).unwrap();
    }
    assert_eq!(client.event().unwrap(), "data: [DONE]");
    assert_eq!(client.event(), None);
}

#[test]
fn a_large_answer_passes_in_every_framing() {
    const BYTES: usize = 20_000_000;
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    let headers = format!("x-mock-body-bytes: {BYTES}\r\n");
    let expected = Client::tcp(mock.address()).post("/v1/chat/completions", &headers, chat(2)).body;
    assert_eq!(expected.len(), BYTES);
    for framing in ["length", "chunked", "close"] {
        let headers = format!("{headers}x-mock-framing: {framing}\r\n");
        let answer = client.post("/v1/chat/completions", &headers, chat(2));
        assert!(answer.body == expected && answer.end == End::Whole, "{framing}");
    }
}

#[test]
fn an_answer_to_head_has_a_length_and_no_body() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    let length = client.get("/v1/models").body.len();
    for _ in 0..2 {
        client.send("HEAD /v1/models HTTP/1.1\r\nhost: p\r\n\r\n");
        let head = client.head();
        assert_eq!(head.status, 200);
        assert_eq!(head.field("content-length"), Some(length.to_string().as_str()));
        // The next answer begins right behind the head.
        assert_eq!(client.get("/v1/models").body.len(), length);
    }
    // Some backends send a body all the same: such a connection is closed.
    assert_eq!(proxy.sum(|c| &c.backend_connects), 3);
}

#[test]
fn an_answer_that_cannot_have_a_body_has_none() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for status in [204, 304] {
        let headers = format!("x-mock-echo: 1\r\nx-mock-status: {status}\r\n");
        let answer = client.post("/v1/thing", &headers, "not to be sent back");
        assert_eq!((answer.status, answer.field("content-length")), (status, None));
        assert_eq!(answer.field("transfer-encoding"), None);
        assert_eq!(client.post("/v1/thing", "x-mock-echo: 1\r\n", "echo").body, b"echo");
    }
}

#[test]
fn interim_answers_pass_save_for_100_and_to_http_1_0() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    client.send_post("/v1/chat/completions", "x-mock-interim: 3x103\r\n", chat(1));
    assert_eq!([(); 4].map(|()| client.head().status), [103, 103, 103, 200]);

    let mut client = proxy.client();
    client.send_post("/v1/chat/completions", "x-mock-interim: 2x100\r\n", chat(1));
    assert_eq!(client.head().status, 200);

    let backend = Backend::saying_once(
        "HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
    );
    let proxy = Proxy::before(backend.address);
    let mut client = proxy.client();
    client.send("GET /v1/x HTTP/1.0\r\n\r\n");
    assert_eq!(client.head().status, 200);
}

#[test]
fn a_client_of_http_1_0_gets_no_chunks() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let expected = Client::tcp(mock.address()).post("/v1/completions", "", streamed(5)).body;
    let mut client = proxy.client();
    let body = streamed(5);
    let length = body.len();
    client.send(format!("POST /v1/completions HTTP/1.0\r\ncontent-length: {length}\r\n\r\n{body}"));
    let answer = client.answer();
    assert_eq!((answer.field("transfer-encoding"), answer.field("content-length")), (None, None));
    assert!(answer.body == expected && answer.end == End::Whole);
}

#[test]
fn a_client_of_http_1_0_may_keep_its_connection() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for _ in 0..3 {
        client.send("GET /v1/models HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
        let answer = client.answer();
        assert_eq!((answer.status, answer.field("connection")), (200, Some("keep-alive")));
    }
    client.send("GET /v1/models HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 200);
    client.is_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    let mut ahead = Vec::new();
    for n in 0..50 {
        let body = format!("this is {n}");
        let length = body.len();
        let head = "POST /x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\n";
        ahead.extend_from_slice(format!("{head}content-length: {length}\r\n\r\n{body}").as_bytes());
    }
    // The first half at once, the second torn in pieces of odd lengths.
    let (first, second) = ahead.split_at(ahead.len() / 2);
    client.send(first);
    for piece in second.chunks(37) {
        client.send(piece);
    }
    for n in 0..50 {
        assert_eq!(client.answer().text(), format!("this is {n}"));
    }
}

/// They come while the answer before is awaited, in pieces: a head, bodies of
/// both framings, more than is read ahead.
#[test]
fn requests_that_come_in_pieces_during_an_answer_are_whole() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let large = pattern(300_000);
    let post = |framing: &str| {
        format!("POST /x HTTP/1.1\r\nhost: p\r\nx-mock-echo: 1\r\n{framing}\r\n\r\n").into_bytes()
    };
    let mut ahead = post("content-length: 5");
    ahead.extend_from_slice(b"small");
    ahead.extend(post("transfer-encoding: chunked"));
    ahead.extend_from_slice(b"3\r\nchu\r\n4\r\nnked\r\n0\r\n\r\n");
    ahead.extend(post("content-length: 300000"));
    ahead.extend_from_slice(&large);
    ahead.extend(post("content-length: 4"));
    ahead.extend_from_slice(b"last");
    for first_piece in [1, 20, 60, 90, 100, 200, 300, 20_000] {
        let mut sender = TcpStream::connect(proxy.address).unwrap();
        sender.set_nodelay(true).unwrap();
        sender.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Client::of(Box::new(sender.try_clone().unwrap()));
        client.send_post("/v1/chat/completions", "x-mock-first-token: 30ms\r\n", chat(1));
        let (first, rest) = ahead.split_at(first_piece);
        std::thread::scope(|scope| {
            // By itself, as the proxy reads no more than it has to.
            scope.spawn(move || {
                sender.write_all(first).unwrap();
                rest.chunks(7_001).for_each(|piece| sender.write_all(piece).unwrap());
            });
            assert_eq!(client.answer().status, 200);
            for body in [&b"small"[..], b"chunked", &large, b"last"] {
                assert!(client.answer().body == body, "{first_piece}");
            }
        });
    }
}

/// Neither a request that is here already, nor an end that is waited for, nor
/// a body behind its head lets a send lie until something else wakes its task:
/// the next that would is a tick of the deadline wheel, and two are borne.
#[test]
fn no_send_lies_until_its_task_is_woken() {
    const REQUESTS: u32 = 100;
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let nudged = 2 * TICK * REQUESTS;

    let started = Instant::now();
    let mut client = proxy.client();
    let request = "GET /v1/models HTTP/1.1\r\nhost: p\r\n\r\n";
    client.send(request.repeat(REQUESTS as usize));
    for _ in 0..REQUESTS {
        assert_eq!(client.answer().status, 200);
    }
    let pipelined = started.elapsed();
    assert!(pipelined < nudged / 2, "{REQUESTS} pipelined requests took {pipelined:?}");

    let started = Instant::now();
    for _ in 0..REQUESTS {
        let mut client = proxy.client();
        client.send("GET /v1/models HTTP/1.1\r\nhost: p\r\nconnection: close\r\n\r\n");
        assert!(client.rest().unwrap().starts_with(b"HTTP/1.1 200"));
    }
    let closed = started.elapsed();
    assert!(closed < nudged / 2, "{REQUESTS} requests that close took {closed:?}");

    let body = pattern(50_000);
    let started = Instant::now();
    let mut client = proxy.client();
    for _ in 0..REQUESTS {
        assert!(client.post("/x", "x-mock-echo: 1\r\n", &body).body == body);
    }
    let large = started.elapsed();
    assert!(large < nudged / 2, "{REQUESTS} large bodies took {large:?}");
}

#[test]
fn both_sides_connections_are_kept() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for _ in 0..50 {
        assert_eq!(client.post("/v1/chat/completions", "", chat(1)).status, 200);
    }
    assert_eq!(proxy.sum(|c| &c.connections_accepted), 1);
    assert_eq!((proxy.sum(|c| &c.backend_connects), proxy.sum(|c| &c.backend_reuses)), (1, 49));
    proxy.settles();
}

#[test]
fn a_client_that_asks_for_close_gets_it_and_its_backend_connection_lives() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for _ in 0..3 {
        let mut client = proxy.client();
        let answer = client.post("/v1/chat/completions", "connection: close\r\n", chat(1));
        assert_eq!((answer.status, answer.field("connection")), (200, Some("close")));
        client.is_closed();
    }
    assert_eq!(proxy.sum(|c| &c.backend_connects), 1);
}

#[test]
fn a_backend_that_closes_is_not_the_clients_concern() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    for _ in 0..3 {
        let answer = client.post("/v1/chat/completions", "x-mock-close: 1\r\n", chat(1));
        assert_eq!((answer.status, answer.field("connection")), (200, None));
    }
    assert_eq!(proxy.sum(|c| &c.backend_connects), 3);
}

#[test]
fn an_answer_with_as_many_fields_as_allowed_passes_and_one_more_is_refused() {
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], |written| written.limits.headers = 60));
    let mut client = proxy.client();
    let ask = |client: &mut Client, fields: u32| {
        client.post("/v1/chat/completions", &format!("x-mock-headers: {fields}\r\n"), chat(1))
    };
    // Content type and length are fields as well.
    let answer = ask(&mut client, 58);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.field("x-mock-extra-57"), Some("as was asked for"));
    assert_eq!(ask(&mut client, 59).status, 502);
    assert_eq!(client.post("/x", "x-mock-echo: 1\r\n", pattern(100)).body, pattern(100));
}

/// Sixteen clients on two shards, each with bodies that nobody else sends,
/// over backend connections that all of them share.
#[test]
fn no_answer_reaches_another_client() {
    const CLIENTS: u64 = 16;
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], |w| w.cores = "0-1".to_owned()));
    std::thread::scope(|scope| {
        for number in 0..CLIENTS {
            let proxy = &proxy;
            scope.spawn(move || {
                let mut chance = Chance::seeded(number);
                let mut client = proxy.client();
                for n in 0..100 {
                    if chance.below(10) == 0 {
                        // Leaves in the midst of an answer, which must go to nobody.
                        client.send_post("/x", "x-mock-echo: 1\r\n", pattern(60_000));
                        client = proxy.client();
                    }
                    let body = format!("{number} {n} ").repeat(1 + chance.below(4000));
                    let framing = ["length", "chunked", "close"][chance.below(3)];
                    let headers = format!("x-mock-echo: 1\r\nx-mock-framing: {framing}\r\n");
                    let answer = client.post("/x", &headers, &body);
                    assert!(answer.body == body.as_bytes(), "{number} {n} {framing}");
                }
            });
        }
    });
    proxy.empties();
}
