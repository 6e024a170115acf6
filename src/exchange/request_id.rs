//! The name of one request, in logs, in headers and at the backend.

use smallvec::SmallVec;

use crate::base::Chance;

/// The longest id of a client's that is kept; a longer one is replaced.
const BYTES_MAX: usize = 128;

/// A client's own id, or `req-` and 16 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(SmallVec<[u8; 36]>);

impl RequestId {
    /// A client's id, if it may stand in a header and in a log line.
    pub fn from_client(value: &[u8]) -> Option<Self> {
        let fits = !value.is_empty() && value.len() <= BYTES_MAX;
        let visible = value.iter().all(|byte| byte.is_ascii_graphic());
        (fits && visible).then(|| Self(SmallVec::from_slice(value)))
    }

    pub fn new(chance: &mut Chance) -> Self {
        let number = chance.next_u64();
        let mut id = *b"req-0000000000000000";
        let (_, digits) = id.split_at_mut(4);
        let (first, last) = digits.split_at_mut(8);
        first.copy_from_slice(&hexadecimal((number >> 32) as u32));
        last.copy_from_slice(&hexadecimal(number as u32));
        Self(SmallVec::from_slice(&id))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn as_str(&self) -> &str {
        // Both sources are ASCII.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// The eight digits of a number, all worked out at once: each in a byte of a
/// word.
fn hexadecimal(number: u32) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let halves = (u64::from(number) | u64::from(number) << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (halves | halves << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes | bytes << 4) & (0x0f * EACH);
    // One where a digit is a letter, whose first stands 39 places behind where
    // a digit ten would.
    let letters = ((digits + 6 * EACH) >> 4) & EACH;
    let behind = u64::from(b'a' - b'0' - 10);
    (digits + u64::from(b'0') * EACH + behind * letters).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_it_is_written_with() {
        for number in [0, 1, 0x0123_4567, 0x89ab_cdef, 0x9a9a_0f0f, u32::MAX] {
            assert_eq!(hexadecimal(number), *format!("{number:08x}").as_bytes());
        }
    }

    #[test]
    fn an_id_that_cannot_stand_in_a_header_is_not_kept() {
        for id in [&b""[..], b"a b", b"a\r\nb", b"\xff", &[b'x'; 129]] {
            assert_eq!(RequestId::from_client(id), None, "{id:?}");
        }
        for id in [&b"a"[..], b"req_123-abc", &[b'x'; 128]] {
            assert_eq!(RequestId::from_client(id).unwrap().as_bytes(), id);
        }
    }

    #[test]
    fn ids_of_one_shard_differ() {
        let mut chance = Chance::seeded(1);
        let ids: Vec<_> = (0..1000).map(|_| RequestId::new(&mut chance)).collect();
        let mut distinct: Vec<&str> = ids.iter().map(RequestId::as_str).collect();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), 1000);
        assert!(distinct.iter().all(|id| id.len() == 20 && id.starts_with("req-")));
    }
}
