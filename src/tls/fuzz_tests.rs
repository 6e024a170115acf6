use super::*;
use crate::{
    base::Chance,
    tls::{
        client_config, server_config,
        testing::{Issuing, client_of, server_of},
    },
};

const NAME: &str = "proxy.test";
const TO_SERVER: u8 = 0;
const TO_CLIENT: u8 = 1;

struct Pair(Arc<ServerConfig>, Arc<ClientConfig>);

impl Pair {
    fn new() -> Self {
        let authority = Issuing::new("an authority");
        let identities = [authority.issue(&[NAME]).identity()];
        let authorities = authority.authorities();
        Self(
            server_config(server_of(&identities)).unwrap(),
            Arc::new(client_config(client_of(Some(&authorities))).unwrap()),
        )
    }

    fn runs(&self, steps: &[[u8; 3]]) -> (usize, usize) {
        let name = ServerName::try_from(NAME).unwrap();
        fuzz_session(&self.0, &self.1, name, steps.as_flattened())
    }
}

const fn step(to: u8, what: u8, length: u16) -> [u8; 3] {
    let [high, low] = length.to_be_bytes();
    [to | what << 1, high, low]
}

/// Both hands, and the tickets.
const HANDSHAKE: [[u8; 3]; 6] = [
    step(TO_SERVER, 0, 0),
    step(TO_CLIENT, 0, 0),
    step(TO_SERVER, 0, 0),
    step(TO_CLIENT, 0, 0),
    step(TO_SERVER, 0, 0),
    step(TO_CLIENT, 0, 0),
];

#[test]
fn what_is_not_touched_comes_whole() {
    let talk = [
        step(TO_SERVER, 4, 20_000),
        step(TO_CLIENT, 4, 7),
        step(TO_SERVER, 0, 0),
        step(TO_CLIENT, 0, 0),
    ];
    assert_eq!(Pair::new().runs(&[&HANDSHAKE[..], &talk].concat()), (20_000, 7));
}

#[test]
fn what_is_touched_is_not_heard() {
    // The byte that is changed is sealed, not the header's.
    for touch in [step(TO_SERVER, 7, 9), step(TO_SERVER, 8, 1), step(TO_SERVER, 9, 0x0101)] {
        let talk = [step(TO_SERVER, 4, 100), touch, step(TO_SERVER, 0, 0)];
        assert_eq!(Pair::new().runs(&[&HANDSHAKE[..], &talk].concat()), (0, 0), "{touch:?}");
    }
}

/// Some begin with a whole handshake; the others rarely come to one.
#[test]
fn nothing_is_panicked_over() {
    let (pair, mut chance) = (Pair::new(), Chance::seeded(7));
    let mut heard = 0;
    for round in 0..300 {
        let mut steps = if round % 2 == 0 { HANDSHAKE.to_vec() } else { Vec::new() };
        for _ in 0..24 {
            let [what, high, low, ..] = chance.next_u64().to_be_bytes();
            // Mostly short, as bytes on their way are.
            steps.push([what, high >> 4, low]);
        }
        let (server, client) = pair.runs(&steps);
        heard += usize::from(server > 0) + usize::from(client > 0);
    }
    assert!(heard > 20, "next to nobody was heard: {heard}");
}
