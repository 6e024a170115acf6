//! Written -> RoutePlan: what backends serve, the models, and the rules that
//! lead to them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::check_backends::{PLAIN_BYTES_MAX, is_plain};
use super::check_models::{MODELS_MAX, Models, Speaks, WEIGHT_MAX, WEIGHTS_SUM};
use super::check_shares::check_shares;
use super::error::Fault;
use super::faults::Faults;
use super::given::HIDDEN;
use super::pattern::{read_name, read_pattern};
use super::plan::ModelSettings;
use super::reach;
use super::route_fault::RouteFault;
use super::written::{MirrorWritten, RouteWritten, WhenWritten, Written};
use crate::http::{Name, is_token};
use crate::llm::{Dialect, Endpoint};
use crate::route::{
    Arm, Conditions, HEAD_CONDITIONS_MAX, HeaderCondition, Mirror, ModelId, Pattern, RoutePlan,
    Rule, SESSION_HEADERS, SESSION_HEADERS_MAX, Serves, head_conditions,
};

/// They are looked through in order, a few nanoseconds each; five times what the
/// largest known tables have.
const ROUTES_MAX: usize = 1024;
/// Each is held against a request's own words, one after the other.
const PATTERNS_MAX: usize = 256;

/// The rules and the models that they lead to; `names` are the backends'.
pub(super) fn check_routes(
    written: &Written,
    names: &[Option<String>],
    faults: &mut Faults,
) -> (RoutePlan, Vec<ModelSettings>) {
    let serves = check_serves(written, faults);
    let Some(mut models) = Models::check(written, names, serves, faults) else {
        return Default::default();
    };
    let mut rules = Rules { faults, models: &mut models, arms: 0, headers: 0 };
    let rules = rules.check(&written.routes);
    let is_parted = |id: ModelId| {
        let splits = rules.iter().filter(|rule| rule.to.len() > 1);
        splits.into_iter().any(|rule| rule.to.iter().any(|arm| arm.model == id))
    };
    models.check_sticky(is_parted, faults);
    let settings = models.settings();
    let session_headers = check_session_headers(&written.session_headers, faults);
    let (backends, models) = (models.serves, models.plans);
    let plan = RoutePlan { backends, models, rules, session_headers };
    check_head_conditions(written, &plan, faults);
    check_shares(written, &plan, faults);
    for (place, by) in reach::covered(&plan) {
        let name = &plan.models[place].name.0;
        faults.add(("model.name", place), name, RouteFault::NameCovered(by.0.to_string()));
    }
    (plan, settings)
}

fn check_session_headers(written: &[String], faults: &mut Faults) -> Vec<Box<str>> {
    const FLAG: &str = "--session-headers";
    let count = written.len();
    if count > SESSION_HEADERS_MAX {
        let reason = "each of them is looked for in every head";
        let (what, most) = ("headers", SESSION_HEADERS_MAX);
        faults.add(FLAG, "", RouteFault::TooMany { what, count, most, reason });
        return Vec::new();
    }
    let mut names: Vec<Box<str>> = Vec::new();
    for (place, word) in written.iter().enumerate() {
        let name = word.to_ascii_lowercase();
        if !is_token(name.as_bytes()) {
            faults.add((FLAG, place), word, RouteFault::HeaderName);
        } else if SESSION_HEADERS.contains(&name.as_str()) {
            faults.add((FLAG, place), word, RouteFault::SessionHeaderKnown);
        } else if names.iter().any(|known| **known == *name) {
            faults.add((FLAG, place), word, RouteFault::SessionHeaderTwice);
        }
        names.push(name.into());
    }
    names
}

