"""Values of the contract ABI as bytes and back (https://docs.soliditylang.org/en/latest/abi-spec.html).

Decoding accepts the canonical encoding alone, each tail right after the one before: what Solidity emits. So the work is
linear in the size of the answer, whatever a hostile node puts into its offsets. Addresses are lower-case text, tuples
are tuples, arrays are tuples. Encoding raises ValueError, decoding AbiMismatch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from keeper.domain.ids import Address
from keeper.errors import AbiMismatch

WORD = 32
_ADDRESS_SIZE = 20
_ZEROS = bytes(WORD)


class Codec(Protocol):
    """`head` is the size in bytes inside the enclosing sequence, 32 where `dynamic` (an offset stands there)."""

    @property
    def head(self) -> int: ...

    @property
    def dynamic(self) -> bool: ...

    def encode(self, value: Any) -> bytes: ...

    def decode(self, data: bytes, at: int) -> tuple[Any, int]:
        """The value that starts at `at`, and where it ends."""
        ...


@dataclass(frozen=True, slots=True)
class Integer:
    bits: int
    signed: bool
    head: int = WORD
    dynamic: bool = False

    def encode(self, value: Any) -> bytes:
        low, high = self.limits()
        if not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"{value!r} is not a {'' if self.signed else 'u'}int{self.bits}")
        return value.to_bytes(WORD, "big", signed=self.signed)

    def decode(self, data: bytes, at: int) -> tuple[int, int]:
        end = at + WORD
        value = int.from_bytes(data[at:end], "big", signed=self.signed)
        # The magnitude of a negative number is its complement: one shift tests both limits.
        if end > len(data) or (value if value >= 0 else ~value) >> (self.bits - self.signed):
            raise AbiMismatch(f"no {'' if self.signed else 'u'}int{self.bits} at byte {at} of {len(data)}")
        return value, end

    def limits(self) -> tuple[int, int]:
        high = 1 << (self.bits - self.signed)
        return (-high if self.signed else 0), high - 1


@dataclass(frozen=True, slots=True)
class Boolean:
    head: int = WORD
    dynamic: bool = False

    def encode(self, value: Any) -> bytes:
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is not a bool")
        return int(value).to_bytes(WORD, "big")

    def decode(self, data: bytes, at: int) -> tuple[bool, int]:
        return bool(read_word(data, at, 1)), at + WORD


@dataclass(frozen=True, slots=True)
class AddressCodec:
    head: int = WORD
    dynamic: bool = False

    def encode(self, value: Any) -> bytes:
        body = bytes.fromhex(value[2:])
        if len(body) != _ADDRESS_SIZE:
            raise ValueError(f"{value!r} is not an address")
        return body.rjust(WORD, b"\0")

    def decode(self, data: bytes, at: int) -> tuple[Address, int]:
        end = at + WORD
        if end > len(data) or data[at : at + WORD - _ADDRESS_SIZE] != _ZEROS[_ADDRESS_SIZE:]:
            raise AbiMismatch(f"no address at byte {at} of {len(data)}")
        return Address("0x" + data[end - _ADDRESS_SIZE : end].hex()), end


@dataclass(frozen=True, slots=True)
class FixedBytes:
    size: int
    head: int = WORD
    dynamic: bool = False

    def encode(self, value: Any) -> bytes:
        if len(value) != self.size:
            raise ValueError(f"{len(value)} bytes where bytes{self.size} is due")
        return bytes(value).ljust(WORD, b"\0")

    def decode(self, data: bytes, at: int) -> tuple[bytes, int]:
        end = at + WORD
        if end > len(data) or data[at + self.size : end] != _ZEROS[self.size :]:
            raise AbiMismatch(f"no bytes{self.size} at byte {at} of {len(data)}")
        return data[at : at + self.size], end


@dataclass(frozen=True, slots=True)
class Blob:
    """`bytes`, or `string` where `text`."""

    text: bool
    head: int = WORD
    dynamic: bool = True

    def encode(self, value: Any) -> bytes:
        body = value.encode() if self.text else bytes(value)
        return len(body).to_bytes(WORD, "big") + body + bytes(-len(body) % WORD)

    def decode(self, data: bytes, at: int) -> tuple[bytes | str, int]:
        length = read_word(data, at, len(data))
        start, stop = at + WORD, at + WORD + length
        end = stop + -length % WORD
        if end > len(data) or any(data[stop:end]):
            raise AbiMismatch(f"no {length} padded bytes at byte {start} of {len(data)}")
        body = data[start:stop]
        return (_text(body) if self.text else body), end


@dataclass(frozen=True, slots=True)
class Array:
    """`item[]`, or `item[length]`."""

    item: Codec
    length: int | None = None

    @property
    def head(self) -> int:
        return WORD if self.dynamic else self.item.head * (self.length or 0)

    @property
    def dynamic(self) -> bool:
        return self.length is None or self.item.dynamic

    def encode(self, value: Any) -> bytes:
        if self.length not in (None, len(value)):
            raise ValueError(f"{len(value)} items where {self.length} are due")
        count = b"" if self.length is not None else len(value).to_bytes(WORD, "big")
        return count + encode_sequence([self.item] * len(value), value)

    def decode(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        count = self.length
        if count is None:
            count, at = read_word(data, at, len(data) // self.item.head), at + WORD
        return decode_sequence([self.item] * count, count * self.item.head, data, at)


@dataclass(frozen=True, slots=True)
class Tuple:
    names: tuple[str, ...]
    items: tuple[Codec, ...]
    heads: int
    """Bytes of all heads together."""
    dynamic: bool

    @property
    def head(self) -> int:
        return WORD if self.dynamic else self.heads

    def encode(self, value: Any) -> bytes:
        return encode_sequence(self.items, value)

    def decode(self, data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
        return decode_sequence(self.items, self.heads, data, at)


def tuple_of(items: Sequence[Codec], names: Sequence[str] = ()) -> Tuple:
    heads = sum(item.head for item in items)
    return Tuple(tuple(names), tuple(items), heads, any(item.dynamic for item in items))


def named(codec: Codec, value: Any) -> Any:
    """A decoded value with each named tuple in it as a dict."""
    if isinstance(codec, Array):
        return [named(codec.item, item) for item in value]
    if isinstance(codec, Tuple):
        return {name: named(item, part) for name, item, part in zip(codec.names, codec.items, value, strict=True)}
    return value


def encode_sequence(items: Sequence[Codec], values: Sequence[Any]) -> bytes:
    if len(values) != len(items):
        raise ValueError(f"{len(values)} values for {len(items)} fields")
    heads: list[bytes] = []
    tails: list[bytes] = []
    end = sum(item.head for item in items)
    for item, value in zip(items, values, strict=True):
        encoded = item.encode(value)
        if item.dynamic:
            heads.append(end.to_bytes(WORD, "big"))
            tails.append(encoded)
            end += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def decode_sequence(items: Iterable[Codec], heads: int, data: bytes, start: int) -> tuple[tuple[Any, ...], int]:
    values: list[Any] = []
    at, tail = start, start + heads
    for item in items:
        if item.dynamic:
            if read_word(data, at, len(data)) != tail - start:
                raise AbiMismatch(f"the offset at byte {at} does not lead to the next tail")
            value, tail = item.decode(data, tail)
            at += WORD
        else:
            value, at = item.decode(data, at)
        values.append(value)
    return tuple(values), tail


def decode_all(codec: Codec, data: bytes) -> Any:
    """The value that fills `data` exactly."""
    value, end = codec.decode(data, 0)
    if end != len(data):
        raise AbiMismatch(f"{len(data) - end} bytes left over after the values")
    return value


def read_word(data: bytes, at: int, most: int) -> int:
    """The unsigned word at `at`, not above `most`."""
    value = int.from_bytes(data[at : at + WORD], "big")
    if at + WORD > len(data) or value > most:
        raise AbiMismatch(f"no number up to {most} at byte {at} of {len(data)}")
    return value


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise AbiMismatch("a string is not UTF-8") from error
