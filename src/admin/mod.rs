//! Health and metrics pages.
