//! Two secured ends over a pipe that takes and brings as few bytes as it
//! likes, and cancels receives when it likes.

use std::{
    cell::Cell,
    collections::VecDeque,
    future::{poll_fn, ready},
    pin::{Pin, pin},
    sync::OnceLock,
    task::{Context, Poll, Waker},
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
};

use super::*;
use crate::{
    base::Chance,
    rt::TAIL_ROOM,
    tls::{ServerTls, SessionFault},
    wire::state::TORN_MAX_OF_CLIENT,
};

const NAME: &str = "proxy.test";

/// One direction of the pipe.
#[derive(Default)]
struct Way {
    bytes: VecDeque<u8>,
    ended: bool,
}

/// One end of the pipe. Nobody is woken: the tests poll until all is done.
struct End {
    chance: Rc<RefCell<Chance>>,
    incoming: Rc<RefCell<Way>>,
    outgoing: Rc<RefCell<Way>>,
    /// The most bytes that are taken or brought at once.
    bytes_max: usize,
    cancelled: Cell<bool>,
}

impl End {
    /// How many of `bytes` go through now.
    fn some_of(&self, bytes: usize) -> usize {
        bytes.min(self.chance.borrow_mut().below(self.bytes_max + 1))
    }

    fn bring(&self, buffer: &mut Vec<u8>) -> Option<usize> {
        let mut way = self.incoming.borrow_mut();
        if way.bytes.is_empty() {
            return way.ended.then_some(0);
        }
        let room = buffer.capacity() - buffer.len() - TAIL_ROOM;
        assert!(room > 0, "a receive has room");
        let bytes = self.some_of(way.bytes.len()).max(1).min(room);
        buffer.extend(way.bytes.drain(..bytes));
        Some(bytes)
    }
}

impl Stream for End {
    async fn recv(&self, mut buffer: Vec<u8>) -> Transfer {
        let bytes = poll_fn(|_| self.bring(&mut buffer).map_or(Poll::Pending, Poll::Ready)).await;
        (Ok(bytes), buffer)
    }

    async fn recv_cancelable(&self, mut buffer: Vec<u8>) -> Transfer {
        let result = poll_fn(|_| match self.bring(&mut buffer) {
            Some(bytes) => Poll::Ready(Ok(bytes)),
            None if self.cancelled.replace(false) => {
                Poll::Ready(Err(io::ErrorKind::Interrupted.into()))
            }
            None => Poll::Pending,
        });
        (result.await, buffer)
    }

    fn cancel_recv(&self) {
        self.cancelled.set(true);
    }

    async fn send(&self, buffer: Vec<u8>, part: Range<usize>) -> Transfer {
        let bytes = self.some_of(part.len()).max(1);
        let sent = buffer[part].iter().take(bytes);
        self.outgoing.borrow_mut().bytes.extend(sent);
        (Ok(bytes), buffer)
    }

    fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.some_of(bytes.len());
        self.outgoing.borrow_mut().bytes.extend(&bytes[..taken]);
        Ok(taken)
    }

    async fn readable(&self) -> io::Result<()> {
        poll_fn(|_| {
            let way = self.incoming.borrow();
            if way.bytes.is_empty() && !way.ended { Poll::Pending } else { Poll::Ready(Ok(())) }
        })
        .await
    }

    fn is_secure(&self) -> bool {
        false
    }

    fn establish(&self) -> impl Future<Output = io::Result<Established>> {
        ready(Ok(Established::default()))
    }

    fn shutdown(&self) {
        self.finish();
    }

    fn finish(&self) {
        self.outgoing.borrow_mut().ended = true;
    }

    fn stop_sending(&self) {
        self.finish();
    }

    fn abort(&self) {
        self.finish();
    }

    fn is_quiet(&self) -> bool {
        self.incoming.borrow().bytes.is_empty()
    }
}

impl Transport for End {
    fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<Option<usize>> {
        Ok(self.bring(buffer))
    }

    fn send_cancelable(
        &self,
        buffer: Vec<u8>,
        part: Range<usize>,
    ) -> impl Future<Output = Transfer> {
        self.send(buffer, part)
    }

    fn cancel_send(&self) {}

    fn writable(&self) -> impl Future<Output = io::Result<()>> {
        ready(Ok(()))
    }
}

