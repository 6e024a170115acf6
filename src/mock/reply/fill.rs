//! Puts an answer's facts where a template names them.

use std::ops::Range;

use super::{Answer, Form};

/// One moment for all answers, so that they are the same bytes each time.
const CREATED: &str = "1700000000";

/// Events as they are sent, but for the answer's whole text: it may be of any
/// length, so only its places are kept.
#[derive(Default)]
pub struct Message {
    pub bytes: Vec<u8>,
    /// Where in the bytes the text goes, in rising order.
    text_at: Vec<usize>,
}

impl Message {
    /// Its literals, each with whether the whole text follows it.
    pub fn pieces(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let ends = self.text_at.iter().map(|at| (*at, true));
        let mut start = 0;
        ends.chain([(self.bytes.len(), false)]).map(move |(end, is_text_next)| {
            let literal = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (literal, is_text_next)
        })
    }

    /// In bytes, with the text.
    pub fn length(&self, answer: &Answer<'_>) -> u64 {
        let texts = answer.text_bytes().saturating_mul(self.text_at.len() as u64);
        texts.saturating_add(self.bytes.len() as u64)
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.text_at.clear();
    }
}

/// Appends `template` with its `$names` replaced. `$text` is the whole text.
pub(super) fn fill(
    out: &mut Message,
    template: &str,
    form: &Form,
    answer: &Answer<'_>,
    sequence: u64,
) {
    for (literal, name) in pieces(template) {
        out.bytes.extend_from_slice(literal.as_bytes());
        match name {
            "seq" => put_number(&mut out.bytes, sequence),
            "text" => out.text_at.push(out.bytes.len()),
            name => match part(form, name) {
                Some(part) => fill(out, part, form, answer, sequence),
                None => put_fact(&mut out.bytes, name, form, answer),
            },
        }
    }
}

/// `template` filled, which does not hold the whole text.
pub(super) fn filled(template: &str, form: &Form, answer: &Answer<'_>) -> Vec<u8> {
    let mut message = Message::default();
    fill(&mut message, template, form, answer, 0);
    debug_assert!(message.text_at.is_empty());
    message.bytes
}

fn part(form: &Form, name: &str) -> Option<&'static str> {
    form.parts.iter().find(|(part, _)| *part == name).map(|(_, template)| *template)
}

/// A template all of whose facts are in, save the number of the event and the
/// text of the token (a part of the template holds neither).
pub(super) struct Filled {
    bytes: Vec<u8>,
    /// Where the event's number goes, before the text.
    sequence_at: Option<usize>,
    text_at: usize,
}

impl Filled {
    pub(super) fn new(template: &str, form: &Form, answer: &Answer<'_>) -> Self {
        let mut filled = Self { bytes: Vec::with_capacity(512), sequence_at: None, text_at: 0 };
        for (literal, name) in pieces(template) {
            filled.bytes.extend_from_slice(literal.as_bytes());
            match name {
                "seq" => filled.sequence_at = Some(filled.bytes.len()),
                "text" => filled.text_at = filled.bytes.len(),
                name => match part(form, name) {
                    Some(part) => filled.bytes.extend(self::filled(part, form, answer)),
                    None => put_fact(&mut filled.bytes, name, form, answer),
                },
            }
        }
        filled
    }

    /// Bytes of the events of all tokens, which have these numbers, without
    /// their text.
    pub(super) fn length_of_all(&self, sequence: Range<u64>) -> u64 {
        let count = sequence.end - sequence.start;
        let numbers = digits_below(sequence.end) - digits_below(sequence.start);
        self.bytes.len() as u64 * count + self.sequence_at.map_or(0, |_| numbers)
    }

    /// Appends the event of token `index`.
    pub(super) fn write(&self, out: &mut Vec<u8>, sequence: u64, answer: &Answer<'_>, index: u32) {
        let (before, after) = self.bytes.split_at(self.text_at);
        match self.sequence_at {
            None => out.extend_from_slice(before),
            Some(at) => {
                let (head, rest) = before.split_at(at);
                out.extend_from_slice(head);
                put_number(out, sequence);
                out.extend_from_slice(rest);
            }
        }
        answer.text().write(out, answer.text_before(index), answer.token_bytes);
        out.extend_from_slice(after);
    }
}

/// Digits of all the numbers from 0 to `end`, without `end` itself.
fn digits_below(end: u64) -> u64 {
    let mut digits = end;
    // Each number from 10 on has a second digit, each from 100 on a third.
    let mut power = 10;
    while power < end {
        digits += end - power;
        power *= 10;
    }
    digits
}

fn put_fact(out: &mut Vec<u8>, name: &str, form: &Form, answer: &Answer<'_>) {
    let completion = u64::from(answer.tokens);
    match name {
        "" => {} // behind the last literal
        "id" => {
            out.extend_from_slice(form.id.as_bytes());
            put_digest(out, answer.digest);
        }
        "digest" => put_digest(out, answer.digest),
        "model" => out.extend_from_slice(answer.model),
        "created" => out.extend_from_slice(CREATED.as_bytes()),
        "finish" => put_choice(out, form.finish, answer.cut_short),
        "details" => put_choice(out, form.details, answer.cut_short),
        "prompt" => put_number(out, answer.prompt_tokens),
        "completion" => put_number(out, completion),
        "total" => put_number(out, answer.prompt_tokens + completion),
        name => debug_assert!(false, "no fact is called {name}"),
    }
}

fn put_choice(out: &mut Vec<u8>, [own, cut_short]: [&str; 2], is_cut_short: bool) {
    out.extend_from_slice(if is_cut_short { cut_short } else { own }.as_bytes());
}

fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Sixteen hexadecimal digits.
pub(super) fn put_digest(out: &mut Vec<u8>, digest: u64) {
    for shift in (0..16).rev() {
        let nibble = (digest >> (4 * shift)) as u8 & 0xf;
        out.push(if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 });
    }
}

/// Literals, each with the name that follows it; the last has none.
fn pieces(template: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = Some(template);
    std::iter::from_fn(move || {
        let Some((literal, behind)) = rest?.split_once('$') else {
            return rest.take().map(|literal| (literal, ""));
        };
        let end = behind.find(|letter: char| !letter.is_ascii_lowercase());
        let (name, after) = behind.split_at(end.unwrap_or(behind.len()));
        rest = Some(after);
        Some((literal, name))
    })
}
