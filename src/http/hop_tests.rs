use super::*;
use crate::http::{HeaderTable, Limits, parse_request};

/// What travels on of the fields in `lines`, one on a line.
fn check(lines: &str, expected: &str) {
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n");
    let mut table = HeaderTable::new();
    let request = parse_request(head.as_bytes(), &Limits::default(), &mut table).unwrap();
    let mut passed = String::new();
    for (name, value) in forwardable(&request.fields) {
        passed.push_str(&format!("{}: {}\r\n", name.escape_ascii(), value.escape_ascii()));
    }
    assert_eq!(passed, expected);
    // Copied in runs or written anew, the lines are the same.
    let mut written = Vec::new();
    forward(&mut written, &request.fields, |_, _| true);
    assert_eq!(written.escape_ascii().to_string(), passed.as_bytes().escape_ascii().to_string());
}

#[test]
fn passes_on_what_is_for_the_end() {
    let lines = "Accept: */*\r\nX-B: c\r\nx-b: d\r\nContent-Type: application/json\r\n\
                 User-Agent: e\r\nAuthorization: Bearer f\r\n";
    check(lines, lines);
    check("A:b\r\nC: \t d \t\r\nE:\r\n", "A: b\r\nC: d\r\nE: \r\n");
}

#[test]
fn lines_that_are_not_wanted_break_a_run() {
    let head =
        b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nCookie: x\r\nB: 2\r\nC:3\r\nD: 4\r\nE: 5\r\n\r\n";
    let mut table = HeaderTable::new();
    let request = parse_request(head, &Limits::default(), &mut table).unwrap();
    let mut written = b"before ".to_vec();
    forward(&mut written, &request.fields, |name, _| name != Name::Credential);
    assert_eq!(written, b"before A: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n");
}

#[test]
fn strips_what_is_for_one_hop() {
    for line in [
        "Connection: close",
        "connection: keep-alive",
        "Keep-Alive: timeout=5",
        "KEEP-ALIVE: 1",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: x",
        "Proxy-Authenticate: x",
        "proxy-: x",
        "Proxy-Anything: x",
        "TE: trailers",
        "Trailer: x",
        "Upgrade: websocket",
        "HTTP2-Settings: x",
        "Expect: 100-continue",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
    ] {
        check(&format!("A: b\r\n{line}\r\nC: d\r\n"), "A: b\r\nC: d\r\n");
    }
    // Names that only begin or end like these.
    let others = "Tea: x\r\nHostess: x\r\nProxy: x\r\nProximity: x\r\nX-TE: x\r\nExpected: x\r\n";
    check(others, others);
}

#[test]
fn strips_what_connection_names() {
    check("X-A: 1\r\nConnection: x-a\r\nX-B: 2\r\n", "X-B: 2\r\n");
    check("Connection: close, X-A ,x-b\r\nx-A: 1\r\nX-B: 2\r\nX-C: 3\r\n", "X-C: 3\r\n");
    check("Connection: x-a\r\nX-A: 1\r\nConnection: x-b\r\nX-B: 2\r\n", "");
    check("Connection: , ,\r\nX-A: 1\r\n", "X-A: 1\r\n");
}

#[test]
fn connection_takes_away_nothing_others_rely_on() {
    let kept = "Authorization: a\r\nX-API-Key: b\r\nContent-Type: c\r\nCookie: d\r\n\
                X-Forwarded-For: e\r\nX-Forwarded-Host: f\r\nX-Forwarded-Proto: g\r\n\
                Forwarded: h\r\nX-Real-IP: i\r\nAnthropic-Version: j\r\nX-Request-Id: k\r\n";
    let connection = "Connection: host, content-length, transfer-encoding, authorization, \
                      x-api-key, content-type, cookie, x-forwarded-for, x-forwarded-host\r\n\
                      Connection: x-forwarded-proto, forwarded, x-real-ip, anthropic-version, \
                      x-request-id\r\n";
    check(&format!("{kept}{connection}"), kept);
    // The framing still counts.
    let head =
        b"POST / HTTP/1.1\r\nHost: a\r\nConnection: content-length\r\nContent-Length: 5\r\n\r\n";
    let mut table = HeaderTable::new();
    let request = parse_request(head, &Limits::default(), &mut table).unwrap();
    assert_eq!(request.framing, crate::http::BodyFraming::Length(5));
}

#[test]
fn fields_are_found_whatever_the_case() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX-B: c\r\nx-b: d\r\n\r\n";
    let mut table = HeaderTable::new();
    let fields = parse_request(head, &Limits::default(), &mut table).unwrap().fields;
    assert_eq!(fields.get(b"x-B"), Some(&b"c"[..]));
    assert_eq!(fields.get(b"x-c"), None);
    assert_eq!(fields.get_all(b"X-B").collect::<Vec<_>>(), [&b"c"[..], b"d"]);
    assert_eq!((fields.len(), fields.is_empty()), (3, false));
}
