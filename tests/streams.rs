//! A stream that was cut is never made to look whole, and one that ended with
//! an error is passed on as it is.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::time::Duration;

use support::{
    Answer, Client, End, Proxy, backend::Backend, chat, error_word, eventually, mock, plan,
    streamed, url,
};

/// Each API's path, what ends its streams, and our word for a cut.
const APIS: [(&str, &str, &str); 4] = [
    ("/v1/chat/completions", "data: [DONE]", "stream_cut"),
    ("/v1/completions", "data: [DONE]", "stream_cut"),
    ("/v1/responses", "event: response.completed", "stream_cut"),
    ("/v1/messages", "event: message_stop", "api_error"),
];

/// The data of the error event that ends a stream which is cut in-band, if it
/// is one. The connection must end without the last chunk.
#[track_caller]
fn in_band_error(path: &str, mark: &str, answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.end, End::Cut, "{path}: no clean end");
    assert!(!answer.text().contains(mark), "{path}: no end mark");
    assert!(answer.body.ends_with(b"\n\n"), "{path}: a whole event");
    let event = answer.events().pop().unwrap();
    let data = match path {
        "/v1/messages" | "/v1/responses" => event.strip_prefix("event: error\ndata: "),
        _ => event.strip_prefix("data: "),
    };
    let data = data.unwrap_or_else(|| panic!("{path}: {event}"));
    let word = error_word(path, data.as_bytes());
    if path == "/v1/responses" {
        let json: serde_json::Value = serde_json::from_str(data).unwrap();
        let number = answer.events().len() as u64 - 1;
        assert_eq!(json["sequence_number"], number, "the next in the stream");
        assert_eq!((&json["type"], &json["code"]), (&"error".into(), &"stream_cut".into()));
    }
    word
}

fn errors_in(answer: &Answer) -> usize {
    let is_error =
        |event: &String| event.contains("\"error\":{") || event.starts_with("event: error\n");
    answer.events().iter().filter(|event| is_error(event)).count()
}

#[test]
fn a_stream_cut_by_its_backend_ends_in_an_error_event() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for (path, mark, word) in APIS {
        for fault in ["cut-at: 1", "cut-at: 2", "cut-at: 7", "cut-at: 7\r\nx-mock-reset: 1"] {
            for framing in ["chunked", "close"] {
                let headers = format!("x-mock-{fault}\r\nx-mock-framing: {framing}\r\n");
                let mut client = proxy.client();
                let answer = client.post(path, &headers, streamed(20));
                assert_eq!(in_band_error(path, mark, &answer), word, "{headers}");
                assert_eq!(errors_in(&answer), 1);
            }
        }
    }
    proxy.settles();
    assert_eq!(proxy.sum(|c| &c.answers_cut), 32);
    assert_eq!(proxy.sum(|c| &c.backend_connections_idle), 0);
}

#[test]
fn a_clean_end_without_the_end_mark_is_a_cut() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for (path, mark, word) in APIS {
        for framing in ["chunked", "close"] {
            let headers = format!("x-mock-omit-done: 1\r\nx-mock-framing: {framing}\r\n");
            let answer = proxy.client().post(path, &headers, streamed(3));
            assert_eq!(in_band_error(path, mark, &answer), word, "{framing}");
        }
    }
}

/// With a length on the wire there is no room for one more event; the end of
/// the connection before that length has come says it.
#[test]
fn a_stream_of_known_length_that_is_cut_stays_too_short() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for (path, mark, _) in APIS {
        let headers = "x-mock-cut-at: 3\r\nx-mock-framing: length\r\n";
        let answer = proxy.client().post(path, headers, streamed(9));
        assert_eq!((answer.status, answer.end), (200, End::Cut), "{path}");
        assert!(!answer.text().contains(mark), "{path}");
    }
}

#[test]
fn an_event_torn_by_a_cut_does_not_swallow_the_error() {
    let torn = "data: {\"choices\":[]}\n\ndata: {\"choi";
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n{torn}"
    );
    let backend = Backend::saying_once(answer);
    let proxy = Proxy::before(backend.address);
    let answer = proxy.client().post("/v1/chat/completions", "", streamed(3));
    assert_eq!(answer.end, End::Cut);
    let events = answer.events();
    let last = events.last().unwrap().rsplit("data: ").next().unwrap();
    assert_eq!(error_word("/v1/chat/completions", last.as_bytes()), "stream_cut");
    assert!(answer.text().contains("data: {\"choi\n"), "{}", answer.text());
}

