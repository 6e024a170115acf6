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
    /// As much of its beginning as fits, and which bits that are.
    start: u64,
    of_start: u64,
    marker: u8,
    /// The next word of the same bucket, counted from 1; 0 is none.
    next: u8,
    bytes: &'static [u8],
}

impl Word {
    /// The one with this number, counted from 1.
    fn of(number: u8) -> Option<&'static Self> {
        INDEX.words.get(usize::from(number).checked_sub(1)?)
    }

    fn begins(&self, text: &[u8]) -> bool {
        let start = text.get(..self.bytes.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(self.bytes))
    }
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

/// More than ten for each word, so that a start of a word that is no marker's
/// most often finds nothing.
const BUCKET_BITS: u32 = 11;
const BUCKETS: usize = 1 << BUCKET_BITS;

/// All words, to be found by three of their bytes.
struct Index {
    /// A bit for each of the bytes that may come fourth, by the lowest three
    /// bits of such a byte: most starts of words end here.
    fourth: [u8; BUCKETS],
    /// The first word of each bucket, counted from 1; 0 is none.
    first: [u8; BUCKETS],
    words: [Word; WORDS],
}

#[allow(clippy::indexing_slicing, reason = "the compiler runs it")]
static INDEX: Index = {
    let none = Word { start: 0, of_start: 0, marker: 0, next: 0, bytes: &[] };
    let mut index = Index { fourth: [0; BUCKETS], first: [0; BUCKETS], words: [none; WORDS] };
    let (mut place, mut marker) = (0, 0);
    while marker < MARKERS.len() {
        let mut word = 0;
        while word < MARKERS[marker].len() {
            let bytes = MARKERS[marker][word].as_bytes();
            let (mut start, mut length) = ([0; 8], 0);
            while length < bytes.len() && length < start.len() {
                start[length] = bytes[length];
                length += 1;
            }
            let of_start = u64::MAX >> (u64::BITS - 8 * length as u32);
            let start = lower(u64::from_le_bytes(start)) & of_start;
            let (bucket, fourth) = told_by(start);
            // A word that ends before it may be followed by any.
            let has_fourth = bytes.len() > if bytes[0] == b'\\' { 6 } else { 3 };
            index.fourth[bucket] |= if has_fourth { 1 << fourth } else { u8::MAX };
            let next = &mut index.first[bucket];
            index.words[place] = Word { start, of_start, marker: marker as u8, next: *next, bytes };
            place += 1;
            *next = place as u8;
            word += 1;
        }
        marker += 1;
    }
    index
};

/// Upper case becomes lower; what else is changed by that is changed alike.
const fn lower(bytes: u64) -> u64 {
    bytes | 0x2020_2020_2020_2020
}

/// Three bytes of a beginning tell in which bucket its words are: of an escape
/// (`\u4e00`) those behind what all of them begin with. Multiplied, as neighbours
/// differ in their low bits (Knuth, volume 3, 6.4). And the lowest three bits of
/// the byte behind them.
const fn told_by(start: u64) -> (usize, u32) {
    const ESCAPE: u64 = lower(b'\\' as u64) & 0xff;
    let telling = if start & 0xff == ESCAPE { start >> 24 } else { start } as u32;
    let three = telling & 0x00ff_ffff;
    let bucket = three.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BUCKET_BITS);
    (bucket as usize, telling >> 24 & 7)
}

/// How many different markers there are in these texts.
pub(super) fn markers(texts: &[&[u8]]) -> u32 {
    texts.iter().fold(0, |seen, text| seen | seen_in(text)).count_ones()
}

/// Bytes that are looked at in one go: a few vectors, by the compiler's doing.
const BLOCK: usize = 64;

/// Kept apart from its caller, whose registers it would have to share.
#[inline(never)]
fn seen_in(text: &[u8]) -> u32 {
    let (mut seen, mut before) = (0, Before::default());
    let (blocks, last) = text.as_chunks();
    let last = padded(last);
    for (block, bytes) in blocks.iter().chain([&last]).enumerate() {
        let mut starts = before.starts(bytes);
        while starts != 0 {
            let at = block * BLOCK + starts.trailing_zeros() as usize;
            let rest = text.get(at..).unwrap_or_default();
            let start = rest.first_chunk().copied().unwrap_or_else(|| padded(rest));
            let start = lower(u64::from_le_bytes(start));
            let (bucket, fourth) = told_by(start);
            if INDEX.fourth.get(bucket).copied().unwrap_or_default() >> fourth & 1 == 1 {
                seen |= found(bucket, start, rest);
            }
            starts &= starts - 1;
        }
    }
    seen
}

