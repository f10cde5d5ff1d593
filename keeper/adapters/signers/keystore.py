"""A private key in an encrypted keystore, version 3 (https://ethereum.org/en/developers/docs/data-structures-and-encoding/web3-secret-storage)."""

from __future__ import annotations

import json
from dataclasses import dataclass

from keeper.adapters.signers.curve import SigningKey, signing_key
from keeper.adapters.signers.secret_file import Environment, Secret, read_secret
from keeper.errors import KeyPermissionError


@dataclass(frozen=True, slots=True)
class Keystore:
    """`file` and `password_file`: paths, or `cred:NAME` for systemd credentials. One line break ends the password."""

    file: str
    password_file: str

    def open(self, where: str, environment: Environment) -> SigningKey:
        """Takes about a second, as the key derivation should. Raises KeyPermissionError or ConfigError."""
        keystore = read_secret(self.file, where, environment)
        password = read_secret(self.password_file, where, environment)
        key = _decrypted(keystore, password)
        if key is None:
            advice = "is no keystore of version 3, or the password is wrong"
            raise KeyPermissionError(f"{where}: {self.file} with the password in {self.password_file}: {advice}")
        if _named(keystore) not in (key.address, None):
            raise KeyPermissionError(f"{where}: {self.file} names another address than its key has, {key.address}")
        return key


def _decrypted(keystore: Secret, password: Secret) -> SigningKey | None:
    """None on any failure: the library's exceptions carry frames that hold the password.

    NotImplementedError is its word for a version or a key derivation that it does not know.
    """
    from eth_account import Account  # here, because it costs 0.7 s of imports that no other kind needs

    try:
        text = password.reveal().decode().removesuffix("\n").removesuffix("\r")
        return signing_key(bytes(Account.decrypt(json.loads(keystore.reveal()), text)))
    except (ValueError, KeyError, TypeError, AttributeError, NotImplementedError):
        return None


def _named(keystore: Secret) -> str | None:
    named = json.loads(keystore.reveal()).get("address")
    return f"0x{named.lower().removeprefix('0x')}" if isinstance(named, str) and named else None
