//! What the simulated world itself promises: that it finds what it looks for,
//! and that its streams do what a kernel's do.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    net::SocketAddr,
    pin::pin,
    rc::Rc,
    task::Poll,
    time::Duration,
};

use super::{
    executor::Owner,
    faults::{Faults, Odds},
    message::send_all,
    stream::SimStream,
    world::SimWorld,
};
use crate::rt::{Listen, Stream, TAIL_ROOM, World};

const SOME_TIME: Duration = Duration::from_secs(60);

fn there() -> SocketAddr {
    SocketAddr::from(([10, 9, 9, 9], 9))
}

/// Runs `talk` with both ends of a connection, the first one the proxy's, and
/// returns what was found wrong.
fn breaches<T>(
    faults: Faults,
    talk: impl FnOnce(SimWorld, SimStream, SimStream) -> T,
) -> Vec<String>
where
    T: Future<Output = ()> + 'static,
{
    let world = SimWorld::new(1, Faults { refusals: Odds(0), ..faults });
    let listener = world.of(Owner::Client).listen(there());
    let ends = Rc::new(RefCell::new(None));
    let (met, of_house) = (Rc::clone(&ends), world.of(Owner::House));
    of_house.clone().spawn(async move {
        let near = of_house.reach(there()).await.unwrap();
        *met.borrow_mut() = Some(near);
    });
    let has_met = || ends.borrow().is_some();
    assert!(world.tasks.run(&world.core, SOME_TIME, has_met, || ()));
    let near = ends.borrow_mut().take().unwrap();
    let far = listener.accept().unwrap().unwrap().into_stream();
    let of_house = world.of(Owner::House);
    of_house.spawn(talk(of_house.clone(), near, far));
    let is_over = world.tasks.run(&world.core, SOME_TIME, || false, || ());
    assert!(!is_over);
    let hang = world.tasks.count(Owner::House);
    world.tasks.end();
    let mut found = world.core.with(|state| state.chronicle.breaches().to_vec());
    if hang > 0 && found.is_empty() {
        found.push(format!("{hang} tasks hang"));
    }
    found
}

fn buffer() -> Vec<u8> {
    Vec::with_capacity(256 + TAIL_ROOM)
}

/// Polls a future once and drops it.
async fn poll_and_drop(future: impl Future) {
    let mut future = pin!(future);
    poll_fn(|cx| {
        let _ = future.as_mut().poll(cx); // It is dropped whatever it says.
        Poll::Ready(())
    })
    .await;
}

#[test]
fn a_receive_that_is_dropped_fails_the_run() {
    for ring in [true, false] {
        let found = breaches(Faults { ring, ..Faults::default() }, |_, near, _far| async move {
            poll_and_drop(near.recv(buffer())).await;
        });
        assert!(found.iter().any(|word| word.contains("receive was dropped")), "{found:?}");
    }
}

#[test]
fn a_poll_may_be_dropped() {
    let found = breaches(Faults::default(), |_, near, _far| async move {
        poll_and_drop(near.readable()).await;
    });
    assert_eq!(found, [] as [&str; 0]);
}

#[test]
fn a_task_that_panics_fails_the_run_and_no_other_task() {
    let lives = Rc::new(Cell::new(false));
    let seen = Rc::clone(&lives);
    let found = breaches(Faults::default(), |world, _near, _far| async move {
        let later = world.clone();
        world.spawn(async move {
            later.sleep(Duration::from_secs(1)).await;
            seen.set(true);
        });
        panic!("as a test wants it");
    });
    assert!(found[0].contains("panicked: as a test wants it"), "{found:?}");
    assert!(lives.get());
}

/// Every fault of the wire that loses nothing.
fn wild(ring: bool) -> Faults {
    Faults {
        ring,
        any_order: true,
        short_reads: Odds(700),
        short_writes: Odds(700),
        shy_sends: Odds(700),
        late_cancels: true,
        delay: Duration::from_millis(5),
        jitter: Duration::from_millis(5),
        pieces: Odds(700),
        pipe_bytes: 20,
        hiccups: Odds(1000),
        ..Faults::default()
    }
}

/// What is sent, and so what must come.
fn bytes() -> Vec<u8> {
    (0..2000_u32).map(|n| n as u8).collect()
}

#[test]
fn what_is_sent_arrives_whole_and_in_order() {
    for ring in [true, false] {
        let found = breaches(wild(ring), |world, near, far| async move {
            world.of(Owner::Client).spawn(async move {
                assert!(send_all(&far, &bytes()).await);
            });
            let mut came = Vec::new();
            loop {
                let (result, buffer) = near.recv(buffer()).await;
                came.extend_from_slice(&buffer);
                if result.unwrap() == 0 {
                    break;
                }
            }
            assert!(came == bytes(), "{} bytes came", came.len());
        });
        assert_eq!(found, [] as [&str; 0]);
    }
}

#[test]
fn a_cancel_that_races_bytes_loses_none() {
    for ring in [true, false] {
        let found = breaches(wild(ring), |world, near, far| async move {
            world.of(Owner::Client).spawn(async move {
                assert!(send_all(&far, &bytes()).await);
            });
            let (mut came, mut cancelled) = (Vec::new(), 0);
            loop {
                let mut receive = pin!(near.recv_cancelable(buffer()));
                let mut polls = 0;
                let (result, buffer) = poll_fn(|cx| {
                    polls += 1;
                    let result = receive.as_mut().poll(cx);
                    if result.is_pending() && polls == 1 {
                        near.cancel_recv();
                    }
                    result
                })
                .await;
                came.extend_from_slice(&buffer);
                match result {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => {
                        assert_eq!(error.raw_os_error(), Some(125), "{error}");
                        cancelled += 1;
                        world.sleep(Duration::from_micros(300)).await;
                    }
                }
            }
            assert!(came == bytes() && cancelled > 0, "{} bytes, {cancelled}", came.len());
        });
        assert_eq!(found, [] as [&str; 0]);
    }
}

#[test]
fn who_closes_with_bytes_unread_resets() {
    let found =
        breaches(Faults { ring: true, ..Faults::default() }, |world, near, far| async move {
            assert!(send_all(&near, b"unread").await);
            world.sleep(Duration::from_secs(1)).await;
            drop(far);
            let (result, _) = near.recv(buffer()).await;
            assert_eq!(result.unwrap_err().raw_os_error(), Some(104));
        });
    assert_eq!(found, [] as [&str; 0]);
}

#[test]
fn an_end_waits_behind_what_does_not_fit_and_a_reset_takes_its_place() {
    let faults = Faults { ring: true, pipe_bytes: 4, ..Faults::default() };
    let found = breaches(faults, |world, near, far| async move {
        assert_eq!(near.try_send(b"full").unwrap(), 4);
        near.finish();
        near.abort();
        drop(near);
        world.sleep(Duration::from_secs(1)).await;
        assert!(far.recv(buffer()).await.0.is_ok_and(|bytes| bytes == 4));
        assert!(far.recv(buffer()).await.0.is_err(), "the end came after all");
    });
    assert_eq!(found, [] as [&str; 0]);
}
