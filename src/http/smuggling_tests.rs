//! Every byte at every place around the fields that frame a body: what is not
//! refused must be plain, or be about another field.

use super::*;
use crate::http::forwardable;

/// Where a byte is put into `name: value`.
#[derive(Clone, Copy, Debug)]
enum Place {
    BeforeName,
    InName,
    AfterName,
    AfterColon,
    BeforeValue,
    InValue,
    AfterValue,
    BetweenCrAndLf,
}

const PLACES: [Place; 8] = [
    Place::BeforeName,
    Place::InName,
    Place::AfterName,
    Place::AfterColon,
    Place::BeforeValue,
    Place::InValue,
    Place::AfterValue,
    Place::BetweenCrAndLf,
];

fn obfuscate(name: &[u8], value: &[u8], place: Place, bytes: &[u8]) -> Vec<u8> {
    let (name_front, name_back) = name.split_at(name.len() / 2);
    let (value_front, value_back) = value.split_at(value.len() / 2);
    let pieces: [&[u8]; 8] =
        [b"", name_front, name_back, b":", b" ", value_front, value_back, b"\r"];
    let mut line = Vec::new();
    for (index, piece) in pieces.into_iter().enumerate() {
        line.extend_from_slice(piece);
        if index == place as usize {
            line.extend_from_slice(bytes);
        }
    }
    line.push(b'\n');
    line
}

/// The line is refused, or its framing is the plain one, or it is a field of
/// another name, which frames nothing and travels on as it is. Returns
/// whether it was accepted.
fn check_obfuscated(name: &[u8], value: &[u8], plain: BodyFraming, line: &[u8]) -> bool {
    let head = [b"POST / HTTP/1.1\r\nHost: a\r\n", line, b"\r\n"].concat();
    let shown = line.escape_ascii();
    let mut table = HeaderTable::new();
    let Ok(request) = parse_request(&head, &Limits::default(), &mut table) else { return false };
    assert_eq!(request.fields.len(), 2, "{shown}");
    let (read_name, read_value) = request.fields.iter().nth(1).unwrap();
    if read_name.eq_ignore_ascii_case(name) {
        assert_eq!(forwardable(&request.fields).count(), 0, "{shown}");
        if read_value == value {
            assert_eq!(request.framing, plain, "{shown}");
        } else {
            // Digits beside digits make another plain number.
            let length = std::str::from_utf8(read_value).unwrap();
            assert!(length.bytes().all(|byte| byte.is_ascii_digit()), "{shown}");
            assert_eq!(request.framing, BodyFraming::Length(length.parse().unwrap()), "{shown}");
        }
    } else {
        assert_eq!(request.framing, BodyFraming::None, "{shown}");
        assert!(name::is_token(read_name), "{shown}");
        assert!(!name::shadows_a_known_name(read_name), "{shown}");
    }
    true
}

#[test]
fn no_byte_hides_a_field_that_frames() {
    let fields: [(&[u8], &[u8], BodyFraming); 2] = [
        (b"Transfer-Encoding", b"chunked", BodyFraming::Chunked),
        (b"Content-Length", b"42", BodyFraming::Length(42)),
    ];
    let mut counts = Counts::default();
    for (name, value, plain) in fields {
        for place in PLACES {
            for byte in 0..=255 {
                let mut check = |bytes: &[u8]| {
                    let line = obfuscate(name, value, place, bytes);
                    counts.add(check_obfuscated(name, value, plain, &line));
                };
                check(&[byte]);
                for more in [b' ', b'\t', b'\r', b'\n', 0, 0x0b, b',', byte] {
                    check(&[byte, more]);
                    check(&[more, byte]);
                }
            }
        }
    }
    counts.are_both_seen();
}

/// How many lines were accepted and how many refused: a test that only ever
/// sees refusals examines nothing.
#[derive(Debug, Default)]
struct Counts {
    accepted: u32,
    refused: u32,
}

impl Counts {
    fn add(&mut self, accepted: bool) {
        let count = if accepted { &mut self.accepted } else { &mut self.refused };
        *count += 1;
    }

    /// One in fifty of each, which a parser that takes or refuses everything
    /// does not reach.
    #[track_caller]
    fn are_both_seen(&self) {
        let few = (self.accepted + self.refused) / 50;
        assert!(self.accepted > few && self.refused > few, "{self:?}");
    }
}

/// With another framing field beside it, no obfuscation leaves two opinions:
/// the request is refused, or the line is a field of another name.
#[test]
fn no_byte_lets_two_framings_pass() {
    let length: (&[u8], &[u8]) = (b"Content-Length", b"5");
    let chunked: (&[u8], &[u8]) = (b"Transfer-Encoding", b"chunked");
    let pairs = [
        (chunked, length, BodyFraming::Length(5)),
        (length, chunked, BodyFraming::Chunked),
        (chunked, chunked, BodyFraming::Chunked),
        (length, length, BodyFraming::Length(5)),
    ];
    let mut counts = Counts::default();
    for ((name, value), (other_name, other_value), framing) in pairs {
        let other = [other_name, b": ", other_value, b"\r\n"].concat();
        for (place, byte) in PLACES.into_iter().flat_map(|place| (0..=255).map(move |b| (place, b)))
        {
            let line = obfuscate(name, value, place, &[byte]);
            for lines in [[&line[..], &other].concat(), [&other, &line[..]].concat()] {
                counts.add(check_beside(&lines, [name, other_name], framing));
            }
        }
    }
    counts.are_both_seen();
}

/// Returns whether the request was accepted.
fn check_beside(lines: &[u8], names: [&[u8]; 2], framing: BodyFraming) -> bool {
    let shown = lines.escape_ascii();
    let head = [b"POST / HTTP/1.1\r\nHost: a\r\n", lines, b"\r\n"].concat();
    let mut table = HeaderTable::new();
    let Ok(request) = parse_request(&head, &Limits::default(), &mut table) else { return false };
    assert_eq!(request.framing, framing, "{shown}");
    let names_it = |name: &[u8]| names.iter().any(|framing| name.eq_ignore_ascii_case(framing));
    assert_eq!(request.fields.iter().filter(|(name, _)| names_it(name)).count(), 1, "{shown}");
    true
}
