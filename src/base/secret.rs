//! A secret of the operator's: it is sent where it belongs and shown nowhere.

use std::fmt;

/// Bytes that neither logs nor errors nor figures ever show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// To be written to the one whom it is for.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// Plans are shown whole in tests and in the log's debug level.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_sent_and_not_shown() {
        let secret = Secret::new(b"sk-1");
        assert_eq!(secret.expose(), b"sk-1");
        assert_eq!(format!("{secret:?} {:#?}", Some(&secret)).matches("sk-1").count(), 0);
        assert_ne!(secret, Secret::new(b"sk-2"));
    }
}
