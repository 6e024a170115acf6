//! Quick mode: flags of other routers, as they were typed there, written over
//! what stands in the file. What cannot be done as asked is refused by the name
//! that was typed.

use super::address::is_runtime;
use super::error::{Fault, PlanError};
use super::quick_fault::QuickFault;
use super::quick_table::{Address, Becomes, Read, Theirs};
use super::settings::by_id;
use super::written::{BackendWritten, ModelWritten, Written};
use crate::route::SESSION_HEADERS;

/// What was typed of each flag.
pub type Typed = Vec<(&'static Theirs, Vec<String>)>;

/// Flags of ours are written before, so that both can be held together.
pub fn write_typed(typed: &Typed, to: &mut Written) {
    let mut quick = Quick { typed, to };
    for (theirs, words) in typed {
        quick.flag(theirs, words);
    }
}

struct Quick<'a> {
    typed: &'a Typed,
    to: &'a mut Written,
}

impl Quick<'_> {
    fn flag(&mut self, theirs: &Theirs, words: &[String]) {
        let flag = theirs.flag;
        let last = words.last().map_or("", String::as_str);
        match &theirs.becomes {
            Becomes::Refused(why) => self.refuse(flag, "", QuickFault::Refused(why)),
            Becomes::Settings(ours, read) => self.settings(flag, ours, last, *read),
            Becomes::Words(ours) => {
                ours.iter().for_each(|[ours, word]| self.set(flag, ours, "", word));
            }
            Becomes::Backends => self.backends(flag, words),
            Becomes::Models => self.models(flag, words),
            Becomes::Aliases => self.aliases(flag, words),
            Becomes::Address(address) => self.address(flag, address),
            Becomes::Waits(ours, read) => self.waits(flag, ours, last, *read),
            Becomes::Session(of) => self.session(flag, last, of),
            Becomes::Only(known, why) => {
                if !known.contains(&last) {
                    self.refuse(flag, last, QuickFault::Refused(why));
                }
            }
        }
    }

    /// The word for each of these settings, in our form.
    fn settings(&mut self, flag: &'static str, ours: &[&'static str], word: &str, read: Read) {
        match read(word) {
            Ok(ours_word) => ours.iter().for_each(|ours| self.set(flag, ours, word, &ours_word)),
            Err(fault) => self.refuse(flag, word, fault),
        }
    }

    /// There, what is over a limit waits; here, what no backend has room for.
    fn waits(&mut self, flag: &'static str, ours: &'static str, word: &str, read: Read) {
        let waits = self.to.backends.iter().any(|backend| backend.capacity.is_some());
        if !waits && word != "0" {
            return self.refuse(flag, word, QuickFault::NobodyWaits);
        }
        self.settings(flag, &[ours], word, read);
    }

    /// A further header, unless it is looked at already.
    fn session(&mut self, flag: &'static str, header: &str, [of, word]: &[&str; 2]) {
        let mut typed = self.typed.iter();
        if !typed
            .any(|(theirs, words)| theirs.flag == *of && words.last().is_some_and(|w| w == word))
        {
            return self.refuse(flag, "", QuickFault::SessionAlone);
        }
        if header.is_empty() {
            return self.refuse(flag, "", QuickFault::SessionKey);
        }
        if !SESSION_HEADERS.iter().any(|name| name.eq_ignore_ascii_case(header)) {
            self.set(flag, "--session-headers", header, header);
        }
    }

    /// The word `ours_word` for the setting `ours`, which `word` was typed for.
    fn set(&mut self, flag: &'static str, ours: &'static str, word: &str, ours_word: &str) {
        if self.is_taken(flag, ours) {
            return;
        }
        let read = by_id(ours).map_or(Ok(()), |setting| setting.read(self.to, &[ours_word]));
        if let Err(misread) = read {
            self.refuse(flag, word, misread.into());
        }
        self.to.given.by_flag_of_others(ours, 0, flag);
    }

    /// Whether the setting was typed already, which is a fault.
    fn is_taken(&mut self, flag: &'static str, ours: &'static str) -> bool {
        let is_taken = self.to.given.is_typed(ours);
        if is_taken {
            let other = self.to.given.typed_as(ours);
            self.refuse(flag, "", QuickFault::SaidTwice(other));
        }
        is_taken
    }

    fn backends(&mut self, flag: &'static str, words: &[String]) {
        const OURS: &str = "--backend";
        let urls: Vec<_> = words.iter().flat_map(|word| word.split([',', ' '])).collect();
        let urls: Vec<_> = urls.into_iter().filter(|url| !url.is_empty()).collect();
        if urls.is_empty() {
            return self.refuse(flag, "", QuickFault::NoUrls);
        }
        // Theirs says what runs at the backends, which is told by itself.
        let names_engine = self.to.backends.iter().any(|backend| is_runtime(&backend.url));
        if names_engine || self.is_taken(flag, OURS) {
            return;
        }
        self.to.backends = urls.into_iter().map(BackendWritten::from).collect();
        self.to.given.by_flag_of_others(OURS, 0, flag);
    }

    fn models(&mut self, flag: &'static str, words: &[String]) {
        const BACKENDS: &str = "--static-backends";
        if !self.typed.iter().any(|(theirs, _)| theirs.flag == BACKENDS) {
            return self.refuse(flag, "", QuickFault::ModelsAlone);
        }
        let names: Vec<_> = words.iter().flat_map(|word| word.split(',')).collect();
        let (models, backends) = (names.len(), self.to.backends.len());
        if models != backends {
            return self.refuse(flag, "", QuickFault::Uneven { models, backends });
        }
        for (backend, name) in self.to.backends.iter_mut().zip(names) {
            backend.models = vec![name.to_owned()];
        }
        self.to.given.by_flag_of_others("backend.models", 0, flag);
    }

    /// Each is one more name for a model, which backends are then sent.
    fn aliases(&mut self, flag: &'static str, words: &[String]) {
        let of_file = self.to.models.len();
        for pair in words.iter().flat_map(|word| word.split(',')) {
            let Some((alias, model)) = pair.split_once(':') else {
                self.refuse(flag, pair, QuickFault::Alias);
                continue;
            };
            let models = &mut self.to.models;
            let known = models.iter_mut().find(|one| one.name.as_deref() == Some(model));
            match known {
                Some(known) => known.aliases.push(alias.to_owned()),
                None => models.push(ModelWritten {
                    name: Some(model.to_owned()),
                    leaves_others: true,
                    aliases: vec![alias.to_owned()],
                    ..ModelWritten::default()
                }),
            }
        }
        self.to.given.by_flag_of_others("model.name", of_file, flag);
        self.to.given.by_flag_of_others("model.aliases", of_file, flag);
    }

    /// Both parts are written with the one that was typed first.
    fn address(&mut self, flag: &'static str, address: &'static Address) {
        let word = |flag: &str| {
            let typed = self.typed.iter().find(|(theirs, _)| theirs.flag == flag);
            typed.and_then(|(_, words)| words.last().cloned())
        };
        let parts = [word(address.host), word(address.port)];
        let is_second = flag == address.port && parts[0].is_some();
        if is_second {
            return;
        }
        let [host, port] = parts;
        let host = host.unwrap_or_else(|| address.defaults[0].to_owned());
        let port = port.unwrap_or_else(|| address.defaults[1].to_owned());
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let both = format!("{host}:{port}");
        self.set(flag, address.ours, &both, &both);
    }

    fn refuse(&mut self, flag: &'static str, word: &str, fault: QuickFault) {
        self.to.given.by_flag(flag);
        let fault = Fault::Quick(fault);
        self.to.faults.push(PlanError { id: flag, place: 0, value: word.to_owned(), fault });
    }
}

#[cfg(test)]
#[path = "quick_tests.rs"]
mod tests;
