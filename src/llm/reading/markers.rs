//! Words that ask for reasons, plans or steps, in some languages. Written as
//! they stand in JSON, in UTF-8; those of scripts that clients like to escape,
//! also escaped.

/// Each is one marker, however it is written. Letters of ASCII are in lower
/// case; a word has three bytes at least, one that begins with an escape six.
const MARKERS: [&[&str]; 24] = [
    &["step by step", "step-by-step", "schritt für schritt", "paso a paso", "passo a passo"],
    &["étape par étape", "passo dopo passo", "шаг за шагом", "пошагово", "一步一步", "逐步"],
    &["\\u4e00\\u6b65\\u4e00\\u6b65", "\\u9010\\u6b65", "ステップ", "단계별", "adım adım"],
    &["explain", "explique", "explica", "erklär", "spiega", "объясни", "解释", "説明", "설명"],
    &["\\u89e3\\u91ca", "\\u8aac\\u660e", "açıkla", "wyjaśnij", "اشرح", "समझाओ"],
    &["why", "warum", "wieso", "pourquoi", "por qué", "por que", "perché", "почему"],
    &["为什么", "なぜ", "왜", "لماذا", "क्यों", "\\u4e3a\\u4ec0\\u4e48", "\\u306a\\u305c"],
    &["prove", "proof", "beweise", "démontre", "demuestra", "dimostra", "докажи", "证明", "証明"],
    &["analy", "anális", "analis", "проанализируй", "分析", "\\u5206\\u6790", "분석"],
    &["compare", "vergleich", "compara", "confronta", "сравни", "比较", "\\u6bd4\\u8f83"],
    &["evaluate", "assess", "bewerte", "évalue", "evalúa", "оцени", "评估", "\\u8bc4\\u4f30"],
    &["debug", "bug", "fix ", "stack trace", "traceback", "panicked", "exception"],
    &["refactor", "rewrite", "migrate", "rename", "рефактор", "重构", "\\u91cd\\u6784"],
    &["implement", "implémente", "реализуй", "实现", "\\u5b9e\\u73b0", "実装", "구현"],
    &["write tests", "unit test", "test suite", "run the tests", "add tests", "tests pass"],
    &["optimi", "optimal", "performance", "оптимизируй", "优化", "\\u4f18\\u5316", "最適化"],
    &["design", "architect", "entwirf", "conçois", "diseña", "спроектируй", "设计", "設計"],
    &["derive", "calculate", "berechne", "calcule", "calcola", "вычисли", "计算", "計算"],
    &["algorithm", "complexity", "equation", "theorem", "integral", "алгоритм", "算法"],
    &["trade-off", "tradeoff", "pros and cons", "vor- und nachteile", "avantages", "ventajas"],
    &["plan ", "roadmap", "strategy", "strategie", "estrategia", "план", "计划", "計画"],
    &["first,", "then ", "finally", "zuerst", "d'abord", "primero", "сначала", "首先", "まず"],
    &["reason", "justify", "begründe", "justifie", "justifica", "обоснуй", "推理", "理由"],
    &["in detail", "detailed", "ausführlich", "en détail", "en detalle", "подробно", "详细"],
];

const _: () = assert!(MARKERS.len() <= u32::BITS as usize, "a bit for each");

/// A word, and which marker it is one of.
#[derive(Clone, Copy)]
struct Word {
    marker: u8,
    /// The next word of the same bucket, counted from 1; 0 is none.
    next: u8,
    bytes: &'static [u8],
}

const WORDS: usize = {
    let (mut words, mut marker) = (0, 0);
    while marker < MARKERS.len() {
        #[allow(clippy::indexing_slicing, reason = "the compiler runs it")]
        let of_marker: &[&str] = MARKERS[marker];
        words += of_marker.len();
        marker += 1;
    }
    words
};
const _: () = assert!(WORDS < u8::MAX as usize, "a byte counts them");

