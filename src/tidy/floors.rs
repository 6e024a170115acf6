//! Imports point down: the drawing in `lib.rs` is the rule, not a picture of it.

use super::Fault;
use super::source::{CodePath, Source};

const INSTEAD: &str =
    "take it as an argument or a settings struct of one's own, or move what both need further down";

/// Which room is on which floor.
pub(super) struct Plan {
    rooms: Vec<(String, u32)>,
}

impl Plan {
    /// Reads the drawing: a line of the crate's `//!` text that begins with a
    /// number is a floor, and its words that end in a slash are rooms.
    pub(super) fn drawn_in(lib: &str) -> Self {
        let mut rooms = Vec::new();
        for line in lib.lines().filter_map(|line| line.strip_prefix("//! ")) {
            let mut words = line.split_whitespace();
            let Some(Ok(floor)) = words.next().map(str::parse::<u32>) else { continue };
            let named = words.filter_map(|word| word.strip_suffix('/'));
            rooms.extend(named.map(|room| (room.to_owned(), floor)));
        }
        Self { rooms }
    }

    pub(super) fn floor(&self, room: &str) -> Option<u32> {
        self.rooms.iter().find(|(name, _)| name == room).map(|(_, floor)| *floor)
    }
}

/// Rooms that the plan does not show, and imports that do not point down.
pub(super) fn faults(plan: &Plan, sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        let Some(room) = source.room().filter(|room| *room != "tidy") else { continue };
        let fault =
            |line, reason, instead| Fault { file: source.name.clone(), line, reason, instead };
        let Some(floor) = plan.floor(room) else {
            let reason = format!("the floor plan in lib.rs does not show {room}/");
            faults.push(fault(1, reason, "draw it on its floor"));
            continue;
        };
        let depth = source.modules().len();
        for path in source.paths() {
            let Some(target) = room_of(&path, depth).filter(|target| *target != room) else {
                continue;
            };
            let Some(target_floor) = plan.floor(target) else { continue };
            if target_floor >= floor {
                let reason =
                    format!("{room} (floor {floor}) imports {target} (floor {target_floor})");
                faults.push(fault(path.line, reason, INSTEAD));
            }
        }
    }
    faults
}

/// The first name below the crate's root that a path leads to, seen from a
/// file that lies `depth` modules deep.
fn room_of(path: &CodePath, depth: usize) -> Option<&str> {
    let segments = &path.segments;
    let ups = segments.iter().take_while(|segment| *segment == "super").count();
    let at = match segments.first()?.as_str() {
        "crate" => 1,
        "super" if ups >= depth => ups,
        _ => return None,
    };
    segments.get(at).map(String::as_str)
}