#[test]
fn an_error_event_of_the_backends_passes_unchanged_and_alone() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for (path, mark, _) in APIS {
        for at in [0, 4] {
            let headers = format!("x-mock-error-at: {at}\r\n");
            let expected = Client::tcp(mock.address()).post(path, &headers, streamed(9));
            let answer = proxy.client().post(path, &headers, streamed(9));
            assert_eq!(answer.text(), expected.text(), "{path}");
            assert_eq!((answer.end, errors_in(&answer)), (End::Whole, 1), "{path}");
            assert!(!answer.text().contains(mark), "{path}");
        }
    }
}

#[test]
fn a_whole_answer_that_is_cut_stays_too_short() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    for (path, ..) in APIS {
        let body = streamed(9).replace("true", "false");
        let whole = Client::tcp(mock.address()).post(path, "", &body).body;
        for framing in ["length", "chunked"] {
            let headers = format!("x-mock-cut-at: 4\r\nx-mock-framing: {framing}\r\n");
            let mut client = proxy.client();
            let answer = client.post(path, &headers, &body);
            assert_eq!((answer.status, answer.end), (200, End::Cut), "{path} {framing}");
            assert!(whole.starts_with(&answer.body) && answer.body.len() < whole.len());
        }
    }
    proxy.settles();
}

/// HTTP/1.0 takes the end of the connection for the end of the body.
#[test]
fn a_cut_is_a_reset_for_a_client_of_http_1_0() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let ask = |path: &str, headers: &str, body: &str| {
        let length = body.len();
        let mut client = proxy.client();
        client.send(format!(
            "POST {path} HTTP/1.0\r\n{headers}content-length: {length}\r\n\r\n{body}"
        ));
        client.answer().end
    };
    for round in 0..20 {
        for (path, ..) in APIS {
            assert_eq!(ask(path, "", &streamed(3)), End::Whole);
            // The mock does not chunk to HTTP/1.0, but the proxy asks in 1.1.
            let end = ask(path, "x-mock-cut-at: 2\r\n", &streamed(3));
            assert_eq!(end, End::Reset, "{path} in round {round}");
        }
        let headers = "x-mock-cut-at: 1\r\nx-mock-framing: chunked\r\n";
        let end = ask("/v1/chat/completions", headers, &chat(3));
        assert_eq!(end, End::Reset, "a whole answer in round {round}");
    }
}

#[test]
fn a_stream_without_an_end_mark_of_its_api_needs_none() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n\
                  data: 1\n\n";
    let backend = Backend::saying_once(answer);
    let proxy = Proxy::before(backend.address);
    let answer = proxy.client().post("/v1/audio/anything", "", "{}");
    assert_eq!((answer.end, answer.text().as_str()), (End::Whole, "data: 1\n\n"));
}

#[test]
fn a_stream_that_stalls_is_cut_in_its_own_words() {
    let mock = mock();
    let proxy = Proxy::of(plan(&[url(mock.address())], |written| {
        written.deadlines.idle_between_reads = Duration::from_millis(50);
    }));
    for (path, mark, _) in APIS {
        let answer = proxy.client().post(path, "x-mock-stall-at: 3\r\n", streamed(9));
        assert_eq!((answer.status, answer.end), (200, End::Cut), "{path}");
        let text = answer.text();
        assert!(!text.contains(mark) && errors_in(&answer) == 1, "{path}: {text}");
        let word = if path == "/v1/messages" { "timeout_error" } else { "backend_idle_timeout" };
        assert!(answer.events().pop().unwrap().contains(word), "{path}: {text}");
    }
    proxy.settles();
    assert_eq!(proxy.sum(|c| &c.deadlines_passed), 4);
}

#[test]
fn usage_is_read_along() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut client = proxy.client();
    let asks = "{\"model\":\"m\",\"max_tokens\":7,\"stream\":true,\
                \"stream_options\":{\"include_usage\":true}}";
    client.post("/v1/chat/completions", "", asks);
    client.post("/v1/messages", "", streamed(11));
    client.post("/v1/responses", "", streamed(13));
    client.post("/v1/chat/completions", "", chat(17));
    // Settled a moment after the client has the last byte.
    let read = || proxy.sum(|c| &c.completion_tokens);
    eventually("all are read", || read() >= 7 + 11 + 13 + 17);
    assert_eq!(read(), 7 + 11 + 13 + 17);
}

/// `/proxy` speaks the API of the path that it stands for.
#[test]
fn a_stream_cut_behind_proxy_is_told_as_on_its_own_path() {
    let mock = mock();
    for (path, mark, word) in APIS {
        let proxy = Proxy::of(plan(&[url(mock.address())], |w| w.proxy_path = path.to_owned()));
        for fault in ["x-mock-cut-at: 1\r\n", "x-mock-omit-done: 1\r\n"] {
            let answer = proxy.client().post("/proxy", fault, streamed(9));
            assert_eq!(in_band_error(path, mark, &answer), word, "{fault}");
        }
        let refused = proxy.client().post("/proxy", "", "no json");
        assert_eq!(refused.status, 400, "{path}");
        error_word(path, &refused.body);
        proxy.client().post("/proxy", "", streamed(7));
        let read = || proxy.sum(|c| &c.completion_tokens);
        // OpenAI's older APIs tell the usage of a stream only when asked to.
        if matches!(path, "/v1/responses" | "/v1/messages") {
            eventually("usage is read", || read() >= 7);
        }
    }
}

