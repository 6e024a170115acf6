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
    let bytes = u32::from_le_bytes([
        a.to_ascii_lowercase(),
        b.to_ascii_lowercase(),
        c.to_ascii_lowercase(),
        0,
    ]);
    (bytes.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BUCKET_BITS)) as usize
}

/// How many different markers there are in these texts.
pub(super) fn markers(texts: &[&[u8]]) -> u32 {
    let mut seen = 0_u32;
    for text in texts {
        // Of the two bytes before: whether a word may begin here.
        let (mut before, mut previous) = (b' ', b' ');
        for (at, &byte) in text.iter().enumerate() {
            let goes_on = is_letter(byte) && is_letter(previous) && before != b'\\';
            if !goes_on {
                seen |= found(text.get(at..).unwrap_or_default());
            }
            (before, previous) = (previous, byte);
        }
    }
    seen.count_ones()
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
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
