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
const TAKEN_FOR_GOOD: [(&str, &str); 9] = [
    ("003c", "a method may be any token, also one that begins with a dash"),
    ("006", "the request line is over gunicorn's limit of 4,094 bytes and under ours"),
    ("007", "a field is over gunicorn's limit of 8,190 bytes, the head under ours"),
    ("008", "a field is over gunicorn's limit of 8,190 bytes, the head under ours"),
    ("010", "gunicorn's limit is set to 10 bytes for a field"),
    ("011", "gunicorn's limit is set to two fields"),
    ("012", "gunicorn's limit is set to 98 bytes for a field"),
    ("017", "a field is over gunicorn's limit of 8,190 bytes, the head under ours"),
    ("019", "schemes forwarded by the client contradict each other; we set our own"),
];

/// Good for gunicorn and not for us.
const REFUSED_BY_US: [(&str, RequestFault); 14] = [
    ("005", RequestFault::TargetByte),
    ("009", RequestFault::TargetByte),
    ("025", RequestFault::Framing(FramingFault::TransferCodingUnknown)),
    ("025_line", RequestFault::Framing(FramingFault::TransferCodingUnknown)),
    ("027", RequestFault::TargetByte),
    ("028", RequestFault::Head(HeadFault::BlankBeforeColon)),
    ("029", RequestFault::Framing(FramingFault::TransferCodingUnknown)),
    ("030", RequestFault::Framing(FramingFault::TransferCodingUnknown)),
    ("040", RequestFault::NameShadowsKnown),
    ("040_compat", RequestFault::NameShadowsKnown),
    ("compat_obs_fold", RequestFault::Head(HeadFault::FoldedLine)),
    ("compat_obs_fold_huge", RequestFault::Head(HeadFault::FoldedLine)),
    // The PROXY protocol is not HTTP.
    ("pp_01", RequestFault::RequestLineSpaces),
    ("pp_02", RequestFault::RequestLineSpaces),
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

/// The files write CR LF and a few other bytes as escapes, and wrap lines
/// where the message has none.
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
            _ => (byte, after),
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

#[test]
#[ignore = "needs gunicorn's source package; scripts/test fetches it"]
fn malformed_requests_are_refused() {
    for (name, bytes) in files("invalid") {
        let end = read_file(&bytes);
        let is_listed = TAKEN_FOR_GOOD.iter().any(|(listed, _)| *listed == name);
        let is_taken = matches!(end, End::Clean(_));
        assert_eq!(is_taken, is_listed, "invalid/{name}: {end:?}");
    }
}

#[test]
#[ignore = "needs gunicorn's source package; scripts/test fetches it"]
fn good_requests_are_read() {
    for (name, bytes) in files("valid") {
        let end = read_file(&bytes);
        let refused = REFUSED_BY_US.iter().find(|(listed, _)| *listed == name);
        match refused {
            Some((_, fault)) => assert_eq!(end, End::Refused(*fault), "valid/{name}"),
            None if name == CUT_BY_THE_FILE => assert_eq!(end, End::Cut, "valid/{name}"),
            None => assert!(matches!(end, End::Clean(1..)), "valid/{name}: {end:?}"),
        }
    }
}