/// Not even the head of such a request can be read, and still it is told so in
/// the words of the API behind `/proxy`.
#[test]
fn a_head_refused_at_proxy_is_told_in_the_words_of_its_path() {
    let proxy = Proxy::of(plan(&[url(support::backend::nowhere())], |written| {
        written.proxy_path = "/v1/messages".to_owned();
    }));
    let mut client = proxy.client();
    client.send("POST /proxy HTTP/1.1\r\nhost: p\r\nhost: p\r\n\r\n");
    let answer = client.answer();
    assert_eq!(
        (answer.status, error_word("/v1/messages", &answer.body).as_str()),
        (400, "invalid_request_error")
    );
}

/// A coding hides the end mark, so none is asked for, and a stream that comes
/// in one all the same is no answer.
#[test]
fn no_coding_hides_the_end_of_a_stream() {
    const CODED: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
        content-encoding: gzip\r\nconnection: close\r\n\r\n\x1f";
    let (told, codings) = std::sync::mpsc::channel();
    let backend = Backend::start(move |conn| {
        let request = conn.request().unwrap();
        told.send(request.all("accept-encoding").join(", ")).unwrap();
        conn.say(CODED);
        conn.close();
    });
    let proxy = Proxy::before(backend.address);
    for (path, ..) in APIS {
        let answer = proxy.client().post(path, "accept-encoding: gzip\r\n", streamed(3));
        assert_eq!((answer.status, answer.end), (502, End::Whole), "{path}");
        error_word(path, &answer.body);
        assert_eq!(codings.recv().unwrap(), "identity");
    }
    let mut client = proxy.client();
    client.send(
        "GET /v1/responses/r1?stream=true HTTP/1.1\r\nhost: p\r\naccept-encoding: gzip\r\n\r\n",
    );
    assert_eq!((client.answer().status, codings.recv().unwrap().as_str()), (502, "identity"));
    // Where there is no mark a coding hides none.
    let answer = proxy.client().post("/v1/audio/anything", "accept-encoding: gzip\r\n", "{}");
    assert_eq!((answer.status, codings.recv().unwrap().as_str()), (200, "gzip"));
}

/// Events that no read brings whole are put together in memory of ours, and
/// all streams share one budget for it. What finds no room goes unread, and
/// passes all the same.
#[test]
fn unfinished_events_share_one_budget() {
    const BUDGET: usize = 1024 * 1024;
    const STREAMS: usize = 8;
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let waits = std::sync::Mutex::new(waits);
    let event = format!("data: {{\"x\":\"{}\"}}", "y".repeat(300_000));
    let whole =
        format!("{event}\n\ndata: {{\"usage\":{{\"prompt_tokens\":1}}}}\n\ndata: [DONE]\n\n");
    let rest = whole[event.len()..].to_owned();
    let backend = Backend::start(move |conn| {
        conn.request();
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
        conn.say(format!("{head}{event}"));
        // The end of the test ends it too.
        let _ = waits.lock().unwrap().recv();
        conn.say(&rest);
        conn.close();
    });
    let proxy = Proxy::of(plan(&[url(backend.address)], |written| {
        written.limits.body_memory_total = BUDGET;
        written.limits.body_bytes = BUDGET;
    }));
    let mut clients: Vec<_> = (0..STREAMS).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send_post("/v1/chat/completions", "", streamed(1));
    }
    let sent = STREAMS as u64 * 300_000;
    let held = || proxy.sum(|c| &c.event_bytes_held) as usize;
    let readers: Vec<_> =
        clients.into_iter().map(|mut client| std::thread::spawn(move || client.answer())).collect();
    let all_have_come = || proxy.sum(|c| &c.bytes_from_backends) >= sent;
    // The last of those that find no room gives back what it has.
    eventually("all have come, and only some are held", || {
        all_have_come() && (300_000..=BUDGET).contains(&held())
    });
    for _ in 0..STREAMS {
        go_on.send(()).unwrap();
    }
    for reader in readers {
        let answer = reader.join().unwrap();
        assert_eq!((answer.end, answer.body == whole.as_bytes()), (End::Whole, true));
    }
    let read = || proxy.sum(|c| &c.prompt_tokens);
    eventually("all are read to their end", || read() == STREAMS as u64);
    assert_eq!(held(), 0);
}
