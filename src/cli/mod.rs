//! Words from the operator.
