//! Facts about reading an engine's metrics.

use super::*;

const VLLM: &str = "\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine=\"0\",model_name=\"m\"} 7.0
vllm:num_requests_running{engine=\"1\",model_name=\"m\"} 5.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine=\"0\",model_name=\"m\"} 0.0
vllm:num_requests_waiting{engine=\"1\",model_name=\"m\"} 3.0
vllm:num_requests_waiting_by_reason{engine=\"0\"} 99.0
vllm:kv_cache_usage_perc{engine=\"0\",model_name=\"m\"} 0.25
vllm:kv_cache_usage_perc{engine=\"1\",model_name=\"m\"} 0.8125
vllm:e2e_request_latency_seconds_bucket{le=\"+Inf\"} 12
";

fn read(page: &[u8], cut: usize) -> Option<EngineFigures> {
    let (one, two) = page.split_at(cut);
    let mut exposition = Exposition::default();
    exposition.push(one);
    exposition.push(two);
    exposition.figures()
}

/// The page says this, wherever it is cut.
#[track_caller]
fn check(page: &str, expected: Option<(u32, u32, f32)>) {
    let expected =
        expected.map(|(waiting, running, kv_usage)| EngineFigures { waiting, running, kv_usage });
    for cut in 0..=page.len() {
        assert_eq!(read(page.as_bytes(), cut), expected, "{page:?} cut at {cut}");
    }
    let mut by_byte = Exposition::default();
    page.as_bytes().chunks(1).for_each(|byte| by_byte.push(byte));
    assert_eq!(by_byte.figures(), expected, "{page:?} byte by byte");
}

#[test]
fn series_are_summed_and_the_fullest_cache_counts() {
    check(VLLM, Some((3, 12, 0.8125)));
}

#[test]
fn every_engine_is_understood() {
    check("vllm:gpu_cache_usage_perc{model_name=\"m\"} 0.5\n", Some((0, 0, 0.5)));
    check(
        "sglang:num_running_reqs{model_name=\"m\"} 8.0\nsglang:num_queue_reqs{model_name=\"m\"} 4.0\n\
         sglang:token_usage{model_name=\"m\"} 0.28\n",
        Some((4, 8, 0.28)),
    );
    check("sglang_num_queue_reqs{tp_rank=\"0\"} 2.0\n", Some((2, 0, 0.0)));
    check(
        "llamacpp:requests_processing 2\nllamacpp:requests_deferred 1\n\
         llamacpp:kv_cache_usage_ratio 0.63\n",
        Some((1, 2, 0.63)),
    );
    check("tgi_queue_size 6\ntgi_batch_current_size 3\n", Some((6, 3, 0.0)));
}

#[test]
fn labels_may_hold_anything() {
    for labels in [
        "{}",
        "{a=\"}\"}",
        "{a=\"\\\"} 9 \"}",
        "{a=\"\\\\\"}",
        "{a=\"x\",b=\"{\",}",
        " {a=\"\u{fc}\"}",
        "\t{ a = \"1\" } ",
    ] {
        check(&format!("tgi_queue_size{labels} 4\n"), Some((4, 0, 0.0)));
    }
}

#[test]
fn a_timestamp_is_passed_over() {
    check("tgi_queue_size 4 1700000000000\n", Some((4, 0, 0.0)));
    check("  tgi_queue_size\t4\t-1\n", Some((4, 0, 0.0)));
}

#[test]
fn what_is_not_understood_says_nothing() {
    for page in [
        "",
        "\n\n\n",
        "<html>not found</html>\n",
        "# tgi_queue_size 4\n",
        "tgi_queue_size\n",
        "tgi_queue_size{\n",
        "tgi_queue_size{a=\"} 4\n",
        "tgi_queue_size{} \n",
        "tgi_queue_sizes 4\n",
        "tgi_queue_siz 4\n",
        "xtgi_queue_size 4\n",
        "{\"tgi_queue_size\"} 4\n",
        // Its end has not come.
        "tgi_queue_size 4",
    ] {
        check(page, None);
    }
}

#[test]
fn a_line_in_doubt_does_not_spoil_the_others() {
    check("tgi_queue_size{a=\"} 4\ntgi_queue_size 2\ntgi_batch_current_size 1", Some((2, 0, 0.0)));
    let long = format!("tgi_queue_size{{a=\"{}\"}} 4\n", "x".repeat(LINE_BYTES_MAX));
    let page = format!("{long}tgi_queue_size 2\n");
    for cut in [0, 1, LINE_BYTES_MAX - 1, LINE_BYTES_MAX, LINE_BYTES_MAX + 1, long.len()] {
        assert_eq!(read(page.as_bytes(), cut).map(|found| found.waiting), Some(2), "{cut}");
    }
}

#[test]
fn a_line_that_never_ends_is_not_kept() {
    let mut exposition = Exposition::default();
    for _ in 0..1000 {
        exposition.push(&[b'x'; 1000]);
        assert!(exposition.line.capacity() <= 2 * LINE_BYTES_MAX);
    }
}

#[test]
fn numbers_are_decimal_and_not_negative() {
    for (text, expected) in [
        ("0", Some(0.0)),
        ("3.0", Some(3.0)),
        (".5", Some(0.5)),
        ("5.", Some(5.0)),
        ("0.8125", Some(0.8125)),
        ("8.128902e+06", Some(8_128_902.0)),
        ("1e3", Some(1000.0)),
        ("25E-2", Some(0.25)),
        ("000000000000000000000000000012", Some(12.0)),
        ("1000000000000000000000000", Some(1e24)),
        ("1e-999999999999", Some(0.0)),
        ("1e999999999999", None),
        ("", None),
        (".", None),
        ("e5", None),
        ("1e", None),
        ("1e+", None),
        ("1e1.5", None),
        ("-1", None),
        ("+1", None),
        ("NaN", None),
        ("+Inf", None),
        ("0x10", None),
        ("1_000", None),
        ("12\r", None),
    ] {
        assert_eq!(number(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn figures_stay_within_their_measure() {
    check("tgi_queue_size 1e30\nsglang:token_usage 80\n", Some((u32::MAX, 0, 1.0)));
}
