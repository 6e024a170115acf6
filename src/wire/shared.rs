//! What the TLS streams of one shard share.

use std::{cell::RefCell, sync::Arc};

use super::Gate;
use crate::tls::{RECORD_BYTES_MAX, ServerTls, sealed_bytes_max};

/// The most plaintext that is sealed for one send: four full records. More
/// would wait in memory while the kernel takes it.
pub(super) const SEAL_PLAIN_MAX: usize = 64 * 1024;

/// One shard's.
pub struct Shared {
    /// Of the process; `None` if no listener is secured.
    pub(super) server: Option<Arc<ServerTls>>,
    pub gate: Gate,
    pub(super) scratch: RefCell<Scratch>,
}

/// Memory that is used within one step and never across a wait, so one piece
/// of it, which stays in the cache, serves all streams of the shard.
pub(super) struct Scratch {
    /// Plaintext of one record, on its way to where it belongs.
    pub(super) plain: Vec<u8>,
    /// Records on their way into the kernel.
    pub(super) sealed: Box<[u8]>,
    /// What a handshake has received.
    pub(super) received: Vec<u8>,
    /// What the peer must be told without being asked.
    pub(super) replies: Vec<u8>,
}

impl Shared {
    #[must_use]
    pub fn new(server: Option<Arc<ServerTls>>, handshakes_waiting_max: usize) -> Self {
        let scratch = Scratch {
            plain: Vec::new(),
            sealed: vec![0; sealed_bytes_max(SEAL_PLAIN_MAX)].into_boxed_slice(),
            received: Vec::with_capacity(RECORD_BYTES_MAX),
            replies: Vec::new(),
        };
        let gate = Gate::new(handshakes_waiting_max);
        Self { server, gate, scratch: RefCell::new(scratch) }
    }
}
