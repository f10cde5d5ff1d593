"""config/README.md, made from the models, so that it cannot say anything else than they do."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, WithJsonSchema
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from keeper.domain.index_methods import INDEX_METHODS
from keeper.domain.ladder import LADDERS
from keeper.domain.mark import MARK_METHODS
from keeper.domain.numbers import text_of
from keeper.domain.outlier_rules import OUTLIER_RULES
from keeper.settings.base import Chosen
from keeper.settings.market import MarketSettings
from keeper.settings.methods import table
from keeper.settings.models import GlobalFile

_HEAD = """\
# Configuration

<!-- Written by `make docs` from keeper/settings. Change the models, not this file. -->

One global file, `keeper.yaml`, and one file per market under `markets/`. The files here are commented examples.
`keeper check --offline` judges them all at once and names file, line and column of every fault; `keeper config schema`
prints a JSON Schema for editors.

- YAML 1.2 without tags, anchors, aliases or duplicate keys; at most 256 KiB and 12 levels. `no` is text, not false.
- Units stand in the names: `_s` seconds, `_bps` hundredths of a percent, `_units` smallest units of the quote token.
- Prices, sizes and rates are decimal texts, exact to 18 digits: `"0.98"`.
- Secrets stand in files of their own (mode 0600) or in systemd credentials (`cred:NAME`); a private key in a settings
  file is refused. File names are relative to `keeper.yaml`.
- From the environment come `STATE_DIRECTORY`, `RUNTIME_DIRECTORY`, `CREDENTIALS_DIRECTORY`, `NOTIFY_SOCKET`, `WATCHDOG_USEC` and
  `WATCHDOG_PID`, as systemd sets them; `KEEPER_CONFIG` replaces `--config`, `KEEPER_COMMIT` is the commit that
  `keeper_build_info` names, `COLUMNS` the width of tables. No setting does, and no key but where `insecure_env` names its variable.
"""

_CHOICES = """
## What an index may choose

Grades: *reproduced* gives what a venue published, see [docs/validation.md](../docs/validation.md); *consistent* and *documented only*
claim less. *Hostile* are sources that may say anything; the *honest range* runs from the lowest to the highest of the others.
Recipes after venues: [docs/index-prices.md](../docs/index-prices.md).
"""


_MARKS = """\
`mark: {method: binance}` in a market file marks as that venue does; every option can be changed beside it. A venue's name stands
for a form (in brackets) with that venue's parameters. *reproduced*: recorded inputs give the recorded mark; *consistent*: the
recorded mark is one that the formula can give; *documented only*: the venue's text. The observations are in
[docs/validation.md](../docs/validation.md). The limits of a method (`max_basis_bps`, `max_step_bps`) are published, flagged; those
of `guard` never are. `max_step_bps` holds for every method: one that has it not among its options is limited from outside, by the same
rule, and where it bounds the distance to the index, that bound counts more. `index`, `dydx_v4` and whatever else is the index itself
have no such bound: their mark then trails the index, and `condition.alert_bps` and `condition.halt_bps` say how far it may. Of HIP-3's
other limits, ten times a day's start and a local mark while the oracle is older than 10 s, `hip3` has neither: the index's own
bound and the guard stand for the first, and without an index there is no mark (*documented only*).

Hyperliquid's mark with the five venues and weights that it documents; `references` takes perpetuals alone:

```yaml
mark:
  method: hyperliquid
  references:
    - {kind: binance_perp, symbol: BTCUSDT, quote: USDT, weight: 3}
    - {kind: okx, symbol: BTC-USDT-SWAP, quote: USDT, weight: 2}
    - {kind: bybit_perp, symbol: BTCUSDT, quote: USDT, weight: 2}
    - {kind: gate_perp, symbol: BTC_USDT, quote: USDT}
    - {kind: mexc_perp, symbol: BTC_USDT, quote: USDT}
```

