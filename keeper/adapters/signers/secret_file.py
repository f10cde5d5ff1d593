"""Reading secrets so that nobody else could have read them, and holding them so that nothing prints them."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from keeper.errors import ConfigError, KeyPermissionError

_CREDENTIAL = "cred:"
_LARGEST = 65_536
_OTHERS = 0o077
_OTHERS_OF_CREDENTIAL = 0o037
"""systemd grants a service its credentials by an access list, whose mask shows up as the group's read bit (acl(5)); the
directory around them is closed to everybody else: https://systemd.io/CREDENTIALS/"""


class Secret:
    """Bytes that do not show in a repr, a log line, a traceback with locals or a pickle."""

    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def reveal(self) -> bytes:
        return self._content

    def __len__(self) -> int:
        return len(self._content)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("secrets are not serialised")


class Environment:
    """Variables by name. The mapping itself would show all of them in a traceback with locals."""

    __slots__ = ("_variables",)

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def secret(self, name: str) -> Secret | None:
        found = self._variables.get(name)
        return None if found is None else Secret(found.encode())

    def credentials_directory(self) -> str | None:
        return self._variables.get("CREDENTIALS_DIRECTORY") or None


def read_secret(name: str, where: str, environment: Environment) -> Secret:
    """The file `name`, or for `cred:NAME` the file NAME in $CREDENTIALS_DIRECTORY.

    Raises KeyPermissionError if it is missing, a symbolic link, not a regular file, somebody else's, or readable by
    others; ConfigError if a credential is asked for outside systemd.
    """
    others = _OTHERS_OF_CREDENTIAL if name.startswith(_CREDENTIAL) else _OTHERS
    path = _located(name, where, environment)
    try:
        # Checks and read go through one descriptor, so that the file cannot be exchanged between them; O_NONBLOCK
        # because opening a pipe would wait for its writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise KeyPermissionError(_unopened(path, where, error)) from None
    try:
        _check(os.fstat(descriptor), path, where, others)
        return Secret(os.read(descriptor, _LARGEST))
    finally:
        os.close(descriptor)


def _located(name: str, where: str, environment: Environment) -> Path:
    if not name.startswith(_CREDENTIAL):
        return Path(name)
    directory, credential = environment.credentials_directory(), name[len(_CREDENTIAL) :]
    if directory is None:
        raise ConfigError(f"{where}: {name} needs $CREDENTIALS_DIRECTORY, which systemd sets for LoadCredential=")
    if not credential or "/" in credential or credential in (".", ".."):
        raise ConfigError(f"{where}: {name} is not the name of a credential")
    return Path(directory) / credential


def _unopened(path: Path, where: str, error: OSError) -> str:
    if error.errno == errno.ELOOP:  # what O_NOFOLLOW says: looking again may not be allowed
        return f"{where}: {path} is a symbolic link; name the file itself"
    return f"{where}: {path} cannot be read: {error.strerror}"


def _check(found: os.stat_result, path: Path, where: str, others: int) -> None:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        raise KeyPermissionError(f"{where}: {path} is not a regular file")
    if found.st_uid not in (os.geteuid(), 0):
        raise KeyPermissionError(f"{where}: {path} belongs to user {found.st_uid}; run: chown {os.geteuid()} {path}")
    if mode & others:
        raise KeyPermissionError(f"{where}: {path} has mode {mode:04o}: others can use it; run: chmod 600 {path}")
    if found.st_size > _LARGEST:
        raise KeyPermissionError(f"{where}: {path} is too large for a key ({found.st_size} bytes)")
