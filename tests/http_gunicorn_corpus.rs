//! The requests of gunicorn's test suite, malformed ones and good ones, read
//! by our parser. The files stay where they came from: a script fetches the
//! source package and names the folder.

use std::fs;
use std::path::PathBuf;

use tokenring::http::fuzz::fuzz_request;
use tokenring::http::{
    BodyDecoder, ChunkFault, FramingFault, HeadFault, HeadSearch, HeaderTable, Limits,
    RequestFault, parse_request,
};

/// The folder that holds `invalid/` and `valid/`.
const FOLDER: &str = "TOKENRING_GUNICORN_CORPUS";

const WHO_SETS_IT: &str =
    "scripts/test fetches the corpus and sets TOKENRING_GUNICORN_CORPUS to its tests/requests";

/// Malformed for gunicorn and not for us, each with the reason.
const TAKEN_FOR_GOOD: [(&str, &str); 14] = [
    ("003c", "a method may be any token, also one that begins with a dash"),
    ("006", "the request line is over gunicorn's limit of 4,094 bytes and under ours"),
    ("007", "a field is over gunicorn's limit of 8,190 bytes, the head under ours"),
    ("008", "a field is over gunicorn's limit of 8,190 bytes, the head under ours"),
    ("010", "gunicorn's limit is set to 10 bytes for a field"),
    ("011", "gunicorn's limit is set to two fields"),
    ("012", "gunicorn's limit is set to 98 bytes for a field"),
    ("017", "a field is over gunicorn's limit of 8,190 bytes, the head under ours"),
    ("019", "schemes forwarded by the client contradict each other; we set our own"),
    ("041", "two content types: what a body is we do not ask, both go to the backend"),
    (
        "limit_header_default_01",
        "a field is over gunicorn's limit of 8,190 bytes, the head under ours",
    ),
    ("rfc9110_trailer_forbidden_cl_01", "trailers are dropped, so that none can frame"),
    ("rfc9110_trailer_forbidden_host_01", "trailers are dropped, so that none can route"),
    ("rfc9110_trailer_forbidden_te_01", "trailers are dropped, so that none can frame"),
];

const CODING_UNKNOWN: RequestFault = RequestFault::Framing(FramingFault::TransferCodingUnknown);

/// Good for gunicorn and not for us.
const REFUSED_BY_US: [(&str, RequestFault); 20] = [
    // A fragment is the client's own and is never sent (RFC 9110, section 7.1).
    ("005", RequestFault::TargetByte),
    // One coding is taken, `chunked`; gunicorn takes `identity` and `gzip` too.
    ("025", CODING_UNKNOWN),
    ("025_line", CODING_UNKNOWN),
    // gunicorn is set to take it.
    ("028", RequestFault::Head(HeadFault::BlankBeforeColon)),
    // Codings again.
    ("029", CODING_UNKNOWN),
    ("030", CODING_UNKNOWN),
    ("rfc9112_smuggle_gzip_chunked_01", CODING_UNKNOWN),
    ("rfc9112_smuggle_te_identity_chunked_01", CODING_UNKNOWN),
    // Content_Length is Content-Length to whoever makes variables of names.
    ("040", RequestFault::NameShadowsKnown),
    ("040_compat", RequestFault::NameShadowsKnown),
    // gunicorn is set to unfold.
    ("compat_obs_fold", RequestFault::Head(HeadFault::FoldedLine)),
    ("compat_obs_fold_huge", RequestFault::Head(HeadFault::FoldedLine)),
    // The PROXY protocol is not HTTP; its version 2 begins with a blank line.
    ("pp_01", RequestFault::RequestLineSpaces),
    ("pp_02", RequestFault::RequestLineSpaces),
    ("pp_04", RequestFault::Head(HeadFault::LeadingBlankLine)),
    ("pp_05", RequestFault::Head(HeadFault::LeadingBlankLine)),
    // A server should ignore one (RFC 9112, section 2.2), for clients of the
    // last century; behind a body it is as likely a body of another length.
    ("rfc9112_leading_crlf_01", RequestFault::Head(HeadFault::LeadingBlankLine)),
    // A user in the target is a way to hide a host (RFC 9110, section 4.2.4).
    ("rfc9112_target_absolute_userinfo_01", RequestFault::TargetForm),
    // A tunnel is no request to a model.
    ("rfc9112_target_authority_connect_01", RequestFault::MethodRefused),
    ("rfc9112_target_authority_ipv6_01", RequestFault::MethodRefused),
];

/// Declares a body that is longer than what the file holds.
const CUT_BY_THE_FILE: &str = "099";

/// How reading a connection came to its end.
#[derive(Debug, PartialEq)]
enum End {
    /// This many requests, and nothing left over.
    Clean(usize),
    /// The last request is not complete; a deadline ends it.
    Cut,
    Refused(RequestFault),
    RefusedInBody(ChunkFault),
}

