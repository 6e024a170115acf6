//! What happens to a world while it runs, beside what its clients and backends
//! do: deaths, moves, the operator's doings.
//!
//! To add one: a row of [`ACTIONS`], and its knob in `faults`.

use std::{rc::Rc, time::Duration};

use super::{
    backend::Backend,
    executor::Owner,
    faults::{Faults, Odds},
    house::House,
    world::SimWorld,
};
use crate::{base::Chance, rt::World};

/// Who may be acted upon.
pub struct Scene {
    pub world: SimWorld,
    pub house: Rc<House>,
    pub backends: Vec<Backend>,
}

/// One of the things that may happen.
struct Action {
    is_on: fn(&Faults) -> bool,
    times_max: usize,
    act: fn(&Rc<Scene>, &mut Chance),
}

/// Everything that may happen.
const ACTIONS: &[Action] = &[
    Action { is_on: |faults| faults.deaths, times_max: 3, act: die },
    Action { is_on: |faults| faults.ills, times_max: 6, act: fall_ill },
    Action { is_on: |faults| faults.moves, times_max: 4, act: move_backend },
    Action { is_on: |faults| faults.drains, times_max: 1, act: drain },
    Action { is_on: |faults| faults.reloads, times_max: 6, act: reload },
];

/// Within so much of a run's beginning.
const WITHIN: Duration = Duration::from_secs(8);

/// Lets each action that is on come at some moment.
pub fn start(scene: &Rc<Scene>, chance: &mut Chance) {
    let faults = scene.world.core.with(|state| state.faults.clone());
    for action in ACTIONS.iter().filter(|action| (action.is_on)(&faults)) {
        for _ in 0..1 + chance.below(action.times_max) {
            let at = chance.up_to(WITHIN);
            let mut chance = Chance::seeded(chance.next_u64());
            let scene = Rc::clone(scene);
            scene.world.of(Owner::Run).spawn({
                let scene = Rc::clone(&scene);
                async move {
                    scene.world.sleep(at).await;
                    (action.act)(&scene, &mut chance);
                }
            });
        }
    }
}

/// A backend dies, and comes back.
fn die(scene: &Rc<Scene>, chance: &mut Chance) {
    let index = chance.below(scene.backends.len());
    scene.backends[index].die(chance.happens(Odds(300)));
    let away = chance.up_to(Duration::from_secs(3));
    let mut chance = Chance::seeded(chance.next_u64());
    let back = Rc::clone(scene);
    scene.world.of(Owner::Run).spawn(async move {
        back.world.sleep(away).await;
        // It may have died again since; who listens twice has two queues.
        back.world.core.with(|state| state.stop_listening(Owner::Backend(index)));
        back.backends[index].start(&mut chance);
    });
}

/// A backend says that it is unwell, for a while.
fn fall_ill(scene: &Rc<Scene>, chance: &mut Chance) {
    let index = chance.below(scene.backends.len());
    scene.backends[index].is_ill.set(true);
    let lasts = chance.up_to(Duration::from_secs(3));
    let scene = Rc::clone(scene);
    scene.world.of(Owner::Run).spawn({
        let scene = Rc::clone(&scene);
        async move {
            scene.world.sleep(lasts).await;
            scene.backends[index].is_ill.set(false);
        }
    });
}

/// A backend is reached elsewhere.
fn move_backend(scene: &Rc<Scene>, chance: &mut Chance) {
    let index = chance.below(scene.backends.len());
    scene.house.backend_moves(index, chance.below(2) == 0);
}

/// The operator changes the plan: backends come and go, and change places.
fn reload(scene: &Rc<Scene>, chance: &mut Chance) {
    let mut set: Vec<usize> = (0..scene.backends.len()).collect();
    let first = chance.below(set.len());
    set.rotate_left(first);
    if set.len() > 1 && chance.below(2) == 0 {
        set.pop();
    }
    scene.house.reload(set, chance);
}

/// The operator ends the process, in the midst of everything.
fn drain(scene: &Rc<Scene>, chance: &mut Chance) {
    scene.house.drain();
    let patience = chance.up_to(Duration::from_secs(2));
    let scene = Rc::clone(scene);
    scene.world.of(Owner::Run).spawn({
        let scene = Rc::clone(&scene);
        async move {
            scene.world.sleep(patience).await;
            scene.house.cut();
        }
    });
}
