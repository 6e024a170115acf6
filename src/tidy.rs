//! A test that keeps the house in order.
