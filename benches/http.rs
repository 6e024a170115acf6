//! Placeholder, replaced with the room.
fn main() {}