/// Each different condition on a path or a header is asked of every request,
/// and what comes of it is kept with the request.
fn check_head_conditions(written: &Written, plan: &RoutePlan, faults: &mut Faults) {
    let count = head_conditions(plan);
    if count <= HEAD_CONDITIONS_MAX {
        return;
    }
    // The rule that holds the first one too many.
    let holds = |rules: &usize| {
        let rules = plan.rules.iter().take(*rules).cloned().collect();
        head_conditions(&RoutePlan { rules, ..RoutePlan::default() }) > HEAD_CONDITIONS_MAX
    };
    let place = (1..=plan.rules.len()).find(holds).map_or(0, |rules| rules - 1);
    let name = written.routes.get(place).and_then(|route| route.name.clone()).unwrap_or_default();
    let fault = RouteFault::HeadConditions { count, most: HEAD_CONDITIONS_MAX };
    faults.add(("route.name", place), name, fault);
}

/// What each backend serves; the demo's mock, which comes last, serves all.
fn check_serves(written: &Written, faults: &mut Faults) -> Vec<Serves> {
    let mut serves = Vec::new();
    for (place, one) in written.backends.iter().enumerate() {
        let spot = ("backend.models", place);
        if one.models.len() > MODELS_MAX {
            let (what, count) = ("names", one.models.len());
            let reason = "there are no more models than that";
            faults.add(spot, "", RouteFault::TooMany { what, count, most: MODELS_MAX, reason });
            continue;
        }
        let read = |word: &String| faults.take(spot, word, read_name(word).map_err(Fault::Route));
        let models = one.models.iter().filter_map(read).collect();
        serves.push(Serves { models, dialect: one.dialect });
    }
    serves.extend(written.demo.then(Serves::default));
    serves
}

/// Rules that are being checked.
struct Rules<'a, 'b> {
    faults: &'a mut Faults,
    models: &'a mut Models<'b>,
    /// Arms and headers of the rules so far.
    arms: usize,
    headers: usize,
}

impl Rules<'_, '_> {
    fn check(&mut self, written: &[RouteWritten]) -> Vec<Rule> {
        let count = written.len();
        if count > ROUTES_MAX {
            let reason = "a request is held against one after the other";
            let fault = RouteFault::TooMany { what: "routes", count, most: ROUTES_MAX, reason };
            self.faults.add("route.name", "", fault);
            return Vec::new();
        }
        let mut names = BTreeMap::new();
        let (mut rules, mut sure) = (Vec::new(), Vec::new());
        for (place, route) in written.iter().enumerate() {
            let faults = self.faults.count();
            let name = self.name(place, route, &mut names);
            let when = self.when(place, &route.when);
            let to = self.arms(place, route, &when);
            let mirror = self.mirror(place, route);
            sure.push(self.faults.count() == faults);
            rules.push(Rule { name: name.into(), when, to, shadow: route.shadow, mirror });
        }
        for (place, by) in reach::hidden(&rules, &sure) {
            let rule = written[place].name.clone().unwrap_or_default();
            let fault = RouteFault::Unreachable { by: rules[by].name.to_string(), place: by };
            self.faults.add(("route.name", place), rule, fault);
        }
        rules
    }

