//! Who talks to whom, on which cores, and with which headers.

use super::{Choice, Group, Home, Number, Place, Setting, Switch, of_process};
use crate::config::{Credentials, count};
use crate::rt::DriverChoice;

pub(super) const PLACES: Group = Group {
    heading: "Who talks to whom",
    settings: &[
        of_process(
            "listen.http",
            "--listen",
            "0.0.0.0:8080 unix:/run/tokenring.sock",
            "Address for clients: HOST:PORT, [::1]:PORT or unix:/PATH; repeatable. The default \
             holds only when nothing is listened on by TLS",
            Place::Texts("ADDR", |w| &mut w.listen),
        )
        .at_start_only(),
        of_process(
            "listen.admin",
            "--admin",
            "127.0.0.1:9090",
            "Address for health and metrics",
            Place::OptionalText(["ADDR", "none"], |w| &mut w.admin),
        )
        .at_start_only(),
        Setting {
            key: "backend.url",
            flag: Some("--backend"),
            example: "https://models.example.com/serving",
            needs_restart: false,
            doc: "Model server: http://HOST:PORT[/BASE], https://… or unix:/PATH; repeatable. Behind \
                  dns+http://NAME:PORT or dns+https://… each address of the name is a backend",
            home: Home::BackendUrl,
        },
        of_process(
            "config.backends_file",
            "--backends-file",
            "/etc/tokenring/backends.txt",
            "More model servers, a line each: a URL, and behind it KEY=VALUE for any key of \
             [[backend]]; looked at like the configuration file",
            Place::File("none", |w| &mut w.backends_file),
        ),
        of_process(
            "dns.resolve_every",
            "--resolve-every",
            "10s",
            "How often the name of a backend is resolved again",
            Place::Time(|w| &mut w.resolve_every),
        ),
        of_process(
            "demo",
            "--demo",
            "true",
            "Start the built-in mock on a free loopback port as a backend; no other is needed",
            Place::Switch(Switch { flag_says: true, is_on: |w| w.demo, turn: |w, on| w.demo = on }),
        )
        .at_start_only(),
        of_process(
            "proxy.path",
            "--proxy-path",
            "/v1/embeddings",
            "Where POST /proxy is sent: the path of any endpoint that takes JSON",
            Place::Text("PATH", |w| &mut w.proxy_path),
        ),
        of_process(
            "proxy.pass_credentials",
            "--pass-credentials",
            "true",
            "Send the client's own credentials on (Authorization, x-api-key, Cookie …)",
            Place::Switch(Switch {
                flag_says: true,
                is_on: |w| w.credentials == Credentials::Pass,
                turn: |w, on| {
                    w.credentials = if on { Credentials::Pass } else { Credentials::Drop };
                },
            }),
        ),
    ],
};

const DRIVERS: [DriverChoice; 3] = [DriverChoice::Auto, DriverChoice::Uring, DriverChoice::Epoll];

pub(super) const FILE: Group = Group {
    heading: "Configuration file",
    settings: &[of_process(
        "config.watch_every",
        "--config-watch-every",
        "10s",
        "How often the configuration file is looked at; a change is taken once two looks agree, \
         and SIGHUP takes it at once",
        Place::Time(|w| &mut w.watch_every),
    )],
};

pub(super) const MACHINE: Group = Group {
    heading: "Cores and kernel",
    settings: &[
        of_process(
            "cores.use",
            "--cores",
            "0",
            "Cores that get a shard: auto (all that are allowed) or a list like 0-1,3",
            Place::Text("CORES", |w| &mut w.cores),
        )
        .at_start_only(),
        of_process(
            "cores.pin",
            "--no-pin",
            "false",
            "Bind each shard's thread to its core",
            Place::Switch(Switch { flag_says: false, is_on: |w| w.pin, turn: |w, on| w.pin = on }),
        )
        .at_start_only(),
        of_process(
            "kernel.driver",
            "--driver",
            "epoll",
            "Way into the kernel; auto is io_uring where it is granted, else epoll",
            Place::Choice(Choice {
                unit: "DRIVER",
                words: &["auto", "uring", "epoll"],
                unset: "",
                at: |w| DRIVERS.iter().position(|driver| *driver == w.driver),
                choose: |w, index| w.driver = DRIVERS[index],
            }),
        )
        .at_start_only(),
        of_process(
            "kernel.ring_entries",
            "--ring-entries",
            "256",
            "Submission entries of each ring, a power of two",
            Place::Number(Number {
                read: |w, word| count(word).map(|entries| w.rings.entries = entries),
                show: |w| w.rings.entries.to_string(),
            }),
        )
        .at_start_only(),
    ],
};

pub(super) const HEADERS: Group = Group {
    heading: "Headers added (all are, unless turned off)",
    settings: &[
        of_process(
            "headers.via",
            "--no-via",
            "false",
            "Add Via",
            Place::Switch(Switch {
                flag_says: false,
                is_on: |w| w.headers.via,
                turn: |w, on| w.headers.via = on,
            }),
        ),
        of_process(
            "headers.forwarded",
            "--no-forwarded",
            "false",
            "Add X-Forwarded-For and X-Forwarded-Proto",
            Place::Switch(Switch {
                flag_says: false,
                is_on: |w| w.headers.forwarded,
                turn: |w, on| w.headers.forwarded = on,
            }),
        ),
        of_process(
            "headers.request_id",
            "--no-request-id",
            "false",
            "Add X-Request-Id",
            Place::Switch(Switch {
                flag_says: false,
                is_on: |w| w.headers.request_id,
                turn: |w, on| w.headers.request_id = on,
            }),
        ),
        of_process(
            "headers.own",
            "--no-own-headers",
            "false",
            "Add server-timing and x-tokenring-* to answers",
            Place::Switch(Switch {
                flag_says: false,
                is_on: |w| w.headers.own,
                turn: |w, on| w.headers.own = on,
            }),
        ),
    ],
};
