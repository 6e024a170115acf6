//! A copy of a request goes to another model's backend, and its answer is read
//! and thrown away: the operator looks at that backend, and no client does.
//!
//! The copy is a task of its own. It is taken before the request is sent, so
//! nothing of the client's waits for it but the copying itself, and it ends by
//! its own deadlines: a client that leaves does not end it, and a drain does
//! not wait for it. There is no second attempt. Its backend sees none of the
//! client's credentials, and counts it as any request.
//!
//! ```text
//! request ─┬─► attempt ─► relay ─► client
//!          └─ copy ─► a backend of the mirror's ─► nobody
//! ```

mod watch;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    sync::atomic::Ordering,
};

use super::{
    Stage, attempt::named_model, link::Link, outgoing::Outgoing, queue, understand::Asked, verdict,
    watch::Wait,
};
use crate::{
    balance::{Ask, BackendId, ModelKey, Outturn, Priority, Ticket, Work},
    http::{BodyDecoder, BodyFraming, HeadSearch, HeaderTable, parse_response},
    llm::{Dialect, Model},
    retry::{Class, Failed, Repeatable},
    route::{Decision, ModelId},
    rt::{Stream, TAIL_ROOM, World},
};
use watch::Watch;

/// Copies under way in one shard. Each is a task and a buffer; a mirror that
/// answers slower than it is asked must not gather more of them.
const MIRRORS_MAX: u64 = 64;
/// How much of an answer is read before it is given up: more than any text.
const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Interim answers (1xx) borne before the final one.
const INTERIM_MAX: usize = 8;

/// Sends a copy where the decision says so, if there is room for one.
pub fn mirror<W: World>(stage: &Rc<Stage<W>>, asked: &Asked<'_>, decision: &Decision<'_>) {
    // What asks no model may do anything, and is not done twice.
    let may_be_done_twice = asked.asks_model() && asked.repeatable == Repeatable::Yes;
    let Some(step) = decision.mirror().filter(|_| may_be_done_twice) else { return };
    let outgoing = asked.outgoing.borrow();
    let Some(room) = Room::take(stage, outgoing.size()) else {
        stage.counters.mirrored_requests_skipped.increment();
        return;
    };
    let rename = step.rename.map(|name| ModelKey::of(name.as_bytes()));
    let key = rename.or_else(|| named_model(asked));
    let mut outgoing = outgoing.without_credentials();
    outgoing.rename(asked.model.map(Model::place), step.rename);
    let copy = Copy {
        outgoing,
        dialect: asked.dialect,
        work: asked.work,
        backends: step.backends.into(),
        model: step.model,
        key,
        conversation: asked.conversation.key,
        hashes: asked.conversation.hashes.as_slice().into(),
    };
    let ground = Rc::clone(&stage.ground);
    stage.world.spawn(async move {
        let mut story = pin!(tell(room, copy));
        poll_fn(|cx| {
            ground.look_at_clock();
            story.as_mut().poll(cx)
        })
        .await;
    });
}

/// A request's copy, and what it needs of the request.
struct Copy {
    outgoing: Outgoing,
    dialect: Dialect,
    work: Work,
    backends: Box<[BackendId]>,
    model: Option<ModelId>,
    key: Option<ModelKey>,
    conversation: Option<u64>,
    hashes: Box<[u64]>,
}

/// Why an answer has not come whole.
enum Ended {
    Failed(Failed),
    /// Its time was over, or it was too long.
    Left,
    /// By an answer of this status.
    Declined,
    /// It says nothing of the backend.
    Unsaid,
}

impl From<Class> for Ended {
    fn from(class: Class) -> Self {
        Self::Failed(Failed { class, after: None })
    }
}

