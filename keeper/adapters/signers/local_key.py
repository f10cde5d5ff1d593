"""A private key in a file (or, on demand, in the environment)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from keeper.adapters.signers.curve import SigningKey, signing_key
from keeper.adapters.signers.secret_file import Environment, Secret, read_secret
from keeper.errors import ConfigError, KeyPermissionError

_KEY = re.compile(rb"(?:0x)?([0-9a-fA-F]{64})")


@dataclass(frozen=True, slots=True)
class KeyFile:
    """`file`: a path, or `cred:NAME` for a systemd credential, holding 64 hexadecimal digits with or without 0x.

    `insecure_env`: a variable that holds the key instead; every process of the same user can read it.
    """

    file: str | None = None
    insecure_env: str | None = None

    def open(self, where: str, environment: Environment) -> SigningKey:
        """Raises KeyPermissionError or ConfigError, without the content."""
        if (self.file is None) == (self.insecure_env is None):
            raise ConfigError(f"{where}: give either file or insecure_env")
        source = self.file or f"${self.insecure_env}"
        key = _parsed(self._secret(where, environment))
        if key is None:
            raise KeyPermissionError(f"{where}: {source} does not hold a private key (64 hexadecimal digits)")
        return key

    def _secret(self, where: str, environment: Environment) -> Secret:
        if self.file is not None:
            return read_secret(self.file, where, environment)
        found = environment.secret(self.insecure_env or "")
        if found is None:
            raise KeyPermissionError(f"{where}: ${self.insecure_env} is not set")
        return found


def _parsed(secret: Secret) -> SigningKey | None:
    match = _KEY.fullmatch(secret.reveal().strip())
    return signing_key(bytes.fromhex(match[1].decode())) if match else None
