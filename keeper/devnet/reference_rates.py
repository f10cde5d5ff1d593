"""A local publisher of daily reference rates in the European Central Bank's format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from types import TracebackType
from typing import Self

from aiohttp import web

_PATH = "/stats/eurofxref/eurofxref-daily.xml"
_ENVELOPE = (
    'xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01" xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref"'
)


def daily_file(day: date, rates: Mapping[str, Decimal]) -> str:
    """The file of one day: units of each currency for a euro."""
    cubes = "\n".join(f"\t\t\t<Cube currency='{code}' rate='{rate}'/>" for code, rate in rates.items())
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<gesmes:Envelope {_ENVELOPE}>\n'
        "\t<gesmes:subject>Reference rates</gesmes:subject>\n"
        "\t<gesmes:Sender>\n\t\t<gesmes:name>European Central Bank</gesmes:name>\n\t</gesmes:Sender>\n"
        f"\t<Cube>\n\t\t<Cube time='{day.isoformat()}'>\n{cubes}\n\t\t</Cube>\n\t</Cube>\n</gesmes:Envelope>\n"
    )


@dataclass(slots=True, eq=False)
class RatesServer:
    """Serves `body` with `status`. Use as `async with`; `options` are what a reference is built with."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    asked: int = 0
    port: int = 0
    _runner: web.AppRunner | None = None

    def says(self, day: date, rates: Mapping[str, Decimal]) -> None:
        self.body, self.status = daily_file(day, rates).encode(), 200

    def options(self) -> dict[str, str]:
        return {"rest_url": f"http://127.0.0.1:{self.port}{_PATH}"}

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get(_PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(body=self.body, status=self.status, headers=self.headers, content_type="text/xml")
