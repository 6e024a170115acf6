//! Rows of answers, each also cut at every byte.

use super::*;

fn decode(parts: &[&[u8]], closes: bool) -> Result<Option<String>, Fault> {
    let mut response = Response::default();
    let mut body = Vec::new();
    for part in parts {
        response.feed(part, |bytes| body.extend_from_slice(bytes))?;
    }
    if closes {
        response.end_of_stream()?;
    }
    Ok(response.is_done().then(|| String::from_utf8(body).unwrap()))
}

/// `Ok(None)` is an answer that has not ended yet.
fn check_with(bytes: &str, closes: bool, expected: Result<Option<&str>, Fault>) {
    let expected = expected.map(|body| body.map(str::to_owned));
    for cut in 0..=bytes.len() {
        let (first, second) = bytes.as_bytes().split_at(cut);
        assert_eq!(decode(&[first, second], closes), expected, "{bytes:?} cut at {cut}");
    }
}

fn check(bytes: &str, expected: Result<Option<&str>, Fault>) {
    check_with(bytes, false, expected);
}

#[test]
fn a_length_says_where_the_body_ends() {
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", Ok(Some("hello")));
    check("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Ok(Some("")));
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", Ok(None));
    check("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!", Err(Fault::Surplus));
    check_with("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", true, Err(Fault::Cut));
}

#[test]
fn chunks_end_with_an_empty_one() {
    const HEAD: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let row = |chunks: &str, expected| check(&format!("{HEAD}{chunks}"), expected);
    row("5\r\nhello\r\n0\r\n\r\n", Ok(Some("hello")));
    row("3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nx: y\r\n\r\n", Ok(Some("abc0123456789")));
    row("5\r\nhello\r\n", Ok(None));
    row("5\r\nhello\r\n0\r\n", Ok(None));
    row("5\r\nhelloX\r\n", Err(Fault::Malformed));
    row("\r\n", Err(Fault::Malformed));
    row("+5\r\n", Err(Fault::Malformed));
    row("0x5\r\n", Err(Fault::Malformed));
    row("5\nhello", Err(Fault::Malformed));
    row("0\r\n\r\nmore", Err(Fault::Surplus));
    check_with(&format!("{HEAD}5\r\nhel"), true, Err(Fault::Cut));
}

#[test]
fn without_framing_the_connection_is_the_end() {
    check("HTTP/1.1 200 OK\r\n\r\nhello", Ok(None));
    check_with("HTTP/1.1 200 OK\r\n\r\nhello", true, Ok(Some("hello")));
    check_with("HTTP/1.1 20", true, Err(Fault::Cut));
}

#[test]
fn doubtful_heads_are_faults() {
    check("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", Err(Fault::Status(502)));
    check("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", Err(Fault::Malformed));
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
        Err(Fault::Malformed),
    );
    check(
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        Err(Fault::Malformed),
    );
    check("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", Err(Fault::Malformed));
    check("SMTP ready\r\n\r\n", Err(Fault::Malformed));
}
