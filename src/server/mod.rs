//! One process: threads, signals, drain.
