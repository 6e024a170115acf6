//! What reading along costs: bodies of requests, events of streams, usage.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tokenring::llm::usage::find_in_body;
use tokenring::llm::{Endpoint, StreamTee, peek};
use tokenring::sse::EventScanner;

const KIB: usize = 1 << 10;

/// A chat of about `bytes` bytes, in messages of some 300 with escapes as they
/// occur in prose and code.
fn chat_body(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"model":"gpt-4o-mini","stream":true,"messages":["#.to_vec();
    let text = r#"fn main() {\n    println!(\"hello\");\n}\nThis prints a greeting, as asked. "#;
    while body.len() < bytes {
        if body.last() == Some(&b'}') {
            body.push(b',');
        }
        let message = format!(r#"{{"role":"user","content":"{}"}}"#, text.repeat(4));
        body.extend_from_slice(message.as_bytes());
    }
    body.extend_from_slice(br#"],"max_tokens":1024,"stream_options":{"include_usage":true}}"#);
    body
}

/// A chat with one image of about `bytes` bytes in base64.
fn image_body(bytes: usize) -> Vec<u8> {
    let image = "iVBORw0KGgoAAAANSUhEUgAA".repeat(bytes / 24);
    let parts = r#"[{"type":"text","text":"What is this?"},{"type":"image_url","image_url":"#;
    let url = format!(r#"{{"url":"data:image/png;base64,{image}"}}"#);
    let messages = format!(r#"[{{"role":"user","content":{parts}{url}}}]}}]"#);
    format!(r#"{{"model":"gpt-4o","messages":{messages},"stream":true}}"#).into_bytes()
}

/// A chunk as OpenAI sends it when usage was asked for: 250 bytes.
fn chat_event() -> Vec<u8> {
    let head = r#"data: {"id":"chatcmpl-CJ8x0aBcDeFgHiJkLmNoPqRsTuVwX","object":"chat.completion.chunk","created":1758500000,"model":"gpt-4o-mini-2024-07-18","service_tier":"default","choices":[{"index":0,"delta":{"content":""#;
    let tail = r#""},"finish_reason":null}],"usage":null}"#;
    let filler = "x".repeat(250 - 2 - head.len() - tail.len());
    format!("{head}{filler}{tail}\n\n").into_bytes()
}

fn bench_peek(c: &mut Criterion) {
    let mut group = c.benchmark_group("peek");
    let bodies = [
        ("2k", chat_body(2 * KIB)),
        ("32k", chat_body(32 * KIB)),
        ("1m_image", image_body(KIB * KIB)),
    ];
    for (name, body) in &bodies {
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(name), body, |b, body| {
            b.iter(|| peek(black_box(body), Endpoint::ChatCompletions));
        });
    }
    group.finish();
}

fn bench_events(c: &mut Criterion) {
    let event = chat_event();
    let mut group = c.benchmark_group("sse");
    for events in [1, 64] {
        let feed = event.repeat(events);
        group.throughput(Throughput::Elements(events as u64));
        group.bench_with_input(BenchmarkId::new("scan", events), &feed, |b, feed| {
            let mut scanner = EventScanner::default();
            b.iter(|| {
                scanner.feed(black_box(feed), |event| {
                    black_box(event);
                })
            });
        });
        group.bench_with_input(BenchmarkId::new("tee", events), &feed, |b, feed| {
            let mut tee = StreamTee::new(Endpoint::ChatCompletions);
            b.iter(|| tee.feed(black_box(feed)));
        });
    }
    group.finish();
}

fn bench_usage(c: &mut Criterion) {
    let usage = r#""usage":{"prompt_tokens":120,"completion_tokens":512,"total_tokens":632,"prompt_tokens_details":{"cached_tokens":64,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#;
    let text = "A sentence of the answer. ".repeat(80);
    let body = format!(
        r#"{{"id":"x","choices":[{{"message":{{"content":"{text}"}}}}],{usage},"service_tier":"default"}}"#
    );
    c.bench_function("usage_in_body_2k", |b| b.iter(|| find_in_body(black_box(body.as_bytes()))));
    let event = format!("data: {{\"choices\":[],{usage}}}\n\n");
    c.bench_function("tee_usage_event", |b| {
        let mut tee = StreamTee::new(Endpoint::ChatCompletions);
        b.iter(|| tee.feed(black_box(event.as_bytes())));
    });
}

criterion_group!(benches, bench_peek, bench_events, bench_usage);
criterion_main!(benches);
