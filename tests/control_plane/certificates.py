"""The keys of one throwaway control plane: a certificate authority, the server's certificate, the token signer."""

import subprocess
from pathlib import Path

CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
FOR_SIGNING = ("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
FOR_SERVING = (
    "-addext",
    "basicConstraints=critical,CA:FALSE",
    "-addext",
    "keyUsage=critical,digitalSignature",
    "-addext",
    "extendedKeyUsage=serverAuth",
    "-addext",
    "subjectAltName=IP:127.0.0.1,DNS:localhost",
)


def make_certificates(directory: Path) -> None:
    """Write ca.crt, server.crt, service-accounts.pub and their keys into `directory`."""
    make_authority(directory, "ca")
    request = ["req", "-x509", *CURVE, "-subj", "/CN=kube-apiserver", "-days", "2", *FOR_SERVING]
    _openssl(directory, *request, "-CA", "ca.crt", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.crt")
    _openssl(directory, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "service-accounts.key")
    _openssl(directory, "ec", "-in", "service-accounts.key", "-pubout", "-out", "service-accounts.pub")


def make_authority(directory: Path, name: str) -> Path:
    """A certificate authority of its own, as `NAME.crt` and `NAME.key`; answers the certificate."""
    subject = ["req", "-x509", *CURVE, "-subj", f"/CN={name} of a test", "-days", "2", *FOR_SIGNING]
    _openssl(directory, *subject, "-keyout", f"{name}.key", "-out", f"{name}.crt")
    return directory / f"{name}.crt"


def _openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"openssl {arguments[0]} failed in {directory}: {done.stderr.strip()}")
