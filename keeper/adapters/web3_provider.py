"""web3 on our transport, for cold paths (deployment, inspection): https://web3py.readthedocs.io/en/stable/providers.html"""

from __future__ import annotations

from typing import Any

from web3.providers.async_base import AsyncBaseProvider
from web3.types import RPCEndpoint, RPCError, RPCResponse

from keeper.adapters.rpc import RpcChain
from keeper.errors import Reverted, RpcError, TransientError

_REVERTED = 3


class TransportProvider(AsyncBaseProvider):
    """Every request of web3 is one request of the given transport; CCIP-read (EIP-3668) is off."""

    def __init__(self, transport: RpcChain) -> None:
        super().__init__()
        self._transport = transport
        self.global_ccip_read_enabled = False

    async def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """Raises TransientError when there is no answer; a refusal is handed to web3 as the node worded it."""
        try:
            result = await self._transport.request(method, params)
        except Reverted as error:
            return _refused(_REVERTED, error, "0x" + error.data.hex())
        except RpcError as error:
            return _refused(error.code, error, error.data)
        return {"jsonrpc": "2.0", "id": 0, "result": result}

    async def is_connected(self, show_traceback: bool = False) -> bool:
        try:
            await self._transport.chain_id()
        except TransientError:
            if show_traceback:
                raise
            return False
        return True


def _refused(code: int, error: Exception, data: str | None) -> RPCResponse:
    refusal: RPCError = {"code": code, "message": str(error)}
    if data is not None:
        refusal["data"] = data
    return {"jsonrpc": "2.0", "id": 0, "error": refusal}
