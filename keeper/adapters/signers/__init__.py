"""Where keys live. A kind is a frozen dataclass whose fields are the operator's options."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Protocol

from keeper.adapters.signers.curve import SigningKey, check_backend
from keeper.adapters.signers.development_keys import refuse_development_keys
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.signers.keystore import Keystore
from keeper.adapters.signers.local_key import KeyFile
from keeper.adapters.signers.secret_file import Environment
from keeper.errors import ConfigError, KeyPermissionError


class KeySource(Protocol):
    def open(self, where: str, environment: Environment) -> SigningKey: ...


SIGNERS: Mapping[str, type[KeyFile | Keystore]] = {
    "key_file": KeyFile,
    "keystore": Keystore,
}


def open_signer(
    kind: str, options: Mapping[str, object], chain_id: int, where: str, *, environ: Mapping[str, str]
) -> KeySigner:
    """The signer that the operator described at `where` in the configuration; blocks for the keystore's second.

    `environ` is the process's environment, for `cred:` and `insecure_env`. Raises ConfigError or KeyPermissionError.
    """
    environment = Environment(environ)
    del environ  # so that a traceback with locals does not show the variables
    check_backend()
    if kind not in SIGNERS:
        raise ConfigError(f"{where}.kind: {kind!r} is not one of {', '.join(SIGNERS)}")
    source: KeySource = SIGNERS[kind](**_checked(SIGNERS[kind], options, where))
    key = source.open(where, environment)
    try:
        refuse_development_keys(key.address, chain_id)
    except KeyPermissionError as error:
        raise KeyPermissionError(f"{where}: {error}") from None
    return KeySigner(key, chain_id)


def _checked(kind: type[KeyFile | Keystore], options: Mapping[str, object], where: str) -> dict[str, str]:
    known = {field.name: field for field in fields(kind)}
    for name, value in options.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, 1) or sorted(known)
            raise ConfigError(f"{where}.{name}: unknown option; did you mean {' or '.join(near)}?")
        if not isinstance(value, str) or not value:
            raise ConfigError(f"{where}.{name}: a text is due")
    for name, field in known.items():
        if field.default is MISSING and name not in options:
            raise ConfigError(f"{where}.{name}: is missing")
    return {name: str(value) for name, value in options.items()}
