//! One entry of `model_list`: a model at an address.

use super::address::{Secrets, key_name, url};
use super::finding::{Finding, Kind, shown};
use super::known::{self, IN_DEPLOYMENT, IN_MODEL_INFO, IN_PARAMS};
use super::provider::{self, Fit, Provider};
use super::section::{Entry, Findings, Section};
use crate::llm::{Dialect, MODEL_BYTES_MAX};

/// What a backend is told apart by.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    pub url: String,
    pub key: Option<String>,
    pub dialect: Dialect,
    pub capacity: Option<u32>,
}

/// A number and where it stands.
pub(super) type Figure<'a> = Option<(Entry<'a>, f64)>;

pub(super) struct Deployment<'a> {
    pub entry: Entry<'a>,
    /// The name for clients.
    pub public: &'a str,
    /// The name for the backend; none is as the client wrote it.
    pub sent: Option<&'a str>,
    pub place: Place,
    /// None comes behind all that have one.
    pub order: Option<u32>,
    pub weight: Figure<'a>,
    pub rpm: Figure<'a>,
    pub tpm: Figure<'a>,
}

/// What is the same for all deployments.
pub(super) struct Shared<'a> {
    pub secrets: Secrets<'a>,
    pub capacity: Option<u32>,
}

/// The deployment, if it can be one here.
pub(super) fn read<'a>(
    entry: Entry<'a>,
    shared: &mut Shared<'a>,
    findings: &mut Findings,
) -> Option<Deployment<'a>> {
    let Some(mut section) = entry.section(findings) else {
        findings.misread(&entry, "a mapping with model_name and litellm_params");
        return None;
    };
    let name = section.take("model_name", findings);
    let params = section.take("litellm_params", findings);
    if let Some(info) = section.take("model_info", findings) {
        match info.section(findings) {
            Some(section) => known::tell(section, IN_MODEL_INFO, findings),
            None => findings.misread(&info, "a mapping"),
        }
    }
    known::tell(section, IN_DEPLOYMENT, findings);
    let Some(mut params_section) = params.as_ref().and_then(|params| params.section(findings))
    else {
        match &params {
            Some(params) => findings.misread(params, "a mapping"),
            None => findings.misread(&entry, "an entry with litellm_params"),
        }
        if let Some(name) = name {
            findings.manual(&name, "left out, as it leads nowhere", "write its litellm_params");
        }
        return None;
    };
    let since = findings.found.len();
    let read = of_params(&entry, name.as_ref(), &mut params_section, shared, findings);
    if read.is_none() {
        leave_out(params.as_ref(), since, findings);
    } else {
        known::tell(params_section, IN_PARAMS, findings);
    }
    match (name, &read) {
        (Some(name), Some(read)) => {
            findings.exact(&name, format!("is the model {}", shown(read.public)));
        }
        (Some(name), None) => findings.manual(
            &name,
            "this deployment of it was left out",
            "see what is said of its litellm_params",
        ),
        (None, _) => {}
    }
    read
}

/// Nothing was made of the deployment, whatever has been said of its keys.
fn leave_out(params: Option<&Entry<'_>>, since: usize, findings: &mut Findings) {
    const BECAME: &str = "left out with its deployment";
    for finding in findings.found.iter_mut().skip(since).filter(|one| one.kind == Kind::Exact) {
        finding.kind = Kind::Manual;
        BECAME.clone_into(&mut finding.became);
    }
    let section = params.and_then(|params| params.section(findings));
    for (_, entry) in section.into_iter().flat_map(Section::rest) {
        let is_told = |one: &Finding| one.path == entry.path;
        if !findings.found.iter().skip(since).any(is_told) {
            findings.manual(&entry, BECAME, "");
        }
    }
}

fn of_params<'a>(
    entry: &Entry<'a>,
    name: Option<&Entry<'a>>,
    params: &mut Section<'a>,
    shared: &mut Shared<'a>,
    findings: &mut Findings,
) -> Option<Deployment<'a>> {
    let model = params.take("model", findings);
    let maker = params.take("custom_llm_provider", findings);
    let base = params.take("api_base", findings);
    let base = base.or_else(|| params.take("base_url", findings));
    let key = params.take("api_key", findings);
    let capacity = capacity(params, findings).or(shared.capacity);
    let order = order(params, findings);
    let [weight, rpm, tpm] = ["weight", "rpm", "tpm"].map(|key| figure(params, key, findings));

    let public = name.and_then(|name| readable(name, findings));
    let (provider, stripped) = match &model {
        Some(model) => provider_of(model, maker.as_ref(), findings)?,
        None => {
            findings.misread(entry, "litellm_params with a model");
            return None;
        }
    };
    let model = model?;
    let url = url(provider, base.as_ref(), &model, findings);
    let (url, public) = (url?, public?);
    let key = match &key {
        Some(key) => {
            let wish = (key_name(provider, &url), provider.base != Some(&*url));
            shared.secrets.reference(key, (&wish.0, wish.1), findings)
        }
        None => unwritten_key(provider, &model, base.is_some(), findings),
    };
    let sent = sent(&model, public, provider, stripped, findings);
    let place = Place { url, key, dialect: provider.dialect, capacity };
    Some(Deployment { entry: entry.clone(), public, sent, place, order, weight, rpm, tpm })
}

