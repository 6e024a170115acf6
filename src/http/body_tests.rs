use super::*;

#[test]
fn joins_the_chunks_in_place() {
    let mut input = *b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\na: b\r\n\r\nnext";
    let mut body = BodyDecoder::new(BodyFraming::Chunked);
    let decoded = body.decode(&mut input).unwrap();
    assert_eq!(&input[decoded.data], b"hello world");
    assert_eq!(&input[decoded.consumed..], b"next");
    assert!(decoded.done);
}
