//! A certificate authority that lives as long as its test.

use std::{fs, path::PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tempfile::TempDir;

pub struct Authority {
    folder: TempDir,
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate with its key, in memory and as PEM files.
pub struct Leaf {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
    pub certificate_pem: String,
    pub key_pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "an authority of a test");
        let certificate = params.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { folder, certificate, issuer: Issuer::new(params, key) }
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// The file that `--tls-client-ca` and `--backend-ca` take.
    pub fn file(&self) -> String {
        self.folder.path().join("ca.pem").display().to_string()
    }

    /// For these names, of servers as of clients; `file` names its files.
    pub fn leaf(&self, file: &str, names: &[&str]) -> Leaf {
        self.leaf_but(file, names, |_| ())
    }

    /// The same, and out of date.
    pub fn expired(&self, file: &str, names: &[&str]) -> Leaf {
        self.leaf_but(file, names, |params| params.not_after = date_time_ymd(2020, 1, 1))
    }

    fn leaf_but(
        &self,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut CertificateParams),
    ) -> Leaf {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, file);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let leaf = Leaf {
            certificate_file: self.folder.path().join(format!("{file}.pem")),
            key_file: self.folder.path().join(format!("{file}.key")),
            certificate_pem: certificate.pem(),
            key_pem: key.serialize_pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        };
        fs::write(&leaf.certificate_file, &leaf.certificate_pem).unwrap();
        fs::write(&leaf.key_file, &leaf.key_pem).unwrap();
        leaf
    }
}

impl Leaf {
    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        vec![self.certificate.clone()]
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.clone()).into()
    }

    /// The flags that make a listener show it.
    pub fn flags(&self) -> [String; 4] {
        ["--tls-cert", &self.certificate_file.display().to_string(), "--tls-key"]
            .map(str::to_owned)
            .into_iter()
            .chain([self.key_file.display().to_string()])
            .collect::<Vec<_>>()
            .try_into()
            .unwrap()
    }
}
