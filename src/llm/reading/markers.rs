//! Words that ask for reasons, plans or steps, in some languages. Written as
//! they stand in JSON, in UTF-8; those of scripts that clients like to escape,
//! also escaped.

/// Each is one marker, however it is written; the first letter decides where
/// it is looked for. Letters of ASCII are in lower case.
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

/// Which markers begin with a byte, one bit each.
#[allow(clippy::indexing_slicing, reason = "reckoned by the compiler, of no byte from the network")]
const BEGIN: [u32; 256] = {
    let mut begin = [0; 256];
    let mut marker = 0;
    while marker < MARKERS.len() {
        let mut word = 0;
        while word < MARKERS[marker].len() {
            begin[MARKERS[marker][word].as_bytes()[0] as usize] |= 1 << marker;
            word += 1;
        }
        marker += 1;
    }
    begin
};

/// How many different markers there are in these texts.
pub(super) fn markers(texts: &[&[u8]]) -> u32 {
    let mut seen = 0_u32;
    for text in texts {
        // Of the two bytes before: whether a word may begin here.
        let (mut before, mut previous) = (b' ', b' ');
        for (at, byte) in text.iter().enumerate() {
            let byte = byte.to_ascii_lowercase();
            let goes_on = is_letter(byte) && is_letter(previous) && before != b'\\';
            let may = BEGIN.get(usize::from(byte)).copied().unwrap_or_default() & !seen;
            if may != 0 && !goes_on {
                seen |= found(may, text.get(at..).unwrap_or_default());
            }
            (before, previous) = (previous, byte);
        }
    }
    seen.count_ones()
}

fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// Those of these markers that the text begins with.
fn found(mut may: u32, text: &[u8]) -> u32 {
    let begins = |word: &&str| {
        let start = text.get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
    };
    let mut found = 0;
    while may != 0 {
        let marker = may.trailing_zeros();
        may &= may - 1;
        let words = MARKERS.get(marker as usize).copied().unwrap_or_default();
        found |= u32::from(words.iter().any(begins)) << marker;
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
