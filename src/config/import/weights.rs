//! Shares of deployments, as LiteLLM's shuffle reads them: by `weight`, else
//! by `rpm`, else by `tpm`, whichever the first deployment has.

use super::deployment::{Deployment, Figure};
use super::section::Findings;

/// Shares are told apart to one in a thousand.
const WEIGHT_MAX: u32 = 1000;

/// The weight of each, if they have any; and what became of the figures.
pub(super) fn weights(
    group: &[&Deployment<'_>],
    shuffles: bool,
    findings: &mut Findings,
) -> Option<Vec<u32>> {
    let first = group.first()?;
    let by = figures(first).iter().position(|figure| figure.is_some()).filter(|_| shuffles);
    let written: Option<Vec<f64>> = by.map(|by| {
        let value = |one: &&Deployment<'_>| figures(one)[by].as_ref().map_or(0.0, |(_, n)| *n);
        group.iter().map(value).collect()
    });
    let scaled = written.as_deref().and_then(scale);
    for one in group {
        for (index, figure) in figures(one).into_iter().enumerate() {
            let Some((entry, _)) = figure else { continue };
            let share = scaled.as_ref().filter(|_| by == Some(index));
            match (index, share) {
                (0, Some((_, true))) => findings.exact(entry, "is the candidate's weight"),
                (0, Some((_, false))) => {
                    findings.approximate(entry, "is the candidate's weight, rounded", "");
                }
                (0, None) if shuffles && by == Some(0) => {
                    findings.manual(entry, "left out: the weights are all zero", "write others");
                }
                (0, None) => findings.approximate(
                    entry,
                    "left out: LiteLLM does not read it here",
                    "write it beside all of the name, should it hold",
                ),
                (_, Some(_)) => findings.approximate(
                    entry,
                    "is the candidate's weight, and no limit",
                    "set the backend's capacity to bound what it gets",
                ),
                (_, None) => findings.unsupported(
                    entry,
                    "left out: no limit of this kind is kept",
                    "set the backend's capacity to bound what it gets",
                ),
            }
        }
    }
    scaled.map(|(weights, _)| weights)
}

fn figures<'d, 'a>(one: &'d Deployment<'a>) -> [&'d Figure<'a>; 3] {
    [&one.weight, &one.rpm, &one.tpm]
}

/// Whole numbers in the same ratios, and whether they are exactly that.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within WEIGHT_MAX, and never below zero"
)]
fn scale(written: &[f64]) -> Option<(Vec<u32>, bool)> {
    let most = written.iter().copied().fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let by = (1..=WEIGHT_MAX).map(f64::from).find_map(|whole| {
        let factor = whole / most;
        let is_whole = |one: &f64| {
            let rounded = (one * factor).round();
            (rounded - one * factor).abs() < 1e-6 && (rounded > 0.0 || *one <= 0.0)
        };
        written.iter().all(is_whole).then_some(factor)
    });
    let factor = by.unwrap_or(f64::from(WEIGHT_MAX) / most);
    let weight = |one: &f64| match (one * factor).round() as u32 {
        // A small share is not none.
        0 if *one > 0.0 => 1,
        weight => weight,
    };
    Some((written.iter().map(weight).collect(), by.is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &[f64], weights: &[u32], is_exact: bool) {
        assert_eq!(scale(written), Some((weights.to_vec(), is_exact)), "{written:?}");
    }

    #[test]
    fn weights_are_the_smallest_whole_numbers_in_their_ratio() {
        check(&[9.0, 1.0], &[9, 1], true);
        check(&[900.0, 10.0], &[90, 1], true);
        check(&[0.7, 0.2, 0.1], &[7, 2, 1], true);
        check(&[100_000.0, 100_000.0], &[1, 1], true);
        check(&[2.0, 0.0], &[1, 0], true);
    }

    #[test]
    fn ratios_beyond_a_thousandth_are_rounded_and_a_small_share_is_not_none() {
        check(&[1_000_000.0, 1.0], &[1000, 1], false);
        check(&[1e300, 1e-300], &[1000, 1], false);
        assert_eq!(scale(&[0.0, 0.0]), None);
    }
}
