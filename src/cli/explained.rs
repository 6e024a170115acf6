//! A decision in words: facts, complexity, rules, steps. Reads nothing and
//! asks nobody; the request is understood as `exchange` understands it.

use std::fmt::Write;

use crate::balance::Fleet;
use crate::base::{BackendId, Chance};
use crate::config::Plan;
use crate::http::Fields;
use crate::llm::{
    Dialect, Endpoint, Features, MODEL_BYTES_MAX, Peek, Reading, is_json, peek, peek_unknown,
};
use crate::route::{
    Content, Decision, Explanation, ModelId, Query, RouteTable, Step, Tried, Unrouted, complexity,
    signs,
};

/// A request, as it comes.
pub(super) struct Asks<'a> {
    pub path: &'a [u8],
    pub fields: &'a Fields<'a, 'a>,
    pub body: &'a [u8],
}

/// The path whose requests go to `Plan::proxy_path`.
const PROXY: &[u8] = b"/proxy";
/// Shares of requests fall alike whenever the same is asked.
const DICE_SEED: u64 = 1;

/// The whole decision, and why the request would be refused if it would.
///
/// # Errors
/// Why the body cannot be understood.
pub(super) fn explain(plan: &Plan, asks: &Asks<'_>) -> Result<(String, Option<String>), String> {
    let is_proxy = asks.path == PROXY;
    let endpoint = Endpoint::of(if is_proxy { plan.proxy_path.as_bytes() } else { asks.path });
    let table = RouteTable::new(&plan.routes);
    let peek = understood(&table, asks.body, endpoint, is_proxy)?;
    let mut room = [0; MODEL_BYTES_MAX];
    let model = peek.model.map(|model| model.name(asks.body, &mut room));
    let prompt_tokens = Fleet::new(1, plan.balancing).tokens_of(peek.prompt_bytes);
    let query = Query {
        model,
        head: table.head_facts(asks.path, asks.fields),
        stream: peek.stream,
        tools: peek.offers_tools(asks.body),
        prompt_tokens,
        dialect: (endpoint != Endpoint::Other).then(|| endpoint.dialect()),
        dice: Chance::seeded(DICE_SEED).next_u64(),
    };
    let reading = Reading { body: asks.body, peek: &peek };
    let mut content = Whole { reading, features: reading.features(prompt_tokens) };
    let explanation = table.explain(&query, &mut content);
    let mut told = Told { plan, table: &table, page: String::new() };
    told.facts(&query, endpoint, &mut content, &peek);
    told.complexity(&content.features);
    told.rules(&explanation.rules);
    let refused = told.decision(&explanation, &query);
    Ok((told.page, refused))
}

/// What of a body is read depends on where it is sent.
fn understood(
    table: &RouteTable,
    body: &[u8],
    endpoint: Endpoint,
    is_proxy: bool,
) -> Result<Peek, String> {
    let peeked = if is_proxy {
        is_json(body).map_err(|fault| fault.reason().to_owned())?;
        let is_object = body.trim_ascii_start().starts_with(b"{");
        (is_object && !table.is_plain()).then(|| peek(body, Endpoint::Other))
    } else if endpoint == Endpoint::Other && !table.is_plain() {
        peek_unknown(body).transpose()
    } else {
        endpoint.needs_model().then(|| peek(body, endpoint))
    };
    let told = |fault: crate::llm::PeekFault| {
        let at = fault.offset;
        let param = fault.param().map(|param| format!("{param}: ")).unwrap_or_default();
        format!("{param}{} (at byte {at} of the body)", fault.reason())
    };
    Ok(peeked.transpose().map_err(told)?.unwrap_or_default())
}

/// A body of which all is asked.
struct Whole<'b> {
    reading: Reading<'b>,
    features: Features,
}

impl Content for Whole<'_> {
    fn images(&mut self) -> bool {
        self.reading.images()
    }

    fn complexity(&mut self) -> f32 {
        complexity(&self.features)
    }

    fn conversation(&mut self) -> u64 {
        self.reading.conversation()
    }
}

/// The page that is being written.
struct Told<'a> {
    plan: &'a Plan,
    table: &'a RouteTable,
    page: String,
}

