//! Which known key an unknown one was meant to be.

use super::settings::{Setting, settings};

/// A word of this length may differ in so many letters and still be meant.
const fn letters_off_max(length: usize) -> usize {
    if length < 3 {
        1
    } else if length < 8 {
        2
    } else {
        length / 3
    }
}

/// The names that are looked at; more were generated, and each costs.
const LOOKED_AT_MAX: usize = 4096;
/// Longer names are not compared, as that costs the product of their lengths.
const COMPARED_BYTES_MAX: usize = 128;

/// The known name that was meant with this one.
pub(super) fn nearest_of<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.take(LOOKED_AT_MAX).filter_map(|known| Some((known, off(known, name)?)));
    near.min_by_key(|(_, off)| *off).map(|(known, _)| known)
}

/// How many letters the name is off, if it may have been meant for this one.
fn off(known: &str, name: &str) -> Option<usize> {
    if known.len().max(name.len()) > COMPARED_BYTES_MAX {
        return None;
    }
    let most = letters_off_max(name.chars().count());
    let is_ascii = known.is_ascii() && name.is_ascii();
    if is_ascii && differing(known, name) > 2 * most {
        return None;
    }
    Some(strsim::osa_distance(known, name)).filter(|off| *off <= most)
}

/// Letters that one has and the other has not, each as often as it has them: a
/// letter that is off is two of these at most. Cheap beside the distance.
fn differing(one: &str, other: &str) -> usize {
    let mut counts = [0_i16; 256];
    one.bytes().for_each(|byte| counts[usize::from(byte)] += 1);
    other.bytes().for_each(|byte| counts[usize::from(byte)] -= 1);
    counts.iter().map(|count| usize::from(count.unsigned_abs())).sum()
}

/// The names that may stand in the table: settings and tables below it.
pub(super) fn names_in(table: &str) -> Vec<&'static str> {
    let mut names: Vec<_> = settings().filter_map(|setting| name_in(table, setting)).collect();
    // A table's settings need not follow each other.
    names.sort_unstable();
    names.dedup();
    names
}

/// The known key or table that was meant with `name` in this table, whole.
pub(super) fn nearest(table: &str, name: &str) -> Option<&'static str> {
    let name = name.to_lowercase().replace('-', "_");
    if let Some(known) = nearest_of(&name, names_in(table).into_iter()) {
        return whole(table, known);
    }
    elsewhere(&name)
}

/// A key of another table, or a flag, of this name.
fn elsewhere(name: &str) -> Option<&'static str> {
    let flag = format!("--{}", name.replace('_', "-"));
    let is_meant = |setting: &&Setting| {
        setting.table_and_name().1 == name
            || setting.key == name
            || setting.flag == Some(flag.as_str())
    };
    settings().find(is_meant).map(|setting| setting.key)
}

/// Whether this is the name of a table.
pub(super) fn is_table(path: &str) -> bool {
    settings().any(|setting| name_in(path, setting).is_some())
}

/// `tls` of the setting `backend.tls.ca` in the table `backend`.
fn name_in(table: &str, setting: &'static Setting) -> Option<&'static str> {
    let rest = match table {
        "" => setting.key,
        table => setting.key.strip_prefix(table)?.strip_prefix('.')?,
    };
    rest.split('.').next()
}

fn whole(table: &str, name: &'static str) -> Option<&'static str> {
    if table.is_empty() {
        return Some(name);
    }
    let setting = settings().find(|setting| name_in(table, setting) == Some(name))?;
    setting.key.get(..table.len() + 1 + name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &str, name: &str, expected: Option<&str>) {
        assert_eq!(nearest(table, name), expected, "[{table}] {name}");
    }

    #[test]
    fn a_slip_of_the_pen_finds_its_key() {
        check("deadlines", "conect", Some("deadlines.connect"));
        check("deadlines", "first-byte", Some("deadlines.first_byte"));
        check("limits", "BODY_BYTES", Some("limits.body_bytes"));
        check("", "backends", Some("backend"));
        check("", "limit", Some("limits"));
        check("backend", "ulr", Some("backend.url"));
        check("backend.tls", "cer", Some("backend.tls.cert"));
    }

    #[test]
    fn a_key_of_another_table_and_a_flag_are_found_by_their_names() {
        check("deadlines", "body_memory", Some("limits.body_memory"));
        check("", "connect_timeout", Some("deadlines.connect"));
        check("", "deadlines.connect", Some("deadlines.connect"));
        check("tls", "danger-backend-no-verify", Some("backend.tls.danger_no_verify"));
    }

    #[test]
    fn what_is_like_nothing_is_not_guessed() {
        check("", "colour", None);
        check("limits", "x", None);
    }
}
