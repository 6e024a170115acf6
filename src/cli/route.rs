//! `tokenring route --explain`: a request in, and where it would go and why on
//! standard output. Nothing is sent to anybody.

use std::io::Read;
use std::process::ExitCode;

use clap::Args;

use super::explained::{Asks, explain};
use super::serve_flags::ServeFlags;
use super::{EXIT_FAILURE, EXIT_USAGE, complain, plan, print, refuse};
use crate::config::{Plan, read_config};
use crate::http::{HeaderTable, Limits, parse_request};

/// How the request comes, and the settings of `serve`.
#[derive(Debug, Args)]
#[command(override_usage = USAGE, after_help = EXAMPLES)]
pub(super) struct RouteFlags {
    /// Tell the whole decision
    #[arg(long, required = true)]
    explain: bool,
    /// The path that the request comes by
    #[arg(long, value_name = "PATH", default_value = Plan::PROXY_PATH)]
    path: String,
    /// A field of its head, as "name: value"
    #[arg(long, value_name = "FIELD")]
    header: Vec<String>,
    #[command(flatten)]
    serve: ServeFlags,
}

const USAGE: &str = "tokenring route --explain [OPTIONS] < REQUEST";

const EXAMPLES: &str = "\
The body of the request is read from standard input. All flags of 'tokenring serve'
are taken as well. Shares of requests, as of a mirror, are thrown for each request
anew; shares of conversations always fall alike.

Examples:
  tokenring route --explain --config tokenring.toml < request.json
  tokenring route --explain --config tokenring.toml --path /v1/messages \\
      --header 'x-tier: gold' < request.json";

impl RouteFlags {
    pub(super) fn run(&self) -> ExitCode {
        let file = match self.serve.config.as_deref().map(read_config).transpose() {
            Ok(file) => file,
            Err(reason) => return refuse(&[reason], None),
        };
        let plan = match plan(file.as_ref(), |written| self.serve.write(written)) {
            Ok((.., plan)) => plan,
            Err(errors) => return refuse(&errors, Some("route")),
        };
        let mut body = Vec::new();
        let most = plan.limits.body_bytes;
        let mut input = std::io::stdin().lock().take(most as u64 + 1);
        if let Err(error) = input.read_to_end(&mut body) {
            complain(format_args!("standard input: {error}"));
            return ExitCode::from(EXIT_FAILURE);
        }
        if body.len() > most {
            return wrong(&format!("it has more than the {most} bytes of --body-bytes"));
        }
        match self.told(&plan, &body) {
            Ok((told, None)) => print(&told),
            Ok((told, Some(refused))) => {
                print(&told);
                complain(refused);
                ExitCode::from(EXIT_USAGE)
            }
            Err(reason) => wrong(&reason),
        }
    }

    /// What was decided, and why the request would be refused if it would.
    fn told(&self, plan: &Plan, body: &[u8]) -> Result<(String, Option<String>), String> {
        let head = self.head()?;
        let limits = Limits {
            head_bytes_max: plan.limits.head_bytes,
            headers_max: plan.limits.headers,
            target_bytes_max: plan.limits.target_bytes,
        };
        let mut table = HeaderTable::new();
        let request = parse_request(head.as_bytes(), &limits, &mut table)
            .map_err(|fault| format!("its head is refused: {}", fault.reason()))?;
        explain(plan, &Asks { path: request.path, fields: &request.fields, body })
    }

    /// The head as a client would send it.
    fn head(&self) -> Result<String, String> {
        let mut head = format!("POST {} HTTP/1.1\r\nhost: localhost\r\n", self.path);
        for field in &self.header {
            if !field.contains(':') || field.contains(['\r', '\n']) {
                return Err(format!("--header {field} is no field; write 'name: value'"));
            }
            head.push_str(field);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        Ok(head)
    }
}

fn wrong(reason: &str) -> ExitCode {
    complain(format_args!("the request cannot be routed: {reason}"));
    ExitCode::from(EXIT_USAGE)
}