/// Four times as many as there are words, more or less, so that a start of a
/// word that is no marker's most often finds nothing.
const BUCKET_BITS: u32 = 10;
const BUCKETS: usize = 1 << BUCKET_BITS;

/// All words, to be found by three of their bytes.
struct Index {
    /// The first word of each bucket, counted from 1; 0 is none.
    first: [u8; BUCKETS],
    words: [Word; WORDS],
}

#[allow(clippy::indexing_slicing, reason = "the compiler runs it")]
static INDEX: Index = {
    let none = Word { marker: 0, next: 0, bytes: &[] };
    let mut index = Index { first: [0; BUCKETS], words: [none; WORDS] };
    let (mut place, mut marker) = (0, 0);
    while marker < MARKERS.len() {
        let mut word = 0;
        while word < MARKERS[marker].len() {
            let bytes = MARKERS[marker][word].as_bytes();
            let at = telling(bytes[0]);
            let bucket = bucket(bytes[at], bytes[at + 1], bytes[at + 2]);
            index.words[place] = Word { marker: marker as u8, next: index.first[bucket], bytes };
            place += 1;
            index.first[bucket] = place as u8;
            word += 1;
        }
        marker += 1;
    }
    index
};

/// Where the three bytes stand that tell words apart: of an escape (`\u4e00`)
/// behind what all of them begin with.
const fn telling(first: u8) -> usize {
    if first == b'\\' { 3 } else { 0 }
}

/// Multiplied, as neighbours differ in their low bits (Knuth, volume 3, 6.4).
const fn bucket(a: u8, b: u8, c: u8) -> usize {
    // Upper case becomes lower; what else is changed by that is changed alike.
    let bytes = u32::from_le_bytes([a, b, c, 0]) | 0x0020_2020;
    (bytes.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BUCKET_BITS)) as usize
}

/// How many different markers there are in these texts.
pub(super) fn markers(texts: &[&[u8]]) -> u32 {
    let seen = texts.iter().fold(0, |seen, text| {
        let mut starts = Starts::default();
        let (blocks, rest) = text.as_chunks::<BLOCK>();
        let mut last = [b' '; BLOCK];
        last.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
        let blocks = blocks.iter().chain([&last]);
        blocks.enumerate().fold(seen, |mut seen, (block, bytes)| {
            let mut of_block = starts.next(u64::from_le_bytes(*bytes));
            while of_block != 0 {
                let at = block * BLOCK + of_block.trailing_zeros() as usize / 8;
                seen |= found(text.get(at..).unwrap_or_default());
                of_block &= of_block - 1;
            }
            seen
        })
    });
    seen.count_ones()
}

/// Bytes that are looked at in one go, as those of a word (Warren, "Hacker's
/// Delight", 6-1). What is found of a byte is told by its highest bit.
const BLOCK: usize = 8;
const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHEST: u64 = ONES << 7;

/// Where a word of a marker may begin: behind what is no letter and behind `\n`
/// and its like, at a letter, at an escape, and at what is not ASCII.
#[derive(Default)]
struct Starts {
    letters_before: u64,
    escapes_before: u64,
}

impl Starts {
    fn next(&mut self, bytes: u64) -> u64 {
        let (letters, escapes) = (letters(bytes), equal(bytes, b'\\'));
        let behind_letter = (letters << 8) | (self.letters_before >> 56);
        let escaped = (escapes << 16) | (self.escapes_before >> 48);
        (self.letters_before, self.escapes_before) = (letters, escapes);
        let goes_on = behind_letter & !escaped;
        (letters & !goes_on) | escapes | (bytes & HIGHEST)
    }
}

/// Letters and digits of ASCII.
fn letters(bytes: u64) -> u64 {
    let low = bytes & !HIGHEST;
    let from = |bytes: u64, first: u8| bytes + u64::from(0x80 - first) * ONES;
    let lower = low | (u64::from(b' ') * ONES);
    let letters = from(lower, b'a') & !from(lower, b'z' + 1);
    let digits = from(low, b'0') & !from(low, b'9' + 1);
    (letters | digits) & !bytes & HIGHEST
}

