"""Files that hold secrets: where they are, and who else could read them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from keeper.errors import ConfigError, KeyPermissionError
from keeper.settings.fields import endpoint_fault, is_plain
from keeper.settings.models import Settings

_CREDENTIAL = "credential:"
_FILE = "file:"
MAX_SECRET_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """Resolves what settings say about secret files. `base` is the directory of keeper.yaml."""

    base: Path
    credentials: Path | None

    @classmethod
    def of(cls, settings_file: Path, environ: Mapping[str, str] | None = None) -> SecretFiles:
        found = (os.environ if environ is None else environ).get("CREDENTIALS_DIRECTORY")
        return cls(settings_file.absolute().parent, Path(found) if found else None)

    def path(self, text: str) -> Path:
        """`credential:NAME` is systemd's credential NAME; anything else a file relative to keeper.yaml.

        Raises ConfigError when there are no credentials.
        """
        if not text.startswith(_CREDENTIAL):
            return self.base / text.removeprefix(_FILE)
        name = text.removeprefix(_CREDENTIAL)
        if self.credentials is None:
            raise ConfigError(f"{text}: no $CREDENTIALS_DIRECTORY; this works under systemd with LoadCredential=")
        if not name or "/" in name or name in (".", ".."):
            raise ConfigError(f"{text}: write the plain name of a credential")
        return self.credentials / name

    def inspect(self, path: Path) -> None:
        """Raises KeyPermissionError unless `path` is a plain file that this user alone can read."""
        try:
            found = path.lstat()
        except OSError as error:
            raise KeyPermissionError(f"{path}: {error.strerror}") from None
        if not stat.S_ISREG(found.st_mode):
            raise KeyPermissionError(f"{path}: not a plain file; a symbolic link is refused too")
        # systemd grants the service's user its credential by an ACL, which shows as a group bit (systemd.exec(5)).
        others = 0o037 if self.credentials and path.parent == self.credentials else 0o077
        if found.st_mode & others:
            raise KeyPermissionError(f"{path}: readable by others (mode {found.st_mode & 0o777:04o}); chmod 600 it")
        if not os.access(path, os.R_OK):
            raise KeyPermissionError(f"{path}: cannot be read by user {os.geteuid()}")

    def read(self, path: Path) -> SecretStr:
        """The file's text without its last newline. Raises KeyPermissionError."""
        self.inspect(path)
        try:
            raw = path.read_bytes()
            text = raw.decode()
        except (OSError, UnicodeDecodeError):
            raise KeyPermissionError(f"{path}: cannot be read as text") from None
        if len(raw) > MAX_SECRET_BYTES:
            raise KeyPermissionError(f"{path}: larger than {MAX_SECRET_BYTES // 1024} KiB")
        return SecretStr(text.removesuffix("\n").removesuffix("\r"))


def rpc_urls(settings: Settings, files: SecretFiles) -> tuple[str, ...]:
    """The endpoints' URLs, those in files read. Raises ConfigError, KeyPermissionError. Never log what this returns."""
    found = []
    for number, endpoint in enumerate(settings.chain.rpc):
        text = endpoint.get_secret_value()
        if text.startswith((_FILE, _CREDENTIAL)):
            where, text = text, files.read(files.path(text)).get_secret_value()
            if fault := endpoint_fault(text) or _plain_fault(text, settings):
                raise ConfigError(f"chain.rpc[{number}]: {where} holds no usable URL: {fault}")
        found.append(text)
    return tuple(found)


def _plain_fault(url: str, settings: Settings) -> str:
    return "http:// to another machine" if is_plain(url) and not settings.chain.plain_http else ""
