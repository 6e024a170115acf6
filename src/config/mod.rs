//! From what was written to the checked Plan.
