//! What the bytes mean: dialects, peek, usage, errors.