/// One copy, from the choice of a backend to the end of the answer.
async fn tell<W: World>(room: Room<W>, copy: Copy) {
    let stage = Rc::clone(&room.stage);
    let stage = &*stage;
    let ask = Ask::new(&copy.backends, stage.policies.of(copy.model), copy.work);
    let (conversation, hashes) = (copy.conversation, &copy.hashes[..]);
    let ask = Ask { is_first: false, model: copy.key, conversation, hashes, ..ask };
    let Ok(mut ticket) = queue::at_once(stage, &ask, Priority::Low) else {
        // Nobody waits for a place on behalf of nobody.
        stage.counters.mirrored_requests_skipped.increment();
        return;
    };
    stage.counters.mirrored_requests.increment();
    let watch = Watch::of_this_task(stage).await;
    let ended = send_and_read(&watch, &mut ticket, (copy.outgoing, copy.dialect), &room).await;
    match ended {
        Ok(()) => ticket.done(Outturn::default(), stage.now()),
        Err(Ended::Failed(failed)) => verdict::failure(stage, ticket, failed),
        Err(Ended::Declined) => ticket.declined(stage.now()),
        Err(Ended::Left) => ticket.left(stage.now()),
        Err(Ended::Unsaid) => drop(ticket),
    }
    queue::wake(stage);
}

async fn send_and_read<W: World>(
    watch: &Watch<'_, W>,
    ticket: &mut Ticket<'_>,
    (mut outgoing, dialect): (Outgoing, Dialect),
    room: &Room<W>,
) -> Result<(), Ended> {
    let stage = watch.stage;
    let backend = ticket.backend();
    let mut link = watch.link(backend).await?;
    let was_idle = link.is_reused();
    if !was_idle {
        ticket.reached();
    }
    let settings = stage.settings.backends.get(backend.0).ok_or(Ended::Unsaid)?;
    let part = outgoing.address_to(settings, dialect);
    // Where it is armed already it must be awaited, whatever becomes of the
    // request.
    let receive = link.first_receive(|| stage.lend_buffer());
    let sent_whole = watch.send(link.stream(), outgoing.into_buffer(), part).await;
    if !sent_whole {
        link.stream().shutdown();
    }
    room.give_back_bytes();
    watch.wait_for(Wait::FirstByte);
    let (result, received) = watch.guard(link.stream(), receive).await;
    if matches!(result, Ok(1..)) {
        let mut answer = Incoming { watch, link, received, reusable: sent_whole };
        let ended = answer.read(ticket).await;
        stage.return_buffer(answer.received);
        if answer.reusable {
            answer.link.give_back(stage);
        }
        return ended;
    }
    stage.return_buffer(received);
    match watch.is_over() {
        true => Err(watch.lateness()),
        // Most likely it was closed while it was idle.
        false if was_idle => Err(Ended::Unsaid),
        false => Err(Class::Cut.into()),
    }
}

/// An answer that is read for nobody.
struct Incoming<'w, 's, W: World> {
    watch: &'w Watch<'s, W>,
    link: Link<'s, W::Stream>,
    received: Vec<u8>,
    /// The connection may serve again, once the answer is whole.
    reusable: bool,
}

/// What must be known of a head to read the body behind it.
struct Head {
    status: u16,
    framing: BodyFraming,
    lives: bool,
}

impl<W: World> Incoming<'_, '_, W> {
    /// Reads to the end of the answer, and says what it came to.
    async fn read(&mut self, ticket: &mut Ticket<'_>) -> Result<(), Ended> {
        let read = self.read_whole(ticket).await;
        // Its rest would be taken for the next answer.
        self.reusable &= matches!(read, Ok((_, true)));
        let (status, _) = read?;
        match verdict::class_of(self.watch.stage, self.link.backend, status) {
            Some(class) => Err(class.into()),
            None if matches!(status, 400..=499) => Err(Ended::Declined),
            // What nobody implements says nothing of the backend.
            None if status >= 500 => Err(Ended::Unsaid),
            None => Ok(()),
        }
    }

