use super::*;
use crate::http::{HEADERS_MAX, HeadSearch};

use FramingFault as F;
use HeadFault as H;
use RequestFault as R;

/// What the tests compare of an accepted request, in one line:
/// method, origin form, host, framing, and the flags that are set.
fn meaning(request: &Request<'_, '_>) -> String {
    let mut line = format!(
        "{} {} {} {:?}",
        request.method.as_bytes().escape_ascii(),
        request.origin_form.escape_ascii(),
        request.host.escape_ascii(),
        request.framing,
    );
    for (flag, name) in [
        (!request.keep_alive, " close"),
        (request.expect_continue, " continue"),
        (request.upgrade, " upgrade"),
    ] {
        line.push_str(if flag { name } else { "" });
    }
    line
}

fn parse(head: &[u8], limits: &Limits) -> Result<String, RequestFault> {
    parse_request(head, limits, &mut HeaderTable::new()).map(|request| meaning(&request))
}

/// The one door. `input` is what a client sent; its first head is found in one
/// go, in two pieces cut at every byte, and byte by byte, and must come to the
/// same end. No shorter piece of it may be taken for a request.
fn check(input: &[u8], expected: Result<&str, RequestFault>) {
    let shown = input.escape_ascii();
    let length = HeadSearch::default().find(input).unwrap_or(input.len());
    let head = &input[..length];
    assert_eq!(
        parse(head, &Limits::default()).as_deref(),
        expected.as_ref().map(|m| *m),
        "{shown}"
    );

    let mut byte_by_byte = HeadSearch::default();
    for cut in 0..length {
        assert_eq!(byte_by_byte.find(&input[..cut]), None, "{shown} at {cut}");
        let mut in_two = HeadSearch::default();
        assert_eq!(in_two.find(&input[..cut]), None, "{shown} at {cut}");
        assert_eq!(in_two.find(input).unwrap_or(length), length, "{shown} at {cut}");
        assert!(parse(&input[..cut], &Limits::default()).is_err(), "{shown} at {cut}");
    }
    assert_eq!(byte_by_byte.find(input).unwrap_or(length), length, "{shown}");
}

/// A request with a line in the middle.
fn with_field(line: &[u8]) -> Vec<u8> {
    [b"POST / HTTP/1.1\r\nHost: a\r\n", line, b"\r\nX-Last: 1\r\n\r\n"].concat()
}

fn check_field(line: &[u8], expected: Result<&str, RequestFault>) {
    check(&with_field(line), expected);
}

fn refuses_field(line: &[u8], fault: impl Into<RequestFault>) {
    check_field(line, Err(fault.into()));
}

fn refuses(input: &[u8], fault: impl Into<RequestFault>) {
    check(input, Err(fault.into()));
}

#[test]
fn reads_the_examples_of_rfc_9112() {
    // Section 2.1 of RFC 9110's example session, and sections 3.2.1 to 3.2.4.
    check(
        b"GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\n\
          Accept-Language: en, mi\r\n\r\n",
        Ok("GET /hello.txt www.example.com None"),
    );
    check(
        b"GET /where?q=now HTTP/1.1\r\nHost: www.example.org\r\n\r\n",
        Ok("GET /where?q=now www.example.org None"),
    );
    check(
        b"GET http://www.example.org/pub/WWW/TheProject.html HTTP/1.1\r\n\
          Host: www.example.org\r\n\r\n",
        Ok("GET /pub/WWW/TheProject.html www.example.org None"),
    );
    refuses(
        b"CONNECT www.example.com:80 HTTP/1.1\r\nHost: www.example.com\r\n\r\n",
        R::MethodRefused,
    );
    check(
        b"OPTIONS * HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n",
        Ok("OPTIONS * www.example.org:8001 None"),
    );
    check(
        b"OPTIONS http://www.example.org:8001 HTTP/1.1\r\nHost: www.example.org:8001\r\n\r\n",
        Ok("OPTIONS * www.example.org:8001 None"),
    );
    // Section 6.1 and section 9.6.
    refuses_field(b"Transfer-Encoding: gzip, chunked", F::TransferCodingUnknown);
    check_field(b"Connection: close", Ok("POST / a None close"));
}

