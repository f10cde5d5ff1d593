"""Money of the demo: deposits for everybody by one funder, withdrawals by those who have keys, views of accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from keeper.devnet.artifacts import load
from keeper.devnet.demo.wallet import Wallet, fund, revert_data
from keeper.devnet.deploy import Deployment
from keeper.devnet.jsonrpc import JsonRpc
from keeper.devnet.traders import Trader
from keeper.devnet.verify.abi import contract
from keeper.errors import KeeperError, RpcError

GAS = 600_000
DEPOSITS_AT_ONCE = 60


class DepositFailedError(KeeperError):
    """The chain refused a deposit: the demo cannot begin."""


@dataclass(slots=True)
class Bank:
    """`counts` has what was withdrawn, and what was refused by the name of the contract's error."""

    rpc: JsonRpc
    funder: Wallet
    deployment: Deployment
    counts: Counter[str] = field(default_factory=Counter)

    async def fund_accounts(self, deposits: Sequence[tuple[str, int]]) -> None:
        """Mints what is needed and deposits it, in a few blocks. Raises DepositFailedError."""
        exchange, token = self.deployment.exchange, self.deployment.token
        quote, perp = contract("QuoteToken"), contract("PerpExchange")
        total = sum(units for _, units in deposits)
        outgoing = [
            (token, quote.call_data("mint", self.funder.address, total), GAS),
            (token, quote.call_data("approve", exchange, 2**256 - 1), GAS),
            *((exchange, perp.call_data("deposit", account, units), GAS) for account, units in deposits),
        ]
        for start in range(0, len(outgoing), DEPOSITS_AT_ONCE):
            receipts = await self.funder.send_all(outgoing[start : start + DEPOSITS_AT_ONCE])
            if any(int(receipt["status"], 16) != 1 for receipt in receipts):
                raise DepositFailedError("a deposit reverted")

    async def withdraw(self, trader: Trader, units: int) -> None:
        """Tries first: a refusal (the fund under water, margin too thin) is counted, not sent."""
        wallet = Wallet(self.rpc, trader.key, self.deployment.chain_id)
        data = contract("PerpExchange").call_data("withdraw", trader.address, units)
        try:
            await fund(self.rpc, trader.address)
            await self.rpc.call(
                "eth_call", {"from": wallet.address, "to": self.deployment.exchange, "data": data}, "latest"
            )
            receipt = await wallet.send(self.deployment.exchange, data, GAS)
        except RpcError as error:
            name, _ = load("PerpExchange").error(revert_data(error))
            self.counts[f"refused: {name}"] += 1
        except (aiohttp.ClientError, TimeoutError):
            self.counts["no answer"] += 1
        else:
            self.counts["withdrawn" if int(receipt["status"], 16) == 1 else "reverted"] += 1

    async def accounts(self, addresses: Sequence[str]) -> Mapping[str, Mapping[str, Any]]:
        """The lens' view of each. Raises RpcError and aiohttp's errors."""
        data = contract("PerpLens").call_data("getAccounts", addresses)
        raw = await self.rpc.call("eth_call", {"to": self.deployment.lens, "data": data}, "latest")
        views, _, _ = contract("PerpLens").result("getAccounts", raw)
        return {view["account"]: view for view in views}

    async def priced(self, market_nos: Sequence[int]) -> bool:
        """Whether every market has a price on chain."""
        for number in market_nos:
            data = contract("PriceOracle").call_data("priceOf", number)
            raw = await self.rpc.call("eth_call", {"to": self.deployment.oracle, "data": data}, "latest")
            if not contract("PriceOracle").result("priceOf", raw)[4]:
                return False
        return True
