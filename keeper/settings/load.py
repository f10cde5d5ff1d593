"""keeper.yaml and its market files, read and judged as a whole: Settings, or every fault at once.

The only place outside `app` that reads the environment: STATE_DIRECTORY, RUNTIME_DIRECTORY, CREDENTIALS_DIRECTORY,
which systemd sets (systemd.exec(5)).
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from keeper.errors import ConfigError
from keeper.settings.base import Model
from keeper.settings.document import Document, parse, read
from keeper.settings.explain import faults_of
from keeper.settings.faults import Fault, SettingsRefused, field_path
from keeper.settings.market import MarketSettings
from keeper.settings.models import CommonSettings, GlobalFile, Settings
from keeper.settings.onchain_rules import onchain_sources, polled_sources
from keeper.settings.options import Registries
from keeper.settings.rules import common_rules, conversion_rules, market_kinds, market_rules, shared_rules

M = TypeVar("M", bound=Model)


def load(path: Path, known: Registries | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Raises SettingsRefused with every fault of every file, each with its line."""
    return _Loader(path, known or Registries(), os.environ if environ is None else environ).settings()


@dataclass
class _Loader:
    path: Path
    known: Registries
    environ: Mapping[str, str]
    faults: list[Fault] = field(default_factory=list)

    def settings(self) -> Settings:
        document = self._document(self.path)
        common = self._model(GlobalFile, document) if document else None
        if document and common:
            self.faults += [document.fault(found.keys, found.message) for found in common_rules(common, self.known)]
        markets = self._markets(document, common)
        if self.faults or document is None or common is None:
            raise SettingsRefused(self.faults)
        return _joined(common, markets, document, self.path, self.environ)

    def _document(self, path: Path) -> Document | None:
        try:
            return parse(_shown(path), read(path))
        except OSError as error:
            self.faults.append(Fault(_shown(path), 0, 0, "", f"cannot be read: {error.strerror}"))
        except SettingsRefused as refused:
            self.faults += refused.faults
        return None

    def _model(self, model: type[M], document: Document) -> M | None:
        if not isinstance(document.tree, dict):
            self.faults.append(document.fault((), "write keys and values"))
            return None
        try:
            return model.model_validate(document.tree)
        except ValidationError as error:
            self.faults += faults_of(error, model, document)
            return None

    def _markets(self, document: Document | None, common: GlobalFile | None) -> tuple[MarketSettings, ...]:
        """Without `common` each by itself: a fault of keeper.yaml hides none of theirs."""
        judged: dict[str, tuple[Document, MarketSettings]] = {}
        files, complete = self._market_files(document, common)
        for path in files:
            own = self._document(path)
            market = self._model(MarketSettings, own) if own else None
            if own is None or market is None:
                complete = False
                continue
            if market.market in judged:
                self.faults.append(
                    own.fault(("market",), f"{market.market} stands in {judged[market.market][0].file} too")
                )
            judged[market.market] = own, market
            found = [*market_rules(market), *market_kinds(market, self.known), *polled_sources(market, self.known)]
            if common:
                found += [*shared_rules(market, common), *onchain_sources(market, common, self.known)]
            self.faults += [own.fault(complaint.keys, complaint.message) for complaint in found]
        self.faults += _across(judged, complete)
        return tuple(market for _, (_, market) in sorted(judged.items()))

    def _market_files(self, document: Document | None, common: GlobalFile | None) -> tuple[list[Path], bool]:
        """And whether these are all: where keeper.yaml does not tell, those that lie where they usually do."""
        base, patterns = self.path.parent, _patterns(document, common)
        if not patterns:
            return (sorted(base.glob(_USUALLY)) if self.path.exists() else []), False
        files: dict[Path, None] = {}
        complete = True
        for number, pattern in enumerate(patterns):
            found = sorted(Path(name) for name in glob.glob(str(Path(glob.escape(str(base))) / pattern)))
            if document and not found:
                complete = False
                self.faults.append(document.fault(("markets", number), _nothing_found(base, pattern)))
            files.update(dict.fromkeys(found))
        return list(files), complete


_USUALLY = "markets/*.yaml"


def _patterns(document: Document | None, common: GlobalFile | None) -> tuple[str, ...]:
    """`markets` of keeper.yaml, also of one with faults elsewhere; nothing where it cannot be understood."""
    if common:
        return common.markets
    tree = document.tree if document else None
    stands = tree.get("markets") if isinstance(tree, dict) else None
    return stands if isinstance(stands, tuple) and all(isinstance(each, str) for each in stands) else ()


