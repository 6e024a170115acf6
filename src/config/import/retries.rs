//! How often backends are asked again, and after which failures.

use super::section::{Entry, Findings};
use super::settings::Line;
use crate::retry::{Class, RetryPlan};

/// Failures that are counted each by itself there, and what each is here.
const CLASSES: [(&str, Class); 4] = [
    ("TimeoutErrorRetries", Class::Timeout),
    ("RateLimitErrorRetries", Class::NoRoom),
    ("InternalServerErrorRetries", Class::ServerError),
    ("AuthenticationErrorRetries", Class::Credential),
];
/// What the client has caused: nobody is asked again for it.
const OF_CLIENTS: [&str; 2] = ["BadRequestErrorRetries", "ContentPolicyViolationErrorRetries"];
/// Beyond it a number is taken for a mistake.
const RETRIES_MAX: u32 = 99;

/// Of `num_retries` and `retry_policy`: one number here, for all failures.
pub(super) fn read(
    number: Option<&Entry<'_>>,
    policy: Option<&Entry<'_>>,
    findings: &mut Findings,
) -> Vec<Line> {
    let mut retries = Retries::default();
    if let Some(entry) = number {
        retries.number(entry, findings);
    }
    if let Some(entry) = policy {
        retries.policy(entry, findings);
    }
    [retries.attempts(findings), retries.on()].into_iter().flatten().collect()
}

#[derive(Default)]
struct Retries<'a> {
    counts: Vec<(u32, Entry<'a>)>,
    /// Failures after which nobody is asked again.
    never: Vec<(Class, Entry<'a>)>,
}

impl<'a> Retries<'a> {
    fn number(&mut self, entry: &Entry<'a>, findings: &mut Findings) {
        self.counts.extend(count(entry, findings).map(|count| (count, entry.clone())));
    }

    fn policy(&mut self, entry: &Entry<'a>, findings: &mut Findings) {
        let Some(mut section) = entry.section(findings) else {
            return findings.misread(entry, "a mapping of failures to numbers");
        };
        for (key, class) in CLASSES {
            let Some(entry) = section.take(key, findings) else { continue };
            match count(&entry, findings) {
                Some(0) => {
                    let became = format!("retry.on is without {}", class.name());
                    findings.approximate(&entry, became, "it names failures by their classes here");
                    self.never.push((class, entry));
                }
                Some(count) => self.counts.push((count, entry)),
                None => {}
            }
        }
        for key in OF_CLIENTS {
            let Some(entry) = section.take(key, findings) else { continue };
            match count(&entry, findings) {
                Some(0) => findings.exact(&entry, "is so always"),
                Some(_) => {
                    let became = "left out: nobody is asked again for what the client has caused";
                    findings.unsupported(&entry, became, "");
                }
                None => {}
            }
        }
        for (_, entry) in section.rest() {
            findings.unsupported(&entry, "left out: no such failure is told apart here", "");
        }
    }

    /// As many as the most that is asked for after any failure.
    fn attempts(&self, findings: &mut Findings) -> Option<Line> {
        let (most, of) = self.counts.iter().rev().max_by_key(|(count, _)| *count)?;
        let attempts = (most + 1).min(RetryPlan::ATTEMPTS_MAX);
        if *most == 0 {
            // A fallback is asked all the same, there and here.
            for (_, entry) in &self.counts {
                findings.exact(entry, "retry.attempts is 1: no failed request is sent again");
            }
        }
        for (_, entry) in self.counts.iter().filter(|_| *most > 0) {
            findings.approximate(
                entry,
                format!("retry.attempts is {attempts}, the first included"),
                "retries have a budget, and none follows the first byte",
            );
        }
        let value = attempts.to_string();
        Some(Line { table: "retry", key: "attempts", value, path: of.path.clone() })
    }

    fn on(&self) -> Option<Line> {
        let is_never = |class: &Class| self.never.iter().any(|(never, _)| never == class);
        let classes = Class::ALL.into_iter().filter(|class| !is_never(class));
        let classes: Vec<_> = classes.map(|class| format!("\"{}\"", class.name())).collect();
        let paths: Vec<_> = self.never.iter().map(|(_, entry)| entry.path.as_str()).collect();
        let value = format!("[{}]", classes.join(", "));
        let path = paths.join(", ");
        (!paths.is_empty()).then_some(Line { table: "retry", key: "on", value, path })
    }
}

fn count(entry: &Entry<'_>, findings: &mut Findings) -> Option<u32> {
    let count = entry.count().filter(|count| *count <= RETRIES_MAX);
    if count.is_none() {
        findings.misread(entry, "a whole number below 100");
    }
    count
}
