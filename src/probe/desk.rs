//! Who is asked when, and what becomes of the answers.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::Arc,
    task::Waker,
    time::Duration,
};

use super::{
    ProbeFault, ProbeFigures,
    ask::{Question, ask, request},
    course::{EngineCourse, HealthCourse},
    exposition::Exposition,
    plan::{EnginePlan, ProbePlan},
    reading::Wanted,
};
use crate::{
    balance::{BackendId, EngineFigures, Fleet, Probed},
    base::{Chance, Instant},
    rt::{ConnectAddress, World},
};

/// Probes under way at one time. More would be a burst of handshakes, and each
/// holds a descriptor.
pub const UNDER_WAY_MAX: usize = 32;

/// Within this the first probes are spread, however long the interval is.
const FIRST_WITHIN: Duration = Duration::from_secs(1);

/// One backend, as far as probes are concerned.
pub struct Target<S> {
    pub backend: BackendId,
    /// Shown in the log; who has the same in the next round is the same.
    pub name: String,
    pub host_header: String,
    /// Put before each path.
    pub base_path: String,
    pub security: S,
    pub addresses: RefCell<Vec<ConnectAddress>>,
    pub figures: Arc<ProbeFigures>,
}

/// All that is to be asked, until another round replaces it.
pub struct Round<S> {
    /// News of addresses name it.
    pub number: u64,
    pub plan: ProbePlan,
    pub targets: Vec<Target<S>>,
    pub audience: Box<dyn Audience>,
}

/// Who is told what is found out.
pub trait Audience: Send {
    /// Again and again, as long as it is so.
    fn hears_of_health(&self, backend: BackendId, probed: Probed, now: Instant);

    fn hears_of_engine(&self, backend: BackendId, figures: EngineFigures, now: Instant);
}

/// It judges what it hears.
impl Audience for Arc<Fleet> {
    fn hears_of_health(&self, backend: BackendId, probed: Probed, now: Instant) {
        self.set_probed(backend, probed, now);
    }

    fn hears_of_engine(&self, backend: BackendId, figures: EngineFigures, now: Instant) {
        self.note_engine(backend, figures, now);
    }
}

/// What is asked of one backend again and again, one question at a time.
#[derive(Clone, Copy, Debug)]
struct Errand {
    target: usize,
    course: Course,
    /// When it is next to be asked; [`Instant::NEVER`] while it is being asked.
    due: Instant,
}

#[derive(Clone, Copy, Debug)]
enum Course {
    Health(HealthCourse),
    Engine(EngineCourse),
}

/// One round, and how far it has come.
pub struct Desk<W: World> {
    world: W,
    pub number: u64,
    plan: ProbePlan,
    audience: Box<dyn Audience>,
    targets: Vec<Rc<Target<W::Security>>>,
    errands: RefCell<Vec<Errand>>,
    under_way: Cell<usize>,
    /// Another round has replaced it: what comes late is not told.
    is_over: Cell<bool>,
    chance: RefCell<Chance>,
    /// Who waits until an errand is due.
    keeper: Cell<Option<Waker>>,
}

impl<W: World> Desk<W> {
    /// What has been found out in the round before is not forgotten.
    pub fn open(world: W, round: Round<W::Security>, seed: u64, before: Option<&Self>) -> Rc<Self> {
        let now = world.now();
        let mut chance = Chance::seeded(seed);
        let mut errands = Vec::new();
        for (place, target) in round.targets.iter().enumerate() {
            let courses = before.map(|desk| desk.courses_of(&target.name)).unwrap_or_default();
            if let Some(interval) = round.plan.health.interval {
                let due = now.after(jitter_within(interval.min(FIRST_WITHIN), &mut chance));
                errands.push(Errand { target: place, course: Course::Health(courses.0), due });
            } else {
                // Nobody would ever find it well again.
                round.audience.hears_of_health(target.backend, Probed::Healthy, now);
            }
            if let Some(interval) = round.plan.engine.interval {
                let due = now.after(jitter_within(interval.min(FIRST_WITHIN), &mut chance));
                errands.push(Errand { target: place, course: Course::Engine(courses.1), due });
            }
        }
        Rc::new(Self {
            world,
            number: round.number,
            plan: round.plan,
            audience: round.audience,
            targets: round.targets.into_iter().map(Rc::new).collect(),
            errands: RefCell::new(errands),
            under_way: Cell::new(0),
            is_over: Cell::new(false),
            chance: RefCell::new(chance),
            keeper: Cell::new(None),
        })
    }

    fn courses_of(&self, name: &str) -> (HealthCourse, EngineCourse) {
        let mut found = (HealthCourse::default(), EngineCourse::default());
        for errand in &*self.errands.borrow() {
            match errand.course {
                _ if self.targets[errand.target].name != name => {}
                Course::Health(course) => found.0 = course,
                Course::Engine(course) => found.1 = course,
            }
        }
        found
    }

    /// Begins what is due, as far as there is room.
    pub fn send_out(self: &Rc<Self>) {
        let now = self.world.now();
        for (place, errand) in self.errands.borrow_mut().iter_mut().enumerate() {
            if errand.due <= now && self.under_way.get() < UNDER_WAY_MAX {
                errand.due = Instant::NEVER;
                self.under_way.set(self.under_way.get() + 1);
                self.world.spawn(Self::run(Rc::clone(self), place));
            }
        }
    }

    /// When there is something to begin; whoever ends an errand wakes `keeper`.
    pub fn next_due(&self, keeper: &Waker) -> Instant {
        self.keeper.set(Some(keeper.clone()));
        if self.under_way.get() >= UNDER_WAY_MAX {
            return Instant::NEVER;
        }
        let errands = self.errands.borrow();
        errands.iter().map(|errand| errand.due).min().unwrap_or(Instant::NEVER)
    }

