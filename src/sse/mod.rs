//! Server-sent events: finding lines and events in bytes cut anywhere.
