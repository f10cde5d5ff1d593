"""What go-ethereum's transaction pool asks of a transaction, in its order and in its words.

https://github.com/ethereum/go-ethereum/blob/master/core/txpool/validation.go and errors.go, core/error.go; before the
pool comes internal/ethapi/api.go (`SubmitTransaction`). Every refusal has the code -32000, as every plain Go error there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from keeper.devnet.simulator.envelope import Envelope

CODE = -32000
MAX_INITCODE = 2 * 24_576
MAX_NONCE = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Refused:
    """The pool's no."""

    message: str
    code: int = CODE


@dataclass(frozen=True, slots=True)
class PoolRules:
    """go-ethereum's defaults. Each is a flag there: https://geth.ethereum.org/docs/fundamentals/command-line-options

    `account_limit` is none of legacypool's: with it a sender's transactions beyond so many are refused in the words of
    blobpool. Without it, as in go-ethereum, `account_slots` counts only once the whole pool holds `global_slots`.
    Since 2025 a low tip is refused as "transaction gas price below minimum"; before, in the words of `too_low`.
    """

    min_tip: int = 1
    price_bump: int = 10
    account_slots: int = 16
    account_queue: int = 64
    global_slots: int = 5120
    global_queue: int = 1024
    account_limit: int | None = None
    fee_cap_wei: int | None = 10**18
    max_bytes: int = 4 * 32 * 1024
    too_low: str = "transaction underpriced"


@dataclass(frozen=True, slots=True)
class Account:
    """A sender as the head's state has it."""

    nonce: int = 0
    balance: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """The block to come."""

    base_fee: int = 10**9
    gas_limit: int = 30_000_000


def rpc_fault(tx: Envelope, rules: PoolRules) -> str:
    """What the RPC server refuses before it asks the pool; empty when nothing."""
    fee = tx.gas * tx.cap
    if rules.fee_cap_wei and fee > rules.fee_cap_wei:
        return f"tx fee ({fee / 1e18:.2f} ether) exceeds the configured cap ({rules.fee_cap_wei / 1e18:.2f} ether)"
    if tx.chain_id is None:
        return "only replay-protected (EIP-155) transactions allowed over RPC"
    return ""


def basic_fault(tx: Envelope, rules: PoolRules, block: Block) -> str:
    """What can be refused without knowing the sender's account (`ValidateTransaction`)."""
    return next(_size_faults(tx, rules, block), "") or next(_price_faults(tx, rules), "")


def _size_faults(tx: Envelope, rules: PoolRules, block: Block) -> Iterator[str]:
    if len(tx.raw) > rules.max_bytes:
        yield f"oversized data: transaction size {len(tx.raw)}, limit {rules.max_bytes}"
    if tx.to is None and len(tx.data) > MAX_INITCODE:
        yield f"max initcode size exceeded: code size {len(tx.data)} limit {MAX_INITCODE}"
    if block.gas_limit < tx.gas:
        yield "exceeds block gas limit"


def _price_faults(tx: Envelope, rules: PoolRules) -> Iterator[str]:
    if tx.cap >= 2**256:
        yield "max fee per gas higher than 2^256-1"
    if tx.tip >= 2**256:
        yield "max priority fee per gas higher than 2^256-1"
    if tx.cap < tx.tip:
        yield "max priority fee per gas higher than max fee per gas"
    if tx.sender_fault:
        yield f"invalid sender: {tx.sender_fault}"
    if tx.nonce >= MAX_NONCE:
        yield "nonce has max value"
    if tx.gas < (needed := intrinsic_gas(tx)):
        yield f"intrinsic gas too low: gas {tx.gas}, minimum needed {needed}"
    if tx.tip < rules.min_tip:
        yield f"{rules.too_low}: gas tip cap {tx.tip}, minimum needed {rules.min_tip}"


def intrinsic_gas(tx: Envelope) -> int:
    """What a transaction costs before its first instruction, as of Shanghai (core/state_transition.go)."""
    zeros = tx.data.count(0)
    gas = 21_000 if tx.to is not None else 53_000 + 2 * (-(-len(tx.data) // 32))
    gas += 4 * zeros + 16 * (len(tx.data) - zeros)
    return gas + sum(2_400 + 1_900 * len(keys) for _, keys in tx.access_list)


def account_fault(tx: Envelope, account: Account, spent: int, replaced: int | None) -> str:
    """What the sender's account forbids (`ValidateTransactionWithState`).

    `spent`: the cost of all its pending transactions; `replaced`: the cost of the one with the same nonce among them.
    """
    if account.nonce > tx.nonce:
        return f"nonce too low: next nonce {account.nonce}, tx nonce {tx.nonce}"
    if account.balance < tx.cost:
        return _unfunded(account, f"tx cost {tx.cost}", tx.cost)
    if replaced is not None:
        bump = tx.cost - replaced
        words, need = f"queued cost {spent}, tx bumped {bump}", spent + bump
    else:
        words, need = f"queued cost {spent}, tx cost {tx.cost}", spent + tx.cost
    return _unfunded(account, words, need) if account.balance < need else ""


def _unfunded(account: Account, words: str, need: int) -> str:
    overshot = need - account.balance
    return f"insufficient funds for gas * price + value: balance {account.balance}, {words}, overshot {overshot}"


def outbids(new: Envelope, old: Envelope, bump: int) -> bool:
    """Both fields higher, and both by `bump` percent: core/txpool/legacypool/list.go, `Add`."""
    if new.cap <= old.cap or new.tip <= old.tip:
        return False
    return new.cap >= old.cap * (100 + bump) // 100 and new.tip >= old.tip * (100 + bump) // 100