fn configs() -> (Arc<ServerTls>, Arc<BackendTls>) {
    static MADE: OnceLock<rcgen::CertifiedKey<rcgen::KeyPair>> = OnceLock::new();
    let made = MADE.get_or_init(|| rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap());
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let server = ServerTls::new(Arc::new(server));
    let client = BackendTls::new(Arc::new(client), ServerName::try_from(NAME).unwrap());
    (Arc::new(server), Arc::new(client))
}

/// A client's and a server's end of one pipe, hands not shaken yet.
fn pair(seed: u64, bytes_max: usize) -> (Secured<End>, Secured<End>) {
    let chance = Rc::new(RefCell::new(Chance::seeded(seed)));
    let (there, back) = (Rc::<RefCell<Way>>::default(), Rc::<RefCell<Way>>::default());
    let end = |incoming: &Rc<RefCell<Way>>, outgoing: &Rc<RefCell<Way>>| End {
        chance: Rc::clone(&chance),
        incoming: Rc::clone(incoming),
        outgoing: Rc::clone(outgoing),
        bytes_max,
        cancelled: Cell::new(false),
    };
    let (server, client) = configs();
    let shared = Rc::new(Shared::new(Some(server), 8));
    (
        Secured::to_backend(end(&back, &there), client, Rc::clone(&shared)),
        Secured::of_client(end(&there, &back), shared),
    )
}

/// Polls both until both are done; the gate opens each time.
fn run<A, B>(gate: &Shared, a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    let (mut a, mut b) = (pin!(a), pin!(b));
    let (mut a_done, mut b_done) = (None, None);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        gate.gate.open();
        poll_into(&mut a_done, a.as_mut(), &mut cx);
        poll_into(&mut b_done, b.as_mut(), &mut cx);
        if a_done.is_some() && b_done.is_some() {
            break;
        }
    }
    (a_done.expect("the first is done"), b_done.expect("the second is done"))
}

fn poll_into<T>(done: &mut Option<T>, work: Pin<&mut impl Future<Output = T>>, cx: &mut Context) {
    if done.is_none()
        && let Poll::Ready(result) = work.poll(cx)
    {
        *done = Some(result);
    }
}

/// Sends `bytes` as the exchange does: at once what goes, then by operations.
async fn send(stream: &Secured<End>, bytes: &[u8]) {
    let mut at = stream.try_send(bytes).unwrap();
    while at < bytes.len() {
        let (sent, _) = stream.send(bytes.to_vec(), at..bytes.len()).await;
        let sent = sent.unwrap();
        assert!(sent > 0, "an operation sends something");
        at += sent;
    }
}

/// Receives so many bytes, into buffers that have room for `room` of them. Now
/// and then a receive is cancelled.
async fn receive(stream: &Secured<End>, bytes: usize, room: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while all.len() < bytes {
        let buffer = Vec::with_capacity(room + TAIL_ROOM);
        let mut receiving = pin!(stream.recv_cancelable(buffer));
        let (result, buffer) = poll_fn(|cx| {
            let polled = receiving.as_mut().poll(cx);
            if polled.is_pending() && stream.inner.chance.borrow_mut().below(3) == 0 {
                stream.cancel_recv();
            }
            polled
        })
        .await;
        all.extend_from_slice(&buffer);
        match result {
            Ok(received) => assert!(received == buffer.len() && received > 0),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::Interrupted),
        }
    }
    all
}

fn text(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at % 253) as u8).collect()
}

/// A message of so many pieces of so many bytes, both ways at once.
#[track_caller]
fn check(seed: u64, bytes_max: usize, pieces: usize, piece: usize, room: usize) {
    let (client, server) = pair(seed, bytes_max);
    let shared = Rc::clone(&client.shared);
    let (a, b) = run(&shared, client.establish(), server.establish());
    a.unwrap();
    b.unwrap();
    let message = text(pieces * piece);
    let talk = async |stream: &Secured<End>| {
        let sends = pin!(async {
            for piece in message.chunks(piece) {
                send(stream, piece).await;
            }
        });
        let receives = pin!(receive(stream, message.len(), room));
        both(sends, receives).await
    };
    let (at_client, at_server) = run(&shared, talk(&client), talk(&server));
    assert!(at_client == message && at_server == message, "the bytes are the same");
    for stream in [&client, &server] {
        let state = stream.state.borrow();
        let kept = [&state.torn, &state.over, &state.unsent].map(Vec::capacity);
        assert_eq!(kept, [0; 3], "nothing is kept at rest");
    }
}

