//! What each route has: conditions, and where it leads.

use super::lists::Listed;
use super::place::OptionalNumber;
use super::{Group, Number, Place, Switch, of_table};
use crate::config::words::count;
use crate::config::written::{ArmWritten, RouteWritten};

const fn of_route(place: &'static Place<RouteWritten>) -> &'static dyn Listed {
    place
}

const fn of_arm(place: &'static Place<ArmWritten>) -> &'static dyn Listed {
    place
}

pub(super) const ROUTES: Group = Group {
    heading: "Routes (in the file; the first that applies decides)",
    settings: &[
        of_table(
            "route.name",
            "hard",
            "What x-tokenring-route calls it",
            of_route(&Place::OptionalText(["NAME", ""], |w| &mut w.name)),
        ),
        of_table(
            "route.shadow",
            "false",
            "Decide and report only; the routes behind it act",
            of_route(&Place::Switch(Switch {
                flag_says: true,
                is_on: |w| w.shadow,
                turn: |w, on| w.shadow = on,
            })),
        ),
        of_table(
            "route.when.model",
            "auto",
            "The name that the client wrote is one of these; * is any part",
            of_route(&Place::Texts("NAME", |w| &mut w.when.models)),
        ),
        of_table(
            "route.when.path",
            "/v1/chat/*",
            "The path is one of these; * is any part",
            of_route(&Place::Texts("PATH", |w| &mut w.when.paths)),
        ),
        of_table(
            "route.when.header",
            "{ x-tier = [\"gold\", \"plat*\"] }",
            "Each of these headers has one of its values; * is any part",
            of_route(&Place::Named(|w| &mut w.when.headers)),
        ),
        of_table(
            "route.when.stream",
            "true",
            "Whether a stream is asked for",
            of_route(&Place::OptionalSwitch(|w| &mut w.when.stream)),
        ),
        of_table(
            "route.when.tools",
            "false",
            "Whether the request brings tools",
            of_route(&Place::OptionalSwitch(|w| &mut w.when.tools)),
        ),
        of_table(
            "route.when.images",
            "false",
            "Whether the request brings images",
            of_route(&Place::OptionalSwitch(|w| &mut w.when.images)),
        ),
        of_table(
            "route.when.prompt_tokens_min",
            "8000",
            "Least tokens of the prompt, estimated",
            of_route(&Place::OptionalNumber(OptionalNumber {
                unset: "",
                read: |w, word| count(word).map(|count| w.when.prompt_tokens_min = Some(count)),
                show: |w| w.when.prompt_tokens_min.map(|count| count.to_string()),
            })),
        ),
        of_table(
            "route.when.prompt_tokens_max",
            "100000",
            "Most tokens of the prompt, estimated",
            of_route(&Place::OptionalNumber(OptionalNumber {
                unset: "",
                read: |w, word| count(word).map(|count| w.when.prompt_tokens_max = Some(count)),
                show: |w| w.when.prompt_tokens_max.map(|count| count.to_string()),
            })),
        ),
        of_table(
            "route.when.complexity_min",
            "0.6",
            "Least complexity of the request, from 0 to 1",
            of_route(&Place::Decimal("", |w| &mut w.when.complexity_min)),
        ),
        of_table(
            "route.when.complexity_max",
            "0.9",
            "Most complexity of the request, from 0 to 1",
            of_route(&Place::Decimal("", |w| &mut w.when.complexity_max)),
        ),
        of_table(
            "route.to.model",
            "chat",
            "The model that answers; `to = \"chat\"` says the same of one alone",
            of_arm(&Place::OptionalText(["NAME", ""], |w| &mut w.model)),
        ),
        of_table(
            "route.to.weight",
            "9",
            "Its share among the models of this route",
            of_arm(&Place::Number(Number {
                read: |w, word| count(word).map(|count| w.weight = count),
                show: |w| w.weight.to_string(),
            })),
        ),
        of_table(
            "route.mirror.model",
            "llama-3-70b",
            "The model that is sent a copy of what asks a model; nobody sees its answer",
            of_route(&Place::OptionalText(["NAME", "none"], |w| &mut w.mirror.model)),
        ),
        of_table(
            "route.mirror.percent",
            "5",
            "Share of the requests that are copied, of a hundred",
            of_route(&Place::Decimal("", |w| &mut w.mirror.percent)),
        ),
    ],
};
