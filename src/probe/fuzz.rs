//! The door for fuzzing: any bytes as a page, in any pieces.

use super::exposition::{Exposition, LINE_BYTES_MAX};

/// The first byte says where the rest is cut.
#[doc(hidden)]
pub fn fuzz_prometheus(data: &[u8]) {
    let Some((first, page)) = data.split_first() else { return };
    let mut whole = Exposition::default();
    whole.push(page);
    let mut pieces = Exposition::default();
    page.chunks(usize::from(*first).max(1)).for_each(|piece| pieces.push(piece));
    assert_eq!(whole.figures(), pieces.figures(), "a cut changes nothing");
    assert!(pieces.held_bytes() <= LINE_BYTES_MAX && whole.held_bytes() <= LINE_BYTES_MAX);
    if let Some(figures) = whole.figures() {
        assert!((0.0..=1.0).contains(&figures.kv_usage), "{figures:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Chance;

    /// What pages are made of.
    const PARTS: [&[u8]; 16] = [
        b"tgi_queue_size",
        b"vllm:kv_cache_usage_perc",
        b"sglang_num_running_reqs",
        b"{a=\"b\"}",
        b" 4\n",
        b"}",
        b"\"",
        b"\\",
        b" ",
        b"\n",
        b"# HELP ",
        b"1",
        b"0.5e-3",
        b"NaN",
        b"\xff\x00",
        b"99999999999999999999999999",
    ];

    #[test]
    fn any_page_is_read_alike_in_any_pieces() {
        let mut chance = Chance::seeded(4);
        let mut with_figures = 0;
        for _ in 0..20_000 {
            let parts = chance.below(40);
            let mut page = vec![chance.below(256) as u8];
            (0..parts).for_each(|_| page.extend_from_slice(PARTS[chance.below(PARTS.len())]));
            fuzz_prometheus(&page);
            let mut exposition = Exposition::default();
            exposition.push(&page[1..]);
            with_figures += usize::from(exposition.figures().is_some());
        }
        assert!(with_figures > 500, "the pages are not all without meaning: {with_figures}");
    }
}
