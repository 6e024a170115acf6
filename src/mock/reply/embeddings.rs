//! Embeddings: a vector that is a function of its input's bytes.

use std::ops::Range;

use super::{Answer, Whole};
use crate::{
    base::Chance,
    json::{JsonFault, Kind, Skimmer, Value},
    mock::text::digest,
};

const DIMENSIONS: u32 = 16;
/// The largest that the providers sell.
const DIMENSIONS_MAX: u32 = 4096;
/// The most that OpenAI takes in one request.
const INPUTS_MAX: usize = 2048;
/// Numbers in one answer, each about ten bytes of it: an answer is made in
/// memory, and a few bytes of a request ask for thousands of numbers.
const NUMBERS_MAX: usize = 1024 * 1024;

/// What a request for embeddings asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embeddings {
    /// Each input as it is written in the body.
    inputs: Vec<Range<usize>>,
    dimensions: u32,
    /// As base64 of little-endian floats, which OpenAI's SDK asks for.
    base64: bool,
}

/// Why a request for embeddings is refused. The client is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingsFault {
    Body(JsonFault),
    TooMany,
}

impl EmbeddingsFault {
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Body(fault) => fault.reason(),
            Self::TooMany => "The request asks for more embeddings than the mock makes at once.",
        }
    }
}

impl From<JsonFault> for EmbeddingsFault {
    fn from(fault: JsonFault) -> Self {
        Self::Body(fault)
    }
}

impl Embeddings {
    /// # Errors
    /// When the body is no JSON object, or asks for more than is made at once.
    pub fn read(body: &[u8]) -> Result<Self, EmbeddingsFault> {
        let mut asked = Self { inputs: Vec::new(), dimensions: DIMENSIONS, base64: false };
        let mut members = Skimmer::document(body)?;
        while let Some(member) = members.next_member()? {
            match member.key {
                b"input" => asked.inputs = inputs(body, member.value)?,
                b"encoding_format" => {
                    asked.base64 = member.value.span.of(body) == b"\"base64\"";
                }
                b"dimensions" => {
                    let digits = std::str::from_utf8(member.value.span.of(body)).ok();
                    let number = digits.and_then(|digits| digits.parse().ok());
                    asked.dimensions = number.unwrap_or(DIMENSIONS).min(DIMENSIONS_MAX);
                }
                _ => {}
            }
        }
        if asked.inputs.len() * asked.dimensions as usize > NUMBERS_MAX {
            return Err(EmbeddingsFault::TooMany);
        }
        Ok(asked)
    }

    /// The answer; its text is padding, and empty until it is asked for.
    #[must_use]
    pub fn whole(&self, body: &[u8], answer: &Answer<'_>) -> Whole {
        let mut out = b"{\"object\":\"list\",\"data\":[".to_vec();
        for (index, input) in self.inputs.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"object\":\"embedding\",\"index\":");
            out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
            out.extend_from_slice(b",\"embedding\":");
            let seed = digest(body.get(input.clone()).unwrap_or_default());
            self.write_vector(&mut out, seed);
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"model\":\"");
        out.extend_from_slice(answer.model);
        let tokens = answer.prompt_tokens;
        let usage =
            format!("\",\"usage\":{{\"prompt_tokens\":{tokens},\"total_tokens\":{tokens}}},");
        out.extend_from_slice(usage.as_bytes());
        out.extend_from_slice(b"\"padding\":\"");
        Whole { before: out, text_bytes: 0, after: b"\"}".to_vec() }
    }

    fn write_vector(&self, out: &mut Vec<u8>, seed: u64) {
        let mut chance = Chance::seeded(seed);
        // Multiples of 1/65536 in -1..1: exact as a float and as a decimal.
        let numbers =
            (0..self.dimensions).map(|_| (chance.below(131_072) as f32 - 65_536.0) / 65_536.0);
        if self.base64 {
            let bytes: Vec<u8> = numbers.flat_map(f32::to_le_bytes).collect();
            out.push(b'"');
            write_base64(out, &bytes);
            out.push(b'"');
            return;
        }
        out.push(b'[');
        for (index, number) in numbers.enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(number.to_string().as_bytes());
        }
        out.push(b']');
    }
}

/// A string, or the tokens of one, is one input; a list of either is many.
fn inputs(body: &[u8], value: Value) -> Result<Vec<Range<usize>>, EmbeddingsFault> {
    let whole = value.span.start as usize..value.span.end as usize;
    if value.kind != Kind::Array {
        return Ok(vec![whole]);
    }
    let mut found = Vec::new();
    let mut at = whole.start + 1;
    loop {
        while matches!(body.get(at), Some(b' ' | b'\t' | b'\r' | b'\n' | b',')) {
            at += 1;
        }
        match body.get(at) {
            None | Some(b']') => return Ok(found),
            Some(b'0'..=b'9') => return Ok(vec![whole]),
            Some(_) if found.len() == INPUTS_MAX => return Err(EmbeddingsFault::TooMany),
            Some(_) => {
                let end = Skimmer::value_end(body, at)?;
                found.push(at..end);
                at = end;
            }
        }
    }
}

/// RFC 4648, section 4.
fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let mut word = 0_u32;
        for at in 0..3 {
            word = word << 8 | u32::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let index = (word >> (18 - 6 * at)) as usize & 63;
            out.push(if at <= group.len() { ALPHABET[index] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_inputs(body: &str, expected: &[&str]) {
        let asked = Embeddings::read(body.as_bytes()).unwrap();
        let found: Vec<&str> = asked.inputs.iter().map(|input| &body[input.clone()]).collect();
        assert_eq!(found, expected, "{body}");
    }

    #[test]
    fn finds_every_form_of_input() {
        check_inputs(r#"{"input":"a"}"#, &[r#""a""#]);
        check_inputs(r#"{"input":["a", "b,]" ]}"#, &[r#""a""#, r#""b,]""#]);
        check_inputs(r#"{"input":[1, 2]}"#, &["[1, 2]"]);
        check_inputs(r#"{"input":[[1],[2, 3]]}"#, &["[1]", "[2, 3]"]);
        check_inputs(r#"{"input":[]}"#, &[]);
        check_inputs("{}", &[]);
    }

    #[test]
    fn takes_as_many_numbers_as_one_answer_may_have() {
        let read = |inputs: usize, dimensions: u32| {
            let inputs = vec![r#""a""#; inputs].join(",");
            let body = format!(r#"{{"input":[{inputs}],"dimensions":{dimensions}}}"#);
            Embeddings::read(body.as_bytes()).map(|_| ())
        };
        assert_eq!((read(256, 4096), read(2048, 512)), (Ok(()), Ok(())));
        for (inputs, dimensions) in [(257, 4096), (2048, 513), (2049, 1)] {
            assert_eq!(read(inputs, dimensions), Err(EmbeddingsFault::TooMany));
        }
    }

    #[test]
    fn base64_follows_the_rows_of_rfc_4648() {
        let rows = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")];
        for (plain, expected) in rows {
            let mut out = Vec::new();
            write_base64(&mut out, plain.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn both_encodings_hold_the_same_numbers() {
        let plain = Embeddings { inputs: vec![], dimensions: 3, base64: false };
        let mut out = Vec::new();
        plain.write_vector(&mut out, 7);
        let numbers: Vec<f32> = serde_json::from_slice(&out).unwrap();
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let (mut expected, mut found) = (vec![b'"'], Vec::new());
        write_base64(&mut expected, &bytes);
        expected.push(b'"');
        Embeddings { base64: true, ..plain }.write_vector(&mut found, 7);
        assert_eq!(found, expected);
    }
}
