//! Facts about names whose every address is a backend.

use super::*;
use crate::config::{ConfigFile, Fault, Machine, PlanError, check};

const FILE: &str = "\
[[backend]]
url = \"http://first\"
models = [\"m\"]
[[backend]]
url = \"dns+https://each:8443/v1\"
models = [\"m\", \"only\"]
capacity = 7
tls.ca = \"ca.pem\"
[[backend]]
url = \"http://last\"
models = [\"m\"]
[[model]]
name = \"chat\"
candidates = [{ model = \"m\", backends = [\"last\", \"each:8443/v1\"] }]
";

fn plan(text: &str) -> Plan {
    let file = ConfigFile { name: "t.toml".to_owned(), text: text.to_owned() };
    let machine = Machine { allowed_cores: vec![0], open_files: None };
    check(&file.read().written, &machine).unwrap()
}

fn addresses(count: usize) -> Addresses {
    let address = |at: usize| SocketAddr::from(([10, 0, (at / 256) as u8, (at % 256) as u8], 8443));
    let found = (0..count).map(address).collect();
    [(("each".to_owned(), 8443), found)].into()
}

#[track_caller]
fn check_names(addresses: &Addresses, expected: &[&str]) -> Plan {
    let (plan, left_out) = spread(&plan(FILE), addresses);
    let names: Vec<_> = plan.backends.iter().map(|backend| backend.name.as_str()).collect();
    assert_eq!((names.as_slice(), left_out), (expected, 0));
    plan
}

#[test]
fn each_address_is_a_backend_at_the_place_of_its_name() {
    let one = "each:8443/v1@10.0.0.0";
    check_names(&addresses(1), &["first", one, "last"]);
    let plan = check_names(&addresses(2), &["first", one, "each:8443/v1@10.0.0.1", "last"]);
    for backend in &plan.backends[1..3] {
        assert_eq!(
            (backend.host_header.as_str(), backend.base_path.as_str()),
            ("each:8443", "/v1")
        );
        assert_eq!(backend.tls_name.as_ref().map(|name| name.to_str()).as_deref(), Some("each"));
        assert_eq!(backend.capacity.map(std::num::NonZero::get), Some(7));
    }
    let has_tls: Vec<_> = plan.tls.backends.iter().map(Option::is_some).collect();
    assert_eq!(has_tls, [false, true, true, false]);
}

#[test]
fn what_leads_to_a_name_leads_to_each_of_its_addresses() {
    let (plan, _) = spread(&plan(FILE), &addresses(2));
    let ids = [3, 1, 2].map(BackendId);
    assert_eq!(plan.routes.models[0].candidates[0].backends, ids);
    let serve_two: Vec<_> = plan.routes.backends.iter().map(|one| one.models.len() == 2).collect();
    assert_eq!(serve_two, [false, true, true, false]);
}

#[test]
fn a_name_that_stands_for_nothing_stays_one_backend() {
    assert_eq!(names_to_spread(&plan(FILE)), addresses(0));
    check_names(&addresses(0), &["first", "each:8443/v1", "last"]);
    check_names(&Addresses::new(), &["first", "each:8443/v1", "last"]);
}

#[test]
fn there_are_never_more_than_the_table_bears() {
    let (one, left_out) = spread(&plan(FILE), &addresses(300));
    assert_eq!((one.backends.len(), left_out), (2 + ADDRESSES_MAX, 300 - ADDRESSES_MAX));
    let many: String = (0..6)
        .map(|at| format!("[[backend]]\nname = \"{at}\"\nurl = \"dns+http://each:8443\"\n"))
        .collect();
    let (full, left_out) = spread(&plan(&many), &addresses(256));
    assert_eq!((full.backends.len(), left_out), (BACKENDS_MAX, 6 * 256 - BACKENDS_MAX));
}

#[test]
fn a_fault_of_one_address_is_told_where_its_name_stands() {
    let (plan, _) = spread(&plan(FILE), &addresses(3));
    let (flag, value, fault) = ("--backend-ca", String::new(), Fault::Unreadable("x".to_owned()));
    let told = plan.given.tell(&PlanError { id: flag, place: 3, value, fault }).sentence;
    assert!(told.starts_with("t.toml:8: "), "{told}");
}