    fn name<'w>(
        &mut self,
        place: usize,
        route: &'w RouteWritten,
        names: &mut BTreeMap<&'w str, usize>,
    ) -> &'w str {
        let spot = ("route.name", place);
        let Some(name) = route.name.as_deref() else {
            self.faults.add(spot, "", RouteFault::Nameless);
            return "";
        };
        if !is_plain(name) {
            self.faults.add(spot, name, RouteFault::NotPlain(PLAIN_BYTES_MAX));
        }
        if names.insert(name, place).is_some() {
            self.faults.add(spot, name, RouteFault::NameTaken("a route".to_owned()));
        }
        name
    }

    fn arms(&mut self, place: usize, route: &RouteWritten, when: &Conditions) -> Vec<Arm> {
        const WEIGHT: &str = "route.to.weight";
        let asks = asks(&when.paths);
        let mut arms = Vec::new();
        let first = self.arms;
        for written in &route.to {
            let spot = ("route.to.model", self.arms);
            if written.weight > WEIGHT_MAX {
                let most = WEIGHT_MAX.to_string();
                let fault = Fault::TooLarge { most, reason: WEIGHTS_SUM };
                self.faults.add((WEIGHT, self.arms), written.weight, fault);
            }
            self.arms += 1;
            let Some(model) = self.model(spot, written.model.as_deref()) else { continue };
            let speaks = self.models.speaks(model);
            let is_never = |asks: &Speaks| speaks.any() && !asks.meets(speaks);
            if asks.as_ref().is_some_and(is_never) {
                let word = written.model.clone().unwrap_or_default();
                let (model, by) = (word.clone(), "route.when.path");
                let fault = RouteFault::NoDialect { model, speaks: speaks.name(), by };
                self.faults.add(spot, word, fault);
            }
            arms.push(Arm { model, weight: written.weight });
        }
        let mirrors = route.mirror.model.is_some();
        if !route.to.is_empty() && route.to.iter().all(|arm| arm.weight == 0) {
            self.faults.add((WEIGHT, first), 0, RouteFault::NoWeight);
        } else if route.to.is_empty() && route.shadow {
            self.faults.add(("route.shadow", place), "", RouteFault::ShadowNowhere);
        } else if route.to.is_empty() && !mirrors {
            let name = route.name.clone().unwrap_or_default();
            self.faults.add(("route.name", place), name, RouteFault::Nowhere);
        }
        arms
    }

    fn mirror(&mut self, place: usize, route: &RouteWritten) -> Option<Mirror> {
        const MODEL: &str = "route.mirror.model";
        const PERCENT: &str = "route.mirror.percent";
        let MirrorWritten { model, percent } = &route.mirror;
        if percent.is_some_and(|percent| !(0.0..=100.0).contains(&percent)) {
            let percent = percent.unwrap_or_default();
            self.faults.add((PERCENT, place), percent, RouteFault::Percent);
        }
        if model.is_some() && route.shadow {
            self.faults.add((MODEL, place), "", RouteFault::ShadowMirror);
        }
        match (model, percent) {
            (None, None) => None,
            (None, Some(percent)) => {
                self.faults.add((PERCENT, place), percent, RouteFault::MirrorNobody);
                None
            }
            (Some(model), None) => {
                self.faults.add((MODEL, place), model, RouteFault::MirrorShare);
                None
            }
            (Some(model), Some(percent)) => {
                let model = self.model((MODEL, place), Some(model))?;
                Some(Mirror { model, percent: *percent })
            }
        }
    }

    fn model(&mut self, spot: (&'static str, usize), word: Option<&str>) -> Option<ModelId> {
        let Some(word) = word else {
            self.faults.add(spot, "", RouteFault::Nameless);
            return None;
        };
        self.models.find(spot, word, self.faults)
    }

    fn when(&mut self, place: usize, written: &WhenWritten) -> Conditions {
        let models =
            self.patterns(("route.when.model", place), &written.models, (read_name, |word| word));
        let paths =
            self.patterns(("route.when.path", place), &written.paths, (read_path, |word| word));
        let headers = self.headers(written);
        let [tokens_min, tokens_max] =
            ["route.when.prompt_tokens_min", "route.when.prompt_tokens_max"];
        let tokens = [written.prompt_tokens_min, written.prompt_tokens_max];
        let prompt_tokens = self.range(place, (tokens_min, tokens_max), tokens, (0, u64::MAX));
        let complexity = [written.complexity_min, written.complexity_max];
        let keys = ["route.when.complexity_min", "route.when.complexity_max"];
        for (key, bound) in keys.into_iter().zip(complexity) {
            if let Some(bound) = bound.filter(|bound| !(0.0..=1.0).contains(bound)) {
                self.faults.add((key, place), bound, RouteFault::Complexity);
            }
        }
        let complexity = self.range(place, (keys[0], keys[1]), complexity, (0.0, 1.0));
        let WhenWritten { stream, tools, images, .. } = *written;
        Conditions { models, paths, headers, stream, tools, images, prompt_tokens, complexity }
    }

    fn patterns(
        &mut self,
        spot: (&'static str, usize),
        words: &[String],
        (read, tell): (ReadPattern, Tell),
    ) -> Vec<Pattern> {
        let count = words.len();
        if count > PATTERNS_MAX {
            let reason = "a request is held against one after the other";
            let fault = RouteFault::TooMany { what: "patterns", count, most: PATTERNS_MAX, reason };
            self.faults.add(spot, "", fault);
            return Vec::new();
        }
        let take =
            |word: &String| self.faults.take(spot, tell(word), read(word).map_err(Fault::Route));
        words.iter().filter_map(take).collect()
    }

    fn headers(&mut self, written: &WhenWritten) -> Vec<HeaderCondition> {
        let mut headers: Vec<HeaderCondition> = Vec::new();
        for one in &written.headers {
            let spot = ("route.when.header", self.headers);
            self.headers += 1;
            let name = one.name.to_ascii_lowercase();
            if !is_token(name.as_bytes()) {
                self.faults.add(spot, &one.name, RouteFault::HeaderName);
            } else if headers.iter().any(|known| *known.name == name) {
                self.faults.add(spot, &one.name, RouteFault::HeaderTwice);
            }
            let is_secret = Name::is_secret(name.as_bytes());
            let tell: Tell = if is_secret { |_| HIDDEN } else { |word| word };
            let values = self.patterns(spot, &one.values, (read_value, tell));
            headers.push(HeaderCondition { name: name.into(), values });
        }
        headers
    }

    /// `None` where both ends are open.
    fn range<T: Copy + PartialOrd + ToString>(
        &mut self,
        place: usize,
        (min_key, max_key): (&'static str, &'static str),
        [min, max]: [Option<T>; 2],
        (least, most): (T, T),
    ) -> Option<RangeInclusive<T>> {
        if let (Some(min), Some(max)) = (min, max)
            && min > max
        {
            self.faults.add(
                (min_key, place),
                min,
                RouteFault::MinAboveMax(max_key, max.to_string()),
            );
        }
        let is_open = min.is_none() && max.is_none();
        (!is_open).then(|| min.unwrap_or(least)..=max.unwrap_or(most))
    }
}

type ReadPattern = fn(&str) -> Result<Pattern, RouteFault>;

/// A word as faults show it.
type Tell = fn(&str) -> &str;

/// RFC 9110, section 5.5: a value has no control byte but the tab.
fn read_value(word: &str) -> Result<Pattern, RouteFault> {
    if word.contains(|c: char| c.is_control() && c != '\t') {
        return Err(RouteFault::HeaderValue);
    }
    read_pattern(word)
}

fn read_path(word: &str) -> Result<Pattern, RouteFault> {
    if !word.starts_with(['/', '*']) {
        return Err(RouteFault::PathStart);
    }
    read_pattern(word)
}

/// The APIs that requests for these paths are written in, where that is certain
/// of each of them.
fn asks(paths: &[Pattern]) -> Option<Speaks> {
    let dialects: Option<Vec<Dialect>> = paths.iter().map(dialect).collect();
    let first = *dialects.as_ref()?.first()?;
    let is_one = dialects?.iter().all(|dialect| *dialect == first);
    is_one.then_some(Speaks::only(first))
}

fn dialect(path: &Pattern) -> Option<Dialect> {
    match path.0.split_once('*') {
        None => {
            let endpoint = Endpoint::of(path.0.as_bytes());
            endpoint.needs_model().then(|| endpoint.dialect())
        }
        Some((head, _)) if head.starts_with("/v1/messages/") => Some(Dialect::Anthropic),
        Some((head, _)) if head.starts_with("/v1/chat/") => Some(Dialect::OpenAi),
        Some(_) => None,
    }
}

#[cfg(test)]
#[path = "check_routes_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "check_reach_tests.rs"]
mod reach_tests;
