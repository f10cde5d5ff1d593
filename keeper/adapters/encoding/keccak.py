"""Keccak-256, from the fastest library that is installed."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from keeper.errors import ConfigError

_EMPTY = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")
"""Keccak-256 of nothing, which SHA3-256 (another padding) does not give: the code hash of an empty account."""


def pycryptodome_keccak() -> Callable[[bytes], bytes]:
    """Raises ImportError where pycryptodome is missing."""
    library = importlib.import_module("Crypto.Hash.keccak")

    def digest(data: bytes) -> bytes:
        found: bytes = library.new(data=data, digest_bits=256).digest()
        return found

    return digest


def pysha3_keccak() -> Callable[[bytes], bytes]:
    """Raises ImportError where pysha3 is missing. Three to five times as fast as pycryptodome on short inputs."""
    keccak_256 = importlib.import_module("sha3").keccak_256

    def digest(data: bytes) -> bytes:
        found: bytes = keccak_256(data).digest()
        return found

    return digest


def _fastest() -> tuple[str, Callable[[bytes], bytes]]:
    try:
        return "pysha3", pysha3_keccak()
    except ImportError:
        return "pycryptodome", pycryptodome_keccak()


BACKEND, keccak = _fastest()


def check_keccak(digest: Callable[[bytes], bytes] = keccak) -> None:
    """Raises ConfigError if the installed library pads as SHA-3 does instead of as Ethereum does."""
    if digest(b"") != _EMPTY:
        raise ConfigError(f"the keccak library in use ({BACKEND}) does not compute Ethereum's Keccak-256; reinstall it")
