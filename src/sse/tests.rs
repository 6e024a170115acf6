//! Rows for events, each run cut at every byte.

use super::*;

/// The events of `stream`, each as `name|data|whole`, from feeds of these cuts.
fn read(feeds: &[&[u8]], event_bytes_max: usize) -> (Vec<String>, bool) {
    let mut scanner = EventScanner::new(event_bytes_max);
    let mut events = Vec::new();
    for feed in feeds {
        scanner.feed(feed, |event| {
            let mut joined = Vec::new();
            let Reading { name, data } = event.read(&mut joined);
            let data = data.map_or("-".into(), String::from_utf8_lossy);
            let long = if event.whole { "" } else { "|long" };
            events.push(format!("{}|{data}{long}", String::from_utf8_lossy(name)));
        });
    }
    (events, scanner.at_event_boundary())
}

/// In one feed, in two at every cut, in three around every byte, and byte by
/// byte.
#[track_caller]
fn check_with_max(stream: &[u8], event_bytes_max: usize, expected: &[&str], at_boundary: bool) {
    let shown = String::from_utf8_lossy(stream);
    let check = |feeds: &[&[u8]], how: String| {
        let (events, boundary) = read(feeds, event_bytes_max);
        assert_eq!(events, expected, "{shown:?} {how}");
        assert_eq!(boundary, at_boundary, "{shown:?} {how}");
    };
    check(&[stream], "whole".into());
    for cut in 0..=stream.len() {
        let (left, right) = stream.split_at(cut);
        check(&[left, right], format!("cut at {cut}"));
        if let Some((byte, right)) = right.split_at_checked(1) {
            check(&[left, byte, b"", right], format!("cut around {cut}"));
        }
    }
    check(&stream.chunks(1).collect::<Vec<_>>(), "byte by byte".into());
}

#[track_caller]
fn check(stream: &str, expected: &[&str]) {
    check_with_max(stream.as_bytes(), EVENT_BYTES_MAX, expected, true);
}

#[track_caller]
fn check_unfinished(stream: &str, expected: &[&str]) {
    check_with_max(stream.as_bytes(), EVENT_BYTES_MAX, expected, false);
}

#[test]
fn a_blank_line_ends_an_event() {
    check("", &[]);
    check("data: a\n\n", &["|a"]);
    check("data: a\n\ndata: b\n\n", &["|a", "|b"]);
    check("\n\n\ndata: a\n\n\n\n", &["|a"]);
    check_unfinished("data: a", &[]);
    check_unfinished("data: a\n", &[]);
    check_unfinished("data: a\n\nd", &["|a"]);
}

#[test]
fn lines_end_in_lf_crlf_or_cr() {
    check("data: a\r\n\r\n", &["|a"]);
    check("data: a\r\r", &["|a"]);
    check("data: a\n\r", &["|a"]);
    check("data: a\r\n\n", &["|a"]);
    check("data: a\n\r\n", &["|a"]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &["|a", "|b"]);
    check("data: a\r\rdata: b\r\r", &["|a", "|b"]);
    check("event: e\rdata: a\ndata: b\r\n\r\n", &["e|a\nb"]);
    check("\r\n\r\ndata: a\r\n\r\n", &["|a"]);
    check_unfinished("data: a\r\n", &[]);
    check_unfinished("data: a\r", &[]);
}

#[test]
fn one_blank_after_the_colon_is_not_data() {
    check("data:a\n\n", &["|a"]);
    check("data:  a\n\n", &["| a"]);
    check("data: a: b\n\n", &["|a: b"]);
    check("data:\n\n", &["|"]);
    check("data: \n\n", &["|"]);
    check("data\n\n", &["|"]);
    check("data:\ta\n\n", &["|\ta"]);
}

#[test]
fn data_lines_are_joined_by_lf() {
    check("data: a\ndata: b\n\n", &["|a\nb"]);
    check("data: a\n: comment\ndata:b\nid: 1\ndata\n\n", &["|a\nb\n"]);
}

#[test]
fn the_last_name_counts_and_other_fields_are_read_over() {
    check("event: a\nevent: b\ndata: x\n\n", &["b|x"]);
    check("id: 7\nretry: 10\nevent:ping\n\n", &["ping|-"]);
    check(": keep-alive\n\n", &["|-"]);
    check("Data: a\n data: b\ndatax: c\n\n", &["|-"]);
}

