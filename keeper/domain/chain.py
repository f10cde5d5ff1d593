"""Nouns of an EVM chain. Addresses and hashes are lower-case hexadecimal text; payloads are bytes; money is wei."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from keeper.domain.ids import Address, Hash

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class BlockRef:
    """Every chain read names one."""

    number: int
    hash: Hash
    parent_hash: Hash
    timestamp_s: int
    base_fee_wei: int = 0


At = BlockRef | Literal["latest", "pending"]


@dataclass(frozen=True, slots=True)
class Call:
    """What to ask a contract, or what to send to it."""

    to: Address
    data: bytes
    value_wei: int = 0
    gas_limit: int | None = None


@dataclass(frozen=True, slots=True)
class Query(Generic[T_co]):
    """What to ask and how to understand the answers, which come in the order of `calls`."""

    calls: tuple[Call, ...]
    decode: Callable[[Sequence[bytes]], T_co]


@dataclass(frozen=True, slots=True)
class LogFilter:
    addresses: tuple[Address, ...]
    topics0: tuple[Hash, ...] = ()


@dataclass(frozen=True, slots=True)
class Log:
    address: Address
    topics: tuple[Hash, ...]
    data: bytes
    block_number: int
    block_hash: Hash
    tx_hash: Hash
    log_index: int


@dataclass(frozen=True, slots=True)
class Receipt:
    tx_hash: Hash
    status: int
    block_number: int
    block_hash: Hash
    gas_used: int
    effective_gas_price_wei: int
    logs: tuple[Log, ...]


@dataclass(frozen=True, slots=True)
class FeeMarket:
    """What the next block asks for: base fee, and a tip that recent blocks took."""

    base_fee_wei: int
    tip_wei: int


@dataclass(frozen=True, slots=True)
class SeenTransaction:
    """A transaction as a node shows it. `rehashed` is the hash of what it shows; None for a kind that we do not encode."""

    hash: Hash
    sender: Address
    call: Call
    nonce: int
    block_number: int | None
    rehashed: Hash | None
