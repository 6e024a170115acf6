use super::*;

/// The length of the head is found in one go, in two pieces, byte by byte, and
/// again when asked twice.
fn check(input: &[u8], expected: Option<usize>) {
    let shown = input.escape_ascii();
    for cut in 0..=input.len() {
        let mut search = HeadSearch::default();
        let early = search.find(&input[..cut]);
        assert_eq!(early, expected.filter(|length| *length <= cut), "{shown} at {cut}");
        assert_eq!(search.find(input), expected, "{shown} at {cut}");
        assert_eq!(search.find(input), expected, "{shown} at {cut}");
    }
    let mut search = HeadSearch::default();
    let dripped = (0..=input.len()).find_map(|length| search.find(&input[..length]));
    assert_eq!(dripped, expected, "{shown}");
    search.reset();
    assert_eq!(search.find(input), expected, "{shown}");
}

#[test]
fn finds_the_blank_line() {
    check(b"", None);
    check(b"GET / HTTP/1.1\r\n", None);
    check(b"GET / HTTP/1.1\r\n\r", None);
    check(b"GET / HTTP/1.1\r\n\r\n", Some(18));
    check(b"GET / HTTP/1.1\r\nA: b\r\n\r\nhello\r\n\r\n", Some(24));
    check(b"a\r\r\n\r\n", Some(6));
}

#[test]
fn stops_where_nothing_can_mend_the_head() {
    check(b"\n", Some(1));
    check(b"\r\n", Some(2));
    check(b"a\n", Some(2));
    check(b"GET / HTTP/1.1\nHost: a\r\n\r\n", Some(15));
    check(b"a\r\n\nb", Some(4));
    check(b"a\r\nb\nc\r\n\r\n", Some(5));
}

#[test]
fn a_dripped_head_is_searched_once() {
    // A million bytes, one at a time: with a search from the start each time
    // this would look at 5 * 10^11 bytes.
    let head = [vec![b'a'; 1_000_000], b"\r\n\r\n".to_vec()].concat();
    let mut search = HeadSearch::default();
    let found = (0..=head.len()).find_map(|length| search.find(&head[..length]));
    assert_eq!(found, Some(head.len()));
}
