//! Which backend answers.
