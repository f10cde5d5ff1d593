"""secp256k1 through coincurve alone: without it eth-keys would fall back, silently, to 2 ms a signature."""

from __future__ import annotations

from typing import NoReturn

from keeper.adapters.encoding.keccak import check_keccak, keccak
from keeper.domain.ids import Address
from keeper.errors import ConfigError

try:
    import coincurve
except ImportError:  # reported by check_backend(), with advice, instead of by whoever imports this first
    coincurve = None  # type: ignore[assignment]

SCALAR_SIZE = 32
_DIGEST = bytes(range(32))
_KNOWN_SIGNATURE = bytes.fromhex(
    "a951b0cf98bd51c614c802a65a418fa42482dc5c45c9394e39c0d98773c51cd5"
    "30104fdc36d91582b5757e1de73d982e803cc14d75e82c65daf924e38d27d834"
    "01"
)
"""By the key 1 over `_DIGEST`, deterministic by RFC 6979; eth-account gives the same."""


class SigningKey:
    """A private key that can sign and cannot be seen: not in a repr, not in a pickle, not in a copy."""

    __slots__ = ("_key", "address")

    def __init__(self, key: coincurve.PrivateKey) -> None:
        self._key = key
        point = key.public_key.format(compressed=False)[1:]
        self.address = Address("0x" + keccak(point)[12:].hex())

    def sign(self, digest: bytes) -> tuple[int, bytes, bytes]:
        """(parity, r, s) over 32 bytes: deterministic (RFC 6979), `s` in the lower half of the order."""
        signature = self._key.sign_recoverable(digest, hasher=None)
        return signature[64], signature[:32], signature[32:64]

    def __repr__(self) -> str:
        return f"SigningKey({self.address})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("private keys are not serialised")


def signing_key(scalar: bytes) -> SigningKey | None:
    """None if the bytes are no private key: an exception's traceback would carry them."""
    if len(scalar) != SCALAR_SIZE:
        return None
    try:
        return SigningKey(coincurve.PrivateKey(scalar))
    except ValueError:
        return None


def recovered(digest: bytes, r: bytes, vs: bytes) -> Address | None:
    """Who made a compact signature (EIP-2098); None for what is no signature."""
    packed = int.from_bytes(vs, "big")
    s = (packed & (1 << 255) - 1).to_bytes(SCALAR_SIZE, "big")
    try:
        key = coincurve.PublicKey.from_signature_and_message(r + s + bytes([packed >> 255]), digest, hasher=None)
    except ValueError:
        return None
    return Address("0x" + keccak(key.format(compressed=False)[1:])[12:].hex())


def check_backend() -> None:
    """For the start: raises ConfigError unless keccak and coincurve are there and compute what they should."""
    check_keccak()
    if coincurve is None:
        raise ConfigError("the package coincurve is missing; without it signing takes 2 ms: pip install coincurve")
    known = coincurve.PrivateKey((1).to_bytes(SCALAR_SIZE, "big")).sign_recoverable(_DIGEST, hasher=None)
    if known != _KNOWN_SIGNATURE:
        raise ConfigError("coincurve does not sign as RFC 6979 says: pip install --force-reinstall coincurve")