/// The second's output, when both are done.
async fn both<T>(
    mut first: Pin<&mut impl Future<Output = ()>>,
    mut second: Pin<&mut impl Future<Output = T>>,
) -> T {
    let (mut first_done, mut second_done) = (None, None);
    poll_fn(|cx| {
        poll_into(&mut first_done, first.as_mut(), cx);
        poll_into(&mut second_done, second.as_mut(), cx);
        match (&first_done, second_done.take()) {
            (Some(()), Some(output)) => Poll::Ready(output),
            (_, waiting) => {
                second_done = waiting;
                Poll::Pending
            }
        }
    })
    .await
}

#[test]
fn an_end_is_told_and_a_cut_is_not_taken_for_it() {
    for cut in [false, true] {
        let (client, server) = established();
        let shared = Rc::clone(&client.shared);
        let sends = async {
            send(&server, b"last words").await;
            if cut { server.shutdown() } else { server.finish() }
        };
        let receives = async {
            let (_, buffer) = client.recv(Vec::with_capacity(100)).await;
            (buffer, client.recv(Vec::with_capacity(100)).await.0)
        };
        let ((), (words, end)) = run(&shared, sends, receives);
        assert_eq!(words, b"last words");
        match end {
            Ok(0) => assert!(!cut),
            Err(error) => assert!(cut && error.kind() == io::ErrorKind::UnexpectedEof),
            Ok(_) => panic!("more than was sent"),
        }
    }
}

/// Two ends that have shaken hands.
fn established() -> (Secured<End>, Secured<End>) {
    let (client, server) = pair(1, 100_000);
    let shared = Rc::clone(&client.shared);
    let (a, b) = run(&shared, client.establish(), server.establish());
    a.unwrap();
    b.unwrap();
    (client, server)
}

/// The kernel may have completed the receive by then, with a part of a record.
#[test]
fn a_cancel_is_not_lost_to_what_is_no_whole_record() {
    let (_client, server) = established();
    let part = [23, 3, 3, 0, 100];
    server.inner.incoming.borrow_mut().bytes.extend(part);
    let receiving = pin!(server.recv_cancelable(Vec::with_capacity(4096)));
    server.cancel_recv();
    let polled = receiving.poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready((Err(error), buffer)) = polled else { panic!("the cancel was lost") };
    assert_eq!((error.kind(), buffer.len()), (io::ErrorKind::Interrupted, 0));
    assert_eq!(server.state.borrow().torn, part);
}

#[test]
fn what_came_before_a_bad_record_is_told_first() {
    let (client, server) = established();
    assert_eq!(client.try_send(b"a good word").unwrap(), 11);
    server.inner.incoming.borrow_mut().bytes.extend([23, 3, 3, 0, 17]);
    server.inner.incoming.borrow_mut().bytes.extend([0; 17]);
    let receives = async {
        let (first, buffer) = server.recv(Vec::with_capacity(4096)).await;
        (first.unwrap(), buffer, server.recv(Vec::with_capacity(4096)).await.0)
    };
    let ((bytes, buffer, second), ()) = run(&client.shared, receives, async {});
    assert_eq!((bytes, &buffer[..]), (11, &b"a good word"[..]));
    assert!(SessionFault::of(&second.unwrap_err()).is_some());
    assert!(server.try_send(b"more").is_err());
}

#[test]
fn a_client_that_has_shaken_hands_is_not_heard_at_length() {
    let (_client, server) = established();
    for bytes in [TORN_MAX_OF_CLIENT + 1, TORN_MAX_OF_CLIENT] {
        let result = server.state.borrow_mut().keep(&vec![0; bytes], &Opened::default());
        assert_eq!(result.is_ok(), bytes == TORN_MAX_OF_CLIENT);
    }
}

#[test]
fn bytes_in_are_bytes_out_however_little_the_pipe_takes() {
    for seed in 0..20 {
        check(seed, 1 + (seed as usize % 7) * 40, 20, 100, 4096);
        check(seed, 5000, 5, 20_000, 1000);
        check(seed, 100_000, 3, 100_000, 17_408);
        check(seed, 3000, 40, 1, 64);
    }
}
