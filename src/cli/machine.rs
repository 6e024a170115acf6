//! What the machine allows this process, asked once before the plan is made.

use crate::config::Machine;

pub(super) fn ask() -> Machine {
    // Without /proc the limit stays unknown, and the connections unbounded by
    // it; the kernel then refuses the descriptor that is too many.
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    Machine { allowed_cores: crate::rt::allowed_cores(), open_files: open_files(&limits) }
}

/// The hard limit in the row of /proc/self/limits (proc_pid_limits(5)):
///
/// ```text
/// Limit                     Soft Limit           Hard Limit           Units
/// Max open files            1024                 524288               files
/// ```
fn open_files(limits: &str) -> Option<usize> {
    let row = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    row.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(limits: &str, expected: Option<usize>) {
        assert_eq!(open_files(limits), expected, "{limits:?}");
    }

    #[test]
    fn finds_the_hard_limit_of_open_files() {
        let row = "Max open files            1024                 524288               files\n";
        check(row, Some(524_288));
        check(&format!("Max processes  1 2 processes\n{row}Max nice 0 0\n"), Some(524_288));
    }

    #[test]
    fn an_absent_limit_is_not_known() {
        check("", None);
        check("Max open files   unlimited   unlimited   files\n", None);
        check("Max open files   1024\n", None);
    }

    #[test]
    fn this_process_has_a_limit() {
        assert!(ask().open_files.is_some_and(|files| files > 0));
    }
}
