//! What is said of all models: of retries, deadlines, limits, and what answers
//! when a model cannot.

use std::fmt::Display;

use super::finding::shown;
use super::known::{self, IN_GENERAL, IN_LITELLM, IN_ROUTER};
use super::retries;
use super::section::{Entry, Findings, Section};
use crate::balance::Ejection;

/// A setting of ours, and what it was made of.
pub(super) struct Line {
    pub table: &'static str,
    pub key: &'static str,
    pub value: String,
    pub path: String,
}

/// What answers when a model cannot.
pub(super) struct Chain<'a> {
    pub entry: Entry<'a>,
    /// `*` is every model without a chain of its own.
    pub model: &'a str,
    pub to: Vec<(&'a str, Entry<'a>)>,
}

/// Fallbacks by the reason for them, by our keys.
pub(super) const REASONS: [&str; 3] =
    ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"];

#[derive(Default)]
pub(super) struct Settings<'a> {
    pub lines: Vec<Line>,
    /// Of each deployment.
    pub capacity: Option<u32>,
    /// Whether LiteLLM picks by weight alone.
    pub shuffles: bool,
    /// Another name and the model's.
    pub aliases: Vec<(&'a str, &'a str, Entry<'a>)>,
    /// In the order of `REASONS`.
    pub chains: [Vec<Chain<'a>>; 3],
}

/// Longest time that is carried over.
const SECONDS_MAX: f64 = 7.0 * 24.0 * 3600.0;

/// Reads the three sections; each may be missing.
pub(super) fn read<'a>(root: &mut Section<'a>, findings: &mut Findings) -> Settings<'a> {
    let [mut router, mut litellm, mut general] =
        ["router_settings", "litellm_settings", "general_settings"]
            .map(|name| part(root, name, findings));
    let mut settings = Settings { shuffles: true, ..Settings::default() };
    let mut both = Both { router: &mut router, litellm: &mut litellm, findings };
    settings.strategy(&mut both);
    settings.retries(&mut both);
    settings.times(&mut both);
    settings.names(&mut both);
    if let Some(entry) = router.take("default_max_parallel_requests", findings) {
        settings.capacity = entry.count().filter(|count| *count > 0);
        match settings.capacity {
            Some(_) => findings.exact(&entry, "is the capacity of backends without their own"),
            None => findings.misread(&entry, "a whole number above zero"),
        }
    }
    settings.general(&mut general, findings);
    known::tell(router, IN_ROUTER, findings);
    known::tell(litellm, IN_LITELLM, findings);
    known::tell(general, IN_GENERAL, findings);
    settings
}

fn part<'a>(root: &mut Section<'a>, name: &str, findings: &mut Findings) -> Section<'a> {
    let Some(entry) = root.take(name, findings) else { return Section::default() };
    entry.section(findings).unwrap_or_else(|| {
        findings.misread(&entry, "a mapping");
        Section::default()
    })
}

/// Two sections that may say the same; what the router's says wins.
struct Both<'a, 'b> {
    router: &'b mut Section<'a>,
    litellm: &'b mut Section<'a>,
    findings: &'b mut Findings,
}

impl<'a> Both<'a, '_> {
    fn take(&mut self, in_router: &str, in_litellm: &str) -> Option<Entry<'a>> {
        let first = self.router.take(in_router, self.findings);
        let second = self.litellm.take(in_litellm, self.findings);
        if let (Some(first), Some(second)) = (&first, &second) {
            self.findings.exact(second, format!("not read, as {} wins over it", first.path));
        }
        first.or(second)
    }
}

impl<'a> Settings<'a> {
    fn line(
        &mut self,
        table: &'static str,
        key: &'static str,
        value: impl Display,
        entry: &Entry<'_>,
    ) {
        let (value, path) = (value.to_string(), entry.path.clone());
        self.lines.push(Line { table, key, value, path });
    }

