use super::*;

#[test]
fn reads_a_request() {
    let mut table = HeaderTable::new();
    let head = b"POST http://h:1/v1/x?a=b HTTP/1.1\r\nHost: h:1\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n";
    let request = parse_request(head, &Limits::default(), &mut table).unwrap();
    assert_eq!(request.method, Method::Post);
    assert_eq!(request.path, b"/v1/x");
    assert_eq!(request.origin_form, b"/v1/x?a=b");
    assert_eq!(request.framing, BodyFraming::Length(12));
    assert!(request.keep_alive && request.expect_continue && !request.upgrade);
}
