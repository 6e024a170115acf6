//! Facts about listen addresses and backend URLs.

use super::*;

fn check_listen(written: &str, expected: Result<&str, Fault>) {
    let shown = read_listen(written).map(|address| address.to_string());
    assert_eq!(shown, expected.map(str::to_owned), "{written:?}");
}

/// Expected is the address, the Host header and the base path.
fn check_backend(written: &str, expected: Result<(&str, &str, &str), Fault>) {
    let read = read_backend(written)
        .map(|backend| (backend.address.to_string(), backend.host_header, backend.base_path));
    let expected = expected
        .map(|(address, host, base)| (address.to_owned(), host.to_owned(), base.to_owned()));
    assert_eq!(read, expected, "{written:?}");
}

fn check_same_place(backend: &str, listener: &str, expected: bool) {
    let backend = read_backend(backend).unwrap();
    let listener = read_listen(listener).unwrap();
    assert_eq!(is_same_place(&backend.address, &listener), expected, "{backend:?} {listener:?}");
}

#[test]
fn listens_on_an_ip_address_or_a_path() {
    check_listen("127.0.0.1:8080", Ok("127.0.0.1:8080"));
    check_listen("0.0.0.0:0", Ok("0.0.0.0:0"));
    check_listen("[::1]:8080", Ok("[::1]:8080"));
    check_listen("localhost:8080", Ok("127.0.0.1:8080"));
    check_listen("unix:/run/tokenring.sock", Ok("unix:/run/tokenring.sock"));
}

#[test]
fn refuses_to_listen_on_a_name() {
    check_listen("example.com:80", Err(Fault::ListenName("example.com".into())));
}