    /// The status, and whether the connection may serve again.
    async fn read_whole(&mut self, ticket: &mut Ticket<'_>) -> Result<(u16, bool), Ended> {
        let stage = self.watch.stage;
        let head = self.head().await?;
        let mut decoder = BodyDecoder::new(head.framing);
        let mut read = 0;
        loop {
            let decoded = decoder.decode(&mut self.received).map_err(|_| Class::Protocol)?;
            if !decoded.data.is_empty() && head.status < 400 {
                ticket.first_byte(stage.now());
            }
            if decoded.done {
                let took_all = decoded.consumed == self.received.len();
                return Ok((head.status, head.lives && took_all));
            }
            read += self.received.len();
            if read > ANSWER_BYTES_MAX {
                return Err(Ended::Left);
            }
            self.received.clear();
            if !self.more(Wait::MoreAnswer).await? {
                return decoder
                    .on_close()
                    .map(|()| (head.status, false))
                    .map_err(|_| Class::Cut.into());
            }
        }
    }

    /// The final head; what is received begins with the body afterwards.
    async fn head(&mut self) -> Result<Head, Ended> {
        let stage = self.watch.stage;
        let mut search = HeadSearch::default();
        let mut interims = 0;
        loop {
            if let Some(head_bytes) = search.find(&self.received) {
                let mut table = HeaderTable::new();
                let bytes = self.received.get(..head_bytes).unwrap_or_default();
                let parsed = parse_response(bytes, false, &stage.http_limits, &mut table);
                let parsed = parsed.map_err(|_| Class::Protocol)?;
                let (status, framing) = (parsed.status, parsed.framing);
                let head = Head { status, framing, lives: parsed.keep_alive };
                self.received.drain(..head_bytes);
                if status >= 200 {
                    return Ok(head);
                }
                interims += 1;
                if interims > INTERIM_MAX {
                    return Err(Class::Protocol.into());
                }
                search.reset();
                continue;
            }
            if self.received.len() > stage.settings.limits.head_bytes {
                return Err(Class::Protocol.into());
            }
            if !self.more(Wait::FirstByte).await? {
                return Err(Class::Cut.into());
            }
        }
    }

    /// Receives more behind what is held; false at the backend's end.
    async fn more(&mut self, wait: Wait) -> Result<bool, Ended> {
        let stage = self.watch.stage;
        if self.received.capacity() - self.received.len() <= TAIL_ROOM {
            self.received.reserve(stage.settings.pool.buffer_bytes);
        }
        let received = std::mem::take(&mut self.received);
        self.watch.wait_for(wait);
        let receive = self.link.stream().recv(received);
        let (result, received) = self.watch.guard(self.link.stream(), receive).await;
        self.received = received;
        match result {
            Ok(1..) => Ok(true),
            _ if self.watch.is_over() => Err(self.watch.lateness()),
            Ok(0) => Ok(false),
            Err(_) => Err(Class::Cut.into()),
        }
    }
}

/// A place among the copies under way, and room for the bytes of one in the
/// budget of bodies. Gives itself back.
struct Room<W: World> {
    stage: Rc<Stage<W>>,
    bytes: Cell<usize>,
}

impl<W: World> Room<W> {
    fn take(stage: &Rc<Stage<W>>, bytes: usize) -> Option<Self> {
        let gauge = &stage.counters.mirrored_requests_in_flight;
        if gauge.read() >= MIRRORS_MAX {
            return None;
        }
        gauge.increment();
        stage.counters.request_body_bytes_held.add(bytes as u64);
        let held = stage.common.body_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        // Gives back what was taken if that is too much.
        let room = Self { stage: Rc::clone(stage), bytes: Cell::new(bytes) };
        (held <= stage.settings.limits.body_memory_total).then_some(room)
    }

    /// The copy has been sent, and will not be again.
    fn give_back_bytes(&self) {
        let bytes = self.bytes.take();
        self.stage.counters.request_body_bytes_held.subtract(bytes as u64);
        self.stage.common.body_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl<W: World> Drop for Room<W> {
    fn drop(&mut self) {
        self.give_back_bytes();
        self.stage.counters.mirrored_requests_in_flight.subtract(1);
    }
}