fn equal(bytes: u64, to: u8) -> u64 {
    let differs = bytes ^ (u64::from(to) * ONES);
    !(((differs & !HIGHEST) + !HIGHEST) | differs) & HIGHEST
}

/// The markers that the text begins with.
fn found(text: &[u8]) -> u32 {
    let at = text.first().map_or(0, |first| telling(*first));
    let Some(&[a, b, c]) = text.get(at..).and_then(<[u8]>::first_chunk) else { return 0 };
    let mut place = INDEX.first.get(bucket(a, b, c)).copied().unwrap_or_default();
    let mut found = 0;
    while let Some(word) = usize::from(place).checked_sub(1).and_then(|at| INDEX.words.get(at)) {
        let start = text.get(..word.bytes.len());
        let begins = start.is_some_and(|start| start.eq_ignore_ascii_case(word.bytes));
        found |= u32::from(begins) << word.marker;
        place = word.next;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: u32) {
        assert_eq!(markers(&[text.as_bytes()]), expected, "{text}");
    }

    #[test]
    fn a_word_is_found_where_words_begin() {
        check("Explain this.", 1);
        check("WHY?", 1);
        check("nowhy unexplained", 0);
        check(r"\nWhy\tExplain", 2);
        check("", 0);
        check("Hello there!", 0);
    }

    #[test]
    fn every_word_is_found_alone_and_in_a_sentence() {
        for (marker, words) in MARKERS.iter().enumerate() {
            for word in *words {
                assert_ne!(found(word.as_bytes()) & 1 << marker, 0, "{word}");
                let upper = format!("\\n{}", word.to_ascii_uppercase());
                assert_ne!(markers(&[upper.as_bytes()]), 0, "{upper}");
                for end in 0..word.len() {
                    // Another word of the same marker may be a part of it.
                    let part = word.get(..end).unwrap_or_default();
                    let known = words.iter().any(|word| part.starts_with(word));
                    let is_found = found(part.as_bytes()) & 1 << marker != 0;
                    assert_eq!(is_found, known, "{part}");
                }
            }
        }
    }

    /// As told by looking at each byte and the two before it.
    #[test]
    fn words_begin_where_they_begin_byte_by_byte() {
        let mut chance = crate::base::Chance::seeded(7);
        for _ in 0..2000 {
            let length = chance.below(40);
            let some = b"az09AZ `{/:@[\\\\\x80\xff";
            let text: Vec<u8> = (0..length).map(|_| some[chance.below(some.len())]).collect();
            let before = |at: usize, back: usize| at.checked_sub(back).map_or(b' ', |at| text[at]);
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric();
            let begins = |at: &usize| match text[*at] {
                b'\\' | 0x80.. => true,
                byte if !is_letter(byte) => false,
                _ => !is_letter(before(*at, 1)) || before(*at, 2) == b'\\',
            };
            let expected: Vec<usize> = (0..length).filter(begins).collect();
            let mut starts = Starts::default();
            let mut padded = text.clone();
            padded.resize(length.next_multiple_of(BLOCK), b' ');
            let masks = padded.as_chunks::<BLOCK>().0.iter();
            let masks: Vec<u64> = masks.map(|one| starts.next(u64::from_le_bytes(*one))).collect();
            let is_start = |at: &usize| masks[at / BLOCK] >> (at % BLOCK * 8 + 7) & 1 == 1;
            let found: Vec<usize> = (0..padded.len()).filter(is_start).collect();
            assert_eq!(found, expected, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_marker_counts_once() {
        check("why why why", 1);
        assert_eq!(markers(&[b"why", b"why, explain"]), 2);
    }

    #[test]
    fn other_languages_ask_too() {
        check("Erkläre mir, warum das so ist.", 2);
        check("explique étape par étape", 2);
        check("请分析并证明", 2);
        check(r"\u8bf7\u5206\u6790", 1);
        check("объясни, почему", 2);
    }
}
