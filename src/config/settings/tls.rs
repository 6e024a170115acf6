//! TLS on both sides.

use super::{Choice, Group, Place, Switch, of_backend, of_process};
use crate::tls::{ClientAuth, MinVersion, Verification};

const MODES: [ClientAuth; 2] = [ClientAuth::Required, ClientAuth::Optional];
const VERSIONS: [MinVersion; 2] = [MinVersion::Tls12, MinVersion::Tls13];

pub(super) const TO_CLIENTS: Group = Group {
    heading: "TLS to clients (FILE is PEM)",
    settings: &[
        of_process(
            "listen.tls",
            "--tls-listen",
            "0.0.0.0:8443",
            "Address for clients that speak TLS, beside the plain ones or alone; repeatable",
            Place::Texts("ADDR", |w| &mut w.tls.listen),
        )
        .at_start_only(),
        of_process(
            "tls.cert",
            "--tls-cert",
            "chain.pem",
            "Certificate chain; repeatable, chosen by server name, the first for any other",
            Place::Files(|w| &mut w.tls.certificates),
        ),
        of_process(
            "tls.key",
            "--tls-key",
            "key.pem",
            "Private key of the certificate chain at the same place; repeatable",
            Place::Files(|w| &mut w.tls.keys),
        ),
        of_process(
            "tls.client_ca",
            "--tls-client-ca",
            "clients.pem",
            "Ask clients for a certificate of one of these authorities",
            Place::File("none", |w| &mut w.tls.client_ca),
        ),
        of_process(
            "tls.client_auth",
            "--tls-client-auth",
            "optional",
            "Whether a client may come without a certificate",
            Place::Choice(Choice {
                unit: "MODE",
                words: &["required", "optional"],
                unset: "required",
                at: |w| MODES.iter().position(|mode| Some(*mode) == w.tls.client_auth),
                choose: |w, index| w.tls.client_auth = Some(MODES[index]),
            }),
        ),
        of_process(
            "tls.min_version",
            "--tls-min-version",
            "1.3",
            "Oldest version that is spoken",
            Place::Choice(Choice {
                unit: "VERSION",
                words: &["1.2", "1.3"],
                unset: "",
                at: |w| VERSIONS.iter().position(|version| *version == w.tls.min_version),
                choose: |w, index| w.tls.min_version = VERSIONS[index],
            }),
        ),
        of_process(
            "tls.handshake_timeout",
            "--tls-handshake-timeout",
            "5s",
            "For a client's whole handshake",
            Place::Time(|w| &mut w.tls.handshake_timeout),
        ),
        of_process(
            "tls.handshakes_waiting",
            "--tls-handshakes-waiting",
            "512",
            "Most handshakes of one shard that wait for their turn; more are shed",
            Place::Count(|w| &mut w.tls.handshakes_waiting),
        )
        .at_start_only(),
        of_process(
            "tls.watch_every",
            "--tls-watch-every",
            "1m",
            "How often all certificate files are looked at; SIGHUP looks at once",
            Place::Time(|w| &mut w.tls.watch_every),
        ),
    ],
};

pub(super) const TO_BACKENDS: Group = Group {
    heading: "TLS to backends (each flag is for all of them)",
    settings: &[
        of_backend(
            "backend.tls.ca",
            "--backend-ca",
            "backends.pem",
            "Authorities that backends' certificates must come from",
            Place::File("the system's", |w| &mut w.ca),
        ),
        of_backend(
            "backend.tls.cert",
            "--backend-cert",
            "ours.pem",
            "Certificate chain shown to backends that ask for one",
            Place::File("none", |w| &mut w.certificate),
        ),
        of_backend(
            "backend.tls.key",
            "--backend-key",
            "ours-key.pem",
            "Private key of the certificate shown to backends",
            Place::File("", |w| &mut w.key),
        ),
        of_backend(
            "backend.tls.name",
            "--backend-tls-name",
            "inside.example.com",
            "Name asked for and verified at an https backend",
            Place::OptionalText(["NAME", "its URL's host"], |w| &mut w.name),
        ),
        of_backend(
            "backend.tls.danger_no_verify",
            "--danger-backend-no-verify",
            "false",
            "Take any certificate from backends: whoever is on the way may be one",
            Place::Switch(Switch {
                flag_says: true,
                is_on: |w| w.verification == Verification::None,
                turn: |w, on| {
                    w.verification = if on { Verification::None } else { Verification::Full };
                },
            }),
        ),
    ],
};
