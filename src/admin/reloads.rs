//! What is told about reloads of the configuration: one set of figures for the
//! process, and a page for the operator. It shows no value of any setting.

use std::{
    fmt::Write,
    sync::{Mutex, PoisonError},
};

use crate::{
    exchange::Counter,
    tls::{Date, UnixTime},
};

/// Written by whoever reloads, read by the pages.
#[derive(Debug, Default)]
pub struct Reloads {
    pub unchanged: Counter,
    taken: Counter,
    refused: Counter,
    /// Only looked at by the operator's pages.
    account: Mutex<Account>,
}

#[derive(Debug, Default)]
struct Account {
    file: Option<String>,
    generation: u64,
    since: Option<UnixTime>,
    needs_restart: Vec<String>,
    /// Of the last change, if it was refused.
    faults: Vec<String>,
}

impl Reloads {
    /// The process starts by this file, or by flags alone.
    #[must_use]
    pub fn begin(file: Option<&str>, generation: u64, now: UnixTime) -> Self {
        let account = Account {
            file: file.map(str::to_owned),
            generation,
            since: Some(now),
            ..Account::default()
        };
        Self { account: Mutex::new(account), ..Self::default() }
    }

    /// A change was taken, save for settings that need a restart.
    pub fn take(&self, generation: u64, needs_restart: &[&str], now: UnixTime) {
        self.taken.increment();
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        account.generation = generation;
        account.since = Some(now);
        account.needs_restart = needs_restart.iter().map(|&key| key.to_owned()).collect();
        account.faults.clear();
    }

    /// The plan has changed beside the files, by what a name stands for.
    pub fn go_on(&self, generation: u64, now: UnixTime) {
        let mut account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        (account.generation, account.since) = (generation, Some(now));
    }

    /// A change was refused, for these reasons.
    pub fn refuse(&self, faults: Vec<String>) {
        self.refused.increment();
        self.account.lock().unwrap_or_else(PoisonError::into_inner).faults = faults;
    }

    pub(super) fn page(&self) -> String {
        let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        let mut page = String::new();
        let file = account.file.as_deref().unwrap_or("none, the settings are flags");
        let generation = account.generation;
        // Writing to memory does not fail.
        let _ = writeln!(page, "file: {file}\ngeneration: {generation}");
        if let Some(since) = account.since {
            let _ = writeln!(page, "since: {}", Date(since)); // as above
        }
        let outcome = if account.faults.is_empty() { "taken" } else { "refused" };
        let _ = writeln!(page, "last change: {outcome}"); // as above
        for key in &account.needs_restart {
            let _ = writeln!(page, "needs a restart: {key}"); // as above
        }
        for fault in &account.faults {
            let _ = writeln!(page, "fault: {fault}"); // as above
        }
        page
    }

    /// Appends the figures.
    pub(super) fn render(&self, page: &mut String) {
        let (generation, is_ok) = {
            let account = self.account.lock().unwrap_or_else(PoisonError::into_inner);
            (account.generation, u8::from(account.faults.is_empty()))
        };
        let name = "tokenring_config_reloads_total";
        let help = "Looks at the configuration that were asked for, or found a change.";
        // Writing to memory does not fail.
        let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} counter");
        for (result, count) in
            [("taken", &self.taken), ("refused", &self.refused), ("unchanged", &self.unchanged)]
        {
            let _ = writeln!(page, "{name}{{result=\"{result}\"}} {}", count.read()); // as above
        }
        let ok = "Whether the last change of the configuration was taken.";
        let number = "The generation of the plan that requests are told by.";
        for (name, help, value) in [
            ("tokenring_config_last_reload_ok", ok, u64::from(is_ok)),
            ("tokenring_config_generation", number, generation),
        ] {
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}"); // as above
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_refused_change_is_shown_until_one_is_taken() {
        let now = UnixTime::since_unix_epoch(Duration::ZERO);
        let reloads = Reloads::begin(Some("t.toml"), 1, now);
        assert!(reloads.page().starts_with("file: t.toml\ngeneration: 1\nsince: 1970-01-01 "));
        reloads.refuse(vec!["t.toml:1: x: the key is not known".to_owned()]);
        assert!(reloads.page().ends_with("refused\nfault: t.toml:1: x: the key is not known\n"));
        let figures = || {
            let mut page = String::new();
            reloads.render(&mut page);
            page
        };
        assert!(figures().contains("\ntokenring_config_last_reload_ok 0\n"), "{}", figures());
        reloads.go_on(2, now);
        let page = reloads.page();
        assert!(page.contains("\ngeneration: 2\n") && page.contains("last change: refused\n"));
        reloads.take(3, &["listen.http"], now);
        assert!(reloads.page().ends_with("taken\nneeds a restart: listen.http\n"));
        for expected in [
            "\ntokenring_config_last_reload_ok 1\n",
            "\ntokenring_config_generation 3\n",
            "\ntokenring_config_reloads_total{result=\"taken\"} 1\n",
            "\ntokenring_config_reloads_total{result=\"refused\"} 1\n",
        ] {
            assert!(figures().contains(expected), "{expected} is not in {}", figures());
        }
    }
}
