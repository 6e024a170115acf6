use super::*;

/// How often each door is tried. A fuzzer tries it for longer.
const ROUNDS: u64 = 20_000;

/// SplitMix64: a seed in, a long row of numbers out.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Pieces that mean something to one parser or another.
const SPICES: [&[u8]; 30] = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\r\n\r\n",
    b"\n\n",
    b" ",
    b"\t",
    b"\0",
    b"\x0b",
    b"\x0c",
    b":",
    b",",
    b";",
    b"\xff",
    b"\x80",
    b"_",
    b"-",
    b"+",
    b"0x",
    b"0\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Host: b\r\n",
    b"Connection: x-a, close\r\n",
    b"chunked",
    b"ffffffffffffffff",
    b"HTTP/1.0",
    b"HTTP/1.1",
    b"Expect: 100-continue\r\n",
    b"http://a/",
];

fn mutate(chance: &mut Chance, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..chance.below(4) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(5) {
            0 => bytes.insert(at, chance.next() as u8),
            1 if at < bytes.len() => bytes[at] = chance.next() as u8,
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => {
                let spice = SPICES[chance.below(SPICES.len())];
                bytes.splice(at..at, spice.iter().copied());
            }
            _ => {
                let end = at + chance.below(bytes.len() - at + 1).min(40);
                let copy = bytes[at..end].to_vec();
                let to = chance.below(bytes.len() + 1);
                bytes.splice(to..to, copy);
            }
        }
    }
    bytes
}

/// A door that refuses all, or takes all, has been shown nothing.
fn try_door(door: fn(&[u8]) -> bool, seeds: &[&[u8]]) {
    let mut accepted = 0;
    for round in 0..ROUNDS {
        let mut chance = Chance(round);
        let seed = seeds[chance.below(seeds.len())];
        accepted += u64::from(door(&mutate(&mut chance, seed)));
    }
    let few = ROUNDS / 10;
    assert!((few..ROUNDS - few).contains(&accepted), "{accepted} of {ROUNDS} were accepted");
}

#[test]
fn whatever_request_is_accepted_is_forwarded_with_the_same_meaning() {
    try_door(
        check_request,
        &[
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            b"POST /v1/x?y=z HTTP/1.1\r\nHost: a:80\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
            b"POST http://a/x HTTP/1.1\r\nhost: A\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            b"OPTIONS * HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: x-a, te\r\nX-A: \r\nTE: x\r\n\r\n",
            b"PUT / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\nx_b: c\r\n\r\n",
            b"POST / HTTP/1.1\r\nHost:a\r\nExpect:100-continue\r\nContent-Length:\t7 \r\n\r\n",
        ],
    );
}

#[test]
fn whatever_response_is_accepted_is_passed_on_with_the_same_meaning() {
    try_door(
        check_response,
        &[
            b"\0HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
            b"\x01HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
            b"\0HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            b"\0HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\n",
            b"\0HTTP/1.1 304 x\r\nTransfer-Encoding: gzip\r\nTrailer: a\r\n\r\n",
            b"\0HTTP/1.1 529 \r\nConnection: x-a\r\nX-A: b\r\nretry-after: 1\r\n\r\n",
        ],
    );
}

#[test]
fn chunks_mean_the_same_wherever_they_are_cut() {
    try_door(
        check_chunks,
        &[
            b"\x01\x20\x35\r\nhello\r\n0\r\n\r\n",
            b"\x07\x035\r\nhello\r\n6;a=\"b\"\r\n world\r\n0\r\na: b\r\nc:\td\r\n\r\nnext",
            b"\x02\xff0000000000000001\r\nx\r\nA\r\n0123456789\r\n00\r\n\r\n",
        ],
    );
}