    fn strategy(&mut self, both: &mut Both<'a, '_>) {
        let Some(entry) = both.router.take("routing_strategy", both.findings) else { return };
        let findings = &mut *both.findings;
        let strategy = entry.text().unwrap_or_default();
        self.shuffles = strategy == "simple-shuffle";
        let mut policy = |name: &str| {
            self.line("balancing", "policy", format!("\"{name}\""), &entry);
            format!("balancing.policy is {name}")
        };
        match strategy {
            "simple-shuffle" => findings.approximate(
                &entry,
                "weights are kept; among backends of one candidate the one is asked that would \
                 answer soonest",
                "set balancing.policy to random for chance alone",
            ),
            "least-busy" => findings.exact(&entry, policy("least_in_flight")),
            "latency-based-routing" => {
                let became = policy("least_latency");
                let mend = "it counts the time to the first token and what waits there";
                findings.approximate(&entry, became, mend);
            }
            _ => findings.unsupported(
                &entry,
                "left out: usage and cost are no reason to choose a backend here",
                "the default asks the one that would answer soonest",
            ),
        }
    }

    fn retries(&mut self, both: &mut Both<'a, '_>) {
        let number = both.take("num_retries", "num_retries");
        let policy = both.router.take("retry_policy", both.findings);
        self.lines.extend(retries::read(number.as_ref(), policy.as_ref(), both.findings));
        if let Some(entry) = both.take("allowed_fails", "allowed_fails") {
            match entry.count().filter(|count| *count < 1_000_000) {
                Some(count) => {
                    self.line("balancing", "eject_after", count + 1, &entry);
                    let became = format!("balancing.eject_after is {}", count + 1);
                    let mend = "failures count in a row here, by the minute there";
                    both.findings.approximate(&entry, became, mend);
                }
                None => both.findings.misread(&entry, "a whole number"),
            }
        }
        let Some(entry) = both.router.take("disable_cooldowns", both.findings) else { return };
        match entry.truth() {
            Some(true) => {
                self.lines.retain(|line| line.key != "eject_after");
                self.line("balancing", "eject_after", 0, &entry);
                self.line("balancing", "eject_below", 0, &entry);
                both.findings.exact(&entry, "no backend is ever left alone");
            }
            Some(false) => both.findings.exact(&entry, "is so by default"),
            None => both.findings.misread(&entry, "true or false"),
        }
    }

    fn times(&mut self, both: &mut Both<'a, '_>) {
        let total = both.take("timeout", "request_timeout");
        let total = total.and_then(|entry| Some((seconds(&entry, both.findings)?, entry)));
        if let Some((time, entry)) = &total {
            self.line("deadlines", "total", shown_time(*time), entry);
            let mend = "it holds for the whole request here, retries included";
            both.findings.approximate(entry, "deadlines.total", mend);
        }
        if let Some(entry) = both.take("stream_timeout", "stream_timeout")
            && let Some(time) = seconds(&entry, both.findings)
        {
            if total.as_ref().is_some_and(|(total, _)| time > *total) {
                let became = "left out, as the whole request has less time";
                both.findings.approximate(&entry, became, "");
            } else {
                self.line("deadlines", "first_byte", shown_time(time), &entry);
                let mend = "it holds for the first byte, of whole answers also";
                both.findings.approximate(&entry, "deadlines.first_byte", mend);
            }
        }
        if let Some(entry) = both.take("cooldown_time", "cooldown_time")
            && let Some(time) = seconds(&entry, both.findings)
        {
            self.line("balancing", "eject_pause", shown_time(time), &entry);
            if time > Ejection::DEFAULT.pause_max.as_secs_f64() {
                self.line("balancing", "eject_pause_max", shown_time(time), &entry);
            }
            let mend = "it doubles for a backend that fails again";
            both.findings.approximate(&entry, "balancing.eject_pause", mend);
        }
    }

    fn names(&mut self, both: &mut Both<'a, '_>) {
        if let Some(entry) = both.router.take("model_group_alias", both.findings) {
            match entry.section(both.findings) {
                Some(section) => self.aliases = aliases(section, both.findings),
                None => both.findings.misread(&entry, "a mapping of names"),
            }
        }
        for (chains, key) in self.chains.iter_mut().zip(REASONS) {
            let Some(entry) = both.take(key, key) else { continue };
            *chains = read_chains(&entry, both.findings);
        }
        let Some(entry) = both.take("default_fallbacks", "default_fallbacks") else { return };
        let to = targets(&entry, both.findings);
        let [general, ..] = &mut self.chains;
        general.push(Chain { entry, model: "*", to });
    }

