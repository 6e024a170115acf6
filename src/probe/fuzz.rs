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
