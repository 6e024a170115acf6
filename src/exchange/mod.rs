//! The story of one request, one file per verb.
