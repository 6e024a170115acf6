//! Backends on Unix sockets. One whose queue is full refuses a connection that
//! a TCP port would let wait.
#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test drives the real clock, and its functions may fail like tests"
)]

mod support;

use std::{
    io::{Read, Write},
    os::{fd::OwnedFd, unix::net::UnixListener},
    time::Duration,
};

use socket2::{Domain, SockAddr, Socket, Type};
use support::{PATIENCE, Proxy, chat, error_word, eventually, plan};

const CHAT: &str = "/v1/chat/completions";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// A listener in whose queue so many may wait, and one more.
fn listens(backlog: i32) -> (Socket, tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("backend.sock");
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    socket.listen(backlog).unwrap();
    (socket, folder, format!("unix:{}", path.display()))
}

#[test]
fn a_burst_waits_for_a_backend_that_accepts_slowly() {
    const CLIENTS: usize = 64;
    let (socket, _folder, backend) = listens(4);
    let proxy = Proxy::of(plan(&[backend], |_| ()));
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| proxy.client()).collect();
    for client in &mut clients {
        client.send_post(CHAT, "", chat(1));
    }
    eventually("all have asked", || proxy.sum(|c| &c.requests) == CLIENTS as u64);
    let accepts = std::thread::spawn(move || {
        let listener = UnixListener::from(OwnedFd::from(socket));
        for _ in 0..CLIENTS {
            let (mut socket, _) = listener.accept().unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut request, mut piece) = (Vec::new(), [0; 4096]);
            while !request.ends_with(chat(1).as_bytes()) {
                let read = socket.read(&mut piece).unwrap();
                assert!(read > 0, "half a request");
                request.extend_from_slice(&piece[..read]);
            }
            // One answer for each connection, so that each request needs its own.
            socket.write_all(OK.as_bytes()).unwrap();
        }
    });
    let answered =
        clients.iter_mut().filter_map(|client| (client.answer().status == 200).then_some(()));
    assert_eq!(answered.count(), CLIENTS);
    accepts.join().unwrap();
    assert_eq!(proxy.sum(|c| &c.backend_connect_failures), 0);
}

#[test]
fn a_backend_that_never_accepts_meets_the_connect_deadline() {
    let (_socket, _folder, backend) = listens(0);
    let path = backend.strip_prefix("unix:").unwrap();
    let waits = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    waits.connect(&SockAddr::unix(path).unwrap()).unwrap();
    let proxy = Proxy::of(plan(&[backend], |written| {
        written.deadlines.connect = Duration::from_millis(50);
    }));
    let answer = proxy.client().post(CHAT, "", chat(1));
    assert_eq!(answer.status, 504, "{}", answer.text());
    assert_eq!(error_word(CHAT, &answer.body), "backend_connect_timeout");
}
