//! Cores, descriptors and other things the kernel grants a process.
#![allow(unsafe_code, reason = "resource limits are plain system calls")]

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher, Hasher},
    io,
};

/// The cores this process may run on (`sched_getaffinity`), in order.
#[must_use]
pub fn allowed_cores() -> Vec<usize> {
    core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect()
}

/// Binds the calling thread to `core`; false if the kernel refused.
#[must_use]
pub fn pin_to(core: usize) -> bool {
    core_affinity::set_for_current(core_affinity::CoreId { id: core })
}

/// Raises the limit on open descriptors as far as the process may, and
/// returns it.
///
/// # Errors
/// The kernel's refusal to say.
pub fn allowed_descriptors() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur < limit.rlim_max {
        let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
        // SAFETY: `raised` is a valid limit, read only.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) } == 0 {
            limit = raised;
        }
    }
    Ok(limit.rlim_cur)
}

/// A seed that differs between processes and between calls.
#[must_use]
pub fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Asks for pages of ordinary size, for the whole process. A huge page is
/// resident as a whole as soon as one byte of it is touched: six of them would
/// be most of an idle process.
pub fn use_ordinary_pages() {
    // SAFETY: the call takes no pointers. Where the kernel does not know it,
    // the process is larger and otherwise the same.
    let _ = unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) };
}
