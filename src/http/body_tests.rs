use proptest::prelude::*;

use super::*;
use crate::http::write::{CHUNK_PREFIX_MAX, frame_chunk};

use ChunkFault as C;

/// The data, and the bytes that were not used up.
type Outcome<'a> = Result<(&'a [u8], &'a [u8]), ChunkFault>;

/// Decodes pieces one after the other.
fn decode(framing: BodyFraming, pieces: &[&[u8]]) -> Result<(Vec<u8>, usize, bool), ChunkFault> {
    let mut decoder = BodyDecoder::new(framing);
    let mut data = Vec::new();
    let mut consumed = 0;
    for piece in pieces {
        let mut piece = piece.to_vec();
        let decoded = decoder.decode(&mut piece)?;
        assert!(decoder.is_done() || decoded.consumed == piece.len());
        data.extend_from_slice(&piece[decoded.data]);
        consumed += decoded.consumed;
    }
    Ok((data, consumed, decoder.is_done()))
}

/// The one door for chunks: in one go, cut in two at every byte, and byte by
/// byte, the end is the same. No shorter piece of a good body is complete.
fn check(input: &[u8], expected: Outcome<'_>) {
    let shown = input.escape_ascii();
    let same = |pieces: &[&[u8]]| match (decode(BodyFraming::Chunked, pieces), expected) {
        (Ok((data, consumed, done)), Ok((expected_data, rest))) => {
            assert!(done, "{shown}");
            assert_eq!(data, expected_data, "{shown}");
            assert_eq!(&input[consumed..], rest, "{shown}");
        }
        (Err(fault), expected) => assert_eq!(Err(fault), expected, "{shown}"),
        (Ok(found), Err(_)) => assert_eq!(Ok(found), Err(expected), "{shown}"),
    };
    same(&[input]);
    for cut in 0..input.len() {
        same(&[&input[..cut], &input[cut..]]);
        if let Ok((_, rest)) = expected
            && cut < input.len() - rest.len()
        {
            let (_, consumed, done) = decode(BodyFraming::Chunked, &[&input[..cut]]).unwrap();
            assert!(!done && consumed == cut, "{shown} at {cut}");
        }
    }
    same(&input.chunks(1).collect::<Vec<_>>());
}

fn refuses(input: &[u8], fault: ChunkFault) {
    check(input, Err(fault));
}

#[test]
fn joins_the_chunks_in_place() {
    let mut input = *b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\na: b\r\n\r\nnext";
    let mut body = BodyDecoder::new(BodyFraming::Chunked);
    let decoded = body.decode(&mut input).unwrap();
    assert_eq!(decoded, Decoded::data(3..14, 36, true));
    assert_eq!(&input[3..14], b"hello world");
    assert_eq!(&input[36..], b"next");
}

#[test]
fn a_chunk_is_plain_if_we_would_write_the_same_bytes() {
    let plain = |mut input: Vec<u8>| {
        let mut body = BodyDecoder::new(BodyFraming::Chunked);
        let decoded = body.decode(&mut input).unwrap();
        let mut framed = [vec![0; CHUNK_PREFIX_MAX], input[decoded.data.clone()].to_vec()].concat();
        let data = CHUNK_PREFIX_MAX..framed.len();
        let range = frame_chunk(&mut framed, data, false);
        assert_eq!(decoded.is_plain_chunk, framed[range] == input, "{}", input.escape_ascii());
        decoded.is_plain_chunk
    };
    for size in [1, 9, 10, 15, 16, 255, 256, 4096, 0xabcde] {
        let data = vec![b'x'; size];
        let chunk = |line: String| [line.as_bytes(), &data, b"\r\n"].concat();
        assert!(plain(chunk(format!("{size:x}\r\n"))), "{size}");
        assert!(!plain(chunk(format!("0{size:x}\r\n"))), "{size}");
        assert!(!plain(chunk(format!("{size:x};a\r\n"))), "{size}");
        // What follows, or is missing, is left to the states.
        assert!(!plain([chunk(format!("{size:x}\r\n")), b"1".to_vec()].concat()), "{size}");
        let whole = chunk(format!("{size:x}\r\n"));
        assert!(!plain(whole[..whole.len() - 1].to_vec()), "{size}");
    }
    assert!(!plain(b"A\r\n0123456789\r\n".to_vec()));
    assert!(!plain(b"0\r\n\r\n".to_vec()));
}

