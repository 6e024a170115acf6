//! How often requests were asked again, and why. There are as many labels as
//! classes of failure, and no more.

use std::{fmt::Write, sync::Arc};

use crate::exchange::Counters;

/// Appends the sums over all shards.
pub fn render(page: &mut String, shards: &[Arc<Counters>]) {
    let retries = shards.iter().flat_map(|shard| shard.retries());
    let help = "Attempts beyond the first, by how the one before failed.";
    let retries = retries.map(|(class, count)| (class.name(), count));
    family(page, "tokenring_retries_total", "class", help, retries);
    let fallbacks = shards.iter().flat_map(|shard| shard.fallbacks());
    let help = "Other models asked, by why the one before could not answer.";
    let fallbacks = fallbacks.map(|(reason, count)| (reason.name(), count));
    family(page, "tokenring_fallbacks_total", "kind", help, fallbacks);
}

fn family(
    page: &mut String,
    name: &str,
    label: &str,
    help: &str,
    counts: impl Iterator<Item = (&'static str, u64)>,
) {
    let mut sums: Vec<(&str, u64)> = Vec::new();
    for (value, count) in counts {
        match sums.iter_mut().find(|(known, _)| *known == value) {
            Some((_, sum)) => *sum = sum.wrapping_add(count),
            None => sums.push((value, count)),
        }
    }
    // Writing to memory does not fail.
    let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
    for (value, sum) in sums {
        // Writing to memory does not fail.
        let _ = writeln!(page, "{name}{{{label}=\"{value}\"}} {sum}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::{Class, Reason};

    #[test]
    fn each_class_is_a_label_summed_over_the_shards() {
        let shards = [Arc::new(Counters::default()), Arc::new(Counters::default())];
        shards[0].count_retry(Class::NoRoom);
        shards[1].count_retry(Class::NoRoom);
        shards[1].count_fallback(Reason::ContextWindow);
        let mut page = String::new();
        render(&mut page, &shards);
        for expected in [
            "# TYPE tokenring_retries_total counter\n",
            "tokenring_retries_total{class=\"no_room\"} 2\n",
            "tokenring_retries_total{class=\"cut\"} 0\n",
            "tokenring_fallbacks_total{kind=\"context_window\"} 1\n",
        ] {
            assert!(page.contains(expected), "{expected} is not in\n{page}");
        }
        assert_eq!(page.lines().count(), 4 + Class::ALL.len() + Reason::ALL.len());
    }
}
