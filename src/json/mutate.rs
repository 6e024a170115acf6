//! Seeded mutations of documents, for the tests that ask two readers the same
//! question. The same seed gives the same inputs.

/// What is worth putting into the middle of JSON or of an event stream.
const TOKENS: [&[u8]; 40] = [
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\"",
    b"\\",
    b" ",
    b"\n",
    b"\r\n",
    b"\r",
    b"\n\n",
    b"0",
    b"-",
    b"1e3",
    b".5",
    b"null",
    b"true",
    b"false",
    b"\\u0041",
    b"\\ud800",
    b"\\x",
    b"\0",
    b"\xff",
    b"\xc5\xbf",
    b"\xef\xbb\xbf",
    b"\"model\":\"m\"",
    b"\"usage\":",
    b"data: ",
    b"data:",
    b"event: ",
    b": x",
    b"[DONE]",
    b"{\"error\":",
    b"\"mod\\u0065l\"",
    b"{}",
    b"[]",
    b"9999999999999999999999",
    b"\"MODEL\":1,",
];

/// splitmix64.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// Gives `count` mutations of the seeds to `take`.
pub(crate) fn each_mutation(seeds: &[&[u8]], count: usize, mut take: impl FnMut(&[u8])) {
    let mut chance = Chance(0x70ce_11a1);
    for _ in 0..count {
        let mut bytes = seeds.get(chance.below(seeds.len())).copied().unwrap_or_default().to_vec();
        for _ in 0..=chance.below(3) {
            mutate(&mut bytes, &mut chance);
        }
        take(&bytes);
    }
}

fn mutate(bytes: &mut Vec<u8>, chance: &mut Chance) {
    let from = chance.below(bytes.len() + 1);
    let to = (from + chance.below(12)).min(bytes.len());
    match chance.below(5) {
        0 => drop(bytes.drain(from..to)),
        1 => {
            let again = bytes.get(from..to).unwrap_or_default().to_vec();
            drop(bytes.splice(to..to, again));
        }
        2 => bytes.truncate(from),
        3 => {
            if let Some(byte) = bytes.get_mut(from) {
                *byte = chance.next() as u8;
            }
        }
        _ => {
            let token = TOKENS.get(chance.below(TOKENS.len())).copied().unwrap_or_default();
            drop(bytes.splice(from..from, token.iter().copied()));
        }
    }
}