#[test]
fn reads_chunks() {
    check(b"0\r\n\r\n", Ok((b"", b"")));
    check(b"5\r\nhello\r\n0\r\n\r\n", Ok((b"hello", b"")));
    check(b"5\r\nhello\r\n0\r\n\r\nGET / ", Ok((b"hello", b"GET / ")));
    check(
        b"4\r\nWiki\r\n7\r\npedia i\r\nB\r\nn \r\nchunks.\r\n0\r\n\r\n",
        Ok((b"Wikipedia in \r\nchunks.", b"")),
    );
    check(b"0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", Ok((b"hello", b"")));
    check(b"a\r\n0123456789\r\nA\r\n0123456789\r\n00\r\n\r\n", Ok((b"01234567890123456789", b"")));
    check(b"2\r\n\r\n\r\n0\r\n\r\n", Ok((b"\r\n", b"")));
    check(b"5\r\n0\r\n\r\n\r\n0\r\n\r\n", Ok((b"0\r\n\r\n", b"")));
}

#[test]
fn a_size_is_plain_digits() {
    refuses(b"\r\n", C::SizeEmpty);
    refuses(b"\n", C::SizeEmpty);
    refuses(b";x\r\n", C::SizeEmpty);
    refuses(b"5\r\nhello\r\n\r\n", C::SizeEmpty);
    for size in [
        &b"+5"[..],
        b"-5",
        b"0x5",
        b"0X5",
        b" 5",
        b"\t5",
        b"5 ",
        b"5\t",
        b"5 ;x",
        b"5_0",
        b"5h",
        b"g",
        b"5.0",
        b"5,5",
        b"\"5\"",
        b"\x005",
        b"5\0",
        b"5\x0b",
        b"\xff",
        b"5\xff",
        b"5\x0c",
    ] {
        refuses(&[size, b"\r\nhello\r\n0\r\n\r\n"].concat(), C::SizeInvalid);
    }
    refuses(b"00000000000000005\r\nhello", C::SizeTooLong);
    refuses(b"7fffffffffffffff0\r\n", C::SizeTooLong);
    refuses(b"8000000000000000\r\n", C::SizeTooLarge);
    refuses(b"ffffffffffffffff\r\n", C::SizeTooLarge);
    let mut largest = BodyDecoder::new(BodyFraming::Chunked);
    assert_eq!(largest.decode(&mut b"7fffffffffffffff\r\nx".to_vec()).unwrap().data, 18..19);
}

#[test]
fn every_line_ends_in_cr_lf() {
    refuses(b"5\nhello\r\n0\r\n\r\n", C::SizeLineEnd);
    refuses(b"5\rhello\r\n0\r\n\r\n", C::SizeLineEnd);
    refuses(b"5\r\rhello", C::SizeLineEnd);
    refuses(b"5;x\nhello", C::SizeLineEnd);
    refuses(b"5;x\rhello", C::SizeLineEnd);
    refuses(b"5\r\nhello\n0\r\n\r\n", C::DataEnd);
    refuses(b"5\r\nhello\r0\r\n\r\n", C::DataEnd);
    refuses(b"5\r\nhello0\r\n\r\n", C::DataEnd);
    refuses(b"5\r\nhelloo\r\n0\r\n\r\n", C::DataEnd);
    refuses(b"5\r\nhello\n\r0\r\n\r\n", C::DataEnd);
    refuses(b"5\r\nhell\r\n0\r\n\r\n", C::DataEnd);
    refuses(b"0\r\n\n", C::TrailerLineEnd);
    refuses(b"0\r\n\r\r", C::TrailerLineEnd);
    refuses(b"0\r\n\rX", C::TrailerLineEnd);
    refuses(b"0\n\n", C::SizeLineEnd);
}