    fn general(&mut self, general: &mut Section<'a>, findings: &mut Findings) {
        if let Some(entry) = general.take("global_max_parallel_requests", findings) {
            match entry.count().filter(|count| *count > 0) {
                Some(count) => {
                    self.line("limits", "requests_in_flight", count, &entry);
                    findings.exact(&entry, "limits.requests_in_flight");
                }
                None => findings.misread(&entry, "a whole number above zero"),
            }
        }
        if let Some(entry) = general.take("max_request_size_mb", findings) {
            match entry.count().filter(|count| (1..=BODY_MIB_MAX).contains(count)) {
                Some(count) => {
                    self.line("limits", "body_bytes", format!("\"{count}MiB\""), &entry);
                    findings.exact(&entry, "limits.body_bytes");
                }
                None => findings.misread(&entry, "a whole number of MiB, up to 1024"),
            }
        }
    }
}

/// Beyond it, limits.body_memory would have to grow as well.
const BODY_MIB_MAX: u32 = 1024;

fn seconds(entry: &Entry<'_>, findings: &mut Findings) -> Option<f64> {
    let time = entry.number().filter(|time| (0.001..=SECONDS_MAX).contains(time));
    if time.is_none() {
        findings.misread(entry, "a number of seconds, above zero and up to a week");
    }
    time
}

fn shown_time(seconds: f64) -> String {
    if seconds.fract() == 0.0 {
        format!("\"{seconds:.0}s\"")
    } else {
        format!("\"{:.0}ms\"", (seconds * 1000.0).max(1.0))
    }
}

fn aliases<'a>(
    section: Section<'a>,
    findings: &mut Findings,
) -> Vec<(&'a str, &'a str, Entry<'a>)> {
    let mut aliases = Vec::new();
    for (alias, entry) in section.rest() {
        if let Some(model) = entry.text() {
            aliases.push((alias, model, entry));
        } else if let Some(mut of) = entry.section(findings) {
            if let Some(model) = of.take("model", findings) {
                match model.text() {
                    Some(name) => aliases.push((alias, name, model)),
                    None => findings.misread(&model, "the name of a model"),
                }
            }
            let hidden: &[known::Known] = &[(
                "hidden",
                super::finding::Kind::Approximate,
                "another name answers whether it is listed or not",
                "",
            )];
            known::tell(of, hidden, findings);
        } else {
            findings.misread(&entry, "the name of a model");
        }
    }
    aliases
}

/// A list of mappings, each of one or more models to lists of names.
fn read_chains<'a>(entry: &Entry<'a>, findings: &mut Findings) -> Vec<Chain<'a>> {
    let Some(list) = entry.list(findings) else {
        findings.misread(entry, "a list of mappings");
        return Vec::new();
    };
    let mut chains = Vec::new();
    for one in list {
        let Some(section) = one.section(findings) else {
            findings.misread(&one, "a mapping of a model to a list of models");
            continue;
        };
        for (model, entry) in section.rest() {
            let to = targets(&entry, findings);
            chains.push(Chain { entry, model, to });
        }
    }
    chains
}

fn targets<'a>(entry: &Entry<'a>, findings: &mut Findings) -> Vec<(&'a str, Entry<'a>)> {
    let Some(list) = entry.list(findings) else {
        findings.misread(entry, "a list of models");
        return Vec::new();
    };
    let mut to = Vec::new();
    for one in list {
        match one.text() {
            Some(name) => to.push((name, one)),
            None => findings.unsupported(
                &one,
                format!("left out: a fallback is the name of a model, not {}", one.kind()),
                "give what stands there a name in model_list",
            ),
        }
    }
    to
}

/// A sentence for a name that leads nowhere.
pub(super) fn nowhere(name: &str) -> String {
    format!("left out: {} is no model of this file", shown(name))
}