/// The beginning of a text that is shorter than this, with spaces behind it.
#[cold]
fn padded<const BYTES: usize>(text: &[u8]) -> [u8; BYTES] {
    let mut padded = [b' '; BYTES];
    padded.iter_mut().zip(text).for_each(|(to, byte)| *to = *byte);
    padded
}

/// The markers of the words of a bucket that the text begins with.
#[cold]
fn found(bucket: usize, start: u64, text: &[u8]) -> u32 {
    let mut found = 0;
    let mut next = INDEX.first.get(bucket).copied().unwrap_or_default();
    while let Some(word) = Word::of(next) {
        if start & word.of_start == word.start && word.begins(text) {
            found |= 1 << word.marker;
        }
        next = word.next;
    }
    found
}

/// What stood before a block.
#[derive(Default)]
struct Before {
    /// 1 where the last byte was a letter.
    letter: u64,
    /// The last two bytes, a bit for each that was a backslash: the last one is
    /// the second.
    escapes: u64,
}

impl Before {
    /// Where a word of a marker may begin, a bit for each byte of the block:
    /// behind what is no letter and behind `\n` and its like, at a letter, at an
    /// escape, and at what is not ASCII.
    #[inline]
    fn starts(&mut self, block: &[u8; BLOCK]) -> u64 {
        let letters = bits(&block.map(|byte| u8::from(is_letter(byte))));
        let behind_letter = letters << 1 | self.letter;
        self.letter = letters >> (BLOCK - 1);
        let is_odd = |byte: &u8| (*byte == b'\\') | !byte.is_ascii();
        // To the end, as the compiler looks at many at once.
        let has_odd = block.iter().fold(0, |odd, byte| odd | u8::from(is_odd(byte))) != 0;
        if !has_odd && self.escapes == 0 {
            return letters & !behind_letter;
        }
        let escapes = bits(&block.map(|byte| u8::from(byte == b'\\')));
        let others = bits(&block.map(|byte| u8::from(!byte.is_ascii())));
        let escaped = escapes << 2 | self.escapes;
        self.escapes = escapes >> (BLOCK - 2);
        letters & !(behind_letter & !escaped) | escapes | others
    }
}

/// Letters and digits of ASCII.
fn is_letter(byte: u8) -> bool {
    ((byte | 0x20).wrapping_sub(b'a') < 26) | (byte.wrapping_sub(b'0') < 10)
}

/// A bit for each byte that is 1 and not 0. The factor brings those of eight
/// bytes together in the highest one.
fn bits(bytes: &[u8; BLOCK]) -> u64 {
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let eights = bytes.as_chunks::<8>().0.iter().map(|eight| u64::from_le_bytes(*eight));
    eights.rev().fold(0, |bits, eight| (bits << 8) | (eight.wrapping_mul(GATHER) >> 56))
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
                assert_ne!(seen_in(word.as_bytes()) & 1 << marker, 0, "{word}");
                let upper = format!("\\n{}", word.to_ascii_uppercase());
                assert_ne!(markers(&[upper.as_bytes()]), 0, "{upper}");
                for end in 0..word.len() {
                    // Another word of the same marker may be a part of it.
                    let part = word.get(..end).unwrap_or_default();
                    let known = words.iter().any(|word| part.contains(word));
                    let is_found = seen_in(part.as_bytes()) & 1 << marker != 0;
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
            let length = chance.below(200);
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
            let (mut found, mut before) = (Vec::new(), Before::default());
            for (block, bytes) in text.chunks(BLOCK).enumerate() {
                let starts = before.starts(&padded(bytes));
                let is_start = |place: &usize| starts >> place & 1 == 1;
                found.extend((0..BLOCK).filter(is_start).map(|place| block * BLOCK + place));
            }
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
