"""The baseline of `steady`: websockets on asyncio, every frame decoded, and nothing else.

    python -m benchmarks.plain_client URL...

Prints how many frames it decoded, once a second.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

from websockets.asyncio.client import connect

from benchmarks.frames import bid_of

_seen: Counter[str] = Counter()


async def _listen(url: str) -> None:
    async with connect(url, compression=None) as socket:
        async for frame in socket:
            if bid_of(frame):
                _seen["frames"] += 1


async def _tell() -> None:
    while True:
        await asyncio.sleep(1)
        sys.stdout.write(f"{_seen['frames']}\n")
        sys.stdout.flush()


async def main() -> None:
    await asyncio.gather(_tell(), *map(_listen, sys.argv[1:]))


if __name__ == "__main__":
    asyncio.run(main())
