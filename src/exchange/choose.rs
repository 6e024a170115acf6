//! Verb three: who may answer, and in which order. What the rules ask of the
//! head was asked while it was there; the body stands in the outgoing request.
//! Nothing here waits, and without models, rules and names of backends nothing
//! is done at all.

use super::{
    Stage,
    pages::Page,
    understand::{Asked, Asker},
};
use crate::{
    http::Request,
    llm::{
        Depth, Dialect, Endpoint, Features, MODEL_BYTES_MAX, Paging, Peek, Reading, Trouble,
        decoded, write_error_body, write_model, write_models,
    },
    route::{Content, Decision, Query, RouteTable, Unrouted, complexity_at_most},
    rt::World,
};

/// Decides where a request goes. `peek` is what its body says, if it was looked
/// into. `None`: to every backend, as there is nothing to decide.
pub fn choose<'s, W: World>(
    stage: &'s Stage<W>,
    asked: &Asked<'_>,
    peek: Option<&Peek>,
) -> Result<Option<Decision<'s>>, Trouble> {
    let table = &stage.routes;
    if table.is_plain() {
        return Ok(None);
    }
    let outgoing = asked.outgoing.borrow();
    let body = outgoing.body();
    let mut room = [0; MODEL_BYTES_MAX];
    let nothing = Peek::default();
    let model = peek.and_then(|peek| peek.model).map(|model| model.name(body, &mut room));
    let peek = peek.unwrap_or(&nothing);
    let prompt_tokens = stage.fleet.tokens_of(peek.prompt_bytes);
    let query = Query {
        model,
        head: asked.head,
        stream: peek.stream,
        tools: peek.offers_tools(body),
        prompt_tokens,
        // What is no API of either is for all backends.
        dialect: (asked.endpoint != Endpoint::Other).then_some(asked.dialect),
        dice: stage.chance.borrow_mut().next_u64(),
    };
    let mut body = Body { reading: Reading { body, peek }, prompt_tokens, features: None };
    let decision = table.decide(&query, &mut body).map_err(|unrouted| {
        let model = String::from_utf8_lossy(model.unwrap_or_default()).into();
        match unrouted {
            Unrouted::Unknown { near } => Trouble::ModelNotFound { model, near },
            Unrouted::NoRule => Trouble::NoRouteApplies { model },
            Unrouted::OtherDialect => Trouble::ModelInOtherApi { model },
        }
    })?;
    stage.rules.count(&decision);
    Ok(Some(decision))
}

/// A request's body, looked into as far as the rules ask.
struct Body<'b> {
    reading: Reading<'b>,
    prompt_tokens: u64,
    /// As far as they were read, and how complex the request is at most by them.
    features: Option<(Features, f32)>,
}

impl Body<'_> {
    /// How complex the request is at most, and whether at least too.
    fn at_most(&mut self) -> (f32, bool) {
        let (features, most) = self.features.get_or_insert_with(|| {
            let features = self.reading.sizes(self.prompt_tokens);
            (features, complexity_at_most(&features))
        });
        (*most, features.depth == Depth::Words)
    }

    /// Reads one step further.
    fn deepen(&mut self) {
        if let Some((features, most)) = &mut self.features {
            self.reading.deepen(features);
            *most = complexity_at_most(features);
        }
    }
}

impl Content for Body<'_> {
    fn images(&mut self) -> bool {
        self.reading.images()
    }

    fn complexity(&mut self) -> f32 {
        loop {
            match self.at_most() {
                (complexity, true) => return complexity,
                (_, false) => self.deepen(),
            }
        }
    }

    /// A request that looks easy by its size and shape is not read for words.
    fn may_be_as_complex_as(&mut self, least: f32) -> bool {
        loop {
            match self.at_most() {
                (most, _) if most < least => return false,
                (_, true) => return true,
                (_, false) => self.deepen(),
            }
        }
    }

    fn conversation(&mut self) -> u64 {
        self.reading.conversation()
    }
}

const MODELS: &[u8] = b"/v1/models";

/// The list of models, or one of them, where their names are known to us.
pub fn models_page(table: &RouteTable, request: &Request<'_, '_>, asker: Asker) -> Option<Page> {
    if !table.names_are_known() || !matches!(request.method.as_bytes(), b"GET" | b"HEAD") {
        return None;
    }
    let dialect = asker.dialect;
    let path = request.path.strip_prefix(MODELS)?;
    let mut body = Vec::new();
    let written = match path.strip_prefix(b"/").unwrap_or(path) {
        b"" => write_list(&mut body, table, request, dialect),
        name => write_one(&mut body, table, &decoded(name), dialect),
    };
    let status = match written {
        Ok(()) => 200,
        Err(trouble) => {
            body.clear();
            write_error_body(&mut body, dialect, &trouble, "");
            trouble.status()
        }
    };
    Some(Page { status, content_type: "application/json", body })
}

fn write_list(
    body: &mut Vec<u8>,
    table: &RouteTable,
    request: &Request<'_, '_>,
    dialect: Dialect,
) -> Result<(), Trouble> {
    let query = request.origin_form.split(|byte| *byte == b'?').nth(1).unwrap_or_default();
    let names: Vec<_> = table.public_names(dialect).collect();
    let paging = match dialect {
        Dialect::OpenAi => Ok(Paging::default()),
        Dialect::Anthropic => Paging::read(query),
    };
    let written = paging.and_then(|paging| write_models(body, dialect, &names, &paging));
    written.map_err(|reason| Trouble::InvalidRequest { reason, param: None, offset: None })
}

fn write_one(
    body: &mut Vec<u8>,
    table: &RouteTable,
    name: &[u8],
    dialect: Dialect,
) -> Result<(), Trouble> {
    let known = std::str::from_utf8(name)
        .ok()
        .filter(|name| name.len() <= MODEL_BYTES_MAX && table.answers(name.as_bytes(), dialect));
    match known {
        Some(name) => {
            write_model(body, dialect, name);
            Ok(())
        }
        None => {
            let shown = name.get(..MODEL_BYTES_MAX).unwrap_or(name);
            let model = String::from_utf8_lossy(shown).into();
            Err(Trouble::ModelNotFound { model, near: table.near(name) })
        }
    }
}
