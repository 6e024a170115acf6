//! What a request looks like to one who does not understand it: sizes, and
//! counts of a few bytes and words. One pass of vector searches over what is
//! read, which has a bound.

use memchr::memmem;

use super::{
    Reading,
    finders::{FENCE, NAME, ROLE, TYPE},
    markers::markers,
};
use crate::{base::Span, llm::Peek};

/// How much of a conversation is looked through, half of it at its beginning
/// and half at its end.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// How much is looked through for words: the beginning, where instructions
/// stand, and the end, where the question stands.
const MARKED_FIRST_BYTES: usize = 1 << 10;
const MARKED_LAST_BYTES: usize = 2 << 10;

/// The features of a request. Each grows with what it counts.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Features {
    /// Estimated.
    pub prompt_tokens: u64,
    /// Messages of the conversation, in all roles.
    pub turns: u32,
    /// Fences (```) in the text.
    pub fences: u32,
    /// Braces and semicolons among a thousand bytes of text, those of the
    /// conversation's own writing left out.
    pub braces_per_thousand: u32,
    /// Tools that are offered.
    pub tools: u32,
    /// The answer must have a given form.
    pub schema: bool,
    pub questions: u32,
    /// Different words that ask for reasons, plans or steps.
    pub markers: u32,
    /// What the client allows the answer to be.
    pub max_tokens: Option<u64>,
    /// The effort that the client has asked for, from 0 to 3.
    pub effort: u32,
    /// What of these is known.
    pub depth: Depth,
}

/// How far a body was read for its features. Each step takes longer than the
/// one before, so that it is taken only where it matters what it brings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// Sizes, and what the client asks for in so many words.
    Sizes,
    /// What is counted in the whole text: turns, fences, braces, tools.
    Counts,
    /// Questions and markers: everything.
    #[default]
    Words,
}

impl Reading<'_> {
    /// All features.
    #[must_use]
    pub fn features(&self, prompt_tokens: u64) -> Features {
        let mut features = self.sizes(prompt_tokens);
        while features.depth < Depth::Words {
            self.deepen(&mut features);
        }
        features
    }

    /// What is known at once.
    #[must_use]
    pub fn sizes(&self, prompt_tokens: u64) -> Features {
        let Peek { hints, max_tokens, .. } = *self.peek;
        Features {
            prompt_tokens,
            max_tokens,
            schema: hints.format.is_some_and(|format| self.is_schema(format)),
            effort: hints.effort.map_or(0, |effort| effort_of(effort.of(self.body))),
            depth: Depth::Sizes,
            ..Features::default()
        }
    }

    /// Reads one step further.
    pub fn deepen(&self, features: &mut Features) {
        let text = self.peek.messages.map(|span| span.of(self.body)).unwrap_or_default();
        match features.depth {
            Depth::Sizes => {
                self.count(text, features);
                features.depth = Depth::Counts;
            }
            Depth::Counts | Depth::Words => {
                let [opening, question] = ends(text, MARKED_FIRST_BYTES, MARKED_LAST_BYTES);
                features.questions = questions(opening) + questions(question);
                features.markers = markers(&[opening, question]);
                features.depth = Depth::Words;
            }
        }
    }

    fn count(&self, text: &[u8], features: &mut Features) {
        let [first, last] = ends(text, TEXT_BYTES_MAX / 2, TEXT_BYTES_MAX / 2);
        let count = |finder: &memmem::Finder<'_>| {
            let of = |text: &&[u8]| finder.find_iter(text).count() as u32;
            [first, last].iter().filter(|text| !text.is_empty()).map(of).sum::<u32>()
        };
        features.turns = count(&ROLE).max(u32::from(!text.is_empty()));
        // Each message and each part has two braces of its own.
        let own = 2 * (features.turns + count(&TYPE));
        let braces = (braces(first) + braces(last)).saturating_sub(own);
        features.braces_per_thousand = per_thousand(braces, first.len() + last.len());
        features.fences = count(&FENCE);
        features.tools = self.peek.tools.map_or(0, |tools| self.tools(tools));
    }

    /// How many tools there are, more or less: each has a name.
    fn tools(&self, tools: Span) -> u32 {
        let [first, last] = ends(tools.of(self.body), TEXT_BYTES_MAX / 2, TEXT_BYTES_MAX / 2);
        let named = |text: &[u8]| NAME.find_iter(text).count() as u32;
        let is_offered = self.peek.offers_tools(self.body);
        (named(first) + named(last)).max(1) * u32::from(is_offered)
    }

    /// `{"type":"text"}` asks for no form.
    fn is_schema(&self, format: Span) -> bool {
        let [format, _] = ends(format.of(self.body), MARKED_FIRST_BYTES, 0);
        [&b"json_schema"[..], b"json_object", b"grammar"]
            .iter()
            .any(|word| memmem::find(format, word).is_some())
    }
}

/// The beginning and the end of a text, the second empty where the first is
/// all of it.
fn ends(text: &[u8], first_max: usize, last_max: usize) -> [&[u8]; 2] {
    let (first, rest) = text.split_at_checked(first_max).unwrap_or((text, &[]));
    let skipped = rest.len().saturating_sub(last_max);
    [first, rest.get(skipped..).unwrap_or_default()]
}

/// Text this short has no density to speak of.
const DENSITY_BYTES_MIN: usize = 400;

fn per_thousand(count: u32, length: usize) -> u32 {
    (u64::from(count) * 1000 / length.max(DENSITY_BYTES_MIN) as u64) as u32
}

/// Braces and semicolons. Counted in stretches for which a byte is enough, so
/// that the compiler counts sixteen or more at once.
fn braces(text: &[u8]) -> u32 {
    const STRETCH: usize = 128;
    let (stretches, rest) = text.as_chunks::<STRETCH>();
    let is_one = |byte: &u8| u8::from(matches!(byte, b'{' | b'}' | b';'));
    let count = |part: &[u8; STRETCH]| part.iter().map(is_one).sum::<u8>();
    let whole: u32 = stretches.iter().map(|part| u32::from(count(part))).sum();
    whole + rest.iter().map(|byte| u32::from(is_one(byte))).sum::<u32>()
}

fn questions(text: &[u8]) -> u32 {
    let count = |marks: [&[u8]; 2]| -> usize {
        marks.iter().map(|mark| memmem::find_iter(text, mark).count()).sum()
    };
    let mut questions = memchr::memchr_iter(b'?', text).count();
    // Of East Asia and of Arabic, which most texts have no use for.
    if !text.is_ascii() {
        questions += count([b"\xef\xbc\x9f", b"\xd8\x9f"]);
    }
    if memchr::memchr_iter(b'\\', text).any(|at| text.get(at + 1) == Some(&b'u')) {
        questions += count([b"\\uff1f", b"\\u061f"]);
    }
    questions as u32
}

/// `"high"`, `{"effort":"high"}` or `{"type":"enabled","budget_tokens":…}`.
fn effort_of(effort: &[u8]) -> u32 {
    let [effort, _] = ends(effort, 256, 0);
    let says = |words: &[&str]| words.iter().any(|w| memmem::find(effort, w.as_bytes()).is_some());
    if says(&["\"high\"", "\"xhigh\"", "\"max\""]) {
        3
    } else if says(&["\"medium\"", "\"enabled\"", "\"adaptive\""]) {
        2
    } else {
        u32::from(says(&["\"low\""]))
    }
}