#[test]
fn refuses_to_listen_on_half_an_address() {
    for written in
        ["", "8080", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:+80"]
    {
        check_listen(written, Err(Fault::ListenMalformed));
    }
    for written in ["::1:8080", "[::1]", "127.1:80", "*:80", "http://127.0.0.1:80"] {
        check_listen(written, Err(Fault::ListenMalformed));
    }
    check_listen("unix:", Err(Fault::UnixPathEmpty));
}

#[test]
fn takes_a_socket_path_as_long_as_the_kernel_does() {
    let path = |bytes: usize| format!("unix:/{}", "s".repeat(bytes - 1));
    check_listen(&path(107), Ok(&path(107)));
    check_listen(&path(108), Err(Fault::UnixPathLong(108)));
}

#[test]
fn refuses_a_socket_path_that_would_break_a_line() {
    // It stands in the log and, of a backend, in a header of each answer.
    for path in ["unix:/a\r\nset-cookie: x", "unix:/a\nb", "unix:/\0", "unix:/\x7f", "unix:/\u{85}"]
    {
        check_listen(path, Err(Fault::UnixPathControl));
        check_backend(path, Err(Fault::UnixPathControl));
    }
    check_listen("unix:/a b/ü", Ok("unix:/a b/ü"));
}

#[test]
fn reads_a_backend() {
    check_backend("http://10.0.0.1:8000", Ok(("10.0.0.1:8000", "10.0.0.1:8000", "")));
    check_backend("http://vllm:8000/", Ok(("vllm:8000", "vllm:8000", "")));
    check_backend("HTTP://vllm", Ok(("vllm:80", "vllm", "")));
    check_backend("http://a.b-c.d_e.:1", Ok(("a.b-c.d_e.:1", "a.b-c.d_e.:1", "")));
    check_backend("http://[::1]:8000/api", Ok(("[::1]:8000", "[::1]:8000", "/api")));
    check_backend("http://h/a/b//", Ok(("h:80", "h", "/a/b")));
    check_backend("unix:/run/vllm.sock", Ok(("unix:/run/vllm.sock", "localhost", "")));
}

#[track_caller]
fn check_tls_name(written: &str, expected: Option<&str>) {
    let name = read_backend(written).unwrap().tls_name;
    assert_eq!(name.as_ref().map(|name| name.to_str()).as_deref(), expected, "{written}");
}

#[test]
fn reads_an_https_backend_with_the_port_and_the_name_of_https() {
    check_backend("https://a.example", Ok(("a.example:443", "a.example", "")));
    check_backend("HTTPS://a.example:8443/v1/", Ok(("a.example:8443", "a.example:8443", "/v1")));
    check_tls_name("https://a.example", Some("a.example"));
    check_tls_name("https://a.example:8443/v1", Some("a.example"));
    check_tls_name("https://10.0.0.1", Some("10.0.0.1"));
    check_tls_name("https://[::1]:1", Some("::1"));
    check_tls_name("http://a.example", None);
    check_tls_name("unix:/a", None);
}

#[test]
fn reads_a_name_whose_every_address_is_meant() {
    check_backend("dns+http://vllm:8000/v1", Ok(("vllm:8000", "vllm:8000", "/v1")));
    check_tls_name("DNS+HTTPS://a.example", Some("a.example"));
    for (written, expected) in [("dns+http://h", true), ("http://h", false)] {
        assert_eq!(read_backend(written).unwrap().each_address, expected, "{written}");
    }
    check_backend("dns+http://10.0.0.1", Err(Fault::BackendNoName));
    check_backend("dns+https://[::1]:1", Err(Fault::BackendNoName));
    check_backend("dns+unix://a", Err(Fault::BackendScheme));
    check_backend("dns+://a", Err(Fault::BackendScheme));
}

#[test]
fn refuses_an_https_backend_that_no_certificate_can_be_for() {
    check_backend("http://-a", Ok(("-a:80", "-a", "")));
    check_backend("https://-a", Err(Fault::BackendHostUnverifiable));
}

#[test]
fn refuses_a_backend_that_is_not_http() {
    check_backend("htp://x", Err(Fault::BackendScheme));
    check_backend("://x", Err(Fault::BackendScheme));
    check_backend("10.0.0.1:8000", Err(Fault::BackendNoScheme));
    check_backend("", Err(Fault::BackendNoScheme));
    check_backend("unix:", Err(Fault::UnixPathEmpty));
}

#[test]
fn refuses_a_backend_without_a_clear_host() {
    for written in ["http://", "http:///base", "http://:80", "http://a..b", "http://a b"] {
        check_backend(written, Err(Fault::BackendHost));
    }
    for written in ["http://010.0.0.1", "http://127.1", "http://1", "http://[::1", "http://[x]"] {
        check_backend(written, Err(Fault::BackendHost));
    }
    check_backend(&format!("http://{}", "a".repeat(64)), Err(Fault::BackendHost));
    check_backend("http://user:word@h", Err(Fault::BackendUser));
}

#[test]
fn refuses_a_backend_without_a_clear_port() {
    for port in ["", "0", "65536", "+80", "8000x", "80:80"] {
        check_backend(&format!("http://h:{port}"), Err(Fault::BackendPort));
    }
    check_backend("http://[::1]80", Err(Fault::BackendPort));
}

#[test]
fn refuses_what_cannot_be_put_before_a_path() {
    check_backend("http://h/a?b", Err(Fault::BackendQuery));
    check_backend("http://h#a", Err(Fault::BackendQuery));
    check_backend("http://h/a b", Err(Fault::BackendPath));
    check_backend("http://h/ä", Err(Fault::BackendPath));
}

#[test]
fn sees_a_backend_that_is_the_listener_itself() {
    check_same_place("http://127.0.0.1:8080", "127.0.0.1:8080", true);
    check_same_place("http://localhost:8080", "127.0.0.1:8080", true);
    check_same_place("http://localhost:8080", "[::1]:8080", true);
    check_same_place("http://127.0.0.1:8080", "0.0.0.0:8080", true);
    check_same_place("unix:/a", "unix:/a", true);
}

#[test]
fn sees_a_backend_that_only_resembles_the_listener() {
    check_same_place("http://127.0.0.1:8081", "127.0.0.1:8080", false);
    check_same_place("http://127.0.0.2:8080", "127.0.0.1:8080", false);
    check_same_place("http://10.0.0.1:8080", "0.0.0.0:8080", false);
    check_same_place("http://vllm:8080", "0.0.0.0:8080", false);
    check_same_place("http://127.0.0.1:8080", "unix:/a", false);
    check_same_place("unix:/b", "unix:/a", false);
}