/// Whose API it is, and what they call the model.
fn provider_of<'a>(
    model: &Entry<'a>,
    maker: Option<&Entry<'a>>,
    findings: &mut Findings,
) -> Option<(&'static Provider, &'a str)> {
    let name = readable(model, findings)?;
    let by_maker = maker.and_then(|maker| provider::by_prefix(maker.text()?));
    let of = match by_maker {
        Some(provider) => {
            let prefix = name.strip_prefix(provider.prefix);
            let rest = prefix.and_then(|rest| rest.strip_prefix('/'));
            Some((provider, rest.unwrap_or(name)))
        }
        None if maker.is_some() => None,
        None => provider::of(name),
    };
    if let Some(maker) = maker {
        match by_maker {
            Some(_) => findings.exact(maker, "says which API the backend speaks"),
            None => findings.unsupported(maker, "no backend here speaks its API", ""),
        }
    }
    if of.is_none() {
        let became = format!("left out: no backend here speaks the API of {}", shown(name));
        findings.unsupported(model, became, "put a gateway with the OpenAI API before it");
    }
    of
}

/// A model's name that can stand in a file of ours.
fn readable<'a>(entry: &Entry<'a>, findings: &mut Findings) -> Option<&'a str> {
    let is_name = |name: &&str| {
        !name.is_empty()
            && name.len() <= MODEL_BYTES_MAX
            && !name.chars().any(|c| c.is_control() || c.is_whitespace())
            && name.matches('*').count() <= 1
    };
    let name = entry.text().filter(is_name);
    if name.is_none() {
        findings.misread(entry, "a model's name without blanks and with one * at most");
    }
    name
}

/// LiteLLM takes the provider's own variable where no key is written.
fn unwritten_key(
    provider: &Provider,
    model: &Entry<'_>,
    has_base: bool,
    findings: &mut Findings,
) -> Option<String> {
    let key = provider.key?;
    if has_base {
        findings.approximate(
            model,
            format!("no key is written beside it; LiteLLM would send {key} to that address"),
            format!("add key = \"env:{key}\" to the backend if it asks for it"),
        );
        return None;
    }
    Some(format!("env:{key}"))
}

/// What the backend is told as the model's name.
fn sent<'a>(
    entry: &Entry<'_>,
    public: &str,
    provider: &Provider,
    stripped: &'a str,
    findings: &mut Findings,
) -> Option<&'a str> {
    let name = shown(stripped);
    match provider.fit {
        Fit::Same if provider.dialect == Dialect::Anthropic => findings.approximate(
            entry,
            format!("the backend is asked for {name}, and answers /v1/messages only"),
            "let clients speak Anthropic's API: nothing is translated",
        ),
        Fit::Same if !stripped.contains('*') || stripped == public => {
            findings.exact(entry, format!("the backend is asked for {name}"));
        }
        Fit::Same => {}
        Fit::OtherApi => findings.approximate(
            entry,
            format!("the backend is asked for {name}, by the OpenAI API that it offers"),
            "see that it offers it, below /v1",
        ),
        Fit::Azure => findings.manual(
            entry,
            format!("the backend is asked for {name}, by the API without an api-version (v1)"),
            "see that the resource offers it, below /openai/v1",
        ),
    }
    if stripped.contains('*') && stripped != public {
        findings.manual(
            entry,
            "the name goes to the backend as the client wrote it: no part of it is replaced",
            "name each model by itself, or let clients write the backend's names",
        );
        return None;
    }
    // Without a star it is always written: a client may have written another
    // of the model's names.
    (!stripped.contains('*')).then_some(stripped)
}

fn capacity(params: &mut Section<'_>, findings: &mut Findings) -> Option<u32> {
    let entry = params.take("max_parallel_requests", findings)?;
    let count = entry.count().filter(|count| *count > 0);
    match count {
        Some(_) => findings.exact(&entry, "is the backend's capacity"),
        None => findings.misread(&entry, "a whole number above zero"),
    }
    count
}

fn order(params: &mut Section<'_>, findings: &mut Findings) -> Option<u32> {
    let entry = params.take("order", findings)?;
    // One more is for those that have none.
    let order = entry.count().filter(|order| *order < u32::MAX);
    match order {
        Some(_) => findings.exact(&entry, "is the candidate's order"),
        None => findings.misread(&entry, "a whole number"),
    }
    order
}

fn figure<'a>(params: &mut Section<'a>, key: &str, findings: &mut Findings) -> Figure<'a> {
    let entry = params.take(key, findings)?;
    match entry.number() {
        Some(number) => Some((entry, number)),
        None => {
            findings.misread(&entry, "a number");
            None
        }
    }
}
