use super::*;
use crate::http::HeadSearch;

use FramingFault as F;
use HeadFault as H;
use ResponseFault as R;

fn meaning(response: &Response<'_, '_>) -> String {
    let mut line = format!("{} {:?}", response.status, response.framing);
    if let Some(length) = response.content_length {
        line.push_str(&format!(" of {length}"));
    }
    line.push_str(if response.keep_alive { "" } else { " close" });
    line
}

fn parse(head: &[u8], to_head_request: bool) -> Result<String, ResponseFault> {
    parse_response(head, to_head_request, &Limits::default(), &mut HeaderTable::new())
        .map(|response| meaning(&response))
}

/// The one door, as in the tests of requests: every row runs cut at every
/// byte, and no shorter piece may be taken for a response.
fn check(input: &[u8], expected: Result<&str, ResponseFault>) {
    let shown = input.escape_ascii();
    let length = HeadSearch::default().find(input).unwrap_or(input.len());
    let parsed = parse(&input[..length], false);
    assert_eq!(parsed.as_deref(), expected.as_ref().map(|m| *m), "{shown}");
    let mut byte_by_byte = HeadSearch::default();
    for cut in 0..length {
        assert_eq!(byte_by_byte.find(&input[..cut]), None, "{shown} at {cut}");
        assert!(parse(&input[..cut], false).is_err(), "{shown} at {cut}");
    }
    assert_eq!(byte_by_byte.find(input).unwrap_or(length), length, "{shown}");
}

fn with_fields(status: u16, lines: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} Some Phrase\r\n{lines}\r\n").into_bytes()
}

fn check_fields(lines: &str, expected: Result<&str, ResponseFault>) {
    check(&with_fields(200, lines), expected);
}

fn refuses(input: &[u8], fault: impl Into<ResponseFault>) {
    check(input, Err(fault.into()));
}

#[test]
fn reads_the_example_of_rfc_9110() {
    check(
        b"HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nServer: Apache\r\n\
          ETag: \"34aa387-d-1568eb00\"\r\nAccept-Ranges: bytes\r\nContent-Length: 51\r\n\
          Vary: Accept-Encoding\r\nContent-Type: text/plain\r\n\r\nHello",
        Ok("200 Length(51) of 51"),
    );
}

#[test]
fn the_body_ends_as_the_fields_say() {
    check_fields("", Ok("200 UntilClose close"));
    check_fields("Connection: keep-alive\r\n", Ok("200 UntilClose close"));
    check_fields("Content-Length: 0\r\n", Ok("200 Length(0) of 0"));
    check_fields("Content-Length: 5\r\nConnection: close\r\n", Ok("200 Length(5) of 5 close"));
    check_fields("Transfer-Encoding: Chunked\r\n", Ok("200 Chunked"));
    check(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Ok("200 Length(5) of 5 close"));
    check(
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n",
        Ok("200 Length(5) of 5"),
    );
}