impl Told<'_> {
    fn title(&mut self, title: &str) {
        let blank = if self.page.is_empty() { "" } else { "\n" };
        self.page.push_str(&format!("{blank}{title}\n"));
    }

    fn line(&mut self, name: &str, what: &str) {
        // Writing to memory does not fail.
        let _ = writeln!(self.page, "  {name:<12} {what}");
    }

    fn facts(
        &mut self,
        query: &Query<'_>,
        endpoint: Endpoint,
        content: &mut dyn Content,
        peek: &Peek,
    ) {
        self.title("facts");
        let api = match query.dialect {
            None => "none that is known, so that any backend may answer",
            Some(Dialect::OpenAi) => "OpenAI's",
            Some(Dialect::Anthropic) => "Anthropic's",
        };
        self.line("API", api);
        if !endpoint.needs_model() {
            self.line("body", "not looked into, as this path asks no model");
        }
        let model = query.model.map(String::from_utf8_lossy);
        self.line("model", model.as_deref().unwrap_or("none"));
        self.line("stream", &query.stream.to_string());
        self.line("tools", &query.tools.to_string());
        self.line("images", &content.images().to_string());
        let (tokens, bytes) = (query.prompt_tokens, peek.prompt_bytes);
        self.line("prompt", &format!("{tokens} tokens, guessed of {bytes} bytes"));
        let session = match query.head.session {
            Some(_) => "by the session that its head names",
            None => "by its user, or by how it begins",
        };
        self.line("conversation", session);
    }

    fn complexity(&mut self, features: &Features) {
        self.title(&format!("complexity {:.3}", complexity(features)));
        for sign in signs(features) {
            let found = match sign.name {
                "length" => format!("{} tokens", features.prompt_tokens),
                "turns" => format!("{} messages", features.turns),
                "code" => format!(
                    "{} fences, {} braces in 1000 bytes",
                    features.fences, features.braces_per_thousand
                ),
                "tools" => format!("{} offered", features.tools),
                "schema" => format!("asked for: {}", features.schema),
                "questions" => format!("{} marks", features.questions),
                "markers" => format!("{} kinds of words for reasons and steps", features.markers),
                "output" => match features.max_tokens {
                    Some(tokens) => format!("{tokens} tokens at most"),
                    None => "no limit given".to_owned(),
                },
                _ => format!("{} of 3", features.effort),
            };
            let (strength, weight) = (sign.strength, sign.weight);
            self.line(sign.name, &format!("{strength:.2} of {weight:.2}  {found}"));
        }
    }

    fn rules(&mut self, rules: &[Tried]) {
        self.title("rules");
        if rules.is_empty() {
            self.line("none", "");
        }
        for rule in rules {
            let what = match (&rule.unmet, rule.is_late) {
                (Some(unmet), _) => format!("does not apply: {unmet}"),
                (None, true) => "would apply, but a rule before it has decided".to_owned(),
                (None, false) if rule.shadow => "applies, in shadow: it does not act".to_owned(),
                (None, false) if rule.arms.is_empty() => "applies, and only mirrors".to_owned(),
                (None, false) => "applies, and decides".to_owned(),
            };
            self.line(&rule.name, &what);
            for (model, weight, falls) in &rule.arms {
                // Of a rule that does not apply, or of one arm, it says nothing.
                let falls = *falls && rule.unmet.is_none() && rule.arms.len() > 1;
                let falls = if falls { ", where this conversation falls" } else { "" };
                self.line("", &format!("to {model}, weight {weight}{falls}"));
            }
            if let Some((model, percent)) = &rule.mirror {
                self.line("", &format!("mirrors {percent} % to {model}"));
            }
        }
    }

    /// Says why the request would be refused, if it would.
    fn decision(&mut self, explanation: &Explanation<'_>, query: &Query<'_>) -> Option<String> {
        self.title("decision");
        let name = query.model.map(String::from_utf8_lossy).unwrap_or_default();
        let refused = match &explanation.decision {
            Ok(decision) => {
                self.decided(decision);
                return None;
            }
            Err(Unrouted::Unknown { near }) if near.is_empty() => {
                format!("404 model_not_found: nobody serves {name}, and no name is near")
            }
            Err(Unrouted::Unknown { near }) => {
                let near = near.join(", ");
                format!("404 model_not_found: nobody serves {name}; near are {near}")
            }
            Err(Unrouted::NoRule) => {
                format!("404 model_not_found: only routes know {name}, and none of them applies")
            }
            Err(Unrouted::OtherDialect) => {
                format!("404 model_not_found: {name} is served in the other API only")
            }
        };
        self.line("refused", &refused);
        Some(refused)
    }

    fn decided(&mut self, decision: &Decision<'_>) {
        let rule = decision.rule.map_or("none", |rule| self.table.rule_name(rule)).to_owned();
        self.line("rule", &rule);
        let model = self.model(decision.model);
        self.line("model", &model);
        for index in 0..decision.steps() {
            if let Some(step) = decision.step(index) {
                let told = format!("{}, {}", step.why.word(), self.step(&step));
                self.line(&format!("step {}", index + 1), &told);
            }
        }
        if let Some(step) = decision.mirror() {
            let told = self.step(&step);
            self.line("mirror", &told);
        }
        for shadow in &decision.shadows {
            let model = shadow.model.map_or("a mirror only".to_owned(), |id| self.model(Some(id)));
            let told = format!("{} would have chosen {model}", self.table.rule_name(shadow.rule));
            self.line("shadow", &told);
        }
        if decision.is_telling() {
            let mut reason = Vec::new();
            decision.write_reason(0, &mut reason);
            self.line(
                "header",
                &format!("x-tokenring-route: {}", String::from_utf8_lossy(&reason)),
            );
        }
    }

    fn model(&self, model: Option<ModelId>) -> String {
        model.map_or("as the client wrote it", |model| self.table.model_word(model)).to_owned()
    }

    fn step(&self, step: &Step<'_>) -> String {
        let names: Vec<_> = step.backends.iter().map(|id| self.backend(*id)).collect();
        let model = self.model(step.model);
        let sent = step.rename.map(|name| format!(", sent as {name}")).unwrap_or_default();
        format!("model {model}{sent}, to {}", names.join(", "))
    }

    /// The demo's mock comes behind all others.
    fn backend(&self, id: BackendId) -> &str {
        self.plan.backends.get(id.0).map_or("the demo's mock", |backend| &backend.name)
    }
}
