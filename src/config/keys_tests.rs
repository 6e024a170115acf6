//! Facts about where keys are found, and which can be sent.

use super::*;

fn source(word: &str) -> KeySource {
    KeySource::read(word).unwrap_or_else(|| panic!("{word}"))
}

#[track_caller]
fn check_key(word: &str, found: Result<Option<&[u8]>, &str>, expected: Result<&[u8], Fault>) {
    let found = found.map(|bytes| bytes.map(<[u8]>::to_vec)).map_err(str::to_owned);
    let found = KeysFound::from([(source(word), found)]);
    let key = secret(&source(word), &found);
    assert_eq!(key.as_ref().map(Secret::expose), expected.as_ref().copied(), "{word}");
}

#[test]
fn a_key_is_named_by_its_place_and_never_itself() {
    for word in ["env:A", "env:_OPENAI_KEY_2", "file:/run/key", "file:key with blanks"] {
        assert_eq!(source(word).to_string(), word);
    }
    for word in [
        "",
        "sk-live",
        "env:",
        "env:2A",
        "env:sk-live",
        "env:A B",
        "file:",
        "file:a\nb",
        "ENV:A",
        "http://a",
        "-----BEGIN KEY-----",
    ] {
        assert_eq!(KeySource::read(word), None, "{word:?}");
    }
}

#[test]
fn what_is_found_is_sent_as_it_is_but_for_a_files_last_line_break() {
    check_key("env:A", Ok(Some(b"sk-1")), Ok(b"sk-1"));
    for contents in ["sk-1", "sk-1\n", "sk-1\r\n"] {
        check_key("file:a", Ok(Some(contents.as_bytes())), Ok(b"sk-1"));
    }
    check_key("file:a", Ok(Some(&[b'x'; KEY_BYTES_MAX])), Ok(&[b'x'; KEY_BYTES_MAX]));
}

#[test]
fn what_no_header_takes_is_refused() {
    check_key("env:A", Ok(None), Err(Fault::KeyUnset));
    check_key("env:A", Ok(Some(b"")), Err(Fault::KeyEmpty));
    check_key("file:a", Ok(Some(b"\n")), Err(Fault::KeyEmpty));
    check_key("file:a", Err("no such file"), Err(Fault::KeyUnreadable("no such file".to_owned())));
    let long = [b'x'; KEY_BYTES_MAX + 1];
    check_key("env:A", Ok(Some(&long)), Err(Fault::KeyLong(KEY_BYTES_MAX)));
    for contents in ["sk-1\n", "a\r\nb", "a\nb", "a\0", "Bearer sk-1", "sk-1 ", "ключ", "\u{7f}"]
    {
        check_key("env:A", Ok(Some(contents.as_bytes())), Err(Fault::KeyBytes));
    }
    for contents in ["sk-1\n\n", "a\nb\n", "a\rb"] {
        check_key("file:a", Ok(Some(contents.as_bytes())), Err(Fault::KeyBytes));
    }
}