#[test]
fn transfer_encoding_wins_and_the_connection_ends() {
    let both = "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n";
    check_fields(both, Ok("200 Chunked close"));
    check_fields("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Ok("200 Chunked close"));
}

#[test]
fn some_responses_have_no_body_whatever_they_say() {
    for status in [100, 102, 103, 199, 204, 304] {
        let row = |lines: &str, rest: &str| {
            check(&with_fields(status, lines), Ok(&format!("{status} None{rest}")));
        };
        row("", "");
        row("Content-Length: 5\r\n", " of 5");
        row("Transfer-Encoding: chunked\r\n", "");
    }
    let to_head = |lines: &str| parse(&with_fields(200, lines), true).unwrap();
    assert_eq!(to_head("Content-Length: 5\r\n"), "200 None of 5");
    assert_eq!(to_head("Transfer-Encoding: chunked\r\n"), "200 None");
    assert_eq!(to_head(""), "200 None");
}

#[test]
fn refuses_an_unclear_length() {
    for value in ["", "+5", "-5", "0x5", "5 5", "5;", "a", "5\u{a0}"] {
        check_fields(&format!("Content-Length: {value}\r\n"), Err(F::LengthInvalid.into()));
    }
    check_fields("Content-Length: 9223372036854775808\r\n", Err(F::LengthTooLarge.into()));
    check_fields("Content-Length: 5, 5\r\n", Err(F::LengthTwice.into()));
    check_fields("Content-Length: 5\r\nContent-Length: 5\r\n", Err(F::LengthTwice.into()));
    check(&with_fields(204, "Content-Length: x\r\n"), Err(F::LengthInvalid.into()));
}

#[test]
fn refuses_an_unclear_transfer_encoding() {
    let row = |value: &str, fault: FramingFault| {
        check_fields(&format!("Transfer-Encoding: {value}\r\n"), Err(fault.into()));
    };
    row("gzip", F::TransferCodingUnknown);
    row("gzip, chunked", F::TransferCodingUnknown);
    row("identity", F::TransferCodingUnknown);
    row("chunked, gzip", F::ChunkedNotLast);
    row("chunked, chunked", F::TransferEncodingTwice);
    row("\"chunked\"", F::TransferEncodingInvalid);
    row("", F::TransferEncodingInvalid);
    refuses(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", F::TransferEncodingOnHttp10);
}

#[test]
fn refuses_a_malformed_status_line() {
    let refuses_line = |line: &[u8], fault: ResponseFault| {
        refuses(&[line, b"\r\nA: b\r\n\r\n"].concat(), fault);
    };
    refuses_line(b"HTTP/2.0 200 OK", R::VersionInvalid);
    refuses_line(b"HTTP/1.2 200 OK", R::VersionInvalid);
    refuses_line(b"http/1.1 200 OK", R::VersionInvalid);
    refuses_line(b"ICY 200 OK", R::VersionInvalid);
    refuses_line(b"HTTP/1.1", R::VersionInvalid);
    refuses_line(b"HTTP/1.10 200 OK", R::VersionInvalid);
    refuses_line(b"HTTP/1.1  200 OK", R::StatusLineInvalid);
    refuses_line(b"HTTP/1.1 20 OK", R::StatusLineInvalid);
    refuses_line(b"HTTP/1.1 2000 OK", R::StatusLineInvalid);
    refuses_line(b"HTTP/1.1 +20 OK", R::StatusLineInvalid);
    refuses_line(b"HTTP/1.1 200\tOK", R::StatusLineInvalid);
    refuses_line(b"HTTP/1.1 200 O\x01K", HeadFault::ControlByte.into());
    // A missing phrase, with and without its space, and bytes beyond ASCII in
    // it leave no doubt about the status.
    let row = |line: &[u8]| check(&[line, b"\r\n\r\n"].concat(), Ok("200 UntilClose close"));
    row(b"HTTP/1.1 200");
    row(b"HTTP/1.1 200 ");
    row(b"HTTP/1.1 200 D\xe9j\xe0 vu");
}

#[test]
fn refuses_a_status_that_means_nothing() {
    for status in ["000", "099", "600", "999"] {
        refuses(format!("HTTP/1.1 {status} X\r\n\r\n").as_bytes(), R::StatusOutOfRange);
    }
    check(b"HTTP/1.1 599 X\r\nContent-Length: 0\r\n\r\n", Ok("599 Length(0) of 0"));
    refuses(b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n", R::UnsolicitedSwitch);
}

#[test]
fn refuses_lines_as_in_requests() {
    refuses(b"\r\nHTTP/1.1 200 OK\r\n\r\n", H::LeadingBlankLine);
    assert_eq!(parse(b"\r\nHTTP/1.1 200 OK\r\n\r\n", false), Err(H::LeadingBlankLine.into()));
    refuses(b"HTTP/1.1 200 OK\n\n", H::BareLf);
    refuses(b"HTTP/1.1 200\n\r\n", H::BareLf);
    refuses(b"HTTP/1.1 200 OK\r\nA: b\n\r\n", H::BareLf);
    refuses(b"HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", H::BareCr);
    refuses(b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", H::FoldedLine);
    refuses(b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", H::BlankBeforeFirstField);
    refuses(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n", H::BlankBeforeColon);
    refuses(b"HTTP/1.1 200 OK\r\n: b\r\n\r\n", H::NameEmpty);
    refuses(b"HTTP/1.1 200 OK\r\nA\r\n\r\n", H::ColonMissing);
    refuses(b"HTTP/1.1 200 OK\r\nA(: b\r\n\r\n", H::NameInvalid);
    refuses(b"HTTP/1.1 200 OK\r\nA: \0\r\n\r\n", H::ControlByte);
    refuses(b"HTTP/1.1 200 OK\r\nA: b\r\n", H::Incomplete);
}

#[test]
fn limits_hold_to_the_byte() {
    let limits = Limits { head_bytes_max: 40, headers_max: 2, ..Limits::default() };
    let row = |head: &str, expected: Result<(), HeadFault>| {
        let mut table = HeaderTable::new();
        let parsed = parse_response(head.as_bytes(), false, &limits, &mut table);
        assert_eq!(parsed.map(drop), expected.map_err(ResponseFault::Head), "{head}");
    };
    row("HTTP/1.1 200 OK\r\nA: 0123456789012345\r\n\r\n", Ok(()));
    row("HTTP/1.1 200 OK\r\nA: 01234567890123456\r\n\r\n", Err(H::TooLarge));
    row("HTTP/1.1 200 OK\r\nA:\r\nB:\r\n\r\n", Ok(()));
    row("HTTP/1.1 200 OK\r\nA:\r\nB:\r\nC:\r\n\r\n", Err(H::TooManyFields));
}
