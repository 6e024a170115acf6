//! TLS without I/O: certificates to configurations, and a session that turns
//! bytes into bytes. Sockets, files and clocks are elsewhere.

mod current;

pub use current::{BackendTls, ServerTls};
