//! Classes of failure: what is known of each, and what it allows.

/// How a backend has failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Class {
    /// No connection could be made.
    Connect,
    /// No connection could be secured, or the host at the other end is not the
    /// backend. Nothing of the request was sent there, and the next backend
    /// must prove itself by its own certificate, so asking it betrays nothing;
    /// that an address is held by a stranger is told in the log, loudly, and
    /// not by failing requests that others can answer. The same backend is not
    /// asked again: certificates do not mend within a request.
    Tls,
    /// The connection ended before a byte of an answer.
    Cut,
    /// The first byte, or a stream's first event, did not come in time.
    Timeout,
    /// 429, 503 and 529: it has no room.
    NoRoom,
    /// Any other status that is the backend's own fault.
    ServerError,
    /// A stream under status 200 whose first event is an error.
    ErrorEvent,
    /// What came is no HTTP, or no answer to what was asked.
    Protocol,
}

impl Class {
    pub const ALL: [Self; 8] = [
        Self::Connect,
        Self::Tls,
        Self::Cut,
        Self::Timeout,
        Self::NoRoom,
        Self::ServerError,
        Self::ErrorEvent,
        Self::Protocol,
    ];

    /// As the operator writes it, and as a label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Cut => "cut",
            Self::Timeout => "timeout",
            Self::NoRoom => "no_room",
            Self::ServerError => "server_error",
            Self::ErrorEvent => "error_event",
            Self::Protocol => "protocol",
        }
    }

    /// The class of an answer's status; `None` is an answer, whatever it says.
    /// A client's 4xx is its own fault, and 501 and 505 are about what was
    /// asked: nobody else would say otherwise.
    #[must_use]
    pub const fn of_status(status: u16) -> Option<Self> {
        match status {
            429 | 503 | 529 => Some(Self::NoRoom),
            500 | 502 | 504 | 506..=599 => Some(Self::ServerError),
            _ => None,
        }
    }

    /// Nothing of the request has reached the backend.
    #[must_use]
    pub const fn is_before_sending(self) -> bool {
        matches!(self, Self::Connect | Self::Tls)
    }

    /// Whether the same backend may do better a moment later. One that took its
    /// whole time, or does not speak our language, will not.
    #[must_use]
    pub const fn may_heal(self) -> bool {
        match self {
            Self::Connect | Self::Cut | Self::NoRoom | Self::ServerError | Self::ErrorEvent => true,
            Self::Tls | Self::Timeout | Self::Protocol => false,
        }
    }

    /// Whether it says nothing of the model that was asked for, so that the same
    /// backend would fail another one too. Who has no room for one model, or an
    /// error, may well answer by another: limits, windows and engines are the
    /// models'.
    #[must_use]
    pub const fn is_of_host(self) -> bool {
        match self {
            Self::Connect | Self::Tls | Self::Cut | Self::Timeout | Self::Protocol => true,
            Self::NoRoom | Self::ServerError | Self::ErrorEvent => false,
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// Some of the classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Classes(u8);

impl Classes {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(u8::MAX);

    #[must_use]
    pub const fn and(self, class: Class) -> Self {
        Self(self.0 | class.bit())
    }

    #[must_use]
    pub const fn has(self, class: Class) -> bool {
        self.0 & class.bit() != 0
    }

    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn each(self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(move |class| self.has(*class))
    }
}

/// Whether a request may reach a backend that has worked on it, or another one
/// after that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeatable {
    /// To have been asked twice leaves nothing behind but work.
    Yes,
    /// It may have had an effect: only while nothing of it was sent.
    Unsent,
}

impl Repeatable {
    /// By the method (RFC 9110, section 9.2.2: these are idempotent), and by
    /// whether it asks a model to write: what a model writes and nobody has
    /// seen is no effect. Whoever reads the body may know better.
    #[must_use]
    pub fn of(method: &[u8], asks_model: bool) -> Self {
        match method {
            b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE" => Self::Yes,
            b"POST" if asks_model => Self::Yes,
            _ => Self::Unsent,
        }
    }

    #[must_use]
    pub fn after(self, class: Class) -> bool {
        self == Self::Yes || class.is_before_sending()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_blamed_on_who_caused_it() {
        for (status, expected) in [
            (200, None),
            (400, None),
            (401, None),
            (404, None),
            (408, None),
            (429, Some(Class::NoRoom)),
            (499, None),
            (500, Some(Class::ServerError)),
            (501, None),
            (502, Some(Class::ServerError)),
            (503, Some(Class::NoRoom)),
            (504, Some(Class::ServerError)),
            (505, None),
            (529, Some(Class::NoRoom)),
            (599, Some(Class::ServerError)),
        ] {
            assert_eq!(Class::of_status(status), expected, "{status}");
        }
    }

    #[test]
    fn a_set_holds_what_was_put_into_it() {
        for class in Class::ALL {
            let alone = Classes::NONE.and(class);
            assert_eq!(alone.each().collect::<Vec<_>>(), [class]);
            assert!(Classes::ALL.has(class) && !Classes::NONE.has(class));
        }
        let every = Class::ALL.into_iter().fold(Classes::NONE, Classes::and);
        assert_eq!(every, Classes::ALL);
    }

    #[test]
    fn what_may_have_had_an_effect_is_not_asked_again() {
        for (method, asks_model, expected) in [
            ("POST", true, Repeatable::Yes),
            ("POST", false, Repeatable::Unsent),
            ("PATCH", false, Repeatable::Unsent),
            ("PATCH", true, Repeatable::Unsent),
            ("get", false, Repeatable::Unsent),
            ("GET", false, Repeatable::Yes),
            ("HEAD", false, Repeatable::Yes),
            ("PUT", false, Repeatable::Yes),
            ("DELETE", false, Repeatable::Yes),
        ] {
            assert_eq!(Repeatable::of(method.as_bytes(), asks_model), expected, "{method}");
        }
        for class in Class::ALL {
            assert!(Repeatable::Yes.after(class));
            let unsent = matches!(class, Class::Connect | Class::Tls);
            assert_eq!(Repeatable::Unsent.after(class), unsent, "{class:?}");
        }
    }
}
