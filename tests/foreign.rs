//! monoio-http, an HTTP implementation that nobody here wrote, as the client
//! and as the backend of the proxy: each understands the other.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{net::SocketAddr, sync::mpsc};

use bytes::Bytes;
use http::{Request, Response, Version};
use monoio::{
    LegacyDriver, RuntimeBuilder,
    io::{Splitable, sink::SinkExt, stream::Stream},
    net::{TcpListener, TcpStream},
};
use monoio_http::{
    common::{body::BodyExt, error::HttpError},
    h1::{
        codec::{
            decoder::{FillPayload, RequestDecoder, ResponseDecoder},
            encoder::GenericEncoder,
        },
        payload::{FixedPayload, Payload, stream_payload_pair},
    },
};
use support::{Client, PATIENCE, Proxy, chat, mock, pattern, streamed};

fn run<F: Future>(work: F) -> F::Output {
    // The proxy's driver is what is tested; this one works everywhere.
    RuntimeBuilder::<LegacyDriver>::new().enable_timer().build().unwrap().block_on(work)
}

fn whole(body: &[u8]) -> Payload {
    Payload::Fixed(FixedPayload::new(Bytes::copy_from_slice(body)))
}

/// A body that is sent in chunks of so many bytes.
fn in_chunks(body: &[u8], chunk_bytes: usize) -> Payload {
    let (payload, mut sender) = stream_payload_pair::<Bytes, HttpError>();
    for chunk in body.chunks(chunk_bytes) {
        sender.feed_data(Some(Bytes::copy_from_slice(chunk)));
    }
    sender.feed_data(None);
    Payload::Stream(payload)
}

/// Sends requests over one connection and returns the answers' statuses and
/// bodies.
fn ask_all(address: SocketAddr, requests: Vec<Request<Payload>>) -> Vec<(u16, Bytes)> {
    run(async {
        let (read, write) = TcpStream::connect_addr(address).await.unwrap().into_split();
        let (mut sender, mut receiver) = (GenericEncoder::new(write), ResponseDecoder::new(read));
        let mut answers = Vec::new();
        for request in requests {
            sender.send_and_flush(request).await.unwrap();
            let answer = receiver.next().await.expect("an answer").unwrap();
            receiver.fill_payload().await.unwrap();
            answers.push((answer.status().as_u16(), answer.into_body().bytes().await.unwrap()));
        }
        answers
    })
}

fn request(path: &str, header: (&str, &str), body: Payload) -> Request<Payload> {
    let request = Request::post(path).version(Version::HTTP_11);
    request.header("host", "proxy").header(header.0, header.1).body(body).unwrap()
}

#[test]
fn monoio_http_understands_our_answers() {
    let mock = mock();
    let proxy = Proxy::before(mock.address());
    let mut direct = Client::tcp(mock.address());
    let large = pattern(300_000);
    let none = ("x-none", "");
    let answers = ask_all(
        proxy.address,
        vec![
            request("/v1/chat/completions", none, whole(chat(5).as_bytes())),
            request("/v1/chat/completions", none, whole(streamed(50).as_bytes())),
            request("/v1/messages", none, in_chunks(streamed(50).as_bytes(), 10)),
            request("/x", ("x-mock-echo", "1"), whole(&large)),
            request("/x", ("x-mock-echo", "1"), in_chunks(&large, 9000)),
            request("/v1/chat/completions", none, whole(b"no json")),
            request("/v1/chat/completions", none, whole(chat(5).as_bytes())),
        ],
    );
    let plain = direct.post("/v1/chat/completions", "", chat(5)).body;
    let expected = [
        plain.clone(),
        direct.post("/v1/chat/completions", "", streamed(50)).body,
        direct.post("/v1/messages", "", streamed(50)).body,
        large.clone(),
        large,
    ];
    for (n, expected) in expected.into_iter().enumerate() {
        assert_eq!(answers[n].0, 200, "answer {n}");
        assert!(answers[n].1 == expected, "answer {n}");
    }
    assert_eq!(answers[5].0, 400);
    assert_eq!((answers[6].0, &answers[6].1[..]), (200, &plain[..]));
    assert_eq!(proxy.sum(|c| &c.connections_accepted), 1);
}

/// Answers each request with its body: whole, or in chunks when the path says
/// so.
async fn echo(stream: TcpStream) {
    let (read, write) = stream.into_split();
    let (mut sender, mut receiver) = (GenericEncoder::new(write), RequestDecoder::new(read));
    while let Some(Ok(request)) = receiver.next().await {
        receiver.fill_payload().await.unwrap();
        let (head, body) = request.into_parts();
        let body = body.bytes().await.unwrap();
        let (kind, payload) = match head.uri.path() {
            "/chunked" => ("application/x-thing", in_chunks(&body, 1000)),
            "/v1/chat/completions" => {
                let events = "data: {\"choices\":[]}\n\n".repeat(100) + "data: [DONE]\n\n";
                ("text/event-stream", in_chunks(events.as_bytes(), 37))
            }
            _ => ("application/x-thing", whole(&body)),
        };
        let answer = Response::builder().header("content-type", kind).body(payload).unwrap();
        sender.send_and_flush(answer).await.unwrap();
    }
}

/// Runs until the tests are over.
fn backend() -> SocketAddr {
    let (bound, address) = mpsc::channel();
    std::thread::spawn(move || {
        run(async {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                drop(monoio::spawn(echo(stream)));
            }
        });
    });
    address.recv_timeout(PATIENCE).unwrap()
}

#[test]
fn monoio_http_understands_our_requests() {
    let proxy = Proxy::before(backend());
    let mut client = proxy.client();
    for length in [1, 1000, 16_384, 300_000] {
        let body = pattern(length);
        for path in ["/whole", "/chunked"] {
            let answer = client.put(path, "", &body);
            assert_eq!(answer.status, 200);
            assert_eq!(answer.field("content-type"), Some("application/x-thing"));
            assert!(answer.body == body, "{path}, {length} bytes");
        }
    }
    for _ in 0..3 {
        let answer = client.post("/v1/chat/completions", "", streamed(1));
        assert_eq!((answer.status, answer.events().len()), (200, 101));
    }
    assert_eq!(proxy.sum(|c| &c.backend_connects), 1, "its connection is used again");
    assert_eq!(proxy.sum(|c| &c.answers_cut), 0);
}