#[test]
fn keeps_target_path_and_query_apart() {
    let row = |head: &[u8], target: &[u8], path: &[u8], origin_form: &[u8]| {
        let mut table = HeaderTable::new();
        let request = parse_request(head, &Limits::default(), &mut table).unwrap();
        assert_eq!(request.target, target);
        assert_eq!(request.path, path);
        assert_eq!(request.origin_form, origin_form);
    };
    row(b"GET /a/b?c=d?e HTTP/1.1\r\nHost: a\r\n\r\n", b"/a/b?c=d?e", b"/a/b", b"/a/b?c=d?e");
    row(b"GET HTTP://A/b? HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP://A/b?", b"/b", b"/b?");
    row(b"GET https://a HTTP/1.0\r\n\r\n", b"https://a", b"/", b"/");
    row(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"*", b"*", b"*");
    row(b"GET //a/.b/c HTTP/1.1\r\nHost: a\r\n\r\n", b"//a/.b/c", b"//a/.b/c", b"//a/.b/c");
}

#[test]
fn refuses_a_malformed_request_line() {
    let refuses_line = |line: &[u8], fault: RequestFault| {
        refuses(&[line, b"\r\nHost: a\r\n\r\n"].concat(), fault);
    };
    refuses_line(b"GET  / HTTP/1.1", R::RequestLineSpaces);
    refuses_line(b"GET /  HTTP/1.1", R::RequestLineSpaces);
    refuses_line(b" GET / HTTP/1.1", R::RequestLineSpaces);
    refuses_line(b"GET / HTTP/1.1 ", R::RequestLineSpaces);
    refuses_line(b"GET /a b HTTP/1.1", R::RequestLineSpaces);
    refuses_line(b"GET\t/ HTTP/1.1", R::MethodInvalid);
    refuses_line(b"G(T / HTTP/1.1", R::MethodInvalid);
    refuses_line(b"G\xc3\x89T / HTTP/1.1", R::MethodInvalid);
    refuses_line(b"GET /\t HTTP/1.1", R::TargetByte);
    refuses_line(b"GET /\tHTTP/1.1", R::VersionMissing);
    refuses_line(b"GET /", R::VersionMissing);
    refuses_line(b"GET", R::VersionMissing);
    refuses_line(b"GET / ", R::VersionInvalid);
    refuses_line(b"GET / http/1.1", R::VersionInvalid);
    refuses_line(b"GET / HTTP/1.10", R::VersionInvalid);
    refuses_line(b"GET / HTTP/11", R::VersionInvalid);
    refuses_line(b"GET / HTTP/1.", R::VersionInvalid);
    refuses_line(b"GET / HTTP/1.1\t", R::VersionInvalid);
    refuses_line(b"GET / XTTP/1.1", R::VersionInvalid);
    refuses_line(b"GET / HTTP/1.2", R::VersionUnsupported);
    refuses_line(b"GET / HTTP/2.0", R::VersionUnsupported);
    refuses_line(b"GET / HTTP/0.9", R::VersionUnsupported);
    refuses_line(b"TRACE / HTTP/1.1", R::MethodRefused);
    check(b"trace / HTTP/1.1\r\nHost: a\r\n\r\n", Ok("trace / a None"));
}

