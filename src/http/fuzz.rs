//! The doors a fuzzer comes in by. Each takes any bytes and asserts what must
//! hold for all of them; the targets under `fuzz/` only call these.

use super::write::{CHUNK_PREFIX_MAX, end_of_head, field, field_number, frame_chunk};
use super::write::{request_line, status_line};
use super::{
    BodyDecoder, BodyFraming, ChunkFault, Fields, HeadSearch, HeaderTable, Limits, Request,
    Response, forwardable, parse_request, parse_response,
};

/// Whatever request is accepted, the next hop reads the same one in what is
/// forwarded.
pub fn fuzz_request(data: &[u8]) {
    check_request(data);
}

/// Returns whether it was accepted.
fn check_request(data: &[u8]) -> bool {
    let Some(head) = first_head(data) else { return false };
    let mut table = HeaderTable::new();
    let Ok(request) = parse_request(head, &Limits::default(), &mut table) else { return false };
    assert_clean_lines(head);

    let mut forwarded = Vec::new();
    write_request(&mut forwarded, &request);
    let mut table = HeaderTable::new();
    let again = match parse_request(&forwarded, &roomy(), &mut table) {
        Ok(again) => again,
        Err(fault) => unreachable!("{fault}: {}", forwarded.escape_ascii()),
    };
    assert_eq!(again.method, request.method);
    assert_eq!(again.target, request.origin_form);
    assert_eq!(again.origin_form, request.origin_form);
    assert_eq!(again.path, request.path);
    assert_eq!(again.framing, request.framing);
    assert!(request.host.is_empty() || again.host == request.host);
    assert_ne!(request.framing, BodyFraming::UntilClose, "a request never ends by close");
    assert_same_fields(&request.fields, &again.fields);
    true
}

/// The same for responses. The lowest bit of the first byte says whether the
/// request was a HEAD.
pub fn fuzz_response(data: &[u8]) {
    check_response(data);
}

/// Returns whether it was accepted.
fn check_response(data: &[u8]) -> bool {
    let Some((first, data)) = data.split_first() else { return false };
    let to_head_request = first & 1 == 1;
    let Some(head) = first_head(data) else { return false };
    let mut table = HeaderTable::new();
    let Ok(response) = parse_response(head, to_head_request, &Limits::default(), &mut table) else {
        return false;
    };
    assert_clean_lines(head);
    assert!(!response.keep_alive || response.framing != BodyFraming::UntilClose);

    let mut forwarded = Vec::new();
    write_response(&mut forwarded, &response);
    let mut table = HeaderTable::new();
    let again = match parse_response(&forwarded, to_head_request, &roomy(), &mut table) {
        Ok(again) => again,
        Err(fault) => unreachable!("{fault}: {}", forwarded.escape_ascii()),
    };
    assert_eq!(again.status, response.status);
    assert_eq!(again.framing, response.framing);
    assert_same_fields(&response.fields, &again.fields);
    true
}

/// Chunked bytes mean the same wherever they are cut, and what was decoded
/// survives being framed anew. The first two bytes choose the cuts.
pub fn fuzz_chunks(data: &[u8]) {
    check_chunks(data);
}

/// Returns whether it was accepted.
fn check_chunks(data: &[u8]) -> bool {
    let Some((cuts, data)) = data.split_first_chunk::<2>() else { return false };
    let whole = decode_in_pieces(data, data.len().max(1));
    for piece in [1, 1 + usize::from(cuts[0]), 1 + usize::from(cuts[1] >> 4)] {
        let cut = decode_in_pieces(data, piece);
        assert_eq!(cut.outcome, whole.outcome, "cut every {piece} bytes");
        if whole.outcome.is_ok() {
            assert_eq!(cut.data, whole.data, "cut every {piece} bytes");
        }
    }
    // Every data byte came out of a byte that went in.
    assert!(whole.data.len() <= data.len());

    let mut framed = Vec::new();
    for piece in whole.data.chunks(1 + usize::from(cuts[1])) {
        framed.extend_from_slice(&frame(piece, false));
    }
    framed.extend_from_slice(&frame(&[], true));
    let again = decode_in_pieces(&framed, framed.len());
    assert_eq!(again.outcome, Ok(Some(framed.len())));
    assert_eq!(again.data, whole.data);
    whole.outcome.is_ok()
}

/// What came of a chunked body.
struct Body {
    data: Vec<u8>,
    /// `Some` with the bytes used up if it was complete, `None` if more is to
    /// come.
    outcome: Result<Option<usize>, ChunkFault>,
}

