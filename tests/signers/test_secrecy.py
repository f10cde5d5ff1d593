"""A key shows up nowhere: not in a repr, an error, a traceback with every local variable, a log line or a pickle."""

from __future__ import annotations

import base64
import copy
import io
import json
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from eth_account import Account

from keeper.adapters.signers import open_signer
from keeper.adapters.signers.curve import SigningKey, signing_key
from keeper.adapters.signers.key_signer import KeySigner
from keeper.adapters.signers.policy import PermittedCalls, RisingRounds, SendingRules
from keeper.adapters.signers.secret_file import Environment, Secret
from keeper.domain.chain import Call
from keeper.domain.ids import Address, DeploymentId
from keeper.domain.report import PriceReport
from keeper.ports.signer import UnsignedTransaction

_CANARY = "c0ffee" * 10 + "beef"
_PASSWORD = "correct horse battery staple"
_RAW = bytes.fromhex(_CANARY)
_FORMS = (_CANARY, str(int(_CANARY, 16)), base64.b64encode(_RAW).decode(), repr(_RAW)[2:-1], _PASSWORD)
_TO = Address("0x" + "5a" * 20)


def _key() -> SigningKey:
    key = signing_key(_RAW)
    assert key is not None
    return key


def _assert_clean(text: str) -> None:
    for form in _FORMS:
        assert form.lower() not in text.lower()


def _shown(error: BaseException) -> str:
    """The error as the most talkative handler prints it, without the frames of this file, which know the canary."""
    lines = traceback.TracebackException.from_exception(error, capture_locals=True, compact=False)
    seen: list[str] = []
    chain: traceback.TracebackException | None = lines
    while chain is not None:
        frames = [frame for frame in chain.stack if frame.filename != __file__]
        assert frames, "the error does not come from the code under test"
        seen += [f"{frame.filename} {frame.name} {frame.locals}" for frame in frames]
        seen += list(chain.format_exception_only())
        chain = chain.__cause__ or chain.__context__
    return "\n".join(seen)


def _file(path: Path, content: str) -> str:
    path.write_text(content)
    path.chmod(0o600)
    return str(path)


def _misread_file(tmp_path: Path) -> object:
    return open_signer("key_file", {"file": _file(tmp_path / "k", _CANARY + "0")}, 1, "s", environ={"X": _CANARY})


def _misread_environment(_tmp_path: Path) -> object:
    return open_signer("key_file", {"insecure_env": "KEY"}, 1, "s", environ={"KEY": _CANARY + "0"})


def _misread_password(tmp_path: Path) -> object:
    made = Account.encrypt(_RAW, "another", kdf="scrypt", iterations=2)
    options = {"file": _file(tmp_path / "k", json.dumps(made)), "password_file": _file(tmp_path / "p", _PASSWORD)}
    return open_signer("keystore", options, 1, "s", environ={})


def _misread_address(tmp_path: Path) -> object:
    made = {**Account.encrypt(_RAW, _PASSWORD, kdf="scrypt", iterations=2), "address": "11" * 20}
    options = {"file": _file(tmp_path / "k", json.dumps(made)), "password_file": _file(tmp_path / "p", _PASSWORD)}
    return open_signer("keystore", options, 1, "s", environ={})


def _sign_a_short_digest(_tmp_path: Path) -> object:
    report = PriceReport(DeploymentId("devnet"), 1, 0, 60, 1, bytes(32), ())
    return KeySigner(_key(), 1).sign_report(report, bytes(31)).send(None)


def _sign_an_impossible_transaction(_tmp_path: Path) -> object:
    wrong = UnsignedTransaction(1, -1, Call(_TO, b""), 21_000, 1, 1)
    return KeySigner(_key(), 1).sign_transaction(wrong).send(None)


def _sign_for_another_chain(_tmp_path: Path) -> object:
    policy = PermittedCalls(KeySigner(_key(), 1), SendingRules(frozenset(), 1))
    return policy.sign_transaction(UnsignedTransaction(10, 0, Call(_TO, b""), 21_000, 1, 1)).send(None)


@pytest.mark.parametrize(
    "fails",
    [
        _misread_file,
        _misread_environment,
        _misread_password,
        _misread_address,
        _sign_a_short_digest,
        _sign_an_impossible_transaction,
        _sign_for_another_chain,
    ],
)
def test_failure__in_any_path__shows_no_key(tmp_path: Path, fails: Callable[[Path], object]) -> None:
    with pytest.raises(Exception, match=r".") as caught:
        fails(tmp_path)
    _assert_clean(_shown(caught.value))


def test_detector__finds_a_key_in_a_local_variable() -> None:
    """So that the tests of this file can fail."""
    namespace: dict[str, object] = {}
    exec(compile("def leak(local):\n    raise ValueError('no key here')", "leak.py", "exec"), namespace)
    leak = namespace["leak"]
    assert callable(leak)
    with pytest.raises(ValueError, match="no key") as caught:
        leak(_CANARY)
    with pytest.raises(AssertionError):
        _assert_clean(_shown(caught.value))


def _holders() -> list[object]:
    signer = KeySigner(_key(), 1)
    rules = SendingRules(frozenset(), 1)
    holders = [_key(), signer, RisingRounds(signer, {}, {}), PermittedCalls(signer, rules)]
    return [*holders, Secret(_RAW), Secret(_CANARY.encode()), Environment({"KEY": _CANARY})]


@pytest.mark.parametrize("holder", _holders(), ids=lambda holder: type(holder).__name__)
def test_holder_of_a_key__printed_logged_or_copied__shows_nothing(holder: object) -> None:
    _assert_clean(f"{holder!r} {holder} {[holder]} {getattr(holder, '__dict__', '')}")
    output = io.StringIO()
    log = structlog.wrap_logger(
        structlog.PrintLogger(output), processors=[structlog.processors.JSONRenderer(default=repr)]
    )
    log.info("signer.opened", holder=holder)
    _assert_clean(output.getvalue())


@pytest.mark.parametrize("holder", _holders()[:-1], ids=lambda holder: type(holder).__name__)
def test_holder_of_a_key__pickled_or_deeply_copied__refuses(holder: object) -> None:
    for attempt in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="not serialised"):
            attempt(holder)


def test_process__that_dies_with_a_key_in_use__prints_no_key(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from keeper.adapters.signers import open_signer\n"
        "signer = open_signer('key_file', {'file': sys.argv[1]}, 1, 's', environ={})\n"
        "print(signer)\n"
        "asyncio.run(signer.sign_report(None, b'short'))\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", program, _file(tmp_path / "k", _CANARY)],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 1
    assert "ValueError" in done.stderr
    _assert_clean(done.stdout + done.stderr)
