//! What is searched for, made once: to make a finder takes as long as to search
//! a kilobyte.

use std::sync::LazyLock;

use memchr::memmem::Finder;

macro_rules! finders {
    ($($name:ident $needle:literal)*) => {
        $(pub(super) static $name: LazyLock<Finder<'static>> =
            LazyLock::new(|| Finder::new($needle));)*
    };
}

finders! {
    ROLE b"\"role\""
    TYPE b"\"type\""
    NAME b"\"name\""
    FENCE b"```"
    IMAGE b"image"
}