fn decode_in_pieces(input: &[u8], piece: usize) -> Body {
    let mut decoder = BodyDecoder::new(BodyFraming::Chunked);
    let mut data = Vec::new();
    let mut consumed = 0;
    for piece in input.chunks(piece) {
        let mut piece = piece.to_vec();
        let decoded = match decoder.decode(&mut piece) {
            Ok(decoded) => decoded,
            Err(fault) => {
                assert_eq!(decoder.decode(&mut [b'0']), Err(fault), "a fault is for good");
                return Body { data, outcome: Err(fault) };
            }
        };
        assert!(decoded.done || decoded.consumed == piece.len(), "nothing is left lying");
        assert!(decoded.data.end <= decoded.consumed);
        assert_eq!(decoded.done, decoder.is_done());
        consumed += decoded.consumed;
        data.extend_from_slice(piece.get(decoded.data).unwrap_or_default());
        if decoded.done {
            return Body { data, outcome: Ok(Some(consumed)) };
        }
    }
    Body { data, outcome: Ok(None) }
}

fn frame(data: &[u8], last: bool) -> Vec<u8> {
    let mut buffer = vec![b'#'; CHUNK_PREFIX_MAX];
    buffer.extend_from_slice(data);
    let end = buffer.len();
    buffer.extend_from_slice(b"left over");
    let sent = frame_chunk(&mut buffer, CHUNK_PREFIX_MAX..end, last);
    buffer.get(sent).unwrap_or_default().to_vec()
}

/// The head at the front, if `data` holds one. Found in one go and byte by
/// byte, it must be the same.
fn first_head(data: &[u8]) -> Option<&[u8]> {
    let found = HeadSearch::default().find(data);
    let mut search = HeadSearch::default();
    // Far beyond any limit the drip would only take long.
    let dripped = (0..=data.len().min(4096)).find_map(|length| search.find(data.get(..length)?));
    assert!(dripped == found || data.len() > 4096);
    data.get(..found?)
}

/// A second look at an accepted head, by a plainer rule than the parser's: cut
/// at CR LF, no line holds a control byte besides the tab.
fn assert_clean_lines(head: &[u8]) {
    let text = head.escape_ascii();
    let body = head.strip_suffix(b"\r\n\r\n");
    let Some(lines) = body else { unreachable!("no blank line: {text}") };
    let mut rest = lines;
    while let Some(end) = memchr::memmem::find(rest, b"\r\n") {
        let (line, after) = rest.split_at(end);
        assert!(!line.is_empty() && is_clean(line), "{text}");
        rest = after.get(2..).unwrap_or_default();
    }
    assert!(!rest.is_empty() && is_clean(rest), "{text}");
}

fn is_clean(line: &[u8]) -> bool {
    !line.iter().any(|byte| matches!(byte, 0..=8 | 10..=31 | 127))
}

fn assert_same_fields(sent: &Fields<'_, '_>, read: &Fields<'_, '_>) {
    assert!(forwardable(sent).eq(forwardable(read)), "the fields that travel on changed");
}

/// Rewriting may lengthen a head by a version and by blanks behind colons.
fn roomy() -> Limits {
    let limits = Limits::default();
    Limits { head_bytes_max: 2 * limits.head_bytes_max, headers_max: 200, ..limits }
}

/// A request as it is forwarded, without what the exchange adds.
fn write_request(out: &mut Vec<u8>, request: &Request<'_, '_>) {
    request_line(out, request.method.as_bytes(), request.origin_form);
    field(out, b"host", if request.host.is_empty() { b"nowhere" } else { request.host });
    write_rest(out, request.framing, &request.fields);
}

fn write_response(out: &mut Vec<u8>, response: &Response<'_, '_>) {
    status_line(out, response.status);
    write_rest(out, response.framing, &response.fields);
}

fn write_rest(out: &mut Vec<u8>, framing: BodyFraming, fields: &Fields<'_, '_>) {
    match framing {
        BodyFraming::Length(length) => field_number(out, b"content-length", length),
        BodyFraming::Chunked => field(out, b"transfer-encoding", b"chunked"),
        BodyFraming::None | BodyFraming::UntilClose => {}
    }
    for (name, value) in forwardable(fields) {
        field(out, name, value);
    }
    end_of_head(out);
}

#[cfg(test)]
#[path = "fuzz_tests.rs"]
mod tests;