#[test]
fn extensions_are_checked_and_dropped() {
    check(b"5;\r\nhello\r\n0;a\r\n\r\n", Ok((b"hello", b"")));
    check(b"5;a=\"b;c\"; d\te~\r\nhello\r\n0\r\n\r\n", Ok((b"hello", b"")));
    // TERM.EXT and EXT.TERM: a lone LF or CR ends a line for some and not for
    // others.
    refuses(b"5;\n;\r\nhello", C::SizeLineEnd);
    refuses(b"5;\r;\r\nhello", C::SizeLineEnd);
    refuses(b"5;a\rb\r\nhello", C::SizeLineEnd);
    for byte in (0..=255).filter(|byte| !matches!(byte, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        refuses(&[b"5;a", &[byte][..], b"\r\nhello\r\n"].concat(), C::ExtensionInvalid);
    }
    let with_extension = |length: usize| format!("1;{}\r\nx\r\n", "e".repeat(length));
    let each = [with_extension(256), with_extension(256), "0\r\n\r\n".to_owned()].concat();
    check(each.as_bytes(), Ok((b"xx", b"")));
    refuses(with_extension(257).as_bytes(), C::ExtensionTooLong);
}

#[test]
fn trailers_are_checked_and_dropped() {
    check(b"0\r\nA: b\r\nC-D:\te\xff \r\nE:\r\n\r\n", Ok((b"", b"")));
    check(b"0\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\nG", Ok((b"", b"G")));
    refuses(b"0\r\nA : b\r\n\r\n", C::TrailerNameInvalid);
    refuses(b"0\r\n: b\r\n\r\n", C::TrailerNameInvalid);
    refuses(b"0\r\n A: b\r\n\r\n", C::TrailerNameInvalid);
    refuses(b"0\r\nA: b\r\n c\r\n\r\n", C::TrailerNameInvalid);
    refuses(b"0\r\nA\r\n\r\n", C::TrailerNameInvalid);
    refuses(b"0\r\nGET / HTTP/1.1\r\n", C::TrailerNameInvalid);
    refuses(b"0\r\nA\n", C::TrailerLineEnd);
    refuses(b"0\r\nA: b\n\r\n", C::TrailerLineEnd);
    refuses(b"0\r\nA: b\rc\r\n", C::TrailerLineEnd);
    refuses(b"0\r\nA: \0\r\n\r\n", C::TrailerValueInvalid);
    refuses(b"0\r\nA: \x7f\r\n\r\n", C::TrailerValueInvalid);
}

#[test]
fn trailers_have_a_limit() {
    let count = |count: usize| ["0\r\n", &"A:\r\n".repeat(count), "\r\n"].concat();
    check(count(64).as_bytes(), Ok((b"", b"")));
    refuses(count(65).as_bytes(), C::TooManyTrailers);
    // The line ends are not counted: `A:`, the value, and the CRs.
    let bytes = |length: usize| format!("0\r\nA:{}\r\n\r\n", "v".repeat(length)).into_bytes();
    let one_go = |input: &[u8]| decode(BodyFraming::Chunked, &[input]).map(|(.., done)| done);
    assert_eq!(one_go(&bytes(8 * 1024 - 4)), Ok(true));
    assert_eq!(one_go(&bytes(8 * 1024 - 3)), Err(C::TrailersTooLarge));
}

#[test]
fn a_length_ends_to_the_byte() {
    let mut body = BodyDecoder::new(BodyFraming::Length(5));
    let first = body.decode(&mut b"hel".to_vec());
    assert_eq!(first, Ok(Decoded::data(0..3, 3, false)));
    assert_eq!(body.on_close(), Err(Truncated));
    let second = body.decode(&mut b"loGET".to_vec());
    assert_eq!(second, Ok(Decoded::data(0..2, 2, true)));
    assert_eq!(body.decode(&mut b"GET".to_vec()).unwrap().consumed, 0);
    assert_eq!(body.on_close(), Ok(()));

    for framing in [BodyFraming::None, BodyFraming::Length(0)] {
        let mut body = BodyDecoder::new(framing);
        assert!(body.is_done() && !framing.has_body());
        let decoded = body.decode(&mut b"GET".to_vec());
        assert_eq!(decoded, Ok(Decoded::data(0..0, 0, true)));
    }
}

#[test]
fn a_close_ends_one_framing_and_cuts_the_others() {
    let mut open = BodyDecoder::new(BodyFraming::UntilClose);
    assert_eq!(open.decode(&mut b"abc".to_vec()), Ok(Decoded::data(0..3, 3, false)));
    assert!(!open.is_done());
    assert_eq!(open.on_close(), Ok(()));
    assert!(open.is_done());

    let whole = b"5\r\nhello\r\n0\r\n\r\n";
    for cut in 0..=whole.len() {
        let mut chunks = BodyDecoder::new(BodyFraming::Chunked);
        chunks.decode(&mut whole[..cut].to_vec()).unwrap();
        let is_whole = cut == whole.len();
        assert_eq!(chunks.is_done(), is_whole);
        assert_eq!(chunks.on_close().is_ok(), is_whole, "at {cut}");
    }
}

proptest! {
    #[test]
    fn what_is_framed_is_decoded(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        cuts in prop::collection::vec(1..64_usize, 1..8),
    ) {
        let mut sent = Vec::new();
        for (index, piece) in pieces.iter().enumerate() {
            let mut buffer = vec![0; CHUNK_PREFIX_MAX];
            buffer.extend_from_slice(piece);
            let data = CHUNK_PREFIX_MAX..buffer.len();
            let range = frame_chunk(&mut buffer, data, index + 1 == pieces.len());
            sent.extend_from_slice(&buffer[range]);
        }
        if pieces.is_empty() {
            sent.extend_from_slice(crate::http::write::LAST_CHUNK);
        }
        let mut rest = &sent[..];
        let mut arrived = Vec::new();
        for cut in cuts.iter().cycle() {
            let (piece, after) = rest.split_at(rest.len().min(*cut));
            arrived.push(piece);
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let decoded = decode(BodyFraming::Chunked, &arrived);
        prop_assert_eq!(decoded, Ok((pieces.concat(), sent.len(), true)));
    }
}
