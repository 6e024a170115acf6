//! Placeholder, replaced with the generator.
fn main() {}
