"""What is logged is one line, in order, and holds no secret."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from keeper.adapters.signers.secret_file import Secret
from keeper.app import logs
from keeper.app.scrub import HIDDEN, MAX_TEXT, scrubbed, text
from keeper.domain.time import Timestamp
from keeper.settings.models import LogSettings

CANARY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
FORBIDDEN = [*map(chr, range(0x20)), "\x7f", "\x9b", "\u202e", "\u2066", "\u200f", "\u2028", "\ufeff"]


class FixedClock:
    def now(self) -> Timestamp:
        return Timestamp(1_700_000_000_123_456_789)


@pytest.fixture(autouse=True)
def _logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, show = root.handlers, root.level, warnings.showwarning
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    logging.captureWarnings(capture=False)
    root.handlers, warnings.showwarning = handlers, show
    root.setLevel(level)


def logged(write: Any, form: str = "json", level: str = "debug") -> str:
    out = io.StringIO()
    write(logs.configure(LogSettings(level=level, format=form), FixedClock(), out))
    return out.getvalue()


def test_entry__in_json__has_time_level_and_event_first() -> None:
    line = logged(lambda log: log.info("report.published", market="BTC-USD", price="1.5"))
    assert line.endswith("\n")
    assert list(json.loads(line).items()) == [
        ("at", "2023-11-14T22:13:20.123456Z"),
        ("level", "info"),
        ("event", "report.published"),
        ("market", "BTC-USD"),
        ("price", "1.5"),
    ]


def test_level__below_the_configured__is_silent() -> None:
    assert logged(lambda log: log.info("a.done"), level="warning") == ""


def test_format__off_a_terminal__is_json() -> None:
    assert json.loads(logged(lambda log: log.info("a.done"), form="auto"))["event"] == "a.done"


def test_context__bound_by_a_task__stands_in_its_entries() -> None:
    def write(log: Any) -> None:
        logs.bind(service="pricing")
        log.info("a.done")

    assert json.loads(logged(write))["service"] == "pricing"


@pytest.mark.parametrize("form", ["json", "console"])
@given(foreign=st.text(alphabet=st.sampled_from([*FORBIDDEN, "a", "{", '"', "\\", "\x1b", "é"]), max_size=40))
def test_foreign_text__of_any_kind__forges_no_line_and_moves_no_cursor(form: str, foreign: str) -> None:
    out = logged(
        lambda log: log.warning("quote.rejected", detail=foreign, nested={"a": [foreign]}, error=ValueError(foreign)),
        form,
    )
    assert out.count("\n") == 1
    assert not [sign for sign in FORBIDDEN if sign in out.rstrip("\n")]


class _Vault:
    def __init__(self, key: str) -> None:
        self.key = key

    def sign(self) -> None:
        secret = self.key
        raise RuntimeError(f"cannot sign with {len(secret)} characters")


@pytest.mark.parametrize("form", ["json", "console"])
def test_secret__in_every_place_that_leaked_elsewhere__is_not_logged(form: str) -> None:
    """Locals of a traceback, typed secrets, keys by their name, a URL's user, path and query."""

    def write(log: Any) -> None:
        vault, password = _Vault(CANARY), CANARY
        try:
            vault.sign()
        except RuntimeError as error:
            log.exception("signer.failed", advice="none", error=error)
            log.error("signer.failed", advice="none", exc_info=error)
        log.info("a.done", typed=SecretStr(password), own=Secret(CANARY.encode()), listed=[SecretStr(CANARY)])
        log.info("a.done", password=CANARY, settings={"private_key": CANARY, "api_key": CANARY})
        for url in (f"https://rpc.example.org/v2/{CANARY}", f"wss://me:{CANARY}@host/x", f"https://h?key={CANARY}"):
            log.info("a.done", url=url, error=f"no answer from {url} (x)")

    out = logged(write, form)
    assert CANARY not in out
    assert CANARY[2:] not in out
    assert "rpc.example.org/***" in out
    assert "cannot sign with 66 characters" in out
    assert "in sign" in out


def test_traceback__on_a_console__cannot_pass_for_an_entry() -> None:
    def write(log: Any) -> None:
        try:
            raise ValueError("x\n2030-01-01T00:00:00Z [info ] report.published")
        except ValueError:
            log.exception("a.failed", advice="none")

    first, *rest = logged(write, "console").rstrip("\n").split("\n")
    assert "a.failed" in first
    assert rest
    assert all(line.startswith("  | ") for line in rest)


def test_library__that_logs_or_warns__is_heard_as_an_event_of_ours() -> None:
    def write(_log: Any) -> None:
        logging.getLogger("some.library").warning("odd: %s", "https://u:p@host/secret")
        logging.getLogger("some.library").error("broken")
        logging.getLogger("some.library").info("chatter")

    entries = [json.loads(line) for line in logged(write).splitlines()]
    assert [(entry["event"], entry["level"]) for entry in entries] == [
        ("library.warned", "warning"),
        ("library.failed", "error"),
    ]
    assert entries[0]["error"] == "odd: https://host/***"
    assert entries[1]["advice"]


@pytest.mark.parametrize("before", range(MAX_TEXT - 60, MAX_TEXT + 1, 3))
def test_text__with_a_key_across_the_cut__is_scrubbed_before_it_is_cut(before: int) -> None:
    shown = text("x" * (before - 1) + " https://us3r:s3cret@node.example/k3y-of-the-operator and more")
    assert not any(word in shown for word in ("us3", "s3c", "k3y"))
    assert len(shown) < MAX_TEXT + 20


def test_text__that_is_cut_within_a_url__hides_what_the_url_hid() -> None:
    for before in range(MAX_TEXT - 40, MAX_TEXT):
        cut = text("x" * before + " wss://user:s3cr3t-canary@example.org/s3cr3t-canary")
        assert "s3cr" not in cut
        assert len(cut) < MAX_TEXT + 20
    assert text("x" * 1_000_000).endswith(f"…(+{1_000_000 - MAX_TEXT})")


def test_scrubbed__of_large_and_deep_values__is_bounded() -> None:
    assert len(text("x" * 10_000)) < MAX_TEXT + 20
    deep: Any = "end"
    for _ in range(50):
        deep = [deep]
    assert "end" not in repr(scrubbed(deep))
    assert len(scrubbed(list(range(10_000)))) == 200
    assert scrubbed({"password": 1, "x_token": 2, "tokens": 3}) == {"password": HIDDEN, "x_token": HIDDEN, "tokens": 3}


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_scrubbed__of_anything__can_be_written_as_json(value: Any) -> None:
    json.dumps(scrubbed(value))


def test_url__without_secrets__stays_readable() -> None:
    assert text("no answer from https://rpc.example.org: refused") == "no answer from https://rpc.example.org: refused"
    assert text("ws://127.0.0.1:8545/") == "ws://127.0.0.1:8545"