/// Reads requests from the front until the bytes or our patience end.
fn read_connection(bytes: &[u8]) -> End {
    let mut rest = bytes.to_vec();
    let mut requests = 0;
    while !rest.is_empty() {
        let Some(length) = HeadSearch::default().find(&rest) else {
            return End::Cut;
        };
        let (head, after) = rest.split_at(length);
        let mut table = HeaderTable::new();
        let request = match parse_request(head, &Limits::default(), &mut table) {
            Ok(request) => request,
            Err(fault) => return End::Refused(fault),
        };
        // What was accepted is forwarded without ambiguity.
        fuzz_request(head);
        let mut body = after.to_vec();
        let mut decoder = BodyDecoder::new(request.framing);
        let decoded = match decoder.decode(&mut body) {
            Ok(decoded) => decoded,
            Err(fault) => return End::RefusedInBody(fault),
        };
        if !decoded.done {
            return End::Cut;
        }
        requests += 1;
        rest = after[decoded.consumed..].to_vec();
    }
    End::Clean(requests)
}

/// The files write CR LF and a few other bytes as escapes, any byte as `\xHH`,
/// and wrap lines where the message has none. They hold no other backslash.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let (byte, after) = match (byte, after) {
            (b'\n', _) => {
                rest = after;
                continue;
            }
            (b'\\', [b'r', after @ ..]) => (b'\r', after),
            (b'\\', [b'n', after @ ..]) => (b'\n', after),
            (b'\\', [b't', after @ ..]) => (b'\t', after),
            (b'\\', [b'0', after @ ..]) => (0, after),
            (b'\\', [b'x', digits @ ..]) => {
                let (digits, after) = digits.split_at(2);
                let digits = std::str::from_utf8(digits).expect("two digits");
                (u8::from_str_radix(digits, 16).expect("two hexadecimal digits"), after)
            }
            _ => {
                assert_ne!(byte, b'\\', "an escape that is not known: {}", text.escape_ascii());
                (byte, after)
            }
        };
        bytes.push(byte);
        rest = after;
    }
    bytes
}

/// Most of the files leave out Host and are refused for that alone. They get
/// one behind each first line, so that the rest of them is tried too.
fn read_file(bytes: &[u8]) -> End {
    match read_connection(bytes) {
        End::Refused(RequestFault::HostMissing) => read_connection(&with_host(bytes)),
        end => end,
    }
}

fn with_host(bytes: &[u8]) -> Vec<u8> {
    let line_end = b" HTTP/1.1\r\n";
    let mut out = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(line_end.len()).position(|window| window == line_end) {
        let (line, after) = rest.split_at(at + line_end.len());
        out.extend_from_slice(line);
        out.extend_from_slice(b"Host: a\r\n");
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

fn files(kind: &str) -> Vec<(String, Vec<u8>)> {
    #[expect(clippy::disallowed_methods, reason = "a test is told where its data lies")]
    let folder = std::env::var(FOLDER).expect(WHO_SETS_IT);
    let folder = PathBuf::from(folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder.join(kind)).expect("the folder is there") {
        let path = entry.expect("the folder is readable").path();
        if path.extension().is_some_and(|extension| extension == "http") {
            let name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
            files.push((name, unescape(&fs::read(&path).expect("the file is readable"))));
        }
    }
    assert!(files.len() > 40, "the corpus is whole, got {} files", files.len());
    files.sort();
    files
}

/// What is not as the lists say, all of it at once.
#[track_caller]
fn check(kind: &str, listed: &[&str], expected: impl Fn(&str, &End) -> bool) {
    let files = files(kind);
    for name in listed {
        assert!(files.iter().any(|(file, _)| file == name), "{kind}/{name} is not in the corpus");
    }
    let ends = files.into_iter().map(|(name, bytes)| (name, read_file(&bytes)));
    let wrong: Vec<_> = ends.filter(|(name, end)| !expected(name, end)).collect();
    assert!(wrong.is_empty(), "{kind}: {wrong:#?}");
}

#[test]
#[ignore = "needs gunicorn's source package; scripts/test fetches it"]
fn malformed_requests_are_refused() {
    let taken = TAKEN_FOR_GOOD.map(|(name, _)| name);
    check("invalid", &taken, |name, end| matches!(end, End::Clean(_)) == taken.contains(&name));
}

#[test]
#[ignore = "needs gunicorn's source package; scripts/test fetches it"]
fn good_requests_are_read() {
    let refused = REFUSED_BY_US.map(|(name, _)| name);
    check("valid", &refused, |name, end| {
        match REFUSED_BY_US.iter().find(|(listed, _)| *listed == name) {
            Some((_, fault)) => *end == End::Refused(*fault),
            None if name == CUT_BY_THE_FILE => *end == End::Cut,
            None => matches!(end, End::Clean(1..)),
        }
    });
}