"""


def reference() -> str:
    """The whole file."""
    parts = [_HEAD, "\n## keeper.yaml\n\n", *_table(GlobalFile, ""), "\n## A market file\n\n"]
    parts.append(
        "A file without `deployment` is an index alone: it has `market`, `sources`, `index`, perhaps `conversions`, `own_venue`, `scorecard`.\n\n"
    )
    parts += [*_table(MarketSettings, ""), _CHOICES]
    parts += [*_choices("`index.method`", INDEX_METHODS), *_choices("`index.outliers.rule`", OUTLIER_RULES)]
    parts += [*_ladders(), "\n## Mark methods\n\n", _MARKS, *table(MARK_METHODS)]
    return "".join(parts)


def _choices(title: str, registry: Mapping[str, type[Any]]) -> Iterator[str]:
    """One row for each entry of a registry: its options, and the first paragraph of what it says of itself."""
    yield f"\n### {title}\n\n| name | options | meaning | grade |\n|---|---|---|---|\n"
    for name, kind in registry.items():
        options = ", ".join(f"`{found.name}` {_option(found.default)}" for found in dataclasses.fields(kind))
        meaning = " ".join((kind.__doc__ or "").split())
        yield f"| `{name}` | {options} | {meaning} | {kind.grade.value} |\n"


def _option(default: Any) -> str:
    return f"{default:g}" if isinstance(default, float) else str(default)


def _ladders() -> Iterator[str]:
    yield "\n### `index.ladder.like`\n\n| name | two sources | one source | none |\n|---|---|---|---|\n"
    for name, ladder in LADDERS.items():
        yield f"| `{name}` | {ladder.two.value} | {ladder.one.value} | {ladder.none.value} |\n"


def _table(model: type[BaseModel], prefix: str) -> Iterator[str]:
    """One row for each field; nested models follow their own row."""
    yield "| key | value | default | meaning |\n|---|---|---|---|\n"
    yield from _rows(model, prefix)


def _rows(model: type[BaseModel], prefix: str) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if issubclass(model, Chosen) and name == "options":
            yield f"| `{prefix}…` | | | every other key: an option of the kind chosen |\n"
            continue
        key = f"{prefix}{field.alias or name}"
        inner, repeated = _inner(field.annotation)
        meaning = field.description or (inner.__doc__ or "").split("\n")[0] if inner else field.description or ""
        yield f"| `{key}{repeated}` | {_kind(field)} | {_default(field)} | {meaning} |\n"
        if inner is not None:
            yield from _rows(inner, f"{key}{repeated}.")


def _inner(hint: Any) -> tuple[type[BaseModel] | None, str]:
    """The model inside a hint, and how it repeats: `[]` in lists, `.NAME` in mappings."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        return hint, ""
    if origin in (types.UnionType, typing.Union):
        return next((found for found in map(_inner, args) if found[0]), (None, ""))
    if origin is tuple:
        return _inner(args[0])[0], "[]"
    if origin is Mapping:
        found = _inner(args[1])[0]
        return found, ".NAME" if found else ""
    if origin is typing.Annotated:
        return _inner(args[0])
    return None, ""


def _kind(field: FieldInfo) -> str:
    """What to write, in a word or two."""
    alias = field.alias or ""
    hint = field.annotation
    if _base(hint) is int and WithJsonSchema({"type": "string"}) in field.metadata:
        return "time"
    if field.validation_alias or alias:
        return "decimal" if _base(hint) is int else ""
    base = _base(hint)
    if typing.get_origin(base) is typing.Literal:
        return " or ".join(f"`{choice}`" for choice in typing.get_args(base))
    words = {int: "whole number", float: "number", bool: "true/false", str: "text", Path: "file name", SecretStr: "URL"}
    return words.get(base, "")


def _base(hint: Any) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return _base(next(part for part in args if part is not type(None)))
    if origin is tuple:
        return _base(args[0])
    return _base(args[0]) if origin is typing.Annotated else hint


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is PydanticUndefined:
        return "" if field.default_factory else "**required**"
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, int) and field.alias and _base(field.annotation) is int:
        return f"`{text_of(value)}`"
    return f"`{value.value if isinstance(value, Enum) else f'{value:g}' if isinstance(value, float) else value}`"