def _nothing_found(base: Path, pattern: str) -> str:
    """Why: a pattern passes in silence over what is not there and what may not be read."""
    named = f"no file matches {pattern}" if glob.has_magic(pattern) else f"no such file: {pattern}"
    place = base
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        place /= part
    try:
        os.scandir(place).close()
    except FileNotFoundError:
        return f"{named}: there is no directory {place.relative_to(base) if place.is_relative_to(base) else place}"
    except OSError as error:
        return f"{named}: {_shown(place)} cannot be read: {error.strerror}"
    return named


def _across(judged: Mapping[str, tuple[Document, MarketSettings]], complete: bool) -> Iterator[Fault]:
    markets = {name: market for name, (_, market) in judged.items()}
    for name, complaint in conversion_rules(markets):
        # A file that could not be understood is not in `markets`: that it is missing here is no second fault.
        if complete or "no market file" not in complaint.message:
            yield judged[name][0].fault(complaint.keys, complaint.message)
    taken: dict[tuple[str, int], str] = {}
    for name, market in markets.items():
        if market.deployment and market.market_no is not None:
            other = taken.setdefault((market.deployment, market.market_no), name)
            if other != name:
                yield judged[name][0].fault(
                    ("market_no",), f"{other} has number {market.market_no} of {market.deployment} already"
                )


def _shown(path: Path) -> str:
    """As the operator typed it, or nearly: relative to where he stands."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _joined(
    common: GlobalFile, markets: tuple[MarketSettings, ...], document: Document, path: Path, environ: Mapping[str, str]
) -> Settings:
    base = path.parent.absolute()
    state = common.state_dir or Path(_first(environ, "STATE_DIRECTORY") or "state")
    state_dir = base / state
    runtime = Path(_first(environ, "RUNTIME_DIRECTORY") or state_dir)
    fields: dict[str, Any] = {name: getattr(common, name) for name in CommonSettings.model_fields}
    fields["signers"] = common.signers.located(base)
    fields["venues"] = {name: venue.located(base) for name, venue in common.venues.items()}
    places = {field_path(keys): f"{document.file}:{line}:{column}" for keys, (line, column) in document.places.items()}
    return Settings(
        **fields,
        markets=markets,
        file=path.absolute(),
        state_dir=state_dir,
        admin_socket=runtime / common.admin.socket,
        places=places,
    )


def _first(environ: Mapping[str, str], name: str) -> str:
    """systemd joins several directories by colons."""
    return environ.get(name, "").partition(":")[0]


def admin_sockets(path: Path, environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Where the socket of the keeper that runs by `path` may be, likeliest first.

    Works with a file that has faults: `keeper ctl pause` must not depend on a market file being right.
    """
    environ = os.environ if environ is None else environ
    socket, state = _written(path, environ)
    runtime = _first(environ, "RUNTIME_DIRECTORY")
    places = [Path(runtime)] if runtime else []
    # systemd/keeper@.service gives instance NAME, configured by NAME.yaml, this runtime directory.
    places += [path.parent.absolute() / state, Path("/run/keeper") / path.stem]
    return tuple(dict.fromkeys(place / socket for place in places))  # an absolute socket is the same everywhere


def state_directories(path: Path, environ: Mapping[str, str] | None = None) -> tuple[Path, ...]:
    """Where the journal of the keeper that is configured by `path` may be, likeliest first; faults matter as little."""
    _, state = _written(path, os.environ if environ is None else environ)
    return tuple(dict.fromkeys((path.parent.absolute() / state, Path("/var/lib/keeper") / path.stem)))


def _written(path: Path, environ: Mapping[str, str]) -> tuple[Path, Path]:
    """Socket and state directory as they stand in a file that may have faults, else their defaults."""
    tree: Any = None
    with suppress(OSError, ConfigError):
        tree = parse(str(path), read(path)).tree
    tree = tree if isinstance(tree, dict) else {}
    admin = tree.get("admin")
    socket = admin.get("socket") if isinstance(admin, dict) else None
    state = tree.get("state_dir") or _first(environ, "STATE_DIRECTORY") or "state"
    return Path(str(socket or "keeper.sock")), Path(str(state))
