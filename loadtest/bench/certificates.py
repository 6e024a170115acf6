"""Certificates for one run: an authority and an ECDSA P-256 leaf, by openssl.

They also hold what both sides of a comparison must agree on, and the words
that make wrk (which is linked with OpenSSL) agree on nothing else.
"""

import os
import ssl
import subprocess

from bench.process import Failure

DAYS = "2"
# The second group signs, the first one makes keys: a TLS 1.2 server takes the
# list as that of the curves a certificate may have.
GROUPS = "X25519:P-256"
SUITE_1_3 = "TLS_AES_128_GCM_SHA256"
SUITE_1_2 = "ECDHE-ECDSA-AES128-GCM-SHA256"
_LEAF = """basicConstraints=critical,CA:false
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectAltName=DNS:localhost,IP:127.0.0.1
"""
_CLIENT = f"""openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = clients
[clients]
MinProtocol = TLSv1.3
Ciphersuites = {SUITE_1_3}
Groups = {GROUPS}
"""


def _openssl(*words):
    done = subprocess.run(["openssl", *words], capture_output=True, text=True)
    if done.returncode:
        raise Failure(f"openssl {words[0]} failed:\n{done.stderr}")
    return done.stdout


class Tls:
    """Where the files of this run are. `to_backend` is for proxies that are to
    speak TLS to the backend too."""

    def __init__(self, place, to_backend=False):
        directory = place.fresh("certificates")
        self.to_backend = to_backend
        self.authority, self.certificate, self.key, self._client = (
            str(directory / name) for name in ("ca.pem", "leaf.pem", "leaf.key", "client.cnf"))
        authority_key, request, extensions = (
            str(directory / name) for name in ("ca.key", "leaf.csr", "leaf.ext"))
        for path, text in ((extensions, _LEAF), (self._client, _CLIENT)):
            with open(path, "w") as file:
                file.write(text)
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        _openssl("req", "-x509", *curve, "-keyout", authority_key, "-out", self.authority,
                 "-days", DAYS, "-subj", "/CN=Authority of one run",
                 "-addext", "keyUsage=critical,keyCertSign")
        _openssl("req", "-new", *curve, "-keyout", self.key, "-out", request,
                 "-subj", "/CN=localhost")
        _openssl("x509", "-req", "-in", request, "-CA", self.authority, "-CAkey", authority_key,
                 "-CAcreateserial", "-days", DAYS, "-extfile", extensions, "-out", self.certificate)

    def environment(self):
        """Makes a program that is linked with OpenSSL offer what is compared."""
        return {"OPENSSL_CONF": self._client}

    def context(self):
        return ssl.create_default_context(cafile=self.authority)

    def agreed(self, address):
        """What a client like wrk agrees on with the server, which it verifies."""
        done = subprocess.run(
            ["openssl", "s_client", "-connect", address, "-servername", "localhost",
             "-CAfile", self.authority, "-verify_return_error", "-brief"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=10,
            env=dict(os.environ, **self.environment()))
        # One "Name: value" for each line, on standard error.
        said = dict(line.split(": ", 1) for line in done.stderr.splitlines() if ": " in line)
        if said.get("Verification") != "OK":
            raise Failure(f"no TLS with {address}:\n{done.stderr}")
        key = said.get("Server Temp Key", "-").split(",")[0]
        return " ".join([said["Protocol version"], said["Ciphersuite"], key])


AGREED = f"TLSv1.3 {SUITE_1_3} X25519"