#[test]
fn refuses_a_target_that_is_no_target() {
    let refuses_target = |target: &[u8], fault: RequestFault| {
        refuses(&[b"GET ", target, b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(), fault);
    };
    refuses_target(b"/a#b", R::TargetByte);
    refuses_target(b"/\xc3\xa9", R::TargetByte);
    refuses_target(b"/\xff", R::TargetByte);
    refuses_target(b"*", R::TargetForm);
    refuses_target(b"a", R::TargetForm);
    refuses_target(b"a:80", R::TargetForm);
    refuses_target(b"?a", R::TargetForm);
    refuses_target(b"ftp://a/", R::TargetForm);
    refuses_target(b"http:/a", R::TargetForm);
    refuses_target(b"http://", R::TargetForm);
    refuses_target(b"http:///b", R::TargetForm);
    refuses_target(b"http://u@a/b", R::TargetForm);
    refuses_target(b"http://a,b/", R::TargetForm);
    refuses_target(b"http://a\\b/", R::TargetForm);
    refuses_target(b"http://a?b", R::TargetForm);
    for byte in 0..=255_u8 {
        let head = [b"GET /a", &[byte][..], b"b HTTP/1.1\r\nHost: a\r\n\r\n"].concat();
        let is_fine = matches!(byte, 0x21..=0x7e) && byte != b'#';
        assert_eq!(parse(&head, &Limits::default()).is_ok(), is_fine, "{byte:#x}");
    }
}

#[test]
fn names_the_http2_preface() {
    refuses(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", R::Http2Preface);
}

#[test]
fn refuses_every_blank_line_in_front() {
    // RFC 9112 section 2.2 would let us skip one. See `parse_lines`.
    refuses(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", H::LeadingBlankLine);
    refuses(b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", H::LeadingBlankLine);
    refuses(b"\r\n\r\n", H::LeadingBlankLine);
    refuses(b"\r\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", H::LeadingBlankLine);
    // Also when the head was measured by someone who skips them.
    let whole = parse(b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", &Limits::default());
    assert_eq!(whole, Err(H::LeadingBlankLine.into()));
}

#[test]
fn refuses_bare_lf_and_bare_cr_anywhere() {
    let good = b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n";
    let ends = [14, 23, 29, 31];
    for (index, end) in ends.into_iter().enumerate() {
        let lf = [&good[..end], &good[end + 1..]].concat();
        refuses(&lf, H::BareLf);
        // The last CR alone completes nothing.
        let cr = [&good[..=end], &good[end + 2..]].concat();
        let fault = if index == 3 { H::Incomplete } else { H::BareCr };
        refuses(&cr, fault);
    }
    for at in 1..good.len() - 1 {
        // In front of a CR a LF is bare; behind one it is what was there.
        if !matches!(good[at - 1..=at], [b'\r', _] | [_, b'\r']) {
            let lf = [&good[..at], b"\n", &good[at..]].concat();
            assert!(parse(&lf, &Limits::default()).is_err(), "LF at {at}");
            let cr = [&good[..at], b"\r", &good[at..]].concat();
            assert!(parse(&cr, &Limits::default()).is_err(), "CR at {at}");
        }
    }
    refuses(b"GET / HTTP/1.1\nHost: a\n\n", H::BareLf);
    refuses_field(b"A: b\nContent-Length: 5", H::BareLf);
    refuses_field(b"A: b\rContent-Length: 5", H::BareCr);
    refuses_field(b"A: b\r\r", H::BareCr);
    refuses_field(b"A:\n", H::BareLf);
    refuses_field(b"A:\r", H::BareCr);
}

#[test]
fn refuses_blanks_where_none_belong() {
    refuses(b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", H::BlankBeforeFirstField);
    refuses(b"GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", H::BlankBeforeFirstField);
    refuses(b"GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", H::BlankBeforeFirstField);
    refuses_field(b"A: b\r\n c", H::FoldedLine);
    refuses_field(b"A: b\r\n\tc", H::FoldedLine);
    refuses_field(b"A: b\r\n ", H::FoldedLine);
    refuses_field(b"Transfer-Encoding:\r\n chunked", H::FoldedLine);
    refuses_field(b"A : b", H::BlankBeforeColon);
    refuses_field(b"A\t: b", H::BlankBeforeColon);
    refuses_field(b"Content-Length : 5", H::BlankBeforeColon);
    refuses_field(b"Transfer-Encoding : chunked", H::BlankBeforeColon);
}

#[test]
fn refuses_names_that_are_no_tokens() {
    refuses_field(b": b", H::NameEmpty);
    refuses_field(b"A", H::ColonMissing);
    refuses_field(b"A b: c", H::NameInvalid);
    refuses_field(b"\"A\": c", H::NameInvalid);
    refuses_field(b"A\xc3\xa9: c", H::NameInvalid);
    refuses_field(b"A\x0b: c", H::ControlByte);
    for byte in 0..=255_u8 {
        let is_fine = name::is_token_byte(byte) || byte == b':';
        let head = with_field(&[b"A", &[byte][..], b"B: c"].concat());
        assert_eq!(parse(&head, &Limits::default()).is_ok(), is_fine, "{byte:#x}");
    }
}

#[test]
fn refuses_control_bytes_in_values() {
    for byte in 0..=255_u8 {
        let head = with_field(&[b"A: b", &[byte][..], b"c"].concat());
        let is_fine = matches!(byte, b'\t' | b' '..=b'~' | 0x80..);
        assert_eq!(parse(&head, &Limits::default()).is_ok(), is_fine, "{byte:#x}");
    }
    refuses_field(b"A: b\0", H::ControlByte);
    refuses_field(b"A: \x7f", H::ControlByte);
}

#[test]
fn refuses_names_that_shadow_a_known_one() {
    refuses_field(b"Content_Length: 5", R::NameShadowsKnown);
    refuses_field(b"transfer_encoding: chunked", R::NameShadowsKnown);
    refuses_field(b"X_API-Key: 5", R::NameShadowsKnown);
    refuses_field(b"x_api_key: 5", R::NameShadowsKnown);
    refuses_field(b"X-Forwarded_For: ::1", R::NameShadowsKnown);
    refuses_field(b"Anthropic_Dangerous-Direct-Browser-Access: 1", R::NameShadowsKnown);
    check_field(b"my_own_name: 5", Ok("POST / a None"));
    check_field(b"_: 5", Ok("POST / a None"));
}

#[test]
fn one_host_and_a_clean_one() {
    refuses(b"GET / HTTP/1.1\r\n\r\n", R::HostMissing);
    check(b"GET / HTTP/1.0\r\n\r\n", Ok("GET /  None close"));
    refuses_field(b"Host: a", R::HostTwice);
    refuses_field(b"hOST: b", R::HostTwice);
    let refuses_host = |host: &[u8], fault: RequestFault| {
        refuses(&[b"GET / HTTP/1.1\r\nHost: ", host, b"\r\n\r\n"].concat(), fault);
        refuses(&[b"GET / HTTP/1.0\r\nHost: ", host, b"\r\n\r\n"].concat(), fault);
    };
    for host in
        [&b""[..], b"u@a", b"a/b", b"a,b", b"a b", b"a:", b"a:b", b"http://a", b"a#", b"\xff"]
    {
        refuses_host(host, R::HostInvalid);
    }
    check(b"GET / HTTP/1.1\r\nHost: \t[::1]:80 \r\n\r\n", Ok("GET / [::1]:80 None"));
}

#[test]
fn host_and_absolute_target_agree() {
    let row = |line: &[u8], expected| check(&[line, b"\r\n\r\n"].concat(), expected);
    row(b"GET http://a/ HTTP/1.1\r\nHost: b", Err(R::HostDiffersFromTarget));
    row(b"GET http://a/ HTTP/1.1\r\nHost: a:80", Err(R::HostDiffersFromTarget));
    row(b"GET http://a:1/ HTTP/1.0\r\nHost: a", Err(R::HostDiffersFromTarget));
    row(b"GET http://a/ HTTP/1.1", Err(R::HostMissing));
    row(b"GET http://A:1/ HTTP/1.1\r\nHost: a:1", Ok("GET / a:1 None"));
    row(b"GET http://a:1/ HTTP/1.0", Ok("GET / a:1 None close"));
}

#[test]
fn limits_hold_to_the_byte() {
    let limits = Limits { head_bytes_max: 64, headers_max: 3, target_bytes_max: 4 };
    let row = |head: &str, expected: Result<&str, RequestFault>| {
        assert_eq!(
            parse(head.as_bytes(), &limits).as_deref(),
            expected.as_ref().map(|m| *m),
            "{head}"
        );
    };
    let long = "GET / HTTP/1.1\r\nHost: a\r\nX: 0123456789012345678901234567890123\r\n\r\n";
    assert_eq!(long.len(), 66);
    row(long, Err(H::TooLarge.into()));
    row(&long.replacen("01", "", 1), Ok("GET / a None"));
    row("GET /abc HTTP/1.1\r\nHost: a\r\n\r\n", Ok("GET /abc a None"));
    row("GET /abcd HTTP/1.1\r\nHost: a\r\n\r\n", Err(R::TargetTooLong));
    row("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\n\r\n", Ok("GET / a None"));
    row("GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB:\r\nC:\r\n\r\n", Err(H::TooManyFields.into()));

    let beyond = Limits { headers_max: usize::MAX, ..Limits::default() };
    let full = |count| format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A:\r\n".repeat(count - 1));
    assert!(parse(full(HEADERS_MAX).as_bytes(), &beyond).is_ok());
    assert_eq!(parse(full(HEADERS_MAX + 1).as_bytes(), &beyond), Err(H::TooManyFields.into()));
}

#[test]
fn every_fault_has_its_status() {
    let statuses = [
        (R::Head(H::BareLf), 400),
        (R::Head(H::TooLarge), 431),
        (R::Head(H::TooManyFields), 431),
        (R::Framing(F::LengthTwice), 400),
        (R::Framing(F::TransferCodingUnknown), 501),
        (R::MethodRefused, 405),
        (R::TargetTooLong, 414),
        (R::ExpectUnknown, 417),
        (R::VersionUnsupported, 505),
        (R::Http2Preface, 505),
        (R::HostMissing, 400),
    ];
    for (fault, status) in statuses {
        assert_eq!(fault.status(), status, "{fault:?}");
        assert!(fault.reason().ends_with('.'), "{fault:?}");
    }
}

#[test]
fn anything_else_is_not_a_head() {
    refuses(b"", H::Incomplete);
    refuses(b"GET / HTTP/1.1\r\nHost: a\r\n", H::Incomplete);
    let two = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(parse(two, &Limits::default()), Err(H::Incomplete.into()));
    refuses(b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", H::ControlByte);
}

#[path = "framing_tests.rs"]
mod framing;
#[path = "smuggling_tests.rs"]
mod smuggling;
