//! Pages that Token Ring serves itself. Which there are is decided above
//! (`admin/`); here is only the door.

use std::sync::Arc;

use crate::base::Instant;

/// What a page may depend on.
#[derive(Clone, Copy, Debug)]
pub struct PageRequest<'a> {
    pub method: &'a [u8],
    /// Without the query.
    pub path: &'a [u8],
    /// Whether it came in by the admin listener.
    pub admin: bool,
    /// Whether this shard could answer a request now.
    pub ready: bool,
    pub draining: bool,
    pub now: Instant,
}

/// A whole answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    pub status: u16,
    pub content_type: &'static str,
    pub body: Vec<u8>,
}

/// The page for a request, if it asks for one.
pub type Pages = Arc<dyn Fn(PageRequest<'_>) -> Option<Page> + Send + Sync>;
