"""Finds and runs anvil, the local EVM chain of the demo and of the chain tests.

The native binary is started, never the node wrapper: a killed wrapper can leave its child behind.
Options: https://getfoundry.sh/anvil/reference
"""

from __future__ import annotations

import asyncio
import platform
import shutil
import socket
import tempfile
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import aiohttp

from keeper.devnet.jsonrpc import JsonRpc
from keeper.errors import ConfigError, KeeperError

DEVNET_DIR = Path(__file__).resolve().parent
HARDFORK = "cancun"
"""What the contracts are compiled for. Pinned, because anvil's own default moves with its version."""


class AnvilNotFound(ConfigError):
    """There is no anvil beside this package and none on PATH."""


class AnvilFailed(KeeperError):
    """anvil ended or did not answer. The message carries the end of what it printed."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """`block_time_s` mines on a timer; `mining=False` only on request (evm_mine); neither mines each transaction."""

    port: int = 0
    chain_id: int = 31337
    block_time_s: int | None = None
    mining: bool = True
    accounts: int = 10
    timestamp_s: int | None = None
    gas_limit: int = 30_000_000
    base_fee_wei: int | None = None
    hardfork: str = HARDFORK
    order: str = "fees"
    start_timeout_s: float = 20.0
    stop_grace_s: float = 5.0

    def arguments(self, port: int) -> list[str]:
        """anvil's command line without the program."""
        words = ["--quiet", "--host", "127.0.0.1", "--port", str(port), "--chain-id", str(self.chain_id)]
        words += ["--accounts", str(self.accounts), "--hardfork", self.hardfork, "--order", self.order]
        words += ["--gas-limit", str(self.gas_limit), "--no-request-size-limit"]
        if self.block_time_s is not None:
            words += ["--block-time", str(self.block_time_s)]
        elif not self.mining:
            words += ["--no-mining"]
        if self.timestamp_s is not None:
            words += ["--timestamp", str(self.timestamp_s)]
        if self.base_fee_wei is not None:
            words += ["--base-fee", str(self.base_fee_wei)]
        return words


def find_anvil(root: Path = DEVNET_DIR) -> Path:
    """The native binary under `root`/node_modules, else on PATH. Raises AnvilNotFound saying what to type."""
    system = {"Linux": "linux", "Darwin": "darwin", "Windows": "win32"}.get(platform.system(), "none")
    machine = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "amd64"
    name = "anvil.exe" if system == "win32" else "anvil"
    bundled = root / "node_modules" / "@foundry-rs" / f"anvil-{system}-{machine}" / "bin" / name
    if bundled.is_file():
        return bundled
    on_path = shutil.which("anvil")
    if on_path is not None:
        return Path(on_path)
    raise AnvilNotFound(f"anvil is not installed; type: npm ci --ignore-scripts --prefix {root}")


class AnvilNode:
    """One running chain. `async with AnvilNode() as node:` or start() and stop()."""

    def __init__(self, options: NodeOptions | None = None, binary: Path | None = None) -> None:
        self.options = options or NodeOptions()
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None
        self._output: IO[bytes] | None = None
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self._port}"

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def start(self) -> None:
        """Returns when the chain answers and has mined a block. Raises AnvilNotFound, AnvilFailed."""
        binary = self._binary or find_anvil()
        self._port = _claim_port(self.options.port)
        self._output = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = await asyncio.create_subprocess_exec(
            str(binary),
            *self.options.arguments(self._port),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            # A Ctrl-C at the terminal reaches the whole group: the chain has to outlive whoever still drains into it.
            start_new_session=True,
        )
        try:
            await self._wait_until_ready()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """SIGTERM, after `stop_grace_s` SIGKILL. Does nothing the second time."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), self.options.stop_grace_s)
            except TimeoutError:
                process.kill()
                await process.wait()
        if self._output is not None:
            self._output.close()
            self._output = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _wait_until_ready(self) -> None:
        try:
            async with asyncio.timeout(self.options.start_timeout_s), aiohttp.ClientSession() as session:
                rpc = JsonRpc(session, self.url)
                while not await self._answers(rpc):  # noqa: ASYNC110 - another process cannot set an event of ours
                    await asyncio.sleep(0.02)
                # At the genesis block a call sees block.timestamp = 1, and every age check fails.
                await rpc.call("evm_mine")
        except TimeoutError:
            raise AnvilFailed(f"anvil did not answer within {self.options.start_timeout_s} s: {self._tail()}") from None

    async def _answers(self, rpc: JsonRpc) -> bool:
        if self._process is None or self._process.returncode is not None:
            raise AnvilFailed(f"anvil ended at once: {self._tail()}")
        try:
            return int(await rpc.call("eth_chainId"), 16) == self.options.chain_id
        except aiohttp.ClientConnectionError:
            return False

    def _tail(self) -> str:
        if self._output is None:
            return ""
        self._output.seek(0)
        return self._output.read()[-500:].decode(errors="replace").strip() or "it printed nothing"


def _claim_port(port: int) -> int:
    """`port`, or a free one for 0. Asked before the start, because a chain that already listens there would answer."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise AnvilFailed(f"port {port} is in use: {error.strerror}") from None
        claimed: int = probe.getsockname()[1]
        return claimed
