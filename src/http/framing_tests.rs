//! What the fields of a request say about its body and its connection.

use super::*;

#[test]
fn the_length_is_one_plain_number() {
    let row = |value: &[u8], expected| {
        check_field(&[b"Content-Length:", value].concat(), expected);
    };
    row(b"0", Ok("POST / a Length(0)"));
    row(b" 5", Ok("POST / a Length(5)"));
    row(b"\t005 ", Ok("POST / a Length(5)"));
    row(b"9223372036854775807", Ok("POST / a Length(9223372036854775807)"));
    row(b"9223372036854775808", Err(F::LengthTooLarge.into()));
    row(b"18446744073709551621", Err(F::LengthTooLarge.into()));
    row(b"99999999999999999999999999999999", Err(F::LengthTooLarge.into()));
    for value in [
        &b""[..],
        b" ",
        b"+5",
        b"-5",
        b"-0",
        b"0x5",
        b"5 5",
        b"5;",
        b"5.0",
        b"5e1",
        b"\"5\"",
        b"1_0",
        b"a",
        b"5\xd9\xa3",
        b"\xef\xbc\x95",
    ] {
        row(value, Err(F::LengthInvalid.into()));
    }
    for value in [&b"5, 5"[..], b"5,5", b"5,6", b"5,", b",5", b","] {
        row(value, Err(F::LengthTwice.into()));
    }
    refuses_field(b"Content-Length: 5\r\nContent-Length: 5", F::LengthTwice);
    refuses_field(b"Content-Length: 5\r\ncontent-LENGTH: 6", F::LengthTwice);
}

#[test]
fn the_transfer_encoding_is_chunked_and_nothing_else() {
    let row = |value: &[u8], expected| {
        check_field(&[b"Transfer-Encoding:", value].concat(), expected);
    };
    row(b" chunked", Ok("POST / a Chunked"));
    row(b"\tChUnKeD\t ", Ok("POST / a Chunked"));
    for value in
        [&b"x"[..], b"gzip", b"identity", b"x, chunked", b"chunkedd", b"xchunked", b"chunked-x"]
    {
        row(value, Err(F::TransferCodingUnknown.into()));
    }
    for value in [&b"chunked, x"[..], b"chunked,identity", b"x, chunked, y"] {
        row(value, Err(F::ChunkedNotLast.into()));
    }
    row(b"chunked, chunked", Err(F::TransferEncodingTwice.into()));
    for value in [
        &b""[..],
        b"\"chunked\"",
        b"'chunked",
        b"chunked;q=1",
        b"chunked ;",
        b"chunked,",
        b",chunked",
        b"chunked x",
        b"chunked\tx",
        b"chu nked",
        b"\xffchunked",
        b"chunked\xa0",
        b"[chunked]",
    ] {
        let fault = if value == b"'chunked" {
            F::TransferCodingUnknown
        } else {
            F::TransferEncodingInvalid
        };
        row(value, Err(fault.into()));
    }
    for value in [&b"\x0bchunked"[..], b"\x0cchunked", b"chunked\x0b", b"chun\0ked"] {
        row(value, Err(H::ControlByte.into()));
    }
    refuses_field(
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        F::TransferEncodingTwice,
    );
    refuses_field(b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x", F::TransferEncodingTwice);
    refuses_field(b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked", F::TransferCodingUnknown);
    refuses(
        b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        F::TransferEncodingOnHttp10,
    );
}

#[test]
fn refuses_two_opinions_about_the_length() {
    // CL.TE and TE.CL.
    refuses_field(
        b"Content-Length: 5\r\nTransfer-Encoding: chunked",
        F::LengthWithTransferEncoding,
    );
    refuses_field(
        b"Transfer-Encoding: chunked\r\nContent-Length: 5",
        F::LengthWithTransferEncoding,
    );
    refuses_field(
        b"Transfer-Encoding: chunked\r\nContent-Length: 0",
        F::LengthWithTransferEncoding,
    );
}

#[test]
fn the_framing_counts_whatever_the_method() {
    // CL.0: a receiver that ignores the body of a GET would read it as the
    // next request.
    for method in ["GET", "HEAD", "DELETE", "OPTIONS", "X"] {
        let input = format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /");
        check(input.as_bytes(), Ok(&format!("{method} / a Length(5)")));
        let input = format!("{method} / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        check(input.as_bytes(), Ok(&format!("{method} / a Chunked")));
    }
    // 0.CL: without framing there is no body, whatever comes behind.
    check(b"POST / HTTP/1.1\r\nHost: a\r\n\r\nhello", Ok("POST / a None"));
}

#[test]
fn expectations_are_met_or_refused() {
    check_field(b"Expect: 100-Continue\r\nContent-Length: 5", Ok("POST / a Length(5) continue"));
    check_field(b"Expect: 100-continue\r\nContent-Length: 0", Ok("POST / a Length(0)"));
    check_field(b"Expect: 100-continue", Ok("POST / a None"));
    check(
        b"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
        Ok("POST /  Length(5) close"),
    );
    refuses_field(b"Expect: 200-ok", R::ExpectUnknown);
    refuses_field(b"Expect:", R::ExpectUnknown);
    refuses_field(b"Expect: 100-continue, 100-continue", R::ExpectUnknown);
    refuses_field(b"Expect: 100-continue\r\nExpect: 100-continue", R::ExpectUnknown);
}

#[test]
fn the_connection_lives_on_when_both_say_so() {
    check_field(b"Connection: keep-alive", Ok("POST / a None"));
    check_field(b"Connection: x, CLOSE ,y", Ok("POST / a None close"));
    check_field(b"Connection: close\r\nConnection: keep-alive", Ok("POST / a None close"));
    check_field(b"Connection: closed", Ok("POST / a None"));
    check(b"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", Ok("GET /  None"));
    check(b"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", Ok("GET /  None close"));
    let many = format!("Connection: {}", "a,".repeat(32));
    refuses_field(many.as_bytes(), F::ConnectionOptionsTooMany);
    let enough = format!("Connection: {}a", "a,".repeat(31));
    check_field(enough.as_bytes(), Ok("POST / a None"));
}

#[test]
fn an_upgrade_is_an_offer() {
    check_field(b"Connection: Upgrade\r\nUpgrade: websocket", Ok("POST / a None upgrade"));
    check_field(
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 5",
        Ok("POST / a Length(5) upgrade"),
    );
    check_field(b"Upgrade: websocket", Ok("POST / a None"));
    check_field(b"Connection: upgrade", Ok("POST / a None"));
    check(
        b"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        Ok("GET /  None close"),
    );
}
