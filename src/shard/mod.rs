//! One core's loop.
