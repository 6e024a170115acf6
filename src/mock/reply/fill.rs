//! Puts an answer's facts where a template names them.

use super::{Answer, Form};

/// One moment for all answers, so that they are the same bytes each time.
const CREATED: &str = "1700000000";

/// Appends `template` with its `$names` replaced. `$text` is the whole text.
pub(super) fn fill(
    out: &mut Vec<u8>,
    template: &str,
    form: &Form,
    answer: &Answer<'_>,
    sequence: u64,
) {
    for (literal, name) in pieces(template) {
        out.extend_from_slice(literal.as_bytes());
        match name {
            "seq" => put_number(out, sequence),
            "text" => {
                let length = usize::try_from(answer.text_bytes()).unwrap_or(usize::MAX);
                answer.text().write(out, 0, length);
            }
            name => match part(form, name) {
                Some(part) => fill(out, part, form, answer, sequence),
                None => put_fact(out, name, form, answer),
            },
        }
    }
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
                    Some(part) => fill(&mut filled.bytes, part, form, answer, 0),
                    None => put_fact(&mut filled.bytes, name, form, answer),
                },
            }
        }
        filled
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
