"""What `keeper check` prints, at the widths that terminals have."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from keeper.app.check_table import Findings
from keeper.app.findings import fail, misconfigured, ok

FOUND = [
    ok("configuration", "files", "2 perps, 3 indices, 17 sources; hash 0123456789abcdef"),
    fail("BTC-USD", "perp:BTC-USD", "the venue did not answer: connection refused at 127.0.0.1:8090"),
    misconfigured("deployments.main.oracle", "code", f"there is no contract at 0x{'01' * 20} on chain 1"),
    fail("signers.wallets.cranker", "delegation", "is delegated"),
]


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_findings__at_any_width__split_no_name_and_no_address(width: int) -> None:
    out = io.StringIO()
    Console(file=out, width=width).print(Findings(FOUND))
    lines = out.getvalue().splitlines()
    assert all(len(line) <= width for line in lines)
    for found in FOUND:
        (line,) = [line for line in lines if found.subject in line and found.check in line]
        assert line.startswith(found.status)
    for words in (f"0x{'01' * 20}", "127.0.0.1:8090", "0123456789abcdef"):
        assert any(words in line for line in lines), words
