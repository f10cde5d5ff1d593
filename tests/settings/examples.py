"""A small configuration that is right, as text to break."""

from __future__ import annotations

from pathlib import Path

GLOBAL = """\
chain: {id: 31337, rpc: ["http://127.0.0.1:8545"]}
deployments:
  main: {protocol: reference, oracle: "0x1111111111111111111111111111111111111111", exchange: "0x2222222222222222222222222222222222222222", lens: "0x3333333333333333333333333333333333333333"}
signers:
  reports: [{kind: key_file, file: report.key}]
  sender: {kind: key_file, file: sender.key}
markets: [markets/*.yaml]
"""

MARKET = """\
market: BTC-USD
deployment: main
market_no: 1
sources:
  - {kind: binance, symbol: BTCUSDT, quote: USDT, weight: 3}
  - {kind: coinbase, symbol: BTC-USD, weight: 2}
  - {kind: kraken, symbol: BTC/USD}
conversions: {USDT: USDT-USD}
index: {method: clamped_weighted_mean, min_sources: 3, min_quote_groups: 2}
mark: {method: index}
funding: {premium: derived}
publish: {deviation_bps: 10, heartbeat_s: 60, min_interval_s: 1}
guard: {max_jump_bps: 200, confirm_s: 3, confirm_sources: 3, confirm_quote_groups: 2}
liquidation: {max_batch: 20, gate: {max_mark_age_s: 90, min_sources: 3}}
"""

INDEX = """\
market: USDT-USD
sources:
  - {kind: kraken, symbol: USDT/USD}
  - {kind: coinbase, symbol: USDT-USD}
  - {kind: bitstamp, symbol: usdtusd}
index: {method: median}
"""

FILES = {"keeper.yaml": GLOBAL, "markets/BTC-USD.yaml": MARKET, "markets/USDT-USD.yaml": INDEX}


def written(directory: Path, **changed: str) -> Path:
    """The configuration in `directory`, with files replaced by name: `keeper`, `BTC`, `USDT`."""
    names = {"keeper": "keeper.yaml", "BTC": "markets/BTC-USD.yaml", "USDT": "markets/USDT-USD.yaml"}
    (directory / "markets").mkdir(parents=True, exist_ok=True)
    for name, text in {**FILES, **{names[key]: text for key, text in changed.items()}}.items():
        (directory / name).write_text(text)
    return directory / "keeper.yaml"
