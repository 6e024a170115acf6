//! Names that a certificate carries, read from its DER.

use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

use rustls::pki_types::CertificateDer;

/// The name of a client whose chain has been verified: the first URI, DNS name
/// or mail address of its subjectAltName (RFC 5280, section 4.2.1.6), else the
/// subject's first common name.
///
/// A name with a control byte is passed over: it would read as another name
/// wherever it is cut or shown.
#[must_use]
pub fn client_name(end_entity: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(end_entity).ok()?;
    let is_clean = |name: &&str| !name.is_empty() && !name.contains(char::is_control);
    let alternative = general_names(&certificate).iter().filter_map(|name| match name {
        GeneralName::URI(name) | GeneralName::DNSName(name) | GeneralName::RFC822Name(name) => {
            Some(*name)
        }
        _ => None,
    });
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let first = alternative.chain(common).find(is_clean);
    first.map(str::to_owned)
}

/// The DNS names of a server's certificate in lower case, and whether it also
/// carries an IP address.
pub(super) fn server_names(certificate: &X509Certificate<'_>) -> (Vec<String>, bool) {
    let names = general_names(certificate);
    let dns = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    });
    (dns.collect(), names.iter().any(|name| matches!(name, GeneralName::IPAddress(_))))
}

fn general_names<'a>(certificate: &'a X509Certificate<'_>) -> &'a [GeneralName<'a>] {
    // A second or a broken subjectAltName is an error here, and no name.
    match certificate.subject_alternative_name() {
        Ok(Some(extension)) => &extension.value.general_names,
        _ => &[],
    }
}

#[cfg(test)]
#[path = "names_tests.rs"]
mod tests;