    /// A backend is reached elsewhere now.
    pub fn moved(&self, backend: BackendId, to: &[ConnectAddress]) {
        for target in self.targets.iter().filter(|target| target.backend == backend) {
            to.clone_into(&mut target.addresses.borrow_mut());
        }
    }

    /// Nothing that is found out from now on is told.
    pub fn close(&self) {
        self.is_over.set(true);
    }

    async fn run(desk: Rc<Self>, place: usize) {
        let _place = Place { desk: Rc::clone(&desk), place, begun: desk.world.now() };
        let Errand { target, course, .. } = desk.errands.borrow()[place];
        let target = Rc::clone(&desk.targets[target]);
        let course = match course {
            Course::Health(course) => Course::Health(desk.check_health(&target, course).await),
            Course::Engine(course) => Course::Engine(desk.ask_engine(&target, course).await),
        };
        desk.errands.borrow_mut()[place].course = course;
    }

    async fn check_health(
        &self,
        target: &Target<W::Security>,
        mut course: HealthCourse,
    ) -> HealthCourse {
        let plan = &self.plan.health;
        let page = Page { path: &plan.path, accept: "*/*", wanted: Wanted::Status };
        let found = self.ask(target, page, plan.timeout, |_| ()).await;
        let fault = match found {
            _ if self.is_over.get() => return course,
            Ok(200..=299) => None,
            Ok(status) => Some(ProbeFault::Status(status)),
            Err(fault) => Some(fault),
        };
        let was = course.state();
        let change = match &fault {
            None => course.succeeded(plan),
            Some(_) => {
                target.figures.count_failure();
                course.failed(plan)
            }
        };
        let backend = &*target.name;
        match (&fault, change) {
            (Some(fault), Some(_)) => {
                tracing::warn!(backend, %fault, "the backend is unhealthy");
            }
            (Some(fault), None) => tracing::debug!(backend, %fault, "a probe has failed"),
            (None, Some(_)) if was.is_some() => {
                tracing::info!(backend, "the backend is healthy again");
            }
            (None, _) => {}
        }
        if let Some(state) = course.state() {
            target.figures.set(state);
            // Again and again: whether it can be left alone depends on how the
            // others are, which changes.
            self.audience.hears_of_health(target.backend, state, self.world.now());
        }
        course
    }

    async fn ask_engine(
        &self,
        target: &Target<W::Security>,
        mut course: EngineCourse,
    ) -> EngineCourse {
        let mut exposition = Exposition::default();
        let path = &self.plan.engine.metrics_path;
        let page = Page { path, accept: "text/plain", wanted: Wanted::Body };
        let take = |data: &[u8]| exposition.push(data);
        let found = self.ask(target, page, EnginePlan::TIMEOUT, take).await;
        if self.is_over.get() {
            return course;
        }
        let backend = &*target.name;
        match (found, exposition.figures()) {
            (Ok(200..=299), Some(figures)) => {
                course.told();
                target.figures.note(figures);
                self.audience.hears_of_engine(target.backend, figures, self.world.now());
            }
            // It may be starting, or on its way back.
            (Ok(500..), _) => {}
            (
                Ok(_) | Err(ProbeFault::Malformed(_) | ProbeFault::TooLarge | ProbeFault::Encoded),
                _,
            ) => {
                if course.missed() {
                    let rarely = EngineCourse::RARELY;
                    tracing::info!(
                        backend,
                        ?rarely,
                        "the backend offers no figures of an engine; it is asked rarely from now on"
                    );
                }
            }
            (Err(fault), _) => tracing::debug!(backend, %fault, "no figures of an engine"),
        }
        course
    }

    async fn ask(
        &self,
        target: &Target<W::Security>,
        page: Page<'_>,
        timeout: Duration,
        sink: impl FnMut(&[u8]),
    ) -> Result<u16, ProbeFault> {
        let addresses = target.addresses.borrow().clone();
        let path = [&*target.base_path, page.path];
        let question = Question {
            addresses: &addresses,
            security: &target.security,
            request: request(&path, &target.host_header, page.accept),
            wanted: page.wanted,
            until: self.world.now().after(timeout),
        };
        ask(&self.world, question, sink).await
    }
}

/// What is asked for.
struct Page<'p> {
    path: &'p str,
    accept: &'p str,
    wanted: Wanted,
}

/// An errand under way. Given back also when it panics.
struct Place<W: World> {
    desk: Rc<Desk<W>>,
    place: usize,
    begun: Instant,
}

impl<W: World> Drop for Place<W> {
    fn drop(&mut self) {
        let desk = &*self.desk;
        desk.under_way.set(desk.under_way.get() - 1);
        if let Some(errand) = desk.errands.borrow_mut().get_mut(self.place) {
            let interval = match errand.course {
                Course::Health(_) => desk.plan.health.interval,
                Course::Engine(course) => course.interval(&desk.plan.engine),
            };
            let pause = interval.map(|interval| jitter(interval, &mut desk.chance.borrow_mut()));
            // One that took longer than the interval is due now.
            errand.due = pause.map_or(Instant::NEVER, |pause| self.begun.after(pause));
        }
        if let Some(keeper) = desk.keeper.take() {
            keeper.wake();
        }
    }
}

/// Anything from nothing to `most`.
fn jitter_within(most: Duration, chance: &mut Chance) -> Duration {
    most / 1000 * chance.below(1001) as u32
}

/// A tenth more or less: what has begun together does not stay together.
fn jitter(interval: Duration, chance: &mut Chance) -> Duration {
    interval / 1000 * (900 + chance.below(201) as u32)
}
