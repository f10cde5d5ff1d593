"""A certificate authority for one run: a key and a certificate for localhost, made by openssl and thrown away after it."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

_NAMES = "subjectAltName=DNS:localhost,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Authority:
    """`certificate` signs itself: a client that trusts this file trusts the server."""

    certificate: Path
    key: Path

    def server(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.certificate))

    def environ(self) -> dict[str, str]:
        """What makes OpenSSL's default context trust it, in a process that starts with it."""
        return {"SSL_CERT_FILE": str(self.certificate)}


def made(directory: Path) -> Authority | None:
    """None where there is no openssl."""
    program = shutil.which("openssl")
    if program is None:
        return None
    found = Authority(directory / "localhost.crt", directory / "localhost.key")
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", _NAMES, "-addext", "basicConstraints=critical,CA:TRUE"]
    command += ["-keyout", str(found.key), "-out", str(found.certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return found
