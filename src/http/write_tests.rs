use super::*;

fn check(write: impl FnOnce(&mut Vec<u8>), expected: &[u8]) {
    let mut out = b"before ".to_vec();
    write(&mut out);
    let expected = [b"before ", expected].concat();
    assert_eq!(out, expected, "{}", out.escape_ascii());
}

#[test]
fn writes_a_head() {
    check(|out| request_line(out, b"POST", b"/v1/x?y"), b"POST /v1/x?y HTTP/1.1\r\n");
    check(|out| status_line(out, 200), b"HTTP/1.1 200 OK\r\n");
    check(|out| status_line(out, 431), b"HTTP/1.1 431 Request Header Fields Too Large\r\n");
    check(|out| status_line(out, 529), b"HTTP/1.1 529 \r\n");
    check(|out| field(out, b"X-A", b"b c"), b"X-A: b c\r\n");
    check(|out| field(out, b"x", b""), b"x: \r\n");
    check(
        |out| field_number(out, b"content-length", u64::MAX),
        b"content-length: 18446744073709551615\r\n",
    );
    check(end_of_head, b"\r\n");
}

#[test]
fn every_status_line_is_read_back() {
    use crate::http::{HeaderTable, Limits, ResponseFault, parse_response};
    for status in 100..=599 {
        let mut out = Vec::new();
        status_line(&mut out, status);
        end_of_head(&mut out);
        let mut table = HeaderTable::new();
        let read = parse_response(&out, false, &Limits::default(), &mut table);
        match read {
            Ok(response) => assert_eq!(response.status, status),
            Err(fault) => assert_eq!((status, fault), (101, ResponseFault::UnsolicitedSwitch)),
        }
    }
}

#[test]
#[should_panic(expected = "three digits")]
fn a_status_has_three_digits() {
    status_line(&mut Vec::new(), 1000);
}

#[test]
fn prefixes_are_as_short_as_can_be() {
    for (size, expected) in [
        (0, "0\r\n"),
        (9, "9\r\n"),
        (10, "a\r\n"),
        (255, "ff\r\n"),
        (256, "100\r\n"),
        (0x4000, "4000\r\n"),
        (usize::MAX, "ffffffffffffffff\r\n"),
    ] {
        let (prefix, length) = chunk_prefix(size);
        assert_eq!(&prefix[CHUNK_PREFIX_MAX - length..], expected.as_bytes());
    }
}

fn check_frame(before: &[u8], data: Range<usize>, last: bool, expected: &[u8]) {
    let mut buffer = before.to_vec();
    let sent = frame_chunk(&mut buffer, data, last);
    assert_eq!(&buffer[sent.clone()], expected, "{}", buffer.escape_ascii());
    assert_eq!(sent.end, buffer.len());
}

#[test]
fn frames_data_where_it_lies() {
    check_frame(b"...hello", 3..8, false, b"5\r\nhello\r\n");
    check_frame(b"......hello left over", 6..11, false, b"5\r\nhello\r\n");
    check_frame(b"......hello left over", 6..11, true, b"5\r\nhello\r\n0\r\n\r\n");
    let long = [&[b'.'; CHUNK_PREFIX_MAX][..], &[b'x'; 4096]].concat();
    let expected = [b"1000\r\n", &[b'x'; 4096][..], b"\r\n"].concat();
    check_frame(&long, CHUNK_PREFIX_MAX..long.len(), false, &expected);
}

#[test]
fn no_data_makes_no_chunk() {
    check_frame(b"....", 2..2, false, b"");
    check_frame(b"....", 2..2, true, LAST_CHUNK);
    check_frame(b"", 0..0, true, LAST_CHUNK);
}

#[test]
#[should_panic(expected = "room for the size line")]
fn the_size_line_needs_room() {
    frame_chunk(&mut b"..hello".to_vec(), 2..7, false);
}

#[test]
fn a_frame_with_room_does_not_allocate() {
    let mut buffer = Vec::with_capacity(64);
    buffer.extend_from_slice(b"...hello");
    let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
    frame_chunk(&mut buffer, 3..8, true);
    assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, capacity));
}
