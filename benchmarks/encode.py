"""20 prices → EIP-712 signature → calldata → signed EIP-1559 transaction: the keeper against web3 and eth-account.

    python -m benchmarks.encode

Both sides run in turns in one process, and their transactions are compared byte by byte. Goal: at least 8 times.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from eth_account import Account
from web3 import Web3

from keeper.adapters.encoding.addresses import checksum
from keeper.adapters.encoding.keccak import BACKEND
from keeper.adapters.protocols.contracts import load_abi
from keeper.adapters.protocols.reference import ReferencePerp
from keeper.adapters.protocols.reference_gas import push
from keeper.adapters.signers.curve import check_backend, signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.signers.policy import PermittedCalls, RisingRounds, SendingRules
from keeper.domain.ids import Address, DeploymentId, MarketId
from keeper.domain.report import MarketPrice, PriceReport, SignedReport
from keeper.ports.signer import ReportSigner, TransactionSigner, UnsignedTransaction

CHAIN_ID, MARKETS, ROUNDS, REPEATS, GOAL = 42161, 20, 60, 5, 8.0
REPORT_KEY, GAS_KEY = bytes([1]) * 32, bytes([2]) * 32
ORACLE, EXCHANGE, LENS = (Address("0x" + digit * 40) for digit in "abc")
PERP = ReferencePerp(ORACLE, EXCHANGE, LENS, CHAIN_ID)
MAX_FEE_WEI, TIP_WEI = 10**9, 10**7
STEPS = ("batch → signature", "→ calldata", "→ signed transaction", "all")

Timed = tuple[list[float], bytes]


def _report(round_id: int) -> PriceReport:
    prices = tuple(
        MarketPrice(MarketId(f"M{no}"), no, 10**20 + no * 10**15 + round_id, 10**20 + no, no * 10**12 - 10**13)
        for no in range(1, MARKETS + 1)
    )
    seen = round_id // 1000
    return PriceReport(DeploymentId("main"), round_id, seen, seen + 60, 3, b"\xee" * 32, prices)


def _signer(scalar: bytes) -> KeySigner:
    key = signing_key(scalar)
    if key is None:
        raise SystemExit("not a key")
    return KeySigner(key, CHAIN_ID)


class Library:
    """The same four steps as a program on web3 and eth-account writes them."""

    def __init__(self) -> None:
        self._reporter = Account.from_key(REPORT_KEY)
        self._sender = Account.from_key(GAS_KEY)
        self._contract = Web3().eth.contract(address=Web3.to_checksum_address(PERP.oracle), abi=load_abi("PriceOracle"))

    def run(self, report: PriceReport) -> Timed:
        started = time.perf_counter()
        message = _message(report)
        signed = self._reporter.sign_typed_data(_DOMAIN, _TYPES, message)
        vs = signed.s | (signed.v - 27) << 255
        after_signature = time.perf_counter()
        batch = (*[message[name] for name in _BATCH_FIELDS], [tuple(price.values()) for price in message["prices"]])
        pair = (signed.r.to_bytes(32, "big"), vs.to_bytes(32, "big"))
        data = self._contract.encode_abi("pushPrices", [batch, [pair]])
        after_calldata = time.perf_counter()
        raw = bytes(self._sender.sign_transaction(_transaction(data)).raw_transaction)
        done = time.perf_counter()
        return [after_signature - started, after_calldata - after_signature, done - after_calldata, done - started], raw


class Keeper:
    """As the services do it, with or without the policies that stand in front of the keys."""

    def __init__(self, *, policed: bool) -> None:
        report_key, gas_key = _signer(REPORT_KEY), _signer(GAS_KEY)
        self._reporter: ReportSigner = report_key
        self._sender: TransactionSigner = gas_key
        if policed:
            self._reporter = RisingRounds(report_key, {DeploymentId("main"): PERP.digest}, {})
            self._sender = PermittedCalls(gas_key, SendingRules(PERP.permitted(), MAX_FEE_WEI))

    async def run(self, report: PriceReport) -> Timed:
        started = time.perf_counter()
        signature = await self._reporter.sign_report(report, PERP.digest(report))
        after_signature = time.perf_counter()
        call, _ = PERP.publish(SignedReport(report, (signature,)))
        after_calldata = time.perf_counter()
        unsigned = UnsignedTransaction(CHAIN_ID, 7, call, call.gas_limit or 0, MAX_FEE_WEI, TIP_WEI)
        raw = (await self._sender.sign_transaction(unsigned)).raw
        done = time.perf_counter()
        return [after_signature - started, after_calldata - after_signature, done - after_calldata, done - started], raw


async def measure(sides: dict[str, Callable[[PriceReport], Awaitable[Timed]]]) -> dict[str, list[list[float]]]:
    """Seconds by side and run. Raises SystemExit if two sides ever make different bytes."""
    times: dict[str, list[list[float]]] = {name: [] for name in sides}
    for number in range(ROUNDS):
        made: set[bytes] = set()
        for name, run in sides.items():
            for repeat in range(1 if name == "web3" else REPEATS):
                report = _report(1_700_000_000_000 + number * REPEATS + repeat)
                taken, raw = await run(report)
                times[name].append(taken)
                made.update({raw} if repeat == 0 else ())
        if len(made) != 1:
            raise SystemExit("the transactions differ")
    return times


async def compare() -> None:
    library, bare, policed = Library(), Keeper(policed=False), Keeper(policed=True)

    async def web3(report: PriceReport) -> Timed:
        return library.run(report)

    times = await measure({"web3": web3, "keeper": bare.run, "keeper + policies": policed.run})
    print(f"{MARKETS} prices, 1 signature, keccak from {BACKEND}, median µs; {ROUNDS} transactions equal byte by byte")
    print(f"{'':24}{'web3/eth-account':>18}{'keeper':>10}{'ratio':>8}{'keeper + policies':>20}")
    for place, step in enumerate(STEPS):
        web, own, safe = (1e6 * statistics.median(run[place] for run in runs) for runs in times.values())
        print(f"{step:24}{web:18.0f}{own:10.0f}{web / own:7.1f}x{safe:20.0f}")
    ratio = _median_all(times["web3"]) / _median_all(times["keeper"])
    print(f"goal >= {GOAL:.0f}x: {'reached' if ratio >= GOAL else 'MISSED'} ({ratio:.1f}x)")


async def alone() -> None:
    """One line for the Keccak library of this process."""
    times = await measure({"keeper": Keeper(policed=False).run})
    print(f"with keccak from {BACKEND}: {1e6 * _median_all(times['keeper']):.0f} µs")


def _median_all(runs: list[list[float]]) -> float:
    return statistics.median(run[-1] for run in runs)


_BATCH_FIELDS = ("roundId", "observedAt", "validUntil", "signerEpoch", "evidence")
_DOMAIN = {"name": "PerpPriceOracle", "version": "1", "chainId": CHAIN_ID, "verifyingContract": PERP.oracle}


def _fields(text: str) -> list[dict[str, str]]:
    return [dict(zip(("type", "name"), pair.split(), strict=True)) for pair in text.split(",")]


_TYPES = {
    "PriceBatch": _fields(
        "uint64 roundId,uint40 observedAt,uint40 validUntil,uint32 signerEpoch,bytes32 evidence,MarketPrice[] prices"
    ),
    "MarketPrice": _fields("uint32 marketId,uint96 index,uint96 mark,int64 premium"),
}


def _message(report: PriceReport) -> dict[str, Any]:
    return {
        "roundId": report.round_id,
        "observedAt": report.observed_at_s,
        "validUntil": report.valid_until_s,
        "signerEpoch": report.signer_epoch,
        "evidence": report.evidence,
        "prices": [
            {"marketId": p.market_no, "index": p.index_e18, "mark": p.mark_e18, "premium": p.premium_e18}
            for p in report.prices
        ],
    }


def _transaction(data: str) -> dict[str, Any]:
    return {
        "type": 2,
        "chainId": CHAIN_ID,
        "nonce": 7,
        "to": checksum(PERP.oracle),
        "value": 0,
        "data": data,
        "gas": push(MARKETS, 1),
        "maxFeePerGas": MAX_FEE_WEI,
        "maxPriorityFeePerGas": TIP_WEI,
    }


def main() -> None:
    check_backend()
    if "--alone" in sys.argv:
        asyncio.run(alone())
        return
    asyncio.run(compare())
    program = "import sys; sys.modules['sha3'] = None; from benchmarks.encode import main; main()"
    subprocess.run([sys.executable, "-c", program, "--alone"], check=True)


if __name__ == "__main__":
    main()
