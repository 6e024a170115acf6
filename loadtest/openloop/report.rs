//! What the operator reads: a table, or JSON with the raw percentiles.

use std::io::{self, Write};

use serde_json::{Map, Value, json};

use crate::args::Args;
use crate::tally::{Tally, Times};

const PERCENTILES: [(&str, f64); 5] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9), ("p99.99", 99.99)];

/// Prints the run; whether every request went well.
pub fn print(args: &Args, tally: &Tally, seconds: f64) -> anyhow::Result<bool> {
    write(args, &figures(tally, seconds), || table(tally, seconds))?;
    Ok(tally.faults.is_empty())
}

/// JSON goes where it was asked to; the table to standard output, unless the
/// JSON is already there.
pub fn write(args: &Args, json: &Value, table: impl Fn() -> String) -> anyhow::Result<()> {
    let text = format!("{}\n", serde_json::to_string_pretty(json)?);
    if args.json.as_deref() != Some("-") {
        io::stdout().write_all(table().as_bytes())?;
    }
    match args.json.as_deref() {
        Some("-") => io::stdout().write_all(text.as_bytes())?,
        Some(path) => std::fs::write(path, text)?,
        None => {}
    }
    Ok(())
}

/// The last words of a run that could not be made.
pub fn complain(error: &anyhow::Error) {
    // If standard error is gone, nobody is left to tell.
    let _ = writeln!(io::stderr(), "openloop: {error:#}");
}

fn histograms(tally: &Tally) -> [(&'static str, &Times); 5] {
    [
        ("latency", &tally.latency),
        ("first event", &tally.first_event),
        ("gap", &tally.gap),
        ("largest gap", &tally.largest_gap),
        ("send delay", &tally.send_delay),
    ]
}

fn figures(tally: &Tally, seconds: f64) -> Value {
    let mut map = Map::new();
    for (name, value) in [
        ("started", tally.started),
        ("completed", tally.completed),
        ("measured", tally.measured),
        ("events", tally.events),
        ("event_reads", tally.event_reads),
        ("body_bytes", tally.body_bytes),
        ("reopened", tally.reopened),
    ] {
        map.insert(name.to_owned(), value.into());
    }
    map.insert("seconds".to_owned(), json!(seconds));
    map.insert("requests_per_second".to_owned(), json!(tally.completed as f64 / seconds));
    map.insert("events_per_second".to_owned(), json!(tally.events as f64 / seconds));
    map.insert("stream_events_per_second".to_owned(), json!(tally.pace.mean()));
    let faults: Map<_, _> =
        tally.faults.iter().map(|(fault, count)| (format!("{fault:?}"), json!(count))).collect();
    map.insert("faults".to_owned(), Value::Object(faults));
    if !tally.agreements.is_empty() {
        map.insert("agreements".to_owned(), json!(tally.agreements));
    }
    for (name, times) in histograms(tally) {
        if !times.is_empty() {
            map.insert(format!("{}_us", name.replace(' ', "_")), percentiles(times));
        }
    }
    Value::Object(map)
}

fn percentiles(times: &Times) -> Value {
    let mut map: Map<_, _> = PERCENTILES
        .iter()
        .map(|(name, percentile)| ((*name).to_owned(), json!(times.percentile_us(*percentile))))
        .collect();
    map.insert("max".to_owned(), json!(times.max_us()));
    map.insert("mean".to_owned(), json!(times.mean_us()));
    map.insert("count".to_owned(), json!(times.count()));
    Value::Object(map)
}

fn table(tally: &Tally, seconds: f64) -> String {
    let mut text = format!(
        "{} requests in {seconds:.2} s, {:.0}/s; {} measured\n",
        tally.completed,
        tally.completed as f64 / seconds,
        tally.measured
    );
    if tally.events > 0 {
        text += &format!(
            "{} events, {:.0}/s, {:.2} for each read; {:.1}/s in each stream\n",
            tally.events,
            tally.events as f64 / seconds,
            tally.events as f64 / tally.event_reads.max(1) as f64,
            tally.pace.mean().unwrap_or(0.0)
        );
    }
    text += &format!("{:<14}", "microseconds");
    for (name, _) in PERCENTILES {
        text += &format!("{name:>12}");
    }
    text += &format!("{:>12}{:>12}\n", "max", "mean");
    for (name, times) in histograms(tally) {
        if !times.is_empty() {
            text += &row(name, times);
        }
    }
    for (agreement, count) in &tally.agreements {
        text += &format!("TLS: {agreement}: {count}\n");
    }
    for (fault, count) in &tally.faults {
        text += &format!("fault: {fault:?}: {count}\n");
    }
    text
}

fn row(name: &str, times: &Times) -> String {
    let mut text = format!("{name:<14}");
    for (_, percentile) in PERCENTILES {
        text += &format!("{:>12.1}", times.percentile_us(percentile));
    }
    text + &format!("{:>12.1}{:>12.1}\n", times.max_us(), times.mean_us())
}
