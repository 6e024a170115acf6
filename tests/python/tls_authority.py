"""Certificates that live as long as the run."""

import datetime
import pathlib
import subprocess

import trustme

LONG_AGO = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)


class Pair:
    """A chain and its key, as files."""

    def __init__(self, certificate, key):
        self.certificate = certificate
        self.key = key
        self._texts = certificate.read_bytes(), key.read_bytes()

    @property
    def flags(self):
        """What makes a listener show it."""
        return ["--tls-cert", self.certificate, "--tls-key", self.key]

    def load_into(self, context):
        context.load_cert_chain(self.certificate, self.key)

    def written_over(self, other):
        """Puts this one where the other one is."""
        for file, text in zip((other.certificate, other.key), self._texts, strict=True):
            beside = file.with_suffix(".new")
            beside.write_bytes(text)
            beside.rename(file)


class Authority:
    def __init__(self, folder):
        self._folder = pathlib.Path(folder)
        self._authority = trustme.CA()
        self.file = self._folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.file)

    def pair(self, name, *identities, **options):
        leaf = self._authority.issue_cert(*identities, **options)
        certificate, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        certificate.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
        leaf.private_key_pem.write_to_path(key)
        return Pair(certificate, key)

    def expired(self, name, *identities):
        born = LONG_AGO - datetime.timedelta(days=90)
        return self.pair(name, *identities, not_before=born, not_after=LONG_AGO)

    def another(self, name):
        """One that nobody has been told of."""
        folder = self._folder / name
        folder.mkdir()
        return Authority(folder)

    def self_signed(self, name, identity):
        """A pair that is its own authority."""
        subject = ["-subj", f"/CN={name}", "-addext", f"subjectAltName={identity}"]
        key, chain = self._folder / f"{name}.key", self._folder / f"{name}.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
             "-nodes", "-days", "90", "-keyout", key, "-out", chain, *subject],
            check=True, capture_output=True,
        )  # fmt: skip
        return Pair(chain, key)
