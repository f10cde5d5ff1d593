"""The keeper under test: a real process with its own configuration, spoken to only as an operator would."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import IO

import aiohttp

from keeper.errors import KeeperError

PACKAGE_ROOT = Path(__file__).resolve().parents[3]
START_TIMEOUT_S, STOP_TIMEOUT_S = 40.0, 40.0


class KeeperFailedError(KeeperError):
    """The keeper ended, or was not ready, when it should have been. The message carries the end of what it printed."""


class KeeperProcess:
    """`python -m keeper run --config …` with its output in files."""

    def __init__(self, config: Path, directory: Path, ops_url: str) -> None:
        self._config, self._directory, self.ops_url = config, directory, ops_url
        self._process: asyncio.subprocess.Process | None = None
        self._files: list[IO[bytes]] = []
        self._running = asyncio.Event()
        self.exit_code: int | None = None

    @property
    def stderr(self) -> Path:
        return self._directory / "keeper.stderr"

    async def start(self) -> None:
        out = (self._directory / "keeper.stdout").open("ab")
        err = self.stderr.open("ab")
        self._files += [out, err]
        paths = [str(PACKAGE_ROOT), os.environ.get("PYTHONPATH", "")]
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "keeper",
            "run",
            "--config",
            str(self._config),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=self._directory,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))},
            # A Ctrl-C at the terminal is for the demo, which then stops the keeper in its own time.
            start_new_session=True,
        )
        self._running.set()

    async def restart_after_kill(self, session: aiohttp.ClientSession) -> None:
        """SIGKILL, a start, and readiness again. Raises KeeperFailedError."""
        if self._process is None or self._process.returncode is not None:
            return
        self._running.clear()
        self._process.kill()
        await self._process.wait()
        await self.start()
        await self.wait_ready(session)

    async def wait_ready(self, session: aiohttp.ClientSession) -> None:
        """Raises KeeperFailedError when it ends, or is not ready in time."""
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                while True:
                    if await self._answers_ready(session):
                        return
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise KeeperFailedError(f"not ready within {START_TIMEOUT_S} s: {self.tail()}") from None

    async def ended(self) -> int:
        """Waits for its end, not counting a kill with a restart."""
        while True:
            await self._running.wait()
            assert self._process is not None
            self.exit_code = await self._process.wait()
            if self._running.is_set():
                return self.exit_code

    async def stop(self) -> int | None:
        """SIGTERM, and SIGKILL when that is not enough: the exit code, negative for a signal, None if never started."""
        process = self._process
        if process is None:
            return None
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
            except TimeoutError:
                process.kill()
                await process.wait()
        self.exit_code = process.returncode
        for file in self._files:
            file.close()
        return self.exit_code

    def tail(self) -> str:
        """The last of what it said."""
        text = self.stderr.read_text(errors="replace") if self.stderr.exists() else ""
        return text[-1500:].strip() or "it printed nothing"

    async def _answers_ready(self, session: aiohttp.ClientSession) -> bool:
        if self._process is None or self._process.returncode is not None:
            code = None if self._process is None else self._process.returncode
            raise KeeperFailedError(f"it ended with exit code {code}: {self.tail()}")
        try:
            async with session.get(f"{self.ops_url}/readyz", timeout=aiohttp.ClientTimeout(2)) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False
