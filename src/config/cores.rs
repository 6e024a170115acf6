//! Which cores get a shard: `auto`, or a list like `0-1,3`, against what the
//! process is allowed.

use std::fmt;

use super::error::Fault;

/// Ids are compared with the allowed ones, so this only bounds the work on a
/// senseless range. Linux is built for at most 8192 (`NR_CPUS`).
const CORE_MAX: usize = 8191;

/// Core ids in ascending order, shown in ranges as the kernel shows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreList(pub Vec<usize>);

/// The ids in ascending order, each once, all of them allowed.
///
/// `allowed` need not be sorted. When it is empty the kernel did not answer:
/// a list is then believed, `auto` is a fault.
pub(super) fn resolve(written: &str, allowed: &[usize]) -> Result<Vec<usize>, Fault> {
    let mut allowed = allowed.to_vec();
    allowed.sort_unstable();
    if written == "auto" {
        return if allowed.is_empty() { Err(Fault::CoresUnknown) } else { Ok(allowed) };
    }
    let mut cores = Vec::new();
    for part in written.split(',') {
        let (first, last) = range(part)?;
        cores.extend(first..=last);
    }
    cores.sort_unstable();
    if let Some(twice) = cores.chunk_by(|one, next| one == next).find(|run| run.len() > 1) {
        return Err(Fault::CoreTwice(twice[0]));
    }
    let is_forbidden = |core: &&usize| !allowed.is_empty() && !allowed.contains(core);
    match cores.iter().rfind(is_forbidden) {
        Some(core) => Err(Fault::CoreForbidden { core: *core, allowed: CoreList(allowed) }),
        None => Ok(cores),
    }
}

/// `3` is from 3 to 3.
fn range(part: &str) -> Result<(usize, usize), Fault> {
    let (first, last) = part.split_once('-').unwrap_or((part, part));
    let (first, last) = (core(first)?, core(last)?);
    if first > last { Err(Fault::CoreRangeFalls { first, last }) } else { Ok((first, last)) }
}

fn core(digits: &str) -> Result<usize, Fault> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let id = digits.parse().ok().filter(|id| plain && *id <= CORE_MAX);
    id.ok_or(Fault::CoreListMalformed)
}

impl fmt::Display for CoreList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let runs = self.0.chunk_by(|one, next| one + 1 == *next);
        for (index, run) in runs.enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match run {
                [one] => write!(f, "{comma}{one}")?,
                [first, .., last] => write!(f, "{comma}{first}-{last}")?,
                [] => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(written: &str, allowed: &[usize], expected: Result<&[usize], Fault>) {
        assert_eq!(resolve(written, allowed), expected.map(<[_]>::to_vec), "{written:?}");
    }

    #[test]
    fn auto_is_every_allowed_core_in_order() {
        check("auto", &[2, 0, 5], Ok(&[0, 2, 5]));
        check("auto", &[], Err(Fault::CoresUnknown));
    }

    #[test]
    fn a_list_names_ids_and_ranges() {
        check("0", &[0, 1], Ok(&[0]));
        check("0-1,3", &[0, 1, 2, 3], Ok(&[0, 1, 3]));
        check("3,0-1", &[0, 1, 2, 3], Ok(&[0, 1, 3]));
        check("2-2", &[2], Ok(&[2]));
    }

    #[test]
    fn a_list_is_believed_when_the_kernel_did_not_answer() {
        check("4,6", &[], Ok(&[4, 6]));
    }

    #[test]
    fn refuses_a_core_that_is_not_allowed() {
        let forbidden = |core| Fault::CoreForbidden { core, allowed: CoreList(vec![0, 1]) };
        check("0-9", &[0, 1], Err(forbidden(9)));
        check("9", &[1, 0], Err(forbidden(9)));
    }

    #[test]
    fn refuses_a_core_listed_twice() {
        check("0,0", &[0, 1], Err(Fault::CoreTwice(0)));
        check("0-2,1", &[0, 1, 2], Err(Fault::CoreTwice(1)));
    }

    #[test]
    fn refuses_a_list_that_is_not_understood() {
        for written in
            ["", ",", "0,", "-", "0-", "-1", "a", "+1", " 0", "0 ", "0--1", "1-2-3", "AUTO"]
        {
            check(written, &[0, 1], Err(Fault::CoreListMalformed));
        }
        check("3-1", &[1, 2, 3], Err(Fault::CoreRangeFalls { first: 3, last: 1 }));
    }

    #[test]
    fn refuses_a_range_without_end_before_it_costs_memory() {
        check("0-18446744073709551615", &[0], Err(Fault::CoreListMalformed));
        check("8192", &[0], Err(Fault::CoreListMalformed));
    }

    #[test]
    fn shows_runs_as_ranges() {
        for (cores, shown) in [
            (vec![], ""),
            (vec![4], "4"),
            (vec![0, 1], "0-1"),
            (vec![0, 1, 2, 5, 7, 8], "0-2,5,7-8"),
        ] {
            assert_eq!(CoreList(cores).to_string(), shown);
        }
    }
}
