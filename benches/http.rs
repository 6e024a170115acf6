//! What HTTP/1.1 costs for one message: finding a head, reading it, writing
//! what travels on, and reading chunks.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use tokenring::http::{
    BodyDecoder, BodyFraming, HeadSearch, HeaderTable, Limits, forwardable, parse_request,
    parse_response, write,
};

/// What the official Python client of OpenAI sends, key and ids aside.
const REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Accept: application/json\r\n\
    Content-Type: application/json\r\n\
    User-Agent: OpenAI/Python 1.109.1\r\n\
    X-Stainless-Lang: python\r\n\
    X-Stainless-Package-Version: 1.109.1\r\n\
    X-Stainless-OS: Linux\r\n\
    X-Stainless-Arch: x64\r\n\
    X-Stainless-Runtime: CPython\r\n\
    X-Stainless-Runtime-Version: 3.12.3\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef0123456789abcdef\r\n\
    X-Stainless-Async: false\r\n\
    x-stainless-retry-count: 0\r\n\
    x-stainless-read-timeout: 600\r\n\
    Content-Length: 312\r\n\r\n";

/// About 300 bytes with eight fields.
const SMALL_REQUEST: &[u8] = b"POST /v1/chat/completions HTTP/1.1\r\n\
    Host: 127.0.0.1:8080\r\n\
    User-Agent: python-httpx/0.28.1\r\n\
    Accept: */*\r\n\
    Accept-Encoding: gzip, deflate\r\n\
    Connection: keep-alive\r\n\
    Authorization: Bearer sk-0123456789abcdef0123456789abcdef\r\n\
    Content-Type: application/json\r\n\
    Content-Length: 312\r\n\r\n";

/// What a vLLM server answers a stream with.
const RESPONSE: &[u8] = b"HTTP/1.1 200 OK\r\n\
    date: Mon, 09 Nov 2026 12:00:00 GMT\r\n\
    server: uvicorn\r\n\
    cache-control: no-cache\r\n\
    x-request-id: 5e0c0b0f-5a53-4b5c-9c8e-0f1d2e3c4b5a\r\n\
    content-type: text/event-stream; charset=utf-8\r\n\
    transfer-encoding: chunked\r\n\r\n";

fn heads(criterion: &mut Criterion) {
    let limits = Limits::default();
    let mut group = criterion.benchmark_group("head");
    for (name, head) in [("small", SMALL_REQUEST), ("openai", REQUEST)] {
        group.throughput(Throughput::Bytes(head.len() as u64));
        group.bench_function(format!("find/{name}"), |bencher| {
            bencher.iter(|| HeadSearch::default().find(black_box(head)));
        });
        group.bench_function(format!("parse_request/{name}"), |bencher| {
            bencher.iter(|| {
                let mut table = HeaderTable::new();
                let request = parse_request(black_box(head), &limits, &mut table);
                black_box(request.expect("the request is good").framing)
            });
        });
        group.bench_function(format!("forward/{name}"), |bencher| {
            let mut table = HeaderTable::new();
            let request = parse_request(head, &limits, &mut table).expect("the request is good");
            let mut out = Vec::with_capacity(4096);
            bencher.iter(|| {
                out.clear();
                write::request_line(&mut out, request.method.as_bytes(), request.origin_form);
                write::field(&mut out, b"host", b"10.0.0.1:8000");
                for (name, value) in forwardable(&request.fields) {
                    write::field(&mut out, name, value);
                }
                write::field_number(&mut out, b"content-length", 312);
                write::end_of_head(&mut out);
                black_box(out.len())
            });
        });
    }
    group.throughput(Throughput::Bytes(RESPONSE.len() as u64));
    group.bench_function("parse_response/vllm", |bencher| {
        bencher.iter(|| {
            let mut table = HeaderTable::new();
            let response = parse_response(black_box(RESPONSE), false, &limits, &mut table);
            black_box(response.expect("the response is good").framing)
        });
    });
    group.finish();
}

fn chunks(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunks");
    for (name, size, count) in [("1x250", 250, 1), ("16x250", 250, 16), ("1x16k", 16 * 1024, 1)] {
        let chunk = [format!("{size:x}\r\n").into_bytes(), vec![b'x'; size], b"\r\n".to_vec()];
        let input = chunk.concat().repeat(count);
        // No bytes a second: the data itself is not looked at.
        group.bench_function(format!("decode/{name}"), |bencher| {
            let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
            bencher.iter_batched_ref(
                || input.clone(),
                |input| decoder.decode(black_box(input)).expect("the chunks are good").consumed,
                BatchSize::SmallInput,
            );
        });
    }
    group.bench_function("frame/250", |bencher| {
        let mut buffer = Vec::with_capacity(1024);
        bencher.iter(|| {
            buffer.resize(write::CHUNK_PREFIX_MAX + 250, b'x');
            let end = buffer.len();
            write::frame_chunk(black_box(&mut buffer), write::CHUNK_PREFIX_MAX..end, false)
        });
    });
    group.finish();
}

criterion_group!(benches, heads, chunks);
criterion_main!(benches);
