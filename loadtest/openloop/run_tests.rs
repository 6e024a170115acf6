//! The loop against small servers of known behaviour.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::{self, JoinHandle};

use clap::Parser;

use super::*;
use crate::args::{Mode, Target};
use crate::schedule::Arrivals;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Serves one connection with what `serve` does for each request.
fn server(
    serve: impl Fn(usize, &mut TcpStream) + Send + 'static,
) -> (std::net::SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let work = move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut buffer = vec![0; 64 * 1024];
        // Requests are small and come one at a time: one read is one request.
        for number in 0.. {
            match socket.read(&mut buffer) {
                Ok(count) if count > 0 => serve(number, &mut socket),
                _ => return,
            }
        }
    };
    (address, thread::Builder::new().spawn(work).unwrap())
}

fn load(address: std::net::SocketAddr, options: &[&str]) -> Tally {
    let url = format!("http://{address}/");
    let args = Args::parse_from(["openloop", "--url", &url].iter().chain(options));
    let target = Target::parse(&url).unwrap();
    let request = args.request(&target).unwrap();
    let dialer = Dialer { address: target.address, tls: None };
    let mut run = Run::<Connection>::new(&args, &dialer, &request, 1, false).unwrap();
    let Ok(Mode::Open { rate }) = args.mode() else { panic!("an open loop was asked for") };
    run.drive(Schedule::new(rate, Arrivals::Constant, 1, args.total())).unwrap();
    run.tally
}

/// What a closed loop would call one slow request in a thousand.
#[test]
fn charges_a_stall_to_every_request_that_was_due_in_it() {
    const STALL: Duration = Duration::from_millis(300);
    let (address, server) = server(|number, socket| {
        if number == 100 {
            thread::park_timeout(STALL);
        }
        socket.write_all(ANSWER).unwrap();
    });
    let options = ["--rate", "1000", "--duration", "1", "--warm-up", "0"];
    let tally = load(address, &options);
    server.join().unwrap();
    assert_eq!((tally.completed, tally.faults.len()), (1000, 0));
    // 300 of 1,000 requests were due in the stall and waited 150 ms on average.
    assert!(tally.latency.percentile_us(80.0) > 50_000.0, "{}", tally.latency.percentile_us(80.0));
    assert!(tally.send_delay.max_us() > 250_000.0, "{}", tally.send_delay.max_us());
}

fn stream(events: &'static [u8]) -> Tally {
    let (address, server) = server(move |_, socket| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", events.len());
        socket.write_all(head.as_bytes()).unwrap();
        socket.write_all(events).unwrap();
    });
    // One request: the next one would be due after the end.
    let options =
        ["--rate", "1", "--sse", "--expect-events", "1", "--duration", "1", "--warm-up", "0"];
    let tally = load(address, &options);
    server.join().unwrap();
    tally
}

fn check(events: &'static [u8], expected: Option<Fault>) {
    let tally = stream(events);
    let first = tally.faults.keys().next().copied();
    assert_eq!(first, expected, "{:?}: {:?}", String::from_utf8_lossy(events), tally.faults);
    assert_eq!(tally.completed, u64::from(expected.is_none()));
}

#[test]
fn a_stream_is_whole_only_with_its_events_and_its_end_mark() {
    check(b"data: {}\n\ndata: [DONE]\n\n", None);
    check(b"data: {}\n\n", Some(Fault::NoEndMark));
    check(b"data: [DONE]\n\n", Some(Fault::WrongCount));
    check(b"data: {}\n\ndata: {}\n\ndata: [DONE]\n\n", Some(Fault::WrongCount));
    check(b"data: {}\n\nevent: error\ndata: {}\n\n", Some(Fault::ErrorEvent));
    check(b"data: [DONE]\n\ndata: {}\n\n", Some(Fault::Surplus));
}