#[test]
fn a_byte_order_mark_is_passed_over_once() {
    check("\u{feff}data: a\n\n", &["|a"]);
    check("\u{feff}\u{feff}data: a\n\n", &["|-"]);
    check("data: a\n\n\u{feff}data: b\n\n", &["|a", "|-"]);
    check_with_max(b"\xef\xbbdata: a\n\n", EVENT_BYTES_MAX, &["|-"], true);
    check_with_max(b"\xef\xbb", EVENT_BYTES_MAX, &[], false);
    check_with_max(b"\xef\n\n", EVENT_BYTES_MAX, &["|-"], true);
}

#[test]
fn a_mark_within_data_ends_nothing() {
    check("data: {\"c\":\"data: x\\n\\n\"}\n\n", &["|{\"c\":\"data: x\\n\\n\"}"]);
}

#[test]
fn an_event_over_the_maximum_shows_its_beginning() {
    let stream = b"data: 0123\n\ndata: 01234\n\ndata: b\n\n";
    check_with_max(stream, 11, &["|0123", "|01234|long", "|b"], true);
}

#[test]
fn the_head_of_a_long_event_is_the_same_however_it_is_cut() {
    let long = "x".repeat(3 * EVENT_HEAD_BYTES);
    let stream = format!("event: e\ndata: {long}\n\ndata: b\n\n");
    let kept = EVENT_HEAD_BYTES - "event: e\ndata: ".len();
    let expected = [format!("e|{}|long", "x".repeat(kept)), "|b".to_owned()];
    for size in [1, 7, 100, EVENT_HEAD_BYTES, EVENT_HEAD_BYTES + 1, stream.len()] {
        for event_bytes_max in [10, EVENT_HEAD_BYTES, 2 * EVENT_HEAD_BYTES] {
            let feeds: Vec<&[u8]> = stream.as_bytes().chunks(size).collect();
            assert_eq!(read(&feeds, event_bytes_max).0, expected, "{size} {event_bytes_max}");
        }
    }
}

#[test]
fn the_fill_always_reaches_a_boundary() {
    let streams = [
        "",
        "d",
        "data: a\n",
        "data: a\r",
        "data: a\r\n",
        "data: a\n\n",
        ": x\r\n\r",
        "\u{feff}d",
        "\u{feff}",
    ];
    for stream in streams {
        let mut scanner = EventScanner::default();
        scanner.feed(stream.as_bytes(), |_| {});
        let was_at_boundary = scanner.at_event_boundary();
        let fill = scanner.boundary_fill();
        assert_eq!(fill.is_empty(), was_at_boundary, "{stream:?}");
        scanner.feed(fill, |_| {});
        assert!(scanner.at_event_boundary(), "{stream:?}");
    }
}

/// What is kept is within the limit, and so is the memory that keeps it.
#[test]
fn a_carry_takes_no_more_memory_than_it_may() {
    let max = 100_000;
    let mut scanner = EventScanner::new(max);
    let mut fed = 0;
    while fed + 7000 <= max {
        scanner.feed(&[b'x'; 7000], |_| {});
        fed += 7000;
        let memory = scanner.carry_memory();
        assert!((fed..=max.min(2 * fed)).contains(&memory), "{memory} for {fed}");
    }
    assert_eq!(scanner.carried_bytes(), fed);
    scanner.feed(&[b'x'; 7000], |_| {});
    assert!(scanner.carry_memory() <= 2 * EVENT_HEAD_BYTES, "of an event that is too long");
}

#[test]
fn an_event_that_is_given_up_is_known_by_its_beginning() {
    let mut scanner = EventScanner::default();
    scanner.give_up_event(); // there is none
    scanner.feed(b"event: e\ndata: ", |_| {});
    scanner.feed(&[b'x'; 50_000], |_| {});
    scanner.give_up_event();
    assert!(scanner.carry_memory() <= 2 * EVENT_HEAD_BYTES);
    scanner.feed(b"xx", |_| {});
    let mut seen = Vec::new();
    scanner.feed(b"\n\ndata: b\n\n", |event| seen.push((event.raw.len(), event.whole)));
    assert_eq!(seen, [(EVENT_HEAD_BYTES, false), (8, true)]);
}

#[test]
fn a_large_carry_is_given_back() {
    let mut scanner = EventScanner::default();
    scanner.feed(b"data: ", |_| {});
    scanner.feed(&vec![b'x'; 1 << 19], |_| {});
    assert!(scanner.unfinished().raw.len() > 1 << 19);
    let mut bytes = 0;
    scanner.feed(b"\n\n", |event| bytes = event.raw.len());
    assert_eq!(bytes, 6 + (1 << 19) + 1);
    assert!(scanner.unfinished().raw.is_empty());
}
